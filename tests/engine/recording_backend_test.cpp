// The model of power loss: what may be lost is lost in some state, and what was synced in none.

#include <cairn/engine/recording_backend.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "support/backends.h"
#include "support/io_calls.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;
using engine::IoOp;
using engine::Recording;
using ::testing::Contains;
using ::testing::Each;
using ::testing::IsSubsetOf;
using ::testing::Not;
using ::testing::UnorderedElementsAre;

constexpr std::uint64_t kSeeds = 60;  // each state below has a chance of 1 in 20 or better

std::string content_of(const fs::path& path) {
  if (!fs::exists(path)) return "missing";
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class RecordingTest : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  void SetUp() override { start(); }
  void TearDown() override {
    if (backend_) calls_->close(root_);
  }
  void start() {
    recording_ = std::make_shared<Recording>(temp_.string());
    backend_ = engine::make_recording_backend(make_backend(GetParam()), recording_);
    calls_ = std::make_unique<Calls>(*backend_);
    root_ = calls_->open_directory(temp_.string());
  }
  // A file with content that is durable, name and all.
  int durable_file(const std::string& name, std::string_view content) {
    const int fd = calls_->create(root_, name);
    calls_->write(fd, 0, content);
    calls_->sync_data(fd);
    calls_->sync_all(root_);
    return fd;
  }
  // What `look` sees in the states after everything that was recorded, over many seeds.
  std::set<std::string> states(const std::function<std::string(const fs::path&)>& look,
                               const Recording::IgnoreSync& ignore = {},
                               std::optional<std::size_t> prefix = {}) {
    std::set<std::string> seen;
    for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
      const TempDirectory target = TempDirectory::in_memory();
      recording_->replay(prefix.value_or(recording_->mutations()), seed, target.string(), ignore);
      seen.insert(look(target.path()));
    }
    return seen;
  }
  static std::function<std::string(const fs::path&)> file(const std::string& name) {
    return [name](const fs::path& root) { return content_of(root / name); };
  }
  static std::string names(const fs::path& root) {
    std::set<std::string> sorted;
    for (const auto& entry : fs::directory_iterator(root)) {
      sorted.insert(entry.path().filename().string());
    }
    std::string all;
    for (const std::string& name : sorted) all += name + " ";
    return all;
  }

  TempDirectory temp_;
  std::shared_ptr<Recording> recording_;
  std::unique_ptr<engine::IoBackend> backend_;
  std::unique_ptr<Calls> calls_;
  int root_ = -1;
};

TEST_P(RecordingTest, SyncedContentUnderASyncedNameIsThereInEveryState) {
  calls_->close(durable_file("file", "content"));
  EXPECT_THAT(states(file("file")), UnorderedElementsAre("content"));
}

TEST_P(RecordingTest, WithoutTheFilesSyncItsContentMayBeLost) {
  const int fd = calls_->create(root_, "file");
  calls_->write(fd, 0, "content");
  calls_->sync_all(root_);
  const auto seen = states(file("file"));
  EXPECT_THAT(seen, Contains("content"));
  EXPECT_THAT(seen, Contains(""));
  EXPECT_THAT(seen, Contains(std::string(7, '\0')));
  EXPECT_THAT(seen, Not(Contains("missing")));
  calls_->close(fd);
}

TEST_P(RecordingTest, SyncingAFileDoesNotMakeItsNameDurable) {
  const int fd = calls_->create(root_, "file");
  calls_->write(fd, 0, "content");
  calls_->sync_all(fd);
  EXPECT_THAT(states(file("file")), UnorderedElementsAre("content", "missing"));
  calls_->close(fd);
}

TEST_P(RecordingTest, ADirectoryIsDurableWhenItsParentWasSynced) {
  calls_->make_directory(root_, "dir");
  const int dir = calls_->open(root_, "dir", O_RDONLY | O_DIRECTORY);
  const int fd = calls_->create(dir, "file");
  calls_->sync_all(fd);
  calls_->sync_all(dir);
  EXPECT_THAT(states(file("dir/file")), UnorderedElementsAre("", "missing"));
  calls_->sync_all(root_);
  EXPECT_THAT(states(file("dir/file")), UnorderedElementsAre(""));
  calls_->close(fd);
  calls_->close(dir);
}

TEST_P(RecordingTest, IgnoringOneSyncShowsWhatItWasFor) {
  calls_->close(durable_file("file", "content"));
  const auto syncs = recording_->syncs();
  ASSERT_EQ(syncs.size(), 2u);
  const auto ignore = [](std::size_t which) {
    return [which](std::size_t index) { return index == which; };
  };
  EXPECT_THAT(states(file("file"), ignore(syncs[0])), Contains(""));
  EXPECT_THAT(states(file("file"), ignore(syncs[1])), Contains("missing"));
}

TEST_P(RecordingTest, ASyncCoversWhatCameBeforeItAndNothingElse) {
  const int fd = durable_file("file", "first");
  calls_->write(fd, 0, "again");
  EXPECT_THAT(states(file("file")), UnorderedElementsAre("first", "again"));
  const std::size_t before_write = recording_->mutations() - 1;
  EXPECT_THAT(states(file("file"), {}, before_write), UnorderedElementsAre("first"));
  calls_->close(fd);
}

TEST_P(RecordingTest, UnsyncedWritesAreTornAtBlocksOnly) {
  const std::string old_text(3 * 4096, 'o');
  const int fd = durable_file("file", old_text);
  calls_->write(fd, 0, std::string(3 * 4096, 'n'));
  std::set<std::string> patterns;
  states([&](const fs::path& root) {
    const std::string content = content_of(root / "file");
    EXPECT_EQ(content.size(), old_text.size());
    std::string pattern;
    for (std::size_t at = 0; at < content.size(); at += 4096) {
      EXPECT_EQ(content.substr(at, 4096), std::string(4096, content[at]));
      pattern += content[at];
    }
    patterns.insert(pattern);
    return pattern;
  });
  EXPECT_THAT(patterns, Each(::testing::MatchesRegex("[on]{3}")));
  EXPECT_THAT(patterns, Contains("ooo"));
  EXPECT_THAT(patterns, Contains("nnn"));
  EXPECT_GE(patterns.size(), 4u);
  calls_->close(fd);
}

TEST_P(RecordingTest, UnsyncedLengthsMayBeLost) {
  const int fd = durable_file("file", "content");
  calls_->truncate(fd, 3);
  EXPECT_THAT(states(file("file")), UnorderedElementsAre("content", "con"));
  calls_->sync_data(fd);
  EXPECT_THAT(states(file("file")), UnorderedElementsAre("con"));
  calls_->close(fd);
}

TEST_P(RecordingTest, ARenameIsOneStep) {
  calls_->close(durable_file("old", "content"));
  calls_->pair(IoOp::rename, root_, "old", root_, "new");
  EXPECT_THAT(states(names), UnorderedElementsAre("old ", "new "));
  calls_->sync_all(root_);
  EXPECT_THAT(states(names), UnorderedElementsAre("new "));
}

TEST_P(RecordingTest, AReplaceShowsTheOldFileOrTheNewOne) {
  calls_->close(durable_file("file", "old"));
  calls_->close(durable_file("tmp", "new"));
  calls_->pair(IoOp::replace, root_, "tmp", root_, "file");
  EXPECT_THAT(states(file("file")), UnorderedElementsAre("old", "new"));
}

TEST_P(RecordingTest, AnExchangeIsOneStep) {
  calls_->close(durable_file("a", "A"));
  calls_->close(durable_file("b", "B"));
  calls_->pair(IoOp::exchange, root_, "a", root_, "b");
  EXPECT_THAT(
      states([](const fs::path& root) { return content_of(root / "a") + content_of(root / "b"); }),
      UnorderedElementsAre("AB", "BA"));
}

TEST_P(RecordingTest, ARenameBetweenDirectoriesNeverLosesTheFile) {
  calls_->make_directory(root_, "dir");
  const int dir = calls_->open(root_, "dir", O_RDONLY | O_DIRECTORY);
  calls_->close(durable_file("file", "content"));
  calls_->pair(IoOp::rename, root_, "file", dir, "moved");
  const auto look = [](const fs::path& root) {
    return content_of(root / "file") + "," + content_of(root / "dir/moved");
  };
  EXPECT_THAT(states(look),
              UnorderedElementsAre("content,missing", "content,content", "missing,content"));
  calls_->sync_all(root_);  // the removal is durable, so the new name is too
  EXPECT_THAT(states(look), UnorderedElementsAre("missing,content"));
  calls_->close(dir);
}

TEST_P(RecordingTest, LaterChangesOfANameSurviveOnlyWithEarlierOnes) {
  calls_->close(calls_->create(root_, "a"));
  calls_->pair(IoOp::rename, root_, "a", root_, "b");
  calls_->pair(IoOp::link, root_, "b", root_, "c");
  calls_->path(IoOp::unlink, root_, "b");
  const auto seen = states(names);
  // Never "a b", never b gone while a is there; c stands alone because its inode does.
  EXPECT_THAT(seen, IsSubsetOf({"", "a ", "b ", "c ", "a c ", "b c "}));
  EXPECT_THAT(seen, Contains(""));
  EXPECT_THAT(seen, Contains("c "));
}

TEST_P(RecordingTest, UnsyncedRemovalsMayComeBack) {
  calls_->make_directory(root_, "dir");
  calls_->close(durable_file("dir/file", "content"));
  const int dir = calls_->open(root_, "dir", O_RDONLY | O_DIRECTORY);
  calls_->sync_all(dir);
  calls_->path(IoOp::unlink, dir, "file");
  EXPECT_THAT(states(file("dir/file")), UnorderedElementsAre("content", "missing"));
  calls_->close(dir);
  calls_->path(IoOp::remove_directory, root_, "dir");
  calls_->sync_all(root_);
  EXPECT_THAT(states(names), UnorderedElementsAre(""));
}

TEST_P(RecordingTest, WhatWasThereBeforeTheRecordingIsDurable) {
  calls_->close(root_);
  fs::create_directory(temp_ / "dir");
  std::ofstream(temp_ / "dir/file") << "old";
  fs::create_hard_link(temp_ / "dir/file", temp_ / "alias");
  start();
  const int fd = calls_->open(root_, "dir/file", O_RDWR);
  calls_->write(fd, 0, "new");
  const auto seen = states([](const fs::path& root) {
    EXPECT_TRUE(fs::equivalent(root / "dir/file", root / "alias"));
    return content_of(root / "alias");
  });
  EXPECT_THAT(seen, UnorderedElementsAre("old", "new"));
  calls_->close(fd);
}

TEST_P(RecordingTest, MarksAndDescriptionsTellWhere) {
  recording_->mark("before");
  const int fd = calls_->create(root_, "file");
  calls_->write(fd, 3, "abc");
  recording_->mark("after");
  EXPECT_EQ(calls_->create(root_, "file"), -EEXIST);  // failures are not recorded
  ASSERT_EQ(recording_->mutations(), 2u);
  EXPECT_EQ(recording_->operation(1), IoOp::write);
  EXPECT_EQ(recording_->describe(0), "0 create file");
  EXPECT_EQ(recording_->describe(1), "1 write file #1 offset 3 length 3");
  const auto marks = recording_->marks();
  ASSERT_EQ(marks.size(), 2u);
  EXPECT_EQ(marks[0].position, 0u);
  EXPECT_EQ(marks[1].position, 2u);
  EXPECT_EQ(marks[1].label, "after");
  calls_->close(fd);
}

TEST_P(RecordingTest, WhatItCannotFollowMakesReplayRefuse) {
  const auto refuses = [this](const std::string& what) {
    const TempDirectory target = TempDirectory::in_memory();
    try {
      recording_->replay(recording_->mutations(), 1, target.string());
    } catch (const std::logic_error& error) {
      EXPECT_THAT(error.what(), ::testing::HasSubstr(what));
      return true;
    }
    return false;
  };
  fs::create_directory(temp_ / "behind");
  fs::create_directory_symlink("behind", temp_ / "alias");
  const int alias = calls_->open(root_, "alias", O_RDONLY | O_DIRECTORY);
  EXPECT_FALSE(refuses("")) << "looking at something changes nothing";
  calls_->close(calls_->create(alias, "file"));
  EXPECT_TRUE(refuses("1 changes could not be followed, first: open file"));
  for (int way = 0; way < 4; ++way) {
    calls_->close(root_);
    fs::remove_all(temp_ / "behind");
    start();
    fs::create_directory(temp_ / "behind");
    std::ofstream(temp_ / "behind/file") << "x";
    if (way == 0) {
      EXPECT_EQ(calls_->make_directory(root_, "behind/dir"), 0);
    } else if (way == 1) {
      const int fd = calls_->open(root_, "behind/file", O_RDWR);
      EXPECT_EQ(calls_->write(fd, 0, "y"), 1);
      calls_->close(fd);
    } else if (way == 2) {
      EXPECT_EQ(calls_->pair(IoOp::rename, root_, "behind/file", root_, "known"), 0);
      fs::remove(temp_ / "known");
    } else {
      const TempDirectory elsewhere;
      calls_->close(calls_->create(root_, "known"));
      const int out = calls_->open_directory(elsewhere.string());
      EXPECT_EQ(calls_->pair(IoOp::link, root_, "known", out, "known"), 0);
      EXPECT_FALSE(refuses("")) << "below the root nothing changed";
      EXPECT_EQ(calls_->pair(IoOp::replace, root_, "known", out, "moved"), 0);
      calls_->close(out);
    }
    EXPECT_TRUE(refuses("could not be followed")) << way;
  }
  calls_->close(alias);
}

TEST_P(RecordingTest, OneSeedGivesOneState) {
  const int fd = calls_->create(root_, "file");
  calls_->write(fd, 0, std::string(50'000, 'x'));
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const TempDirectory first = TempDirectory::in_memory();
    const TempDirectory second = TempDirectory::in_memory();
    recording_->replay(recording_->mutations(), seed, first.string());
    recording_->replay(recording_->mutations(), seed, second.string());
    EXPECT_EQ(content_of(first / "file"), content_of(second / "file")) << "seed " << seed;
  }
  EXPECT_THROW(recording_->replay(3, 0, temp_.string()), std::invalid_argument);
  calls_->close(fd);
}

INSTANTIATE_TEST_SUITE_P(Backends, RecordingTest, ::testing::ValuesIn(backend_kinds()),
                         backend_name);

}  // namespace
}  // namespace cairn::test
