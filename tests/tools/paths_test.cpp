// cairn inspect and verify of roots, steps and items, ours and others'.

#include <gmock/gmock.h>

#include "tools/command.h"
#include "tools/safetensors_samples.h"

namespace cairn::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string data(const std::string& name) {
  return std::string(CAIRN_TEST_DATA) + "/checkpoints/" + name;
}

class Paths : public CommandTest {};
CAIRN_ON_EVERY_BACKEND(Paths);

TEST_P(Paths, InspectSaysWhatAPathWasTakenFor) {
  save(4, Dict{{"w", Array(DType::float32, {3})}});
  const auto taken = [&](const std::string& path) {
    const Outcome outcome = cairn({"inspect", path});
    EXPECT_EQ(outcome.status, 0) << outcome.err;
    const auto document = cairn({"inspect", path, "--json"}).json();
    EXPECT_EQ(document.at("path").as_string(), path == root() ? root() + "/4" : path);
    EXPECT_THAT(
        outcome.out,
        HasSubstr("taken for " + std::string(document.at("taken_for") == "item" ? "an " : "a ")));
    return std::string(document.at("taken_for").as_string());
  };
  EXPECT_EQ(taken(root()), "root");
  EXPECT_EQ(taken(root() + "/4"), "step");
  EXPECT_EQ(taken(root() + "/4/default"), "item");
  EXPECT_EQ(taken(data("ocdbt_zarr2")), "step");
  EXPECT_EQ(taken(data("managed/3/model")), "item");
  EXPECT_EQ(taken(data("zarr3_python")), "item");
}

TEST_P(Paths, InspectShowsLayoutCodecsAndStrings) {
  const Outcome outcome = cairn({"inspect", data("ts_files")});
  EXPECT_THAT(outcome.out, AllOf(HasSubstr("(tree, directory)"),
                                 HasSubstr("transpose([2, 0, 1]),bytes(big),gzip(6)"),
                                 HasSubstr("sharding([2, 3, 3]: bytes, zstd(1), crc32c)")));
  const auto document = cairn({"inspect", data("ocdbt_zarr3"), "--json"}).json();
  const auto& item = document.at("items").as_array().at(0).as_object();
  EXPECT_EQ(item.at("layout").as_string(), "OCDBT");
  EXPECT_EQ(item.at("leaves").at(0).at("zarr_format").to_number<int>(), 3);
}

TEST_P(Paths, ValuesAreShownOfAllLeavesOrOfSome) {
  const Outcome all = cairn({"inspect", data("managed"), "--values"});
  EXPECT_THAT(all.out, AllOf(HasSubstr("MEAN"), HasSubstr("int16")));
  const auto document =
      cairn({"inspect", data("managed"), "--values", "--leaf", "r", "--json"}).json();
  for (const auto& item : document.at("items").as_array()) {
    for (const auto& leaf : item.at("leaves").as_array()) {
      const bool wanted = item.at("name") == "model" && leaf.at("key_path") == "r[0]";
      const bool shown = leaf.as_object().contains("values");
      if (!wanted) {
        EXPECT_EQ(shown, leaf.at("key_path") == "r[1]");
        continue;
      }
      ASSERT_TRUE(shown);
      const auto& values = leaf.at("values").as_object();
      EXPECT_EQ(values.at("count").to_number<int>(), 4);
      EXPECT_EQ(values.at("min").as_double(), 1);
      EXPECT_EQ(values.at("mean").as_double(), 1);
      EXPECT_EQ(values.at("nan").to_number<int>(), 0);
    }
  }
  const Outcome missing = cairn({"inspect", data("managed"), "--values", "--leaf", "rr"});
  EXPECT_EQ(missing.status, 2);
  EXPECT_THAT(missing.err, HasSubstr("did you mean"));
}

TEST_P(Paths, ExtremesOfIntegersAreShownToTheLastDigit) {
  const std::vector<std::int64_t> wide = {INT64_MIN, -1, INT64_MAX - 1, (1LL << 53) + 1};
  const std::vector<std::uint64_t> positive = {(1ULL << 53) + 1, UINT64_MAX};
  save(0, Dict{{"wide", Tree(Array::from(std::span(wide), {4}))},
               {"positive", Tree(Array::from(std::span(positive), {2}))},
               {"flags", Tree(Array(DType::boolean, {3}))}});
  const Outcome shown = cairn({"inspect", root(), "--values"});
  for (const char* number : {"-9223372036854775808", "9223372036854775806", "9007199254740993",
                             "18446744073709551615"}) {
    EXPECT_THAT(shown.out, HasSubstr(number));
  }
  const auto leaves = cairn({"inspect", root(), "--values", "--json"})
                          .json()
                          .at("items")
                          .at(0)
                          .at("leaves")
                          .as_array();
  const auto values = [&](std::size_t leaf) { return leaves.at(leaf).at("values").as_object(); };
  EXPECT_EQ(values(0).at("min").to_number<std::int64_t>(), INT64_MIN);
  EXPECT_EQ(values(0).at("max").to_number<std::int64_t>(), INT64_MAX - 1);
  EXPECT_TRUE(values(0).at("mean").is_double());
  EXPECT_EQ(values(1).at("min").to_number<std::uint64_t>(), (1ULL << 53) + 1);
  EXPECT_EQ(values(1).at("max").to_number<std::uint64_t>(), UINT64_MAX);
  EXPECT_EQ(values(2).at("max").to_number<std::int64_t>(), 0);
}

TEST_P(Paths, VerifyTakesEachOfThem) {
  save(4, Dict{{"w", Array(DType::float32, {3})}});
  for (const std::string& path : {root(), root() + "/4", root() + "/4/default", data("managed"),
                                  data("v1"), data("two_processes"), data("zarr2_python")}) {
    const Outcome outcome = cairn({"verify", path});
    EXPECT_EQ(outcome.status, 0) << outcome.out << outcome.err;
    EXPECT_THAT(outcome.out, AllOf(HasSubstr(path + ": taken for "), HasSubstr(": good, "),
                                   Not(HasSubstr("not checked"))));
    EXPECT_TRUE(cairn({"verify", path, "--json"}).json().at("ok").as_bool());
  }
}

TEST_P(Paths, SafetensorsAreInspectedAndVerifiedByFileIndexAndDirectory) {
  std::filesystem::create_directory(file("model"));
  safetensors::Header header;
  header.metadata = {{"format", "pt"}};
  header.tensors = {tensor("layers.0.w", DType::uint8, {3, 4}), tensor("b", DType::uint16, {2})};
  const std::string start = safetensors::encode_header(header);
  const std::string elements = std::string(11, '\x05') + '\x07' + std::string(4, '\x01');
  write_bytes(file("model/1.safetensors"), start + elements);
  write_bytes(file("model/m.safetensors.index.json"),
              R"({"weight_map": {"layers.0.w": "1.safetensors"}})");
  for (const std::string path :
       {"model", "model/1.safetensors", "model/m.safetensors.index.json"}) {
    SCOPED_TRACE(path);
    const Outcome shown = cairn({"inspect", file(path)});
    EXPECT_EQ(shown.status, 0) << shown.err;
    EXPECT_THAT(shown.out,
                AllOf(HasSubstr("taken for safetensors"), HasSubstr("(tree, safetensors)"),
                      HasSubstr("layers.0.w"), HasSubstr("[3, 4]"), HasSubstr("1.safetensors"),
                      HasSubstr(R"({"format":"pt"})")));
    const Outcome verified = cairn({"verify", file(path)});
    EXPECT_EQ(verified.status, 0) << verified.err;
    EXPECT_THAT(verified.out, HasSubstr("good, 2 arrays, structure only: safetensors has no "
                                        "checksums\n"));
  }
  const auto document =
      cairn({"inspect", file("model"), "--values", "--leaf", "layers", "--json"}).json();
  EXPECT_EQ(document.at("taken_for").as_string(), "safetensors");
  const auto& leaves = document.at("items").at(0).at("leaves").as_array();
  ASSERT_EQ(leaves.size(), 2u);
  EXPECT_EQ(leaves[0].at("values").at("max").to_number<double>(), 7);
  EXPECT_EQ(leaves[0].at("values").at("count").to_number<int>(), 12);
  EXPECT_FALSE(leaves[0].as_object().contains("chunks"));
  EXPECT_FALSE(leaves[1].as_object().contains("values"));

  std::filesystem::resize_file(file("model/1.safetensors"), start.size() + 3);
  const Outcome damaged = cairn({"verify", file("model"), "--json"});
  EXPECT_EQ(damaged.status, 1);
  const auto outcome = damaged.json();
  const auto& report = outcome.at("steps").at(0).as_object();
  EXPECT_TRUE(report.at("structure_only").as_bool());
  EXPECT_EQ(report.at("damages").at(0).at("file").as_string(),
            file("model/1.safetensors").string());
  const Outcome step = cairn({"verify", file("model"), "--step", "3"});
  EXPECT_EQ(step.status, 2);
  EXPECT_THAT(step.err, HasSubstr("--step is for a root, and this is safetensors"));
}

TEST_P(Paths, LinksOutOfAnIndexsDirectoryAreFollowedWhenAskedFor) {
  std::filesystem::create_directory(file("snapshot"));
  safetensors::Header header;
  header.tensors = {tensor("w", DType::uint8, {3})};
  write_bytes(file("blob"), safetensors_file(header, 1));
  std::filesystem::create_symlink("../blob", file("snapshot/1.safetensors"));
  write_bytes(file("snapshot/m.safetensors.index.json"),
              R"({"weight_map": {"w": "1.safetensors"}})");
  for (const std::string command : {"inspect", "verify"}) {
    const Outcome refused = cairn({command, file("snapshot")});
    EXPECT_EQ(refused.status, 2);
    EXPECT_THAT(refused.err + refused.out, HasSubstr("--follow-links"));
    EXPECT_EQ(cairn({command, file("snapshot"), "--follow-links"}).status, 0);
  }
}

TEST_P(Paths, AStepCanBeAskedForInARootAlone) {
  for (const std::string command : {"inspect", "verify"}) {
    const Outcome outcome = cairn({command, data("v1"), "--step", "3"});
    EXPECT_EQ(outcome.status, 2);
    EXPECT_THAT(outcome.err, HasSubstr("--step is for a root"));
  }
}

}  // namespace
}  // namespace cairn::test
