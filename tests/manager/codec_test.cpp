// Saving with codecs and layouts, read back through the real reader, on both backends.

#include <gmock/gmock.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <functional>
#include <random>

#include "support/manager_fixture.h"
#include "support/seed.h"
#include "support/weights.h"

namespace cairn {
namespace {

using test::bytes_of_every_kind;
using test::normal_bfloat16;
using test::normal_float32;
using ::testing::HasSubstr;

constexpr Layout kLayouts[] = {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2, Layout::zarr3,
                               Layout::zarr2};

std::vector<Codec> every_codec() {
  return {Codec::raw(),    Codec::automatic(), Codec::blosc(3),
          Codec::blosc(0), Codec::zstd(1),     Codec::gzip(4)};
}

/// Every dtype in sizes that are inlined, packed and of several blocks; empty ones; scalars.
Tree every_dtype() {
  Dict tree;
  for (std::size_t d = 0; d < kDTypeCount; ++d) {
    const auto dtype = static_cast<DType>(d);
    tree[name_of(dtype)] = Tree(Dict{{"scalar", Tree(bytes_of_every_kind(dtype, {}, d))},
                                     {"empty", Tree(bytes_of_every_kind(dtype, {0, 4}, d))},
                                     {"small", Tree(bytes_of_every_kind(dtype, {7, 5}, d))},
                                     {"packed", Tree(bytes_of_every_kind(dtype, {70, 31}, d))}});
  }
  tree["int"] = Tree(-7);
  tree["flag"] = Tree(true);
  tree["uint"] = Tree(std::uint64_t{1} << 63);
  tree["list"] = Tree(List{Tree(1), Tree(Null()), Tree(Tuple{Tree(2.5)})});
  tree["none"] = Tree(Dict());
  return Tree(std::move(tree));
}

const CodecSummary* find(const SaveResult& result, std::string_view codec) {
  for (const CodecSummary& summary : result.items.at(0).codecs) {
    if (summary.codec == codec) return &summary;
  }
  return nullptr;
}

EncodePolicy always(EncodeDecision decision) {
  return [decision](const EncodeLoad&) { return decision; };
}

std::uint64_t bytes_below(const std::string& path) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

class Codecs : public test::ManagerTest {};
CAIRN_ON_EVERY_BACKEND(Codecs);

TEST_P(Codecs, EveryLayoutAndCodecGivesBackEveryDtype) {
  const Tree tree = every_dtype();
  ManagerOptions o = options();
  CheckpointManager manager(root(), o);
  Step step = 0;
  for (const Layout layout : kLayouts) {
    // Each array is some synced files in a plain layout: two codecs do there.
    const auto codecs =
        uses_ocdbt(layout) ? every_codec() : std::vector<Codec>{Codec::raw(), Codec::blosc(3)};
    for (const Codec codec : codecs) {
      SCOPED_TRACE(std::string(to_string(layout)) + " " + to_string(codec));
      args::StandardSave save(tree);
      save.layout = layout;
      save.codec = codec;
      EXPECT_TRUE(manager.save(step, std::move(save)).get());
      EXPECT_EQ(manager.restore(step).get().tree(), tree);
      const auto report = verify_step(o.engine, root() + "/" + std::to_string(step)).get();
      EXPECT_TRUE(report.ok()) << report.damages.front().message;
      ++step;
    }
  }
}

TEST_P(Codecs, LargeArraysOfSeveralPaddedChunksComeBack) {
  const Tree tree(Dict{{"w", Tree(normal_bfloat16({3, 5'000'001}, 1))},
                       {"m", Tree(normal_float32({1003, 5001}, 2))}});
  CheckpointManager manager(root(), options());
  Step step = 0;
  for (const Layout layout : kLayouts) {
    for (const Codec codec : {Codec::automatic(), Codec::zstd(1)}) {
      SCOPED_TRACE(std::string(to_string(layout)) + " " + to_string(codec));
      args::StandardSave save(tree);
      save.layout = layout;
      save.codec = codec;
      EXPECT_TRUE(manager.save(step, std::move(save)).get());
      EXPECT_EQ(manager.restore(step).get().tree(), tree);
      ++step;
    }
  }
}

TEST_P(Codecs, AutoEncodesWhatGainsAndSaysSo) {
  ManagerOptions o = options();
  o.codec = Codec::automatic();
  o.encode_policy = always(EncodeDecision::encode);
  CheckpointManager manager(root(), o);
  Array noise = Array::uninitialized(DType::uint8, {1 << 20});
  std::mt19937_64 random(7);
  for (std::byte& byte : noise.bytes()) byte = static_cast<std::byte>(random());
  const Tree tree(Dict{{"w", Tree(normal_bfloat16({4096, 512}, 3))},
                       {"noise", Tree(noise)},
                       {"bias", Tree(normal_float32({300}, 4))}});
  const SaveResult result = manager.save(0, tree).get();
  ASSERT_EQ(result.items.size(), 1u);
  const CodecSummary* planes = find(result, "blosc planes");
  ASSERT_NE(planes, nullptr);
  EXPECT_EQ(planes->arrays, 1u);
  EXPECT_EQ(planes->bytes, 4096u * 512 * 2);
  EXPECT_EQ(planes->chunks_stored, 0u);
  const double reached =
      static_cast<double>(planes->bytes) / static_cast<double>(planes->stored_bytes);
  EXPECT_GT(reached, 1.45);
  EXPECT_NEAR(planes->expected_ratio, reached, 0.1);
  std::vector<std::string> reasons;
  for (const CodecSummary& summary : result.items[0].codecs) reasons.push_back(summary.reason);
  EXPECT_THAT(reasons,
              ::testing::UnorderedElementsAre(HasSubstr("by the sample"),
                                              HasSubstr("less than 5 %"), HasSubstr("too small")));
  EXPECT_EQ(manager.restore(0).get().tree(), tree);
}

/// Everything takes the same time by it: the coder that stores less gets more through.
class TickingClock final : public engine::Clock {
 public:
  [[nodiscard]] std::int64_t now_ns() const override { return still_.now_ns(); }
  [[nodiscard]] Duration steady() const override {
    return still_.steady() + std::chrono::milliseconds(++looks_);
  }
  TimerId call_at(Duration deadline, std::function<void()> fn) override {
    return still_.call_at(deadline, std::move(fn));
  }
  bool cancel(TimerId timer) override { return still_.cancel(timer); }

 private:
  engine::ManualClock still_;
  mutable std::atomic<std::int64_t> looks_{0};
};

TEST_P(Codecs, AutoFindsWhatRepeatsInIntegersAndBooleans) {
  test::EngineSettings settings;
  settings.clock = std::make_shared<TickingClock>();
  ManagerOptions o = options(settings);
  o.codec = Codec::automatic();
  o.encode_policy = always(EncodeDecision::encode);
  CheckpointManager manager(root(), o);
  Array positions = Array::uninitialized(DType::int32, {3 << 20});
  std::int32_t next = 0;
  for (std::int32_t& value : positions.values<std::int32_t>()) value = next++;
  Array mask(DType::boolean, {1 << 20});
  std::size_t place = 0;
  for (std::byte& value : mask.bytes()) value = std::byte(place++ / 1000 % 2);
  const Tree tree(Dict{{"positions", Tree(positions)}, {"mask", Tree(mask)}});
  for (const Layout layout : kLayouts) {
    SCOPED_TRACE(to_string(layout));
    args::StandardSave save(tree);
    save.layout = layout;
    const Step step = static_cast<Step>(layout);
    const SaveResult result = manager.save(step, std::move(save)).get();
    const CodecSummary* matches = find(result, "blosc matches");
    ASSERT_NE(matches, nullptr);
    EXPECT_EQ(matches->arrays, 2u);
    // Bytes by themselves: less than 3, and 8.
    EXPECT_LT(matches->stored_bytes, matches->bytes / 50);
    EXPECT_EQ(matches->chunks_stored, 0u);
    EXPECT_EQ(manager.restore(step).get().tree(), tree);
    EXPECT_TRUE(verify_step(o.engine, root() + "/" + std::to_string(step)).get().ok());
  }
}

TEST_P(Codecs, AutoStoresChunksAsTheyAreWhenTheDiskWouldWait) {
  ManagerOptions o = options();
  o.codec = Codec::automatic();
  o.encode_policy = always(EncodeDecision::store);
  CheckpointManager manager(root(), o);
  const Tree tree(Dict{{"w", Tree(normal_bfloat16({12 << 20}, 3))}});
  for (const Layout layout : kLayouts) {
    SCOPED_TRACE(to_string(layout));
    const Step step = static_cast<Step>(layout);
    args::StandardSave save(tree);
    save.layout = layout;
    const SaveResult result = manager.save(step, std::move(save)).get();
    const CodecSummary* planes = find(result, "blosc planes");
    ASSERT_NE(planes, nullptr);
    EXPECT_EQ(planes->chunks, 2u);
    EXPECT_EQ(planes->chunks_stored, 2u);
    EXPECT_LE(planes->stored_bytes, planes->bytes + 2 * 20);
    EXPECT_EQ(manager.restore(step).get().tree(), tree);
    EXPECT_TRUE(verify_step(o.engine, root() + "/" + std::to_string(step)).get().ok());
  }
}

TEST_P(Codecs, APolicyMayMixEncodedAndStoredChunksAndMakeThemWait) {
  ManagerOptions o = options();
  o.codec = Codec::automatic();
  o.encode_policy = [](const EncodeLoad& load) {
    if (load.capturing_bytes > 0) return EncodeDecision::wait;
    return load.encoding_bytes == 0 ? EncodeDecision::encode : EncodeDecision::store;
  };
  CheckpointManager manager(root(), o);
  const Tree tree(Dict{{"w", Tree(normal_bfloat16({40 << 20}, 3))}});
  const SaveResult result = manager.save(0, tree).get();
  const CodecSummary* planes = find(result, "blosc planes");
  ASSERT_NE(planes, nullptr);
  EXPECT_EQ(planes->chunks, 5u);
  EXPECT_GT(planes->chunks_stored, 0u);
  EXPECT_LT(planes->chunks_stored, 5u);
  EXPECT_EQ(manager.restore(0).get().tree(), tree);
}

TEST_P(Codecs, ACodecIsChosenPerLeafElsePerItemElseByTheManager) {
  ManagerOptions o = options();
  o.codec = Codec::gzip(1);
  CheckpointManager manager(root(), o);
  const Tree tree(
      Dict{{"a", Tree(normal_float32({5000}, 1))}, {"b", Tree(normal_float32({5000}, 2))}});
  EXPECT_NE(find(manager.save(0, tree).get(), "gzip(1)"), nullptr);
  args::StandardSave save(tree);
  save.codec = Codec::zstd(2);
  save.codec_for = [](const KeyPath& path, DType dtype) -> std::optional<Codec> {
    EXPECT_EQ(dtype, DType::float32);
    if (to_string(path) == "a") return Codec::blosc(4);
    return std::nullopt;
  };
  const SaveResult result = manager.save(1, std::move(save)).get();
  EXPECT_EQ(result.items.at(0).codecs.size(), 2u);
  EXPECT_NE(find(result, "blosc(4)"), nullptr);
  EXPECT_NE(find(result, "zstd(2)"), nullptr);
  EXPECT_EQ(manager.restore(1).get().tree(), tree);
}

TEST_P(Codecs, CompressedSavesAreSmallerOnDisk) {
  CheckpointManager manager(root(), options());
  const Tree tree(Dict{{"w", Tree(normal_bfloat16({1 << 20}, 3))}});
  const SaveResult raw = manager.save(0, tree).get();
  args::StandardSave save(tree);
  save.codec = Codec::blosc(1);
  const SaveResult encoded = manager.save(1, std::move(save)).get();
  EXPECT_LT(bytes_below(root() + "/1"), bytes_below(root() + "/0"));
  EXPECT_LT(encoded.stored_bytes, raw.stored_bytes);
  EXPECT_NEAR(static_cast<double>(encoded.stored_bytes),
              static_cast<double>(bytes_below(root() + "/1")), 4096);
}

TEST_P(Codecs, ProgressGrowsToTheTotalInEveryStage) {
  ManagerOptions o = options();
  CheckpointManager manager(root(), o);
  for (const Codec codec : every_codec()) {
    args::StandardSave save(Tree(Dict{{"w", Tree(normal_bfloat16({1 << 20}, 3))},
                                      {"s", Tree(normal_float32({3000}, 3))},
                                      {"i", Tree(7)}}));
    save.codec = codec;
    SaveOptions force;
    force.overwrite = true;
    const SaveFuture future = manager.save(0, std::move(save), force);
    static_cast<void>(future.get());
    const SaveProgress progress = future.progress();
    EXPECT_EQ(progress.total, (2u << 20) + 12'000 + 8);
    EXPECT_EQ(progress.staged, progress.total);
    EXPECT_EQ(progress.encoded, progress.total);
    EXPECT_EQ(progress.written, progress.total);
  }
}

TEST_P(Codecs, AWindowSmallerThanAChunkStillEncodesIt) {
  test::EngineSettings settings;
  settings.io_window_bytes = 1u << 20;
  settings.staging_bytes = 24u << 20;
  ManagerOptions o = options(settings);
  o.codec = Codec::zstd(1);
  CheckpointManager manager(root(), o);
  const Tree tree(Dict{{"w", Tree(normal_bfloat16({40 << 20}, 3))}});
  EXPECT_TRUE(manager.save(0, tree).get().streamed);
  EXPECT_EQ(manager.restore(0).get().tree(), tree);
}

TEST_P(Codecs, BorrowedArraysMayBeEncoded) {
  ManagerOptions o = options();
  o.codec = Codec::automatic();
  o.encode_policy = always(EncodeDecision::encode);
  CheckpointManager manager(root(), o);
  const Tree tree(Dict{{"w", Tree(normal_bfloat16({1 << 20}, 3))}});
  SaveOptions borrow;
  borrow.capture = Capture::borrow;
  EXPECT_TRUE(manager.save(0, tree, borrow).get());
  EXPECT_EQ(manager.restore(0).get().tree(), tree);
}

TEST_P(Codecs, NamesThatAreNoDirectoriesAreRefusedByPlainLayouts) {
  CheckpointManager manager(root(), options());
  for (const char* name : {"zarr.json", "..", "a//b", "/a", "_METADATA", "x/../y"}) {
    args::StandardSave save(Tree(Dict{{name, Tree(normal_float32({4}, 1))}}));
    save.layout = Layout::zarr3;
    try {
      static_cast<void>(manager.save(0, std::move(save)).get());
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_THAT(error.what(), HasSubstr("cannot be that of a directory"));
    }
  }
  EXPECT_TRUE(manager.all_steps().empty());
}

TEST(Codec, LevelsAreChecked) {
  EXPECT_EQ(Codec::zstd(22).level(), 22);
  EXPECT_EQ(to_string(Codec::blosc(9)), "blosc(9)");
  for (const auto& bad : std::vector<std::function<Codec()>>{
           [] { return Codec::blosc(10); }, [] { return Codec::blosc(-1); },
           [] { return Codec::zstd(0); }, [] { return Codec::zstd(23); },
           [] { return Codec::gzip(10); }}) {
    try {
      static_cast<void>(bad());
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_THAT(error.what(), HasSubstr("its levels are"));
    }
  }
}

TEST(Codec, IsReadFromTheWordsOfACommandLine) {
  EXPECT_EQ(Codec::parse("raw"), Codec::raw());
  EXPECT_EQ(Codec::parse("auto"), Codec::automatic());
  EXPECT_EQ(Codec::parse("blosc"), Codec::blosc());
  EXPECT_EQ(Codec::parse("blosc:0"), Codec::blosc(0));
  EXPECT_EQ(Codec::parse("zstd:22"), Codec::zstd(22));
  EXPECT_EQ(Codec::parse("gzip:1"), Codec::gzip(1));
  for (const Layout layout : kLayouts) EXPECT_EQ(parse_layout(to_string(layout)), layout);
  const auto refused = [](const std::string& text, const std::string& why) {
    try {
      static_cast<void>(Codec::parse(text));
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
      EXPECT_THAT(error.what(), HasSubstr(why)) << text;
    }
  };
  for (const char* text : {"", "RAW", "raw:1", "auto:", "lz4", "zstd:", "zstd:3x", "zstd: 3",
                           "zstd:+3", "zstd:99999999999", "blosc(5)", ":3"}) {
    refused(text, "there is no codec '" + std::string(text) + "'; there are raw, auto, blosc");
  }
  refused("zstd:0", "its levels are 1 to 22");
  refused("gzip:-1", "its levels are 0 to 9");
  EXPECT_THROW(static_cast<void>(parse_layout("zarr")), Error);
  EXPECT_THROW(static_cast<void>(parse_layout("")), Error);
}

}  // namespace
}  // namespace cairn
