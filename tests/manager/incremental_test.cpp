// Incremental saves: what has not changed is shared with the step before by hard links, and every
// step stays whole by itself.

#include <cairn/codecs/cairn_record.h>
#include <gmock/gmock.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "support/manager_fixture.h"
#include "support/seed.h"
#include "support/weights.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using engine::FaultPlan;
using engine::IoOp;
using test::normal_float32;

class WarningLog final : public Logger {
 public:
  void log(const LogRecord& record) override {
    if (record.level == LogLevel::warning) warnings.push_back(record.message);
  }
  std::vector<std::string> warnings;
};

/// Arrays of a state, some of which change.
class State {
 public:
  State(std::size_t arrays, Index elements) {
    for (std::size_t i = 0; i < arrays; ++i) {
      arrays_.push_back(normal_float32({elements}, i));
    }
  }
  void touch(std::size_t array, Index from, Index count) {
    auto values = arrays_[array].values<float>();
    for (Index i = from; i < from + count; ++i) values[static_cast<std::size_t>(i)] += 1;
  }
  void touch(std::size_t array) { touch(array, 0, arrays_[array].size()); }
  [[nodiscard]] Tree tree() const {
    Dict tree;
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      tree["w" + std::to_string(i)] = Tree(arrays_[i]);
    }
    return Tree(std::move(tree));
  }
  [[nodiscard]] std::uint64_t bytes() const {
    std::uint64_t bytes = 0;
    for (const Array& array : arrays_) bytes += array.bytes().size();
    return bytes;
  }

 private:
  std::vector<Array> arrays_;
};

class Incremental : public test::ManagerTest {
 protected:
  ManagerOptions incremental(const test::EngineSettings& settings = {}) {
    ManagerOptions o = options(settings);
    o.incremental = true;
    o.logger = log;
    return o;
  }
  [[nodiscard]] fs::path item(Step step) const {
    return fs::path(root()) / std::to_string(step) / "default";
  }
  /// Data files of a step by inode.
  [[nodiscard]] std::set<ino_t> inodes(Step step) const {
    std::set<ino_t> found;
    for (const auto& entry : fs::directory_iterator(item(step) / "d")) {
      struct stat status {};
      EXPECT_EQ(::stat(entry.path().c_str(), &status), 0);
      found.insert(status.st_ino);
    }
    return found;
  }
  [[nodiscard]] std::size_t shared(Step a, Step b) const {
    const std::set<ino_t> first = inodes(a);
    const std::set<ino_t> second = inodes(b);
    std::size_t count = 0;
    for (const ino_t inode : first) count += second.count(inode);
    return count;
  }
  [[nodiscard]] CairnRecord record(Step step) const {
    std::ifstream file(item(step) / "_CAIRN", std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    return decode_record(text);
  }
  void expect_whole(CheckpointManager& manager, Step step, const Tree& tree) {
    EXPECT_EQ(manager.restore(step).get().tree(), tree) << "step " << step;
    const auto report = verify_step(manager.engine(), root() + "/" + std::to_string(step)).get();
    EXPECT_TRUE(report.ok()) << report.damages.front().message;
  }
  std::shared_ptr<WarningLog> log = std::make_shared<WarningLog>();
};
CAIRN_ON_EVERY_BACKEND(Incremental);

TEST_P(Incremental, AStepInWhichNothingChangedWritesMetadataOnly) {
  CheckpointManager manager(root(), incremental());
  const State state(8, 1 << 18);
  EXPECT_EQ(manager.save(0, state.tree()).get().bytes_linked, 0u);
  const SaveResult second = manager.save(1, state.tree()).get();
  EXPECT_GE(second.bytes_linked, state.bytes());
  EXPECT_LT(second.stored_bytes, state.bytes() / 100);
  EXPECT_EQ(second.items.at(0).chunks_linked, 8u * 8);
  EXPECT_EQ(shared(0, 1), 1u);
  expect_whole(manager, 0, state.tree());
  expect_whole(manager, 1, state.tree());
}

TEST_P(Incremental, OneArrayInAHundredWritesLessThanThreePercent) {
  for (const Codec codec : {Codec::raw(), Codec::automatic(), Codec::zstd(1)}) {
    ManagerOptions o = incremental();
    o.codec = codec;
    CheckpointManager manager(root(), o);
    State state(200, 1 << 16);
    static_cast<void>(manager.save(0, state.tree()).get());
    state.touch(17);
    state.touch(130);
    const SaveResult result = manager.save(1, state.tree()).get();
    EXPECT_LT(result.stored_bytes, state.bytes() * 3 / 100) << to_string(codec);
    expect_whole(manager, 1, state.tree());
    manager.delete_step(0).get();
    expect_whole(manager, 1, state.tree());
    manager.delete_step(1).get();
  }
}

TEST_P(Incremental, OnePercentOfAnArraysRowsWriteLessThanFourPercentOrTwoChunks) {
  CheckpointManager manager(root(), incremental());
  constexpr Index kRows = 8'250;
  constexpr Index kColumns = 256;
  Array embedding = normal_float32({kRows, kColumns}, 1);
  static_cast<void>(manager.save(0, Dict{{"e", Tree(embedding)}}).get());
  auto values = embedding.values<float>();
  // Nowhere near a chunk's edge.
  const std::size_t first = 4'055 * kColumns;
  for (std::size_t i = 0; i < kRows / 100 * kColumns; ++i) values[first + i] += 1;
  const SaveResult result = manager.save(1, Dict{{"e", Tree(embedding)}}).get();
  EXPECT_GE(embedding.bytes().size(), 8u << 20);
  EXPECT_LT(result.stored_bytes, embedding.bytes().size() * 4 / 100);
  expect_whole(manager, 1, Tree(Dict{{"e", Tree(embedding)}}));
  Step step = 2;
  for (const Index elements : {1 << 17, 1 << 19, 2'000'000}) {
    Array smaller = normal_float32({elements}, 1);
    static_cast<void>(manager.save(step++, Dict{{"s", Tree(smaller)}}).get());
    auto changing = smaller.values<float>();
    for (Index i = 0; i < elements / 100; ++i) {
      changing[static_cast<std::size_t>(elements / 2 - elements / 200 + i)] += 1;
    }
    const SaveResult small = manager.save(step++, Dict{{"s", Tree(smaller)}}).get();
    EXPECT_GT(small.bytes_linked, 0u);
    EXPECT_LT(small.stored_bytes, (256u + 16) << 10) << elements;
  }
}

TEST_P(Incremental, AnyOrderOfDeletingStepsLeavesTheOthersWhole) {
  std::mt19937_64 random(test::make_seed());
  CheckpointManager manager(root(), incremental());
  State state(20, 1 << 15);
  std::vector<std::pair<Step, Tree>> steps;
  for (Step step = 0; step < 6; ++step) {
    static_cast<void>(manager.save(step, state.tree()).get());
    steps.emplace_back(step, state.tree());
    for (int i = 0; i < 4; ++i)
      state.touch(random() % 20, static_cast<Index>(random() % 20'000), 100);
  }
  std::ranges::shuffle(steps, random);
  while (!steps.empty()) {
    manager.delete_step(steps.back().first).get();
    steps.pop_back();
    for (const auto& [step, tree] : steps) expect_whole(manager, step, tree);
  }
}

TEST_P(Incremental, ANewManagerGoesOnWhereTheOldOneStopped) {
  State state(20, 1 << 15);
  {
    CheckpointManager manager(root(), incremental());
    static_cast<void>(manager.save(0, state.tree()).get());
  }
  state.touch(3);
  CheckpointManager manager(root(), incremental());
  const SaveResult result = manager.save(1, state.tree()).get();
  EXPECT_GT(result.bytes_linked, state.bytes() * 9 / 10);
  expect_whole(manager, 1, state.tree());
}

TEST_P(Incremental, TheStepThatIsPushedOutIsLinkedFirst) {
  ManagerOptions o = incremental();
  o.max_to_keep = 1;
  CheckpointManager manager(root(), o);
  State state(20, 1 << 15);
  for (Step step = 0; step < 4; ++step) {
    const SaveResult result = manager.save(step, state.tree()).get();
    if (step > 0) {
      EXPECT_GT(result.bytes_linked, state.bytes() * 8 / 10) << step;
    }
    state.touch(static_cast<std::size_t>(step));
  }
  manager.wait_until_finished().get();
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "3"}));
}

TEST_P(Incremental, ChunksThatAlwaysChangeEndUpInFilesOfTheirOwn) {
  CheckpointManager manager(root(), incremental());
  State state(40, 1 << 15);  // the first half always changes
  std::uint64_t most = 0;
  for (Step step = 0; step < 8; ++step) {
    const SaveResult result = manager.save(step, state.tree()).get();
    if (step >= 4) most = std::max(most, result.stored_bytes);
    expect_whole(manager, step, state.tree());
    for (std::size_t i = 0; i < 20; ++i) state.touch(i);
  }
  EXPECT_LT(most, state.bytes() * 55 / 100) << "the other half is linked as it is";
  EXPECT_EQ(shared(6, 7), 1u) << "the file of what does not change";
  // All that a step holds on to: its own half, the other half, and at most as much dead weight.
  std::uint64_t held = 0;
  for (const auto& entry : fs::directory_iterator(item(7) / "d")) held += entry.file_size();
  EXPECT_LT(held, state.bytes() * 3 / 2);
}

TEST_P(Incremental, AFileIsWrittenAfreshWhenItHasBeenLinkedOftenEnough) {
  ManagerOptions o = incremental();
  o.max_link_age = 2;
  CheckpointManager manager(root(), o);
  const State state(4, 1 << 16);
  std::vector<bool> linked;
  for (Step step = 0; step < 7; ++step) {
    linked.push_back(manager.save(step, state.tree()).get().bytes_linked > 0);
  }
  EXPECT_EQ(linked, (std::vector<bool>{false, true, true, false, true, true, false}));
  EXPECT_EQ(shared(2, 3), 0u);
}

TEST_P(Incremental, WhereLinksFailChunksAreWritten) {
  for (const int error : {EXDEV, EMLINK, EPERM, EOPNOTSUPP, ENOENT}) {
    test::EngineSettings settings;
    settings.faults = std::make_shared<FaultPlan>();
    CheckpointManager manager(root(), incremental(settings));
    const State state(4, 1 << 16);
    static_cast<void>(manager.save(0, state.tree()).get());
    settings.faults->fail(FaultPlan::only({IoOp::link}), 1, error);
    log->warnings.clear();
    const SaveResult result = manager.save(1, state.tree()).get();
    EXPECT_EQ(settings.faults->injected(), 1u);
    EXPECT_EQ(result.bytes_linked, 0u);
    ASSERT_EQ(log->warnings.size(), 1u);
    EXPECT_THAT(log->warnings[0], ::testing::HasSubstr("cannot link"));
    expect_whole(manager, 1, state.tree());
    manager.delete_step(0).get();
    manager.delete_step(1).get();
  }
}

TEST_P(Incremental, AnotherCodecShapeOrWriterIsWrittenInFull) {
  ManagerOptions o = incremental();
  CheckpointManager manager(root(), o);
  const Array array = normal_float32({256, 1024}, 1);
  static_cast<void>(manager.save(0, Dict{{"w", Tree(array)}}).get());
  args::StandardSave encoded(Tree(Dict{{"w", Tree(array)}}));
  encoded.codec = Codec::zstd(1);
  EXPECT_EQ(manager.save(1, std::move(encoded)).get().bytes_linked, 0u);
  const Tree other(Dict{{"w", Tree(ArrayView(DType::float32, {1024, 256}, array.bytes().data()))}});
  EXPECT_EQ(manager.save(2, other).get().bytes_linked, 0u);
  EXPECT_GT(manager.save(3, other).get().bytes_linked, 0u);
  // The record no longer describes the database.
  fs::copy_file(item(0) / "manifest.ocdbt", item(3) / "manifest.ocdbt",
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(manager.save(4, other).get().bytes_linked, 0u);
  // A damaged record costs the links, not the save.
  std::ofstream(item(4) / "_CAIRN", std::ios::binary) << "CAIRNREC";
  log->warnings.clear();
  EXPECT_EQ(manager.save(5, other).get().bytes_linked, 0u);
  EXPECT_EQ(log->warnings.size(), 1u);
  expect_whole(manager, 5, other);
}

TEST_P(Incremental, ATruncatedFileIsNotLinked) {
  CheckpointManager manager(root(), incremental());
  const State state(4, 1 << 16);
  static_cast<void>(manager.save(0, state.tree()).get());
  const CairnRecord before = record(0);
  fs::resize_file(item(0) / before.chunks->files.at(0).path, 4096);
  EXPECT_EQ(manager.save(1, state.tree()).get().bytes_linked, 0u);
  expect_whole(manager, 1, state.tree());
}

TEST_P(Incremental, SmallArraysThatShareExtentsAreLinkedOneByOne) {
  for (const Layout layout : {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2}) {
    for (const Codec codec : {Codec::raw(), Codec::blosc(1)}) {
      SCOPED_TRACE(std::string(to_string(layout)) + " " + to_string(codec));
      ManagerOptions o = incremental();
      o.codec = codec;
      o.layout = layout;
      CheckpointManager manager(root(), o);
      State state(500, 2000);
      static_cast<void>(manager.save(0, state.tree()).get());
      state.touch(250);
      const SaveResult result = manager.save(1, state.tree()).get();
      EXPECT_EQ(result.items.at(0).chunks_linked, 499u);
      expect_whole(manager, 1, state.tree());
      state.touch(251);
      static_cast<void>(manager.save(2, state.tree()).get());
      expect_whole(manager, 2, state.tree());
      if (layout == Layout::ocdbt_zarr2) {
        EXPECT_EQ(record(2).chunk_checksums.size(), 500u) << "those of linked chunks too";
      }
      for (Step step = 0; step < 3; ++step) manager.delete_step(step).get();
    }
  }
}

// Chunks of 128 KiB, some of which share an extent.
TEST_P(Incremental, APolicyDecidesAboutSmallChunksToo) {
  for (const Layout layout : {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2}) {
    for (const EncodeDecision decision : {EncodeDecision::encode, EncodeDecision::store}) {
      SCOPED_TRACE(std::string(to_string(layout)) +
                   (decision == EncodeDecision::encode ? " e" : " s"));
      ManagerOptions o = incremental();
      o.codec = Codec::automatic();
      o.layout = layout;
      o.encode_policy = [decision](const EncodeLoad&) { return decision; };
      CheckpointManager manager(root(), o);
      State state(3, 1 << 20);
      const Tree before = state.tree();
      const auto chunks_stored = [&](const SaveResult& result) {
        const CodecSummary& codec = result.items.at(0).codecs.at(0);
        EXPECT_EQ(codec.codec, "blosc planes");
        EXPECT_EQ(codec.chunks, 3u * 32);
        return codec.chunks_stored;
      };
      const std::uint64_t stored = decision == EncodeDecision::store ? 3 * 32 : 0;
      EXPECT_EQ(chunks_stored(manager.save(0, state.tree()).get()), stored);
      // Some of an extent's chunks, and none of another's.
      state.touch(0, 100'000, 200'000);
      state.touch(1, 500'000, 10);
      const SaveResult second = manager.save(1, state.tree()).get();
      const std::uint64_t linked = second.items.at(0).chunks_linked;
      EXPECT_GT(linked, 80u);
      EXPECT_LT(linked, 3u * 32);
      const std::uint64_t again = decision == EncodeDecision::store ? 3 * 32 - linked : 0;
      EXPECT_EQ(chunks_stored(second), again) << "linked ones were not asked about";
      std::uint64_t recorded = 0;
      for (const CodecRecord& array : record(1).codecs) recorded += array.chunks_stored;
      EXPECT_EQ(recorded, again);
      expect_whole(manager, 0, before);
      expect_whole(manager, 1, state.tree());
      for (Step step = 0; step < 2; ++step) manager.delete_step(step).get();
    }
  }
}

TEST_P(Incremental, AStateLargerThanStagingIsLinkedToo) {
  test::EngineSettings settings;
  settings.staging_bytes = 8u << 20;
  CheckpointManager manager(root(), incremental(settings));
  State state(24, 1 << 18);
  EXPECT_TRUE(manager.save(0, state.tree()).get().streamed);
  state.touch(5, 100, 10);
  const SaveResult result = manager.save(1, state.tree()).get();
  EXPECT_LT(result.stored_bytes, state.bytes() / 50);
  expect_whole(manager, 1, state.tree());
}

TEST_P(Incremental, NoMoreDataFilesAreOpenThanAreBeingWritten) {
  test::EngineSettings settings;
  settings.staging_bytes = 16u << 20;
  settings.faults = std::make_shared<FaultPlan>();
  ManagerOptions o = incremental(settings);
  o.linkable_file_bytes = 4u << 20;
  CheckpointManager manager(root(), o);
  const auto open_descriptors = [] {
    const fs::directory_iterator all("/proc/self/fd");
    return std::distance(fs::begin(all), fs::end(all));
  };
  const std::ptrdiff_t before = open_descriptors();
  std::atomic<std::ptrdiff_t> most = 0;
  settings.faults->fail(
      [&](const engine::IoRequest& request) {
        if (request.op == IoOp::write) most = std::max(most.load(), open_descriptors() - before);
        return false;
      },
      1, EIO);
  Dict arrays;
  for (int i = 0; i < 40; ++i) {
    arrays["w" + std::to_string(i)] = Tree(Array(DType::float32, {1 << 20}));
  }
  const Tree tree(std::move(arrays));
  static_cast<void>(manager.save(0, tree).get());
  EXPECT_GE(record(0).chunks->files.size(), 40u);
  EXPECT_LT(most, 20) << "of 40 files";
  EXPECT_EQ(manager.save(1, tree).get().items.at(0).chunks_linked, 40u * 32);
  EXPECT_EQ(shared(0, 1), record(0).chunks->files.size());
  expect_whole(manager, 1, tree);
}

TEST_P(Incremental, PlainLayoutsAreWrittenWhole) {
  ManagerOptions o = incremental();
  o.layout = Layout::zarr3;
  CheckpointManager manager(root(), o);
  const State state(4, 1 << 16);
  static_cast<void>(manager.save(0, state.tree()).get());
  EXPECT_EQ(manager.save(1, state.tree()).get().bytes_linked, 0u);
  expect_whole(manager, 1, state.tree());
}

TEST_P(Incremental, AReplacedStepMayBeLinkedFrom) {
  CheckpointManager manager(root(), incremental());
  State state(4, 1 << 16);
  static_cast<void>(manager.save(0, state.tree()).get());
  state.touch(2);
  SaveOptions overwrite;
  overwrite.overwrite = true;
  const SaveResult result = manager.save(0, state.tree(), overwrite).get();
  EXPECT_GT(result.bytes_linked, state.bytes() / 2);
  expect_whole(manager, 0, state.tree());
}

}  // namespace
}  // namespace cairn
