// F4, the dtype whose elements share bytes in a file and not in memory.

#include <gmock/gmock.h>

#include <algorithm>

#include "manager/safetensors_samples.h"
#include "support/array_source.h"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

constexpr DType kFloat4 = DType::float4_e2m1fn;

class SafetensorsFloat4 : public SafetensorsTest {
 protected:
  Index below(Index limit) {
    return static_cast<Index>(random_() % static_cast<std::uint64_t>(limit));
  }
  IndexRange random_box(const Shape& shape) {
    IndexRange box;
    for (const Index extent : shape) {
      box.origin.push_back(below(extent));
      box.shape.push_back(below(extent - box.origin.back() + 1));
    }
    return box;
  }
  static Array cut(const Array& array, const IndexRange& box) {
    Array out = Array::uninitialized(array.dtype(), box.shape);
    copy_region(array, box.origin, box.shape, out.bytes().data());
    return out;
  }
  void refuses(Tree tree, ErrorCode code, const std::string& why) {
    try {
      static_cast<void>(write_safetensors(new_engine(), std::move(tree), at("bad")).get());
      ADD_FAILURE() << "no error: " << why;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
    EXPECT_TRUE(entries().empty());
  }
  /// Data bytes of a file.
  [[nodiscard]] std::string data_of(const std::string& name) const {
    const std::string bytes = get(name);
    const auto length =
        safetensors::decode_header_length(std::string_view(bytes).substr(0, 8), bytes.size());
    return bytes.substr(8 + length);
  }
  std::mt19937_64 random_{make_seed()};
};
CAIRN_ON_EVERY_BACKEND(SafetensorsFloat4);

TEST_P(SafetensorsFloat4, HasTheFirstElementInTheLowBits) {
  Array given(kFloat4, {2, 3});
  for (std::size_t i = 0; i < 6; ++i) given.bytes()[i] = static_cast<std::byte>(i + 1);
  const auto engine = new_engine();
  const SafetensorsWritten written = write_safetensors(engine, Dict{{"a", given}}, at("a")).get();
  EXPECT_EQ(data_of("a"), "\x21\x43\x65");
  EXPECT_EQ(written.bytes, 3u);
  const SafetensorsContent back = read_safetensors(engine, at("a")).get();
  EXPECT_EQ(back.tree, Tree(Dict{{"a", given}}));
  EXPECT_EQ(back.bytes, 6u);
  const ItemInfo info = inspect_item(engine, at("a")).get();
  EXPECT_EQ(info.leaves.at(0).bytes, 6u);
  EXPECT_EQ(info.leaves.at(0).stored_bytes, 3u);
  EXPECT_TRUE(verify_item(engine, at("a")).get().unchecked.empty());
}

TEST_P(SafetensorsFloat4, GivesAnyBoxOfATensor) {
  const Array cube = random_array(kFloat4, {37, 211, 614}, random_);
  const Array odd = random_array(kFloat4, {38, 211, 613}, random_);
  put("a", safetensors_bytes({{"pad", Array(DType::int8, {3})}, {"cube", cube}, {"odd", odd}}));
  const auto engine = new_engine();
  std::vector<IndexRange> boxes = {{{0, 0, 0}, {37, 211, 613}}, {{36, 210, 612}, {1, 1, 1}},
                                   {{0, 0, 101}, {37, 211, 1}}, {{5, 0, 0}, {1, 211, 613}},
                                   {{0, 17, 0}, {37, 1, 613}},  {{0, 0, 0}, {0, 5, 5}}};
  for (int i = 0; i < 20; ++i) boxes.push_back(random_box({37, 211, 613}));
  for (const IndexRange& box : boxes) {
    SafetensorsReadOptions options;
    options.tensors = {{"cube", box}, {"odd", box}};
    EXPECT_TRUE(read_safetensors(engine, at("a"), options).get().tree ==
                Tree(Dict{{"cube", cut(cube, box)}, {"odd", cut(odd, box)}}))
        << ::testing::PrintToString(box.origin) << ::testing::PrintToString(box.shape);
  }
}

TEST_P(SafetensorsFloat4, ReadsTensorsLargerThanABlockThroughASmallWindow) {
  const Array large = random_array(kFloat4, {2, 9'000'001}, random_);
  for (const std::size_t alignment : {1u, 4096u}) {
    put("a", safetensors_bytes({{"large", large}, {"again", large}}, alignment));
    EngineSettings settings;
    settings.io_window_bytes = 64u << 10;
    for (const auto& engine : {new_engine(), new_engine(settings)}) {
      const Tree tree = read_safetensors(engine, at("a")).get().tree;
      EXPECT_TRUE(tree == Tree(Dict{{"large", large}, {"again", large}}));
    }
  }
}

TEST_P(SafetensorsFloat4, ReadsOnlyTheBytesOfWhatIsSelected) {
  const Array large = random_array(kFloat4, {32 << 20}, random_);
  put("a", safetensors_bytes({{"large", large}}));
  const auto engine = new_engine();
  SafetensorsReadOptions options;
  const IndexRange box{{20'000'001}, {5}};
  options.tensors = {{"large", box}};
  const SafetensorsContent content = read_safetensors(engine, at("a"), options).get();
  EXPECT_EQ(content.tree, Tree(Dict{{"large", cut(large, box)}}));
  EXPECT_EQ(content.bytes, 5u);
  EXPECT_LE(engine->stats().bytes_read, 64u << 10);
}

TEST_P(SafetensorsFloat4, IsImportedAndExportedInEveryLayoutByteForByte) {
  const std::string file =
      safetensors_bytes({{"even", random_array(kFloat4, {300, 70}, random_)},
                         {"odd", random_array(kFloat4, {6, 1031, 17}, random_)},
                         {"empty", Array(kFloat4, {3, 0})}},
                        64);
  put("a", file);
  Step step = 0;
  for (const Layout layout :
       {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2, Layout::zarr3, Layout::zarr2}) {
    ManagerOptions manager_options = options();
    manager_options.layout = layout;
    const auto engine = manager_options.engine;
    Tree tree = open_safetensors(engine, at("a")).get().tree;
    CheckpointManager manager(at("steps"), std::move(manager_options));
    ASSERT_TRUE(manager.save(step, std::move(tree)).get());
    SafetensorsWriteOptions replace;
    replace.overwrite = true;
    Tree stored = open_tree(engine, at("steps/" + std::to_string(step++) + "/default")).get();
    ASSERT_TRUE(stored.at("odd").is<Leaf>());
    static_cast<void>(write_safetensors(engine, std::move(stored), at("b"), replace).get());
    EXPECT_EQ(get("b").size(), file.size());
    EXPECT_TRUE(read_safetensors(engine, at("b")).get().tree ==
                read_safetensors(engine, at("a")).get().tree);
    EXPECT_EQ(data_of("b"), data_of("a"));
  }
}

TEST_P(SafetensorsFloat4, WritesEveryKindOfElements) {
  const Array large = random_array(kFloat4, {1100, 3001}, random_);
  const Array bytes = random_array(DType::uint8, {777}, random_);
  const ArrayView strided(kFloat4, {3001, 1100}, large.bytes().data(), {1, 3001});
  Array transposed = Array::uninitialized(kFloat4, {3001, 1100});
  copy_region(strided, Shape{0, 0}, strided.shape(), transposed.bytes().data());
  // Parts meet within a byte.
  std::vector<LeafPart> parts;
  parts.emplace_back(IndexRange{{0, 0}, {99, 3001}},
                     std::make_shared<ArraySource>(cut(large, {{0, 0}, {99, 3001}})));
  parts.emplace_back(IndexRange{{99, 0}, {1001, 3001}},
                     ArrayView(kFloat4, {1001, 3001}, large.bytes().data() + 99 * 3001));
  const Dict given{{"view", ArrayView(large)},
                   {"strided", strided},
                   {"bytes", bytes},
                   {"leaf", Leaf(kFloat4, {1100, 3001}, std::move(parts))},
                   {"lazy", Leaf(kFloat4, {1100, 3001}, std::make_shared<ArraySource>(large))},
                   {"byte leaf", Leaf(DType::uint8, {777}, std::make_shared<ArraySource>(bytes))},
                   {"array", large}};
  const Tree expected(Dict{{"view", large},
                           {"strided", transposed},
                           {"bytes", bytes},
                           {"leaf", large},
                           {"lazy", large},
                           {"byte leaf", bytes},
                           {"array", large}});
  for (const std::size_t alignment : {0u, 1u, 4096u}) {
    for (const auto direct : {engine::DirectIo::automatic, engine::DirectIo::off}) {
      EngineSettings settings;
      settings.direct_io = direct;
      const auto engine = new_engine(settings);
      SafetensorsWriteOptions options;
      options.alignment = alignment;
      options.overwrite = true;
      static_cast<void>(write_safetensors(engine, Tree(given), at("a"), options).get());
      EXPECT_TRUE(read_safetensors(engine, at("a")).get().tree == expected) << alignment;
    }
  }
}

TEST_P(SafetensorsFloat4, GathersBlocksThatEndWhereChunksDoWithinStaging) {
  EngineSettings small;
  small.staging_bytes = 20u << 20;
  for (int round = 0; round < 2; ++round) {
    Dict arrays, leaves;
    for (int i = 0; i < 6; ++i) {
      const DType dtype = i % 3 == 2 ? DType::uint8 : kFloat4;
      const Shape shape = {2 + 2 * below(5), 1 + below(2'000'000)};
      const Array array = random_array(dtype, shape, random_);
      const std::string name = "w" + std::to_string(i);
      const Shape box = {1 + below(9), 1 + below(2'000'000)};
      leaves[name] = Tree(Leaf(dtype, shape, std::make_shared<ChunkedSource>(array, box)));
      arrays[name] = Tree(array);
    }
    SafetensorsWriteOptions replace;
    replace.overwrite = true;
    const auto engine = new_engine(small);
    write_safetensors(engine, Tree(std::move(leaves)), at("out"), replace).get();
    EXPECT_TRUE(read_safetensors(engine, at("out")).get().tree == Tree(std::move(arrays)));
    EXPECT_LE(engine->stats().staging.peak_bytes, small.staging_bytes);
  }
}

TEST_P(SafetensorsFloat4, IsCountedAsStoredWhereFilesAreCut) {
  const Array mebibyte = random_array(kFloat4, {2 << 20}, random_);
  const Tree tree(Dict{{"a", mebibyte}, {"b", mebibyte}, {"c", mebibyte}});
  SafetensorsWriteOptions options;
  options.max_shard_bytes = 2 << 20;
  const auto engine = new_engine();
  const SafetensorsWritten written =
      write_safetensors(engine, tree, at("model.safetensors"), options).get();
  EXPECT_EQ(written.files.size(), 3u);
  const auto index = safetensors::decode_index(get("model.safetensors.index.json"));
  EXPECT_EQ(index.total_size, 3u << 20);
  EXPECT_TRUE(read_safetensors(engine, root()).get().tree == tree);
}

TEST_P(SafetensorsFloat4, CountsValues) {
  Array array(kFloat4, {3, 4});  // 0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5
  for (std::size_t i = 0; i < 12; ++i) array.bytes()[i] = static_cast<std::byte>(i);
  put("a", safetensors_bytes({{"a", array}}));
  const auto values = inspect_values(new_engine(), at("a")).get();
  EXPECT_EQ(values.at(0).statistics.min, -1.5);
  EXPECT_EQ(values.at(0).statistics.max, 6);
}

TEST_P(SafetensorsFloat4, RefusesWhatF4CannotHold) {
  refuses(
      Dict{{"a", Dict{{"b", Array(kFloat4, {3, 5})}}}}, ErrorCode::not_supported,
      "key path a/b: safetensors packs two elements of float4_e2m1fn into a byte, and these are "
      "15");
  refuses(Dict{{"a", Array(kFloat4, {})}}, ErrorCode::not_supported, "and these are 1");
  // A byte with two elements, as a program that packs them itself may give it.
  const auto with_bad = [](std::size_t at) {
    Array array(kFloat4, {2, 6'000'000});
    array.bytes()[at] = std::byte{0x21};
    return array;
  };
  for (const std::size_t place : {0u, 11'999'999u, 9'000'001u}) {
    const Array bad = with_bad(place);
    const std::string why = "key path a: element " + std::to_string(place) +
                            " is byte 33: float4_e2m1fn has one element in a byte, 0 to 15";
    refuses(Dict{{"a", bad}}, ErrorCode::invalid_argument, why);
    refuses(Dict{{"a", Leaf(kFloat4, bad.shape(), std::make_shared<ArraySource>(bad))}},
            ErrorCode::invalid_argument, why);
    // Rows and columns exchanged.
    const ArrayView strided(kFloat4, {6'000'000, 2}, bad.bytes().data(), {1, 6'000'000});
    const std::size_t there = place % 6'000'000 * 2 + place / 6'000'000;
    refuses(Dict{{"a", strided}}, ErrorCode::invalid_argument,
            "element " + std::to_string(there) + " is byte 33");
  }
}

}  // namespace
}  // namespace cairn::test
