// Reading safetensors files: one, several under an index, or a directory with either.

#include <gmock/gmock.h>

#include <algorithm>

#include "manager/safetensors_samples.h"

namespace cairn::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

std::vector<std::string> names_of(const Tree& tree) {
  std::vector<std::string> names;
  for (const auto& [name, value] : tree.as<Dict>()) names.push_back(name);
  return names;
}

/// The box of an array, element by element: what a range must give.
Array cut(const Array& array, const IndexRange& box) {
  Array out = Array::uninitialized(array.dtype(), box.shape);
  copy_region(array, box.origin, box.shape, out.bytes().data());
  return out;
}

class ReadSafetensors : public SafetensorsTest {
 protected:
  std::mt19937_64 random_{make_seed()};
};
CAIRN_ON_EVERY_BACKEND(ReadSafetensors);

TEST_P(ReadSafetensors, GivesEveryDtypeAndShapeByteForByte) {
  std::vector<std::pair<std::string, Array>> tensors;
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (!safetensors::safetensors_name(dtype)) continue;
    const std::string name(name_of(dtype));
    // F4 has even numbers of elements, and so no scalars.
    const bool packed = dtype == DType::float4_e2m1fn;
    if (!packed) tensors.emplace_back(name + ".scalar", random_array(dtype, {}, random_));
    tensors.emplace_back(name + ".matrix", random_array(dtype, {packed ? 6 : 5, 7}, random_));
    tensors.emplace_back(name + ".empty", random_array(dtype, {3, 0}, random_));
    tensors.emplace_back(name + ".large", random_array(dtype, {packed ? 302 : 301, 307}, random_));
  }
  // Aligned to nothing, to elements, and to blocks of direct I/O.
  for (const std::size_t alignment : {1u, 64u, 4096u}) {
    put("a", safetensors_bytes(tensors, alignment, {{"format", "pt"}}));
    const SafetensorsContent content = read_safetensors(new_engine(), at("a")).get();
    ASSERT_EQ(content.tree.as<Dict>().size(), tensors.size());
    for (const auto& [name, array] : tensors) EXPECT_EQ(content.tree.at(name), Tree(array)) << name;
    EXPECT_THAT(content.metadata, ElementsAre(Pair("format", "pt")));
    EXPECT_THAT(content.files, ElementsAre(at("a")));
  }
}

TEST_P(ReadSafetensors, ReadsTensorsLargerThanABlockWithAndWithoutDirectIo) {
  const Array large = random_array(DType::float32, {3, 1'300'007}, random_);
  const Array odd = random_array(DType::uint8, {12'345}, random_);
  for (const std::size_t alignment : {64u, 4096u}) {
    put("a", safetensors_bytes({{"large", large}, {"odd", odd}, {"again", large}}, alignment));
    for (const auto direct : {engine::DirectIo::automatic, engine::DirectIo::off}) {
      EngineSettings settings;
      settings.direct_io = direct;
      const Tree tree = read_safetensors(new_engine(settings), at("a")).get().tree;
      EXPECT_TRUE(tree == Tree(Dict{{"large", large}, {"odd", odd}, {"again", large}}));
    }
  }
}

TEST_P(ReadSafetensors, ReadsThroughAWindowSmallerThanABlock) {
  const Array large = random_array(DType::float32, {3'000'001}, random_);
  put("a", safetensors_bytes({{"large", large}}));
  EngineSettings settings;
  settings.io_window_bytes = 64u << 10;
  const auto engine = new_engine(settings);
  EXPECT_TRUE(read_safetensors(engine, at("a")).get().tree == Tree(Dict{{"large", large}}));
}

TEST_P(ReadSafetensors, ReadsOnlyTheBytesOfWhatIsSelected) {
  const Array skipped = random_array(DType::uint8, {16 << 20}, random_);
  const Array small = random_array(DType::float32, {100}, random_);
  put("a", safetensors_bytes({{"first", skipped}, {"small", small}, {"last", skipped}}));
  const auto engine = new_engine();
  SafetensorsReadOptions options;
  options.tensors = {"small", {"last", {{12'000'000}, {5}}}};
  const SafetensorsContent content = read_safetensors(engine, at("a"), options).get();
  EXPECT_EQ(content.tree,
            Tree(Dict{{"small", small}, {"last", cut(skipped, {{12'000'000}, {5}})}}));
  EXPECT_EQ(content.bytes, 405u);
  EXPECT_LE(engine->stats().bytes_read, 64u << 10);
}

TEST_P(ReadSafetensors, GivesAnyBoxOfATensor) {
  const Array cube = random_array(DType::int16, {37, 211, 613}, random_);
  put("a", safetensors_bytes({{"pad", Array(DType::int8, {3})}, {"cube", cube}}));
  const auto engine = new_engine();
  std::vector<IndexRange> boxes = {{{0, 0, 0}, {37, 211, 613}}, {{36, 210, 612}, {1, 1, 1}},
                                   {{0, 0, 100}, {37, 211, 1}}, {{5, 0, 0}, {2, 211, 613}},
                                   {{0, 17, 0}, {37, 1, 613}},  {{0, 0, 0}, {0, 5, 5}}};
  for (int i = 0; i < 20; ++i) {
    IndexRange box;
    for (const Index extent : cube.shape()) {
      const auto origin = static_cast<Index>(random_() % static_cast<std::uint64_t>(extent));
      box.origin.push_back(origin);
      box.shape.push_back(
          static_cast<Index>(random_() % static_cast<std::uint64_t>(extent - origin + 1)));
    }
    boxes.push_back(std::move(box));
  }
  for (const IndexRange& box : boxes) {
    SafetensorsReadOptions options;
    options.tensors = {{"cube", box}};
    EXPECT_TRUE(read_safetensors(engine, at("a"), options).get().tree ==
                Tree(Dict{{"cube", cut(cube, box)}}))
        << ::testing::PrintToString(box.origin) << ::testing::PrintToString(box.shape);
  }
}

TEST_P(ReadSafetensors, OpensTensorsThatAreReadWhenASaveAsks) {
  const Array cube = random_array(DType::float64, {7, 301, 1031}, random_);
  put("a", safetensors_bytes({{"pad", Array(DType::int8, {3})}, {"cube", cube}}));
  ManagerOptions manager_options = options();
  SafetensorsReadOptions selected;
  const IndexRange box{{1, 3, 5}, {6, 290, 1000}};
  selected.tensors = {{"cube", box}};
  SafetensorsContent content = open_safetensors(manager_options.engine, at("a"), selected).get();
  EXPECT_TRUE(content.tree.at("cube").is<Leaf>());
  CheckpointManager manager(at("steps"), std::move(manager_options));
  ASSERT_TRUE(manager.save(0, std::move(content.tree)).get());
  EXPECT_TRUE(manager.restore(0).get().tree() == Tree(Dict{{"cube", cut(cube, box)}}));
}

TEST_P(ReadSafetensors, FollowsAnIndexAndReadsWhatItDoesNotNameToo) {
  const Array a = random_array(DType::float32, {10}, random_);
  const Array b = random_array(DType::int64, {2, 3}, random_);
  const Array c = random_array(DType::bfloat16, {4}, random_);
  put("m-2.safetensors", safetensors_bytes({{"b", b}, {"c", c}}, 64, {{"k", "2"}, {"only", "b"}}));
  put("m-1.safetensors", safetensors_bytes({{"a", a}}, 64, {{"k", "1"}}));
  put("x.json", R"({"weight_map": {"b": "m-2.safetensors", "a": "m-1.safetensors"}})");
  const SafetensorsContent content = read_safetensors(new_engine(), at("x.json")).get();
  EXPECT_EQ(content.tree, Tree(Dict{{"a", a}, {"b", b}, {"c", c}}));
  EXPECT_THAT(content.metadata, ElementsAre(Pair("k", "1"), Pair("only", "b")));
  EXPECT_THAT(content.files, ElementsAre(at("m-1.safetensors"), at("m-2.safetensors")));
  SafetensorsReadOptions options;
  options.tensors = {"b"};
  EXPECT_THAT(names_of(read_safetensors(new_engine(), at("x.json"), options).get().tree),
              ElementsAre("b"));
}

TEST_P(ReadSafetensors, FindsTheFileOrIndexOfADirectory) {
  const auto engine = new_engine();
  const auto holds = [&](const std::string& name) {
    const Tree tree = read_safetensors(engine, root()).get().tree;
    return tree.as<Dict>().find(name) != nullptr;
  };
  const auto one = [](const std::string& name) {
    return safetensors_bytes({{name, Array(DType::int8, {1})}});
  };
  put("other.safetensors", one("other"));
  EXPECT_TRUE(holds("other"));
  put("s1.safetensors", one("s1"));
  put("some.safetensors.index.json", R"({"weight_map": {"s1": "s1.safetensors"}})");
  EXPECT_TRUE(holds("s1"));
  put("s2.safetensors", one("s2"));
  put("model.safetensors.index.json", R"({"weight_map": {"s2": "s2.safetensors"}})");
  EXPECT_TRUE(holds("s2"));
  put("model.safetensors", one("single"));
  EXPECT_TRUE(holds("single"));
}

TEST_P(ReadSafetensors, FollowsLinksInsideTheDirectoryAndOthersWhenToldTo) {
  const std::string bytes = safetensors_bytes({{"a", Array(DType::int8, {1})}});
  put("real", bytes);
  std::filesystem::create_symlink("real", at("inside.safetensors"));
  std::filesystem::create_directory(at("away"));
  put("away/blob", bytes);
  std::filesystem::create_directory(at("snapshot"));
  std::filesystem::create_symlink("../away/blob", at("snapshot/s.safetensors"));
  put("inside.json", R"({"weight_map": {"a": "inside.safetensors"}})");
  put("snapshot/outside.json", R"({"weight_map": {"a": "s.safetensors"}})");
  const auto engine = new_engine();
  EXPECT_EQ(read_safetensors(engine, at("inside.safetensors")).get().bytes, 1u);
  EXPECT_EQ(read_safetensors(engine, at("inside.json")).get().bytes, 1u);
  EXPECT_EQ(read_safetensors(engine, at("snapshot/s.safetensors")).get().bytes, 1u);
  SafetensorsReadOptions follow;
  follow.follow_links = true;
  EXPECT_EQ(read_safetensors(engine, at("snapshot/outside.json"), follow).get().bytes, 1u);
  try {
    static_cast<void>(read_safetensors(engine, at("snapshot/outside.json")).get());
    ADD_FAILURE() << "followed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("s.safetensors: a link that leaves the directory"));
  }
}

}  // namespace
}  // namespace cairn::test
