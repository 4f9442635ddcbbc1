#include <cairn/codecs/orbax.h>
#include <codecs/format_error_matcher.h>
#include <codecs/test_data.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

namespace cairn::orbax {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::ThrowsMessage;

KeyPath keys(std::initializer_list<std::string> names) {
  KeyPath path;
  for (const std::string& name : names) path.emplace_back(name, Key::Kind::dict);
  return path;
}

// ---- _CHECKPOINT_METADATA ----

TEST(StepMetadata, OfOrbaxIsReadAndWrittenBackUnchanged) {
  const std::string v0 = read_test_data("orbax/v0_CHECKPOINT_METADATA");
  EXPECT_EQ(encode(decode_step_metadata(v0)), v0);
  // Items come out sorted; all else is as it was.
  const std::string v1 = read_test_data("orbax/v1_CHECKPOINT_METADATA");
  const std::string back = encode(decode_step_metadata(v1));
  EXPECT_EQ(back.size(), v1.size());
  EXPECT_EQ(parse_json(back, "back"), parse_json(v1, "v1"));
}

TEST(StepMetadata, HasWhatOrbaxWrote) {
  const StepMetadata v1 = decode_step_metadata(read_test_data("orbax/v1_CHECKPOINT_METADATA"));
  EXPECT_EQ(v1.item_handlers.size(), 3u);
  EXPECT_THAT(v1.item_handlers.at("state"), HasSubstr("PyTreeHandler"));
  EXPECT_EQ(v1.init_timestamp_ns, 1778718401651849216);
  EXPECT_EQ(v1.commit_timestamp_ns, 1778718403065544708);
  EXPECT_EQ(v1.custom_metadata, (boost::json::object{{"custom", "meta"}}));
  const StepMetadata v0 = decode_step_metadata(read_test_data("orbax/v0_CHECKPOINT_METADATA"));
  EXPECT_THAT(v0.item_handlers, ElementsAre(Pair("", kStandardHandler)));
}

TEST(StepMetadata, MissingAndNullMembersTakeTheirDefaults) {
  for (const char* text :
       {"{}", R"({"item_handlers": null, "metrics": null, "performance_metrics": null,
                  "init_timestamp_nsecs": null, "commit_timestamp_nsecs": null,
                  "custom_metadata": null})"}) {
    const StepMetadata metadata = decode_step_metadata(text);
    EXPECT_THAT(metadata.item_handlers, IsEmpty());
    EXPECT_TRUE(metadata.metrics.empty() && metadata.performance_metrics.empty());
    EXPECT_TRUE(metadata.custom_metadata.empty());
    EXPECT_EQ(metadata.init_timestamp_ns, std::nullopt);
    EXPECT_EQ(metadata.commit_timestamp_ns, std::nullopt);
  }
}

TEST(StepMetadata, AdoptsUnknownMembersOnlyWithoutCustomMetadata) {
  EXPECT_EQ(decode_step_metadata(R"({"mine": 1})").custom_metadata,
            (boost::json::object{{"mine", 1}}));
  EXPECT_EQ(decode_step_metadata(R"({"mine": 1, "custom_metadata": {"a": 2}})").custom_metadata,
            (boost::json::object{{"a", 2}}));
}

TEST(StepMetadata, RefusesMembersOfAnotherType) {
  const auto refused = [](const std::string& text, const std::string& field,
                          const std::string& found, const std::string& allowed) {
    expect_document_error(text, decode_step_metadata, field, found, allowed);
  };
  refused(R"([])", "text", "an array of 0", "an object");
  refused(R"({"item_handlers": 3})", "item_handlers", "3", "an object of strings");
  refused(R"({"item_handlers": {"a": 1}})", "item_handlers/a", "1", "a string");
  refused(R"({"metrics": [1]})", "metrics", "an array of 1", "an object");
  refused(R"({"init_timestamp_nsecs": 1.5})", "init_timestamp_nsecs", "1.5", "nanoseconds");
  refused(R"({"commit_timestamp_nsecs": 18446744073709551615})", "commit_timestamp_nsecs",
          "18446744073709551615", "64-bit");
  refused(R"({"custom_metadata": "x"})", "custom_metadata", "\"x\"", "an object");
}

TEST(StepMetadata, KeepsMetricsThatAreNotFinite) {
  StepMetadata metadata;
  metadata.metrics["loss"] = std::numeric_limits<double>::infinity();
  const std::string text = encode(metadata);
  EXPECT_THAT(text, HasSubstr(R"("metrics": {"loss": Infinity})"));
  EXPECT_EQ(decode_step_metadata(text).metrics, metadata.metrics);
}

// ---- _ROOT_METADATA ----

TEST(RootMetadata, ComesBackAsItWas) {
  RootMetadata metadata;
  metadata.custom_metadata["run"] = "a\xC3\xA9";
  const std::string text = encode(metadata);
  EXPECT_EQ(text, R"({"internal_metadata": {}, "custom_metadata": {"run": "a\u00e9"}})");
  EXPECT_EQ(decode_root_metadata(text).custom_metadata, metadata.custom_metadata);
}

TEST(RootMetadata, OfALegacyFileIsAllCustom) {
  EXPECT_EQ(decode_root_metadata(R"({"version": 1.0, "n": [1]})").custom_metadata,
            (boost::json::object{{"version", 1.0}, {"n", {1}}}));
  expect_document_error(R"({"internal_metadata": 1})", decode_root_metadata, "internal_metadata",
                        "1", "an object");
}

// ---- _METADATA ----

TEST(TreeMetadata, OfOrbaxIsReadAndWrittenBackUnchanged) {
  for (const char* name : {"orbax/v0_METADATA", "orbax/v1_METADATA", "orbax/odd_keys_METADATA"}) {
    const std::string text = read_test_data(name);
    EXPECT_EQ(encode(decode_tree_metadata(text)), text) << name;
  }
}

TEST(TreeMetadata, HasWhatOrbaxWrote) {
  const TreeMetadata v1 = decode_tree_metadata(read_test_data("orbax/v1_METADATA"));
  ASSERT_EQ(v1.entries.size(), 2u);
  EXPECT_EQ(v1.entries[1].path, keys({"b", "c"}));
  EXPECT_EQ(v1.entries[1].type, ValueType::jax_array);
  EXPECT_EQ(v1.entries[1].write_shape, (Shape{3}));
  EXPECT_EQ(v1.use_ocdbt, true);
  EXPECT_TRUE(v1.use_zarr3);
  EXPECT_TRUE(v1.store_array_data_equal_to_fill_value);
  EXPECT_TRUE(v1.custom_metadata.is_null());
}

TEST(TreeMetadata, DefaultsAreThoseOfOldFiles) {
  const TreeMetadata metadata = decode_tree_metadata(R"({"tree_metadata": {}, "later": 1})");
  EXPECT_EQ(metadata.use_ocdbt, std::nullopt);
  EXPECT_FALSE(metadata.use_zarr3);
  EXPECT_FALSE(metadata.store_array_data_equal_to_fill_value);
}

TEST(TreeMetadata, WritesOuterKeysAsPythonDoes) {
  for (const auto& row : read_test_table("python/repr.txt")) {
    TreeMetadata metadata;
    metadata.entries.emplace_back();
    metadata.entries[0].path = keys({from_hex(row.at(0))});
    const std::string text = encode(metadata);
    EXPECT_TRUE(text.starts_with("{\"tree_metadata\": {" + row.at(1) + ": {\"key_metadata\""))
        << text << "\nexpected " << row.at(1);
    EXPECT_EQ(decode_tree_metadata(text).entries, metadata.entries);
  }
}

TEST(TreeMetadata, WritesABareLeafUnderTheEmptyTuple) {
  TreeMetadata metadata;
  metadata.entries.emplace_back();
  const std::string text = encode(metadata);
  EXPECT_THAT(text, HasSubstr(R"j({"tree_metadata": {"()": {"key_metadata": [], )j"));
  EXPECT_EQ(decode_tree_metadata(text).entries, metadata.entries);
}

TEST(TreeMetadata, KeepsEveryKindOfLeafAndItsShape) {
  TreeMetadata metadata;
  for (int type = 0; type <= static_cast<int>(ValueType::empty_named_tuple); ++type) {
    metadata.entries.emplace_back();
    metadata.entries.back().path = {Key("l", Key::Kind::dict),
                                    Key(std::to_string(type), Key::Kind::sequence)};
    metadata.entries.back().type = static_cast<ValueType>(type);
    if (metadata.entries.back().type == ValueType::foreign)
      metadata.entries.back().foreign_type = "my \"own\"";
  }
  metadata.entries[0].write_shape = Shape{};
  metadata.entries[1].write_shape = Shape{2, 0};
  metadata.use_ocdbt = false;
  metadata.custom_metadata = {{"a", {1, 2}}};
  const TreeMetadata back = decode_tree_metadata(encode(metadata));
  EXPECT_EQ(back.entries, metadata.entries);
  EXPECT_EQ(back.use_ocdbt, false);
  EXPECT_EQ(back.custom_metadata, metadata.custom_metadata);
}

TEST(TreeMetadata, EncoderRefusesWhatPythonCouldNotRead) {
  TreeMetadata metadata;
  metadata.custom_metadata = 3;
  EXPECT_THAT([&] { (void)encode(metadata); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("custom_metadata of a tree is 3")));
  metadata.custom_metadata = nullptr;
  metadata.entries.emplace_back();
  metadata.entries[0].path = keys({"\xFF"});
  EXPECT_THAT([&] { (void)encode(metadata); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("not UTF-8")));
}

// One entry, "w", with the given JSON in place of its parts.
std::string one_entry(const std::string& key_metadata, const std::string& value_metadata) {
  return R"j({"tree_metadata": {"('w',)": {"key_metadata": )j" + key_metadata +
         R"(, "value_metadata": )" + value_metadata + "}}}";
}

TEST(TreeMetadata, RefusesDamagedEntriesNamingThem) {
  const std::string good_key = R"([{"key": "w", "key_type": 2}])";
  const std::string good_value = R"({"value_type": "np.ndarray", "skip_deserialize": false})";
  const auto refused = [](const std::string& text, const std::string& field,
                          const std::string& found, const std::string& allowed) {
    expect_document_error(text, decode_tree_metadata, field, found, allowed);
  };
  ASSERT_NO_THROW((void)decode_tree_metadata(one_entry(good_key, good_value)));
  const std::string entry = "tree_metadata/('w',)/";
  refused("{}", "tree_metadata", "nothing", "an object");
  refused(R"({"tree_metadata": []})", "tree_metadata", "an array", "an object");
  refused(R"({"tree_metadata": {"x": 1}})", "tree_metadata/x", "1", "an object");
  refused(R"({"tree_metadata": {}, "use_zarr3": 1})", "use_zarr3", "1", "true or false");
  refused(R"({"tree_metadata": {}, "use_ocdbt": "y"})", "use_ocdbt", "\"y\"", "true or false");
  refused(R"({"tree_metadata": {}, "custom_metadata": 1})", "custom_metadata", "1", "an object");
  refused(one_entry("{}", good_value), entry + "key_metadata", "an object", "an array of keys");
  refused(one_entry("[1]", good_value), "key_metadata[0]", "1", "an object with key");
  refused(one_entry(R"([{"key": 1, "key_type": 2}])", good_value), "key_metadata[0]/key", "1",
          "a string");
  refused(one_entry(R"([{"key": "w"}])", good_value), "key_metadata[0]/key_type", "nothing",
          "1 (sequence) or 2 (dict)");
  refused(one_entry(R"([{"key": "w", "key_type": 3}])", good_value), "key_type", "3",
          "1 (sequence)");
  refused(one_entry(good_key, "1"), entry + "value_metadata", "1", "an object");
  refused(one_entry(good_key, "{}"), "value_metadata/value_type", "nothing", "a string");
  refused(one_entry(good_key, R"({"value_type": "scalar", "skip_deserialize": 0})"),
          "skip_deserialize", "0", "true or false");
  refused(one_entry(good_key, R"({"value_type": "scalar", "skip_deserialize": true})"),
          "skip_deserialize", "true for a scalar", "false");
  refused(one_entry(good_key, R"({"value_type": "jax.Array", "write_shape": 3})"), "write_shape",
          "3", "an array of extents");
  refused(one_entry(good_key, R"({"value_type": "jax.Array", "write_shape": [3, -1]})"),
          "write_shape", "-1", "0 or more");
}

TEST(TreeMetadata, TakesTypesThatSomebodyRegisteredWithOrbaxForForeignOnes) {
  for (const std::string skip :
       {"", R"(, "skip_deserialize": false)", R"(, "skip_deserialize": true)"}) {
    for (const std::string type : {"torch.Tensor", "", "dict"}) {
      const TreeMetadata metadata = decode_tree_metadata(one_entry(
          R"([{"key": "w", "key_type": 2}])", R"({"value_type": ")" + type + '"' + skip + '}'));
      ASSERT_EQ(metadata.entries.size(), 1u);
      EXPECT_EQ(metadata.entries[0].type, ValueType::foreign);
      EXPECT_EQ(metadata.entries[0].foreign_type, type);
      EXPECT_EQ(metadata.entries[0].path, keys({"w"}));
    }
  }
  EXPECT_FALSE(is_empty(ValueType::foreign));
}

TEST(TreeMetadata, RefusesEntriesThatAreNotOneTree) {
  const auto refused = [](std::vector<KeyPath> paths, const std::string& field,
                          const std::string& found) {
    TreeMetadata metadata;
    for (KeyPath& path : paths) {
      metadata.entries.emplace_back();
      metadata.entries.back().path = std::move(path);
    }
    const std::string text = encode(metadata);
    expect_document_error(text, decode_tree_metadata, field, found, "");
  };
  const auto element = [](const std::string& index) {
    return KeyPath{Key("l", Key::Kind::dict), Key(index, Key::Kind::sequence)};
  };
  refused({keys({"a", "b"}), keys({"a", "b"})}, "tree_metadata/('a', 'b')", "twice");
  refused({keys({"a"}), keys({"a", "b"})}, "entry a/b", "through the leaf a");
  refused({element("0"), element("2")}, "sequence l", "\"2\" among 2");
  refused({element("0"), keys({"l", "x"})}, "entry l/x", "sequence and dict keys");
  // The outer keys differ, but the paths, which are what counts, do not.
  const std::string entry = R"(: {"key_metadata": [{"key": "a", "key_type": 2}], )"
                            R"("value_metadata": {"value_type": "None"}})";
  expect_document_error("{\"tree_metadata\": {\"x\"" + entry + ", \"y\"" + entry + "}}",
                        decode_tree_metadata, "entry a", "twice", "once");
}

TEST(TreeMetadata, IsReadAndWrittenInTimeForAHundredThousandLeaves) {
  TreeMetadata metadata;
  constexpr int kLeaves = 100'000;
  for (int i = 0; i < kLeaves; ++i) {
    metadata.entries.emplace_back();
    metadata.entries.back().path =
        keys({"params", "layer_" + std::to_string(i / 10), "kernel_" + std::to_string(i % 10)});
  }
  EXPECT_EQ(decode_tree_metadata(encode(metadata)).entries, metadata.entries);
}

TEST(ValueType, OfANodeIsOrbaxsName) {
  const Array array;
  EXPECT_EQ(value_type_of(array), ValueType::np_ndarray);
  EXPECT_EQ(value_type_of(ArrayView(array)), ValueType::np_ndarray);
  EXPECT_EQ(value_type_of(Leaf(DType::int8, {0}, std::vector<LeafPart>())), ValueType::np_ndarray);
  for (const Tree& number : {Tree(1), Tree(1u), Tree(1.5), Tree(true)}) {
    EXPECT_EQ(value_type_of(number), ValueType::scalar);
  }
  EXPECT_EQ(value_type_of("text"), ValueType::string);
  EXPECT_EQ(value_type_of(Null()), ValueType::none);
  EXPECT_EQ(value_type_of(Dict()), ValueType::empty_dict);
  EXPECT_EQ(value_type_of(List()), ValueType::empty_list);
  EXPECT_EQ(value_type_of(Tuple()), ValueType::empty_tuple);
  EXPECT_THAT([] { (void)value_type_of(List{1}); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("a list of 1 is no leaf")));
  EXPECT_THAT([] { (void)value_type_of(Tree(Placeholder())); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("a leaf spec (placeholder)")));
  EXPECT_FALSE(is_empty(ValueType::string));
  EXPECT_TRUE(is_empty(ValueType::none) && is_empty(ValueType::empty_named_tuple));
}

// ---- names ----

TEST(StepFromName, TakesPlainNumbersAlone) {
  EXPECT_EQ(step_from_name("0"), 0);
  EXPECT_EQ(step_from_name("1200"), 1200);
  EXPECT_EQ(step_from_name("9223372036854775807"), std::numeric_limits<std::int64_t>::max());
  for (const char* name : {"", "00", "007", "-1", "+1", " 1", "1 ", "1.0", "0x1", "step_1",
                           "9223372036854775808", "10.orbax-checkpoint-tmp", "\xD9\xA1"}) {
    EXPECT_EQ(step_from_name(name), std::nullopt) << name;
  }
}

TEST(IsTemporaryName, KnowsOrbaxsNames) {
  EXPECT_TRUE(is_temporary_name("10.orbax-checkpoint-tmp"));
  EXPECT_TRUE(is_temporary_name("10.orbax-checkpoint-tmp-1700000000"));
  EXPECT_TRUE(is_temporary_name("default.orbax-checkpoint-tmp-deleted-3f"));
  EXPECT_FALSE(is_temporary_name("10"));
  EXPECT_FALSE(is_temporary_name("10.tmp"));
}

}  // namespace
}  // namespace cairn::orbax
