// Power loss after an incremental save in a root that somebody copied: `cp` and `rsync` sync
// nothing, so the files that the new step links may be in the page cache only. The step that was
// copied is whoever's copied it; the new one was acknowledged.

#include <cairn/engine/recording_backend.h>
#include <fcntl.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "crash/history.h"
#include "support/backends.h"
#include "support/io_calls.h"
#include "support/seed.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kSeeds = 60;
constexpr Step kCopied = 1, kNew = 2;
constexpr const char* kRoot = "root";

class CopiedRoot : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  [[nodiscard]] std::string root() const { return (directory_ / kRoot).string(); }
  static std::string item(const std::string& root, Step step) {
    return root + "/" + std::to_string(step) + "/default/d";
  }

  static std::unique_ptr<CheckpointManager> open(std::shared_ptr<engine::Engine> engine,
                                                 const std::string& root) {
    ManagerOptions options;
    options.engine = std::move(engine);
    options.incremental = true;
    return std::make_unique<CheckpointManager>(root, options);
  }

  /// The step as a copy leaves it: names durable, contents written and not synced.
  void make_copied_step() {
    {
      const auto manager = open(small_engine(make_backend(GetParam())), root());
      static_cast<void>(
          manager->save(kCopied, args::PyTreeSave(content(kCopied, 10)), save_options(10)).get());
    }
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::directory_iterator(item(root(), kCopied))) {
      std::ifstream file(entry.path(), std::ios::binary);
      files[entry.path().filename()] = std::string(std::istreambuf_iterator<char>(file), {});
      fs::resize_file(entry.path(), 0);
    }
    recording_ = std::make_shared<engine::Recording>(directory_.string());
    backend_ = engine::make_recording_backend(make_backend(GetParam()), recording_);
    Calls calls(*backend_);
    const int folder = calls.open_directory(item(root(), kCopied));
    for (const auto& [name, text] : files) {
      const int fd = calls.open(folder, name, O_RDWR);
      ASSERT_EQ(calls.write(fd, 0, text), static_cast<std::int64_t>(text.size()));
      calls.close(fd);
    }
    calls.close(folder);
  }

  /// What a reader finds of the new step when power is lost now; empty: all of it.
  std::string loss(std::size_t position, std::uint64_t seed) {
    const std::string state = (scratch_ / "state").string();
    recording_->replay(position, seed, state);
    const std::string step = state + "/" + kRoot + "/" + std::to_string(kNew);
    std::string trouble;
    try {
      const VerifyReport report = verify_step(reader_, step).get();
      if (!report.ok()) trouble = report.damages.front().message;
      const auto manager = open(reader_, state + "/" + kRoot);
      if (trouble.empty() && manager->restore(kNew).get().tree() != content(kNew, 20)) {
        trouble = "other values";
      }
    } catch (const Error& error) {
      trouble = error.what();
    }
    fs::remove_all(state);
    return trouble;
  }

  TempDirectory directory_ = TempDirectory::in_memory();
  TempDirectory scratch_ = TempDirectory::in_memory();
  std::shared_ptr<engine::Recording> recording_;
  std::unique_ptr<engine::IoBackend> backend_;
  std::shared_ptr<engine::Engine> reader_ =
      small_engine(make_backend(engine::BackendKind::threads));
};
INSTANTIATE_TEST_SUITE_P(Backends, CopiedRoot, ::testing::ValuesIn(backend_kinds()), backend_name);

TEST_P(CopiedRoot, IsNoDangerToTheStepsThatLinkItsFiles) {
  make_copied_step();
  const auto manager = open(small_engine(std::move(backend_)), root());
  const SaveResult result =
      manager->save(kNew, args::PyTreeSave(content(kNew, 20)), save_options(20)).get();
  const std::size_t acknowledged = recording_->mutations();
  ASSERT_GT(result.bytes_linked, 0u);
  const std::uint64_t first = make_seed();
  for (std::uint64_t i = 0; i < kSeeds; ++i) {
    ASSERT_EQ(loss(acknowledged, first + i), "") << "seed " << first + i;
  }
}

}  // namespace
}  // namespace cairn::test
