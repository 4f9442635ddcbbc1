// safetensors as trees among others: read_tree(), inspect and verify by path.

#include <gmock/gmock.h>

#include <algorithm>

#include "manager/safetensors_samples.h"

namespace cairn::test {
namespace {

using args::Selection;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SafetensorsTree : public SafetensorsTest {
 protected:
  Tree read(const std::string& name, std::vector<Selection> selection = {}) {
    return read_tree(engine_, at(name), ReadOptions(std::move(selection))).get();
  }
  /// Two shards with an index, in a directory.
  void put_model() {
    std::filesystem::create_directory(at("model"));
    put("model/1.safetensors", safetensors_bytes({{"embed.weight", embed_}, {"layers.0.w", w_}}));
    put("model/2.safetensors", safetensors_bytes({{"layers.0.b", b_}, {"layers.10.w", w10_}}));
    put("model/model.safetensors.index.json",
        R"({"weight_map": {"embed.weight": "1.safetensors", "layers.0.w": "1.safetensors",)"
        R"("layers.0.b": "2.safetensors", "layers.10.w": "2.safetensors"}})");
  }
  void expect_error(ErrorCode code, const std::string& text, const std::function<void()>& f) {
    try {
      f();
      ADD_FAILURE() << "no error with " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(text));
    }
  }

  std::shared_ptr<engine::Engine> engine_ = new_engine();
  std::mt19937_64 random_{make_seed()};
  Array embed_ = random_array(DType::uint16, {4096, 1024}, random_);
  Array w_ = random_array(DType::int32, {3, 5}, random_);
  Array b_ = random_array(DType::uint8, {7}, random_);
  Array w10_ = random_array(DType::int64, {2, 2}, random_);
};
CAIRN_ON_EVERY_BACKEND(SafetensorsTree);

std::vector<std::string> names_in(const Tree& tree) {
  std::vector<std::string> names;
  for (const auto& [name, value] : tree.as<Dict>()) names.push_back(name);
  return names;
}

TEST_P(SafetensorsTree, AFileAnIndexAndADirectoryAreReadAlike) {
  put_model();
  put("alone", safetensors_bytes({{"layers.0.w", w_}}));
  EXPECT_EQ(read("alone"), Tree(Dict{{"layers.0.w", w_}}));
  const Tree whole =
      Dict{{"embed.weight", embed_}, {"layers.0.w", w_}, {"layers.0.b", b_}, {"layers.10.w", w10_}};
  for (const char* path : {"model", "model/model.safetensors.index.json"}) {
    EXPECT_EQ(read(path), whole);
    EXPECT_EQ(kind_of_path(engine_, at(path)).get(), PathKind::safetensors);
    const Tree opened = open_tree(engine_, at(path)).get();
    EXPECT_TRUE(opened.at("embed.weight").is<Leaf>());
    write_safetensors(engine_, opened, at("copy"), {}).get();
    EXPECT_EQ(read("copy"), whole);
    std::filesystem::remove(at("copy"));
  }
}

TEST_P(SafetensorsTree, ASelectionReadsNoMoreThanItNames) {
  put_model();
  EXPECT_THAT(names_in(read("model", {Selection("layers.0")})),
              ElementsAre("layers.0.w", "layers.0.b"));
  EXPECT_THAT(names_in(read("model", {Selection("layers.10.w"), Selection("embed")})),
              ElementsAre("embed.weight", "layers.10.w"));
  const KeyPath keys = {Key("layers", Key::Kind::dict), Key("0", Key::Kind::sequence)};
  EXPECT_THAT(names_in(read("model", {Selection(keys)})), ElementsAre("layers.0.w", "layers.0.b"));
  const std::uint64_t before = engine_->stats().bytes_read;
  const Tree rows = read("model", {Selection("embed.weight", IndexRange{{1000, 0}, {2, 1024}})});
  EXPECT_LT(engine_->stats().bytes_read - before, 64u << 10) << "of 8 MiB";
  const Array& part = rows.at("embed.weight").as<Array>();
  EXPECT_EQ(part.shape(), (Shape{2, 1024}));
  EXPECT_TRUE(std::ranges::equal(part.bytes(), embed_.bytes().subspan(1000 * 2048, 2 * 2048)));
}

TEST_P(SafetensorsTree, WhatIsNotThereIsNamedWithItsLikes) {
  put_model();
  const auto refused = [&](ErrorCode code, const std::string& why, Selection selection) {
    expect_error(code, why, [&] { read("model", {selection}); });
  };
  refused(ErrorCode::not_found, "did you mean layers.0.w", Selection("layers.0.v"));
  refused(ErrorCode::not_found, "layers", Selection("layer"));
  refused(ErrorCode::invalid_argument, "axis 0",
          Selection("layers.0.w", IndexRange{{2, 0}, {2, 5}}));
  refused(ErrorCode::invalid_argument, "2 leaves", Selection("layers.0", IndexRange{{0}, {1}}));
  ReadOptions item;
  item.item = "default";
  expect_error(ErrorCode::not_found, "no items",
               [&] { read_tree(engine_, at("model"), item).get(); });
}

TEST_P(SafetensorsTree, ACheckpointsOwnFilesCountMoreThanTensorsBesideThem) {
  CheckpointManager manager(at("steps"), options());
  ASSERT_TRUE(manager.save(4, Dict{{"n", 1}}).get());
  const std::string tensors = safetensors_bytes({{"a", w_}});
  put("steps/exported.safetensors", tensors);
  put("steps/4/default/exported.safetensors", tensors);
  EXPECT_EQ(kind_of_path(engine_, at("steps")).get(), PathKind::root);
  EXPECT_EQ(kind_of_path(engine_, at("steps/4")).get(), PathKind::step);
  EXPECT_EQ(kind_of_path(engine_, at("steps/4/default")).get(), PathKind::item);
  EXPECT_EQ(read("steps/4/default"), Tree(Dict{{"n", 1}}));
  // And a model counts more than files of any name that are beside it.
  std::filesystem::create_directories(at("m/onnx"));
  put("m/model.safetensors", tensors);
  put("m/metrics", "{}");
  put("m/onnx/metadata", "{}");
  EXPECT_EQ(kind_of_path(engine_, at("m")).get(), PathKind::safetensors);
  EXPECT_EQ(read("m"), Tree(Dict{{"a", w_}}));
}

TEST_P(SafetensorsTree, InspectDescribesTensorsFilesAndMetadata) {
  put_model();
  put("model/1.safetensors",
      safetensors_bytes({{"embed.weight", embed_}, {"layers.0.w", w_}}, 1, {{"format", "pt"}}));
  const ItemInfo item = inspect_item(engine_, at("model")).get();
  EXPECT_EQ(item.name, "model");
  EXPECT_EQ(item.kind, "tree");
  EXPECT_EQ(item.layout, "safetensors");
  EXPECT_EQ(item.metadata, boost::json::object({{"format", "pt"}}));
  ASSERT_EQ(item.leaves.size(), 4u);
  EXPECT_EQ(item.leaves[0].key_path, "embed.weight");
  EXPECT_EQ(item.leaves[0].dtype, DType::uint16);
  EXPECT_EQ(item.leaves[0].shape, (Shape{4096, 1024}));
  EXPECT_EQ(item.leaves[0].bytes, 8u << 20);
  std::vector<std::string> files;
  for (const FileInfo& file : item.files) {
    EXPECT_EQ(file.bytes, std::filesystem::file_size(at("model/" + file.path)));
    files.push_back(file.path);
  }
  EXPECT_THAT(files, ElementsAre("1.safetensors", "2.safetensors", "model.safetensors.index.json"));
}

TEST_P(SafetensorsTree, ValuesAreThoseOfTheElements) {
  put_model();
  // Data of odd offsets: no element is aligned in the file.
  put("odd", safetensors_bytes({{"b", b_}, {"embed", embed_}, {"w", w_}}));
  const auto expect_values = [](const LeafValues& found, const std::string& name,
                                const Array& array) {
    EXPECT_EQ(found.key_path, name);
    EXPECT_EQ(found.shape, array.shape());
    Statistics wanted;
    wanted.add(array.dtype(), array.bytes());
    EXPECT_EQ(found.statistics.count, wanted.count);
    EXPECT_EQ(found.statistics.min, wanted.min);
    EXPECT_EQ(found.statistics.max, wanted.max);
    EXPECT_EQ(found.statistics.mean(), wanted.mean());
  };
  const auto values = inspect_values(engine_, at("odd")).get();
  ASSERT_EQ(values.size(), 3u);
  expect_values(values[0], "b", b_);
  expect_values(values[1], "embed", embed_);
  expect_values(values[2], "w", w_);
  const auto some = inspect_values(engine_, at("model"), "", {Selection("layers.10")}).get();
  ASSERT_EQ(some.size(), 1u);
  expect_values(some[0], "layers.10.w", w10_);
}

TEST_P(SafetensorsTree, VerifyFindsEveryFileThatIsNotSound) {
  put_model();
  const VerifyReport good = verify_item(engine_, at("model")).get();
  EXPECT_TRUE(good.ok());
  EXPECT_TRUE(good.structure_only);
  EXPECT_EQ(good.arrays, 4u);
  std::filesystem::resize_file(at("model/1.safetensors"), 5000);
  put("model/3.safetensors", safetensors_bytes({{"layers.0.b", b_}, {"here", w_}}));
  put("model/model.safetensors.index.json",
      R"({"weight_map": {"embed.weight": "1.safetensors", "layers.0.b": "2.safetensors",)"
      R"("x": "3.safetensors", "y": "4.safetensors"}})");
  const VerifyReport bad = verify_item(engine_, at("model")).get();
  std::string all;
  for (const Damage& damage : bad.damages) all += damage.message + "\n";
  ASSERT_EQ(bad.damages.size(), 4u) << all;
  EXPECT_THAT(bad.damages[0].message, HasSubstr("1.safetensors"));
  EXPECT_EQ(bad.damages[0].file, at("model/1.safetensors"));
  EXPECT_TRUE(bad.damages[0].offset.has_value());
  EXPECT_THAT(bad.damages[1].message, HasSubstr("4.safetensors: No such file"));
  EXPECT_THAT(bad.damages[2].message, HasSubstr("puts tensor \"x\" into"));
  EXPECT_THAT(bad.damages[3].message, HasSubstr("tensor \"layers.0.b\" is in"));
  EXPECT_EQ(bad.arrays, 4u) << "of the two files that are sound";
  put("model/model.safetensors.index.json", "{");
  EXPECT_EQ(verify_item(engine_, at("model")).get().damages.size(), 1u);
}

TEST_P(SafetensorsTree, VerifyTellsWhatCannotBeCheckedFromDamage) {
  put("blob", safetensors_bytes({{"a", w_}}));
  std::filesystem::create_directory(at("snapshot"));
  std::filesystem::create_symlink("../blob", at("snapshot/1.safetensors"));
  put("snapshot/m.safetensors.index.json", R"({"weight_map": {"a": "1.safetensors"}})");
  const VerifyReport link = verify_item(engine_, at("snapshot")).get();
  EXPECT_TRUE(link.ok());
  ASSERT_EQ(link.unchecked.size(), 1u);
  EXPECT_THAT(link.unchecked[0].message, HasSubstr("follow_links"));
  EXPECT_TRUE(verify_item(engine_, at("snapshot"), true).get().unchecked.empty());
  EXPECT_EQ(inspect_item(engine_, at("snapshot"), true).get().leaves.size(), 1u);
  ReadOptions follow;
  follow.follow_links = true;
  EXPECT_EQ(read_tree(engine_, at("snapshot"), follow).get(), Tree(Dict{{"a", w_}}));
  put("f6", raw_safetensors(R"({"a":{"dtype":"F6_E3M2","shape":[4],"data_offsets":[0,3]}})", 3));
  const VerifyReport f6 = verify_item(engine_, at("f6")).get();
  EXPECT_TRUE(f6.ok());
  ASSERT_EQ(f6.unchecked.size(), 1u);
  EXPECT_THAT(f6.unchecked[0].message, HasSubstr("F6_E3M2"));
  std::filesystem::create_directory(at("several"));
  put("several/a.safetensors", "");
  put("several/b.safetensors", "");
  expect_error(ErrorCode::invalid_argument, "has several",
               [&] { verify_item(engine_, at("several")).get(); });
}

}  // namespace
}  // namespace cairn::test
