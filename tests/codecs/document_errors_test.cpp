// Where errors of JSON documents say that they are, and documents that were cut off.

#include <cairn/codecs/orbax.h>
#include <cairn/codecs/safetensors.h>
#include <cairn/codecs/zarr.h>
#include <codecs/format_error_matcher.h>
#include <codecs/test_data.h>
#include <gtest/gtest.h>

namespace cairn {
namespace {

void read_zarr_json(const std::string& text) {
  (void)zarr::decode_metadata(text);
}
void read_zarray(const std::string& text) {
  (void)zarr::decode_v2_metadata(text);
}
void read_tree(const std::string& text) {
  (void)orbax::decode_tree_metadata(text);
}
void read_step(const std::string& text) {
  (void)orbax::decode_step_metadata(text);
}
void read_root(const std::string& text) {
  (void)orbax::decode_root_metadata(text);
}
/// Asks for the leaf "a/b".
void read_strings(const std::string& text) {
  (void)orbax::find_string(orbax::parse_json(text, orbax::kStringsFile), "a/b", text);
}
void read_header(const std::string& text) {
  (void)safetensors::decode_header(text, 8 + text.size());
}
void read_index(const std::string& text) {
  (void)safetensors::decode_index(text);
}

/// `text` has a '@' where its error should be; the document is without it.
template <class Read>
void expect_error_at(std::string text, const Read& read, const std::string& field) {
  const std::size_t at = text.find('@');
  ASSERT_NE(at, text.npos);
  text.erase(at, 1);
  try {
    read(text);
    ADD_FAILURE() << "accepted: " << text;
  } catch (const FormatError& error) {
    EXPECT_EQ(error.field(), field);
    EXPECT_EQ(error.offset(), at) << error.what() << " in " << text;
  }
}

std::string zarr_json(const std::string& from, const std::string& to) {
  std::string text = R"( {"attributes": {"\"}, {[": [NaN, -Infinity, -1e5, true], "\\": {}},
    "zarr_format": 3, "node_type": "array", "data_type": "complex64", "shape": [4, 6],
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 3]}},
    "chunk_key_encoding": {"name": "default"}, "fill_value": [0.0, 1.0],
    "codecs": [{"name": "bytes", "configuration": {"endian": "little"}},
               {"name": "gzip", "configuration": {"level": 1}}]})";
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(DocumentErrors, OfZarrJsonAreAtTheValue) {
  const auto expect = [](const std::string& from, const std::string& to, const std::string& field) {
    expect_error_at(zarr_json(from, to), read_zarr_json, field);
  };
  expect("3,", "@2,", "zarr_format");
  expect("6]", "@-6]", "shape[1]");
  expect("3]", "@0]", "chunk_grid/configuration/chunk_shape[1]");
  expect("[2, 3]", "@[2]", "chunk_grid/configuration/chunk_shape");
  expect("\"regular\"", "@\"odd\"", "chunk_grid/name");
  expect("{\"level\": 1}", "{\"level\": @10}", "codecs[1]/configuration/level");
  expect("{\"level\": 1}", "{\"level\": 1, \"a/b[0]\" : @[]}", "codecs[1]/configuration/a/b[0]");
  // A rule of the whole chain.
  expect("\"gzip\", \"configuration\": {\"level\": 1}",
         "@\"bytes\", \"configuration\": {\"endian\": \"big\"}", "codecs[1]/name");
}

TEST(DocumentErrors, OfElementsAreAtTheElement) {
  const auto expect = [](const std::string& from, const std::string& to, const std::string& field) {
    expect_error_at(zarr_json(from, to), read_zarr_json, field);
  };
  expect("1.0]", "@\"x\"]", "fill_value[1]");
  expect("[0.0, 1.0]", "@[0.0]", "fill_value");
  expect("{\"name\": \"gzip\"", "@3, {\"name\": \"gzip\"", "codecs[1]");
  expect("{\"name\": \"bytes\"",
         R"({"name": "transpose", "configuration": {"order": [0, @-1]}}, {"name": "bytes")",
         "codecs[0]/configuration/order[1]");
}

TEST(DocumentErrors, OfWhatIsMissingAreAtTheObjectThatLacksIt) {
  const auto expect = [](const std::string& from, const std::string& to, const std::string& field) {
    expect_error_at(zarr_json(from, to), read_zarr_json, field);
  };
  std::string no_format = zarr_json("\"zarr_format\": 3,", "");
  expect_error_at(no_format.insert(no_format.find('{'), "@"), read_zarr_json, "zarr_format");
  expect("{\"level\": 1}", "@{}", "codecs[1]/configuration/level");
  expect("{\"name\": \"gzip\",", "@{", "codecs[1]/name");
  expect("{\"name\": \"bytes\", \"configuration\": {\"endian\": \"little\"}}",
         "@{\"name\": \"bytes\"}", "codecs[0]/configuration/endian");
}

TEST(DocumentErrors, OfAMemberGivenTwiceAreAtItsSecondName) {
  expect_error_at(zarr_json("\"shape\"", "\"shape\": [], @\"shape\""), read_zarr_json, "shape");
  expect_error_at(zarr_json("\"level\": 1", "\"level\": 1, @\"l\\u0065vel\": 1"), read_zarr_json,
                  "codecs[1]/configuration/level");
  expect_error_at(R"({"a": [NaN, "\"", {"k": {"d": Infinity, @"d": 2, "d": 3}}]})", read_root,
                  "a[2]/k/d");
  expect_error_at(R"({"a": [NaN, {@NaN: 1}]})", read_step, "a[1]/N");
}

TEST(DocumentErrors, OfZarrayAreAtTheValue) {
  const auto expect = [](const std::string& from, const std::string& to, const std::string& field) {
    std::string text = R"({"chunks":[2,3],"compressor":{"id":"zstd","level":1},"dtype":"<f4",)"
                       R"("fill_value":"NaN","order":"C","shape":[4,6],"zarr_format":2})";
    expect_error_at(text.replace(text.find(from), from.size(), to), read_zarray, field);
  };
  expect(":2}", ":@3}", "zarr_format");
  expect("3]", "@0]", "chunks[1]");
  expect("1}", "@2.5}", "compressor/level");
  expect("{\"id\":\"zstd\",", "@{", "compressor/id");
  expect("\"<f4\"", "@[]", "dtype");
  expect("\"NaN\"", "@\"nan\"", "fill_value");
  expect("{\"chunks\":[2,3],", "@{", "chunks");
  expect("\"order\"", "@\"chunks\":0,\"order\"", "chunks");
}

TEST(DocumentErrors, OfTreeMetadataAreAtTheValue) {
  const std::string entry =
      R"({"key_metadata": [{"key": "w", "key_type": 2}, {"key": "0", "key_type": 1}],)"
      R"( "value_metadata": {"value_type": "scalar", "write_shape": [3, 4]}})";
  const auto expect = [&](const std::string& from, const std::string& to,
                          const std::string& field) {
    std::string text = R"({"tree_metadata": {"w/0": )" + entry + R"(}, "use_zarr3": true})";
    expect_error_at(text.replace(text.find(from), from.size(), to), read_tree, field);
  };
  const std::string name = "tree_metadata/w/0/";
  expect("true", "@1", "use_zarr3");
  expect("1}", "@3}", name + "key_metadata[1]/key_type");
  expect("{\"key\": \"0\", ", "@{", name + "key_metadata[1]/key");
  expect("4]", "@-4]", name + "value_metadata/write_shape[1]");
  expect("\"scalar\"", "@null", name + "value_metadata/value_type");
  expect(entry, "@[]", "tree_metadata/w/0");
  expect("{\"tree_metadata\"", "@{\"tree\"", "tree_metadata");
  // What is wrong with the tree is at the entry that does not fit, or at the tree.
  expect(entry, entry + ", \"other\": @" + entry, "entry w[0]");
  expect("{\"w/0\": " + entry, "@{\"w/0\": " + std::string(entry).replace(entry.find("0"), 1, "1"),
         "sequence w");
}

TEST(DocumentErrors, OfStepAndRootMetadataAreAtTheValue) {
  expect_error_at(R"( @[])", read_step, "text");
  expect_error_at(R"({"item_handlers": {"a": "", "b": @1}})", read_step, "item_handlers/b");
  expect_error_at(R"({"item_handlers": {"a/b": @{}, "a": {"b": ""}}})", read_step,
                  "item_handlers/a/b");
  expect_error_at(R"({"mine": "]}", "metrics": @[{}]})", read_step, "metrics");
  expect_error_at(R"({"metrics": {}, @"metrics": {}})", read_step, "metrics");
  expect_error_at(R"({"a": {"internal_metadata": 1}, "internal_metadata": @1})", read_root,
                  "internal_metadata");
  expect_error_at(R"(@"x")", read_root, "text");
}

TEST(DocumentErrors, OfStringsAreAtWhatIsNone) {
  expect_error_at(R"({"b": "x", "a": {"\"": 1, "b": @5}})", read_strings, "a/b");
  expect_error_at(R"({"a": {"b": @{"c": "x"}}})", read_strings, "a/b");
  expect_error_at(R"({"a": {"b": "", @"b": ""}})", read_strings, "a/b");
}

TEST(DocumentErrors, OfSafetensorsAreAtTheValue) {
  const auto expect = [](const std::string& text, const std::string& field) {
    expect_error_at(text, read_header, field);
  };
  const std::string rest = R"("shape":[0],"data_offsets":[0,0]})";
  expect(R"({"__metadata__":{"\"{":"x"},"a":@[]})", "\"a\"");
  expect(R"({"__metadata__":{"x":@1}})", "__metadata__ \"x\"");
  expect(R"({"a":{"dtype":@"F128",)" + rest + "}", "tensor \"a\": dtype");
  expect(R"({"a":@{)" + rest + "}", "tensor \"a\": dtype");
  expect(R"({"a":{"dtype":"U8","shape":[2,@-1]}})", "tensor \"a\": shape");
  expect(R"({"a":{"dtype":"U8","data_offsets":@[0,1,2]}})", "tensor \"a\": data_offsets");
  expect(R"({"a":{"dtype":"U8",)" + rest + R"(,@"a":{"dtype":"U8",)" + rest + "}", "tensor \"a\"");
  expect(R"({"a":{"dtype":"U8","shape":[0],@"shape":[0]}})", "tensor \"a\": shape");
  // These are found when all tensors are known.
  expect(
      R"({"b":{"dtype":"U8","shape":[2],"data_offsets": @[0,3]},"a":{"dtype":"U8",)" + rest + "}",
      "tensor \"b\": data_offsets");
  expect(R"({"data_offsets":{"dtype":"F4","data_offsets":[0,0],"shape":@[3]}})",
         "tensor \"data_offsets\": shape");
  expect("@[]", "header");
  expect("@ {}", "header");
  expect("@}{", "header");
}

TEST(DocumentErrors, OfTheSafetensorsIndexAreAtTheValue) {
  expect_error_at(R"({"other":[1,{}],"weight_map":{"a":"x","b":@"../x"}})", read_index,
                  "weight_map \"b\"");
  expect_error_at(R"({"weight_map":{"a":"x",@"a":"x"}})", read_index, "weight_map \"a\"");
  expect_error_at(R"({"weight_map":@[]})", read_index, "weight_map");
  expect_error_at(R"( @{"a":{"weight_map":{}}} )", read_index, "weight_map");
  expect_error_at(" @3", read_index, "index");
}

template <class Read>
void expect_prefixes_refused(std::string text, const Read& read) {
  text.resize(text.find_last_not_of(" \t\r\n") + 1);
  ASSERT_FALSE(text.empty());
  ASSERT_NO_THROW(read(text));
  for (std::size_t size = 0; size < text.size(); ++size) {
    try {
      read(text.substr(0, size));
      ADD_FAILURE() << "accepted: the first " << size << " bytes of " << text;
    } catch (const FormatError& error) {
      ASSERT_TRUE(error.offset()) << size << " bytes: " << error.what();
      EXPECT_LE(*error.offset(), size) << error.what();
    }
  }
}

TEST(DocumentErrors, TellOfEveryZarrJsonThatIsCutOff) {
  expect_prefixes_refused(zarr_json("3", "3"), read_zarr_json);
  expect_prefixes_refused(read_test_table("zarr/tensorstore.txt").at(0).at(2), read_zarr_json);
}

TEST(DocumentErrors, TellOfEveryZarrayThatIsCutOff) {
  expect_prefixes_refused(read_test_table("zarr/tensorstore_v2.txt").at(0).at(2), read_zarray);
}

TEST(DocumentErrors, TellOfAllMetadataOfOrbaxThatAreCutOff) {
  expect_prefixes_refused(read_test_data("orbax/v1_METADATA"), read_tree);
  expect_prefixes_refused(read_test_data("orbax/odd_keys_METADATA"), read_tree);
  expect_prefixes_refused(read_test_data("orbax/v1_CHECKPOINT_METADATA"), read_step);
  expect_prefixes_refused(R"({"internal_metadata": {}, "custom_metadata": {"loss": -Infinity}})",
                          read_root);
}

TEST(DocumentErrors, TellOfEveryFileOfStringsThatIsCutOff) {
  expect_prefixes_refused(read_test_data("orbax/strings.json"), read_strings);
}

}  // namespace
}  // namespace cairn
