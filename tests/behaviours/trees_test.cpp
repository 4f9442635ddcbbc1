// Behaviours: what trees may hold, and what comes back.

#include "behaviours/behaviour.h"

namespace cairn {
namespace {

using ::testing::HasSubstr;

// test_multiple_items
CAIRN_BEHAVIOUR(B032);
TEST_P(B032, ItemsOfEveryTypeAreRestoredByName) {
  CheckpointManager manager(root(), given());
  Array array(DType::int32, {4});
  array.values<std::int32_t>()[2] = 5;
  args::Composite items;
  items.add("params", args::StandardSave(Tree(state(1))));
  items.add("arr", args::ArraySave(array));
  items.add("meta", args::JsonSave(boost::json::object{{"a", 1}, {"b", "two"}}));
  EXPECT_TRUE(manager.save(0, items).get());
  Restored restored = manager.restore(0).get();
  EXPECT_EQ(restored.tree("params"), Tree(state(1)));
  EXPECT_EQ(restored.array("arr"), array);
  EXPECT_THAT(manager.item_metadata(0).get().at("arr")->handler, HasSubstr("Array"));
  EXPECT_EQ(restored.json("meta").at("b"), "two");
}

// test_no_restore_args
CAIRN_BEHAVIOUR(B092);
TEST_P(B092, NoArgumentsAndAnEmptyCompositeAreTheSame) {
  CheckpointManager manager(root(), given());
  args::Composite items;
  items.add("params", args::StandardSave(Tree(state(0))));
  items.add("meta", args::JsonSave(boost::json::object{{"a", 1}}));
  EXPECT_TRUE(manager.save(0, items).get());
  Restored nothing = manager.restore(0).get();
  Restored empty = manager.restore(0, args::CompositeRestore()).get();
  ASSERT_EQ(nothing.items().size(), 2u);
  ASSERT_EQ(empty.items().size(), 2u);
  EXPECT_EQ(nothing.tree("params"), empty.tree("params"));
  EXPECT_EQ(nothing.json("meta"), empty.json("meta"));
}

// test_save_unsupported_type
CAIRN_BEHAVIOUR(B106);
TEST_P(B106, AStandardSaveRefusesStrings) {
  CheckpointManager manager(root(), given());
  const Dict tree{{"a", Tree(1)}, {"name", Tree("text")}};
  const Error error = error_of([&] { static_cast<void>(manager.save(0, tree).get()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().key_path, "name");
  EXPECT_THAT(error.what(), HasSubstr("string"));
  EXPECT_EQ(manager.all_steps(true), Steps());
}
TEST_P(B106, AStandardRestoreRefusesStringsInItsTarget) {
  CheckpointManager manager(root(), given());
  EXPECT_TRUE(manager.save(0, args::PyTreeSave(Dict{{"a", 1}, {"name", "text"}})).get());
  const Dict target{{"a", 0}, {"name", ""}};
  const Error error = error_of([&] { static_cast<void>(manager.restore(0, target).get()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(error.context().key_path, "name");
  EXPECT_THAT(error.what(), HasSubstr("string"));
}

// test_empty_dict_node, test_empty_none_node, test_empty_error
CAIRN_BEHAVIOUR(B109);
TEST_P(B109, EmptyNodesComeBackAndAnEmptyTreeIsRefused) {
  CheckpointManager manager(root(), given());
  const Tree dict(Dict{{"a", Tree(Dict())}, {"b", Tree(3)}});
  EXPECT_TRUE(manager.save(0, dict).get());
  EXPECT_EQ(manager.restore(0).get().tree(), dict);
  const Tree null(Dict{{"c", Tree(Null())}, {"d", Tree(2)}});
  EXPECT_TRUE(manager.save(1, null).get());
  EXPECT_EQ(manager.restore(1).get().tree(), null);
  const Error error = error_of([&] { static_cast<void>(manager.save(2, Dict()).get()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
}

// test_save_keys_with_slashes
CAIRN_BEHAVIOUR(B112);
TEST_P(B112, KeysMayHoldSlashesInEveryLayout) {
  const Dict tree{{"a/b", Tree(Array(DType::float32, {3}))}, {"c", Tree(Dict{{"d/e", Tree(1)}})}};
  for (const Layout layout :
       {Layout::ocdbt_zarr3, Layout::ocdbt_zarr2, Layout::zarr3, Layout::zarr2}) {
    ManagerOptions options = given();
    options.layout = layout;
    CheckpointManager manager(root() + "/" + std::to_string(static_cast<int>(layout)), options);
    EXPECT_TRUE(manager.save(0, tree).get());
    EXPECT_EQ(manager.restore(0).get().tree(), Tree(tree));
  }
}

// test_save_strings
CAIRN_BEHAVIOUR(B113);
TEST_P(B113, StringsAreInOneFileUnderFlatKeys) {
  CheckpointManager manager(root(), given());
  const Tree tree(Dict{{"a", Tree(Dict{{"b", Tree("x")}, {"n", Tree(1)}})},
                       {"list", Tree(List{Tree("y"), Tree("z")})}});
  EXPECT_TRUE(manager.save(0, args::PyTreeSave(tree)).get());
  std::ifstream file(root() + "/0/default/_strings.json");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}),
            R"({"a.b":"x","list.0":"y","list.1":"z"})");
  EXPECT_EQ(manager.restore(0).get().tree(), tree);
}

}  // namespace
}  // namespace cairn
