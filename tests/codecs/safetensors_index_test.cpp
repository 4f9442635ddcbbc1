#include <cairn/codecs/format_error.h>
#include <cairn/codecs/safetensors.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cairn::safetensors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

void refuses(std::string_view json, const std::string& why) {
  try {
    static_cast<void>(decode_index(json));
    ADD_FAILURE() << "no error for " << json;
  } catch (const FormatError& error) {
    ASSERT_TRUE(error.offset()) << error.what();
    EXPECT_LE(*error.offset(), json.size()) << error.what();
    const FormatError words(error.structure(), error.field(), error.found(), error.allowed());
    EXPECT_THAT(words.what(), HasSubstr(why)) << json;
  }
}

TEST(SafetensorsIndex, GivesWhichFileHasWhichTensor) {
  const auto index = decode_index(R"({"metadata": {"total_size": 24, "note": [1, {"a": null}]},
      "weight_map": {"b": "2.safetensors", "a\u00e9": "1.safetensors", "": "2.safetensors"},
      "other": [1, "x", {"weight_map": {"z": 1}}]})");
  EXPECT_THAT(index.weight_map,
              ElementsAre(Pair("b", "2.safetensors"), Pair("a\xc3\xa9", "1.safetensors"),
                          Pair("", "2.safetensors")));
  EXPECT_EQ(index.total_size, 24u);
}

TEST(SafetensorsIndex, DoesWithoutATotalThatIsMissingOrNoInteger) {
  EXPECT_EQ(decode_index(R"({"weight_map": {}})").total_size, std::nullopt);
  EXPECT_EQ(decode_index(R"({"metadata": {"total_size": 2.4e10}, "weight_map": {}})").total_size,
            std::nullopt);
  EXPECT_EQ(decode_index(R"({"metadata": null, "weight_map": {}})").total_size, std::nullopt);
}

TEST(SafetensorsIndex, IsWrittenAsTheHubWritesIt) {
  ShardIndex index;
  index.weight_map = {{"b", "m-00001-of-00002.safetensors"},
                      {"a\"", "m-00002-of-00002.safetensors"}};
  index.total_size = 7;
  const auto text = encode_index(index);
  EXPECT_EQ(text,
            "{\n  \"metadata\": {\n    \"total_size\": 7\n  },\n  \"weight_map\": {\n"
            "    \"a\\\"\": \"m-00002-of-00002.safetensors\",\n"
            "    \"b\": \"m-00001-of-00002.safetensors\"\n  }\n}\n");
  EXPECT_EQ(decode_index(text).weight_map.size(), 2u);
  EXPECT_EQ(encode_index({}), "{\n  \"metadata\": {},\n  \"weight_map\": {}\n}\n");
}

TEST(SafetensorsIndex, RefusesToWriteWhatItWouldNotRead) {
  ShardIndex twice;
  twice.weight_map = {{"a", "x"}, {"a", "y"}};
  EXPECT_THROW(static_cast<void>(encode_index(twice)), std::invalid_argument);
  ShardIndex outside;
  outside.weight_map = {{"a", "../x"}};
  EXPECT_THROW(static_cast<void>(encode_index(outside)), std::invalid_argument);
}

TEST(SafetensorsIndex, RefusesNamesThatLeaveTheDirectory) {
  for (const std::string name : {"", ".", "..", "../x", "/x", "a/b", "a/../b", "x/", "x\\u0000"}) {
    refuses(R"({"weight_map": {"t": ")" + name + "\"}}", "weight_map \"t\": found \"");
  }
}

TEST(SafetensorsIndex, RefusesWhatIsNoIndex) {
  refuses("", "JSON");
  refuses("[]", "index: found an array; allowed: an object");
  refuses("3", "index: found 3");
  refuses("\"x\"", "index: found the string \"x\"");
  refuses("null", "index: found null");
  refuses("{}", "weight_map: found nothing");
  refuses("{} x", "text after the object");
  refuses(R"({"weight_map": {}, "weight_map": {}})", "weight_map: found the field twice");
  refuses(R"({"weight_map": {"a": "x", "\u0061": "y"}})", "\"a\": found the tensor twice");
  refuses(R"({"weight_map": []})", "weight_map: found an array");
  refuses(R"({"weight_map": "x"})", "weight_map: found the string \"x\"");
  refuses(R"({"weight_map": {"a": 1}})", "weight_map \"a\": found 1");
  refuses(R"({"weight_map": {"a": ["x"]}})", "weight_map \"a\": found an array");
  refuses(R"({"weight_map": {"a": {"x": "y"}}})", "weight_map \"a\": found an object");
  refuses(R"({"weight_map": null})", "weight_map: found null");
  refuses("{\"weight_map\": {\"\xff\": \"x\"}}", "JSON");
  refuses("{\"x\":" + std::string(100, '[') + std::string(100, ']') + "}", "JSON");
}

TEST(SafetensorsIndex, EveryTruncationIsAFormatError) {
  ShardIndex index;
  index.weight_map = {{"w\xc3\xa9", "x"}, {"b", "y"}};
  index.total_size = 12;
  const auto text = encode_index(index);
  const auto last = text.rfind('}');
  for (std::size_t size = 0; size <= last; ++size) {
    EXPECT_THROW(static_cast<void>(decode_index(text.substr(0, size))), FormatError) << size;
  }
}

TEST(SafetensorsIndex, KnowsTheNamesOfShards) {
  EXPECT_EQ(shard_name("model", 2, 5), "model-00002-of-00005.safetensors");
  const auto shard = parse_shard_name("a-model-00002-of-00015.safetensors");
  ASSERT_TRUE(shard);
  EXPECT_EQ(shard->stem, "a-model");
  EXPECT_EQ(shard->number, 2u);
  EXPECT_EQ(shard->count, 15u);
  for (const auto* name : {"model.safetensors", "model-00002-of-00005.safetensors.index.json",
                           "model-0002-of-00005.safetensors", "model-0000x-of-00005.safetensors",
                           "00002-of-00005.safetensors", "model-00002-of-00005", ".safetensors"}) {
    EXPECT_FALSE(parse_shard_name(name)) << name;
  }
}

TEST(SafetensorsIndex, DamagedTextIsRefusedOrGivesNamesOfFilesBesideTheIndex) {
  ShardIndex index;
  index.weight_map = {{"w\xc3\xa9", "x"}, {"b", "y"}};
  index.total_size = 12;
  const auto text = encode_index(index);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      auto changed = text;
      changed[i] = static_cast<char>(value);
      try {
        for (const auto& [tensor, file] : decode_index(changed).weight_map) {
          EXPECT_EQ(file.find('/'), std::string::npos);
          EXPECT_NE(file, "");
        }
      } catch (const FormatError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, text.size() * 50);
}

}  // namespace
}  // namespace cairn::safetensors
