// Behaviours: which handler an item has, and what is said of items without reading them.

#include "behaviours/behaviour.h"

namespace cairn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Key;
using ::testing::Pair;

/// A handler of the user's: the lines of a data set's state.
struct DatasetSave {
  std::string text;
};
struct DatasetRestore {};
class DatasetHandler final : public Handler<DatasetSave, DatasetRestore, std::string> {
 public:
  [[nodiscard]] std::string_view name() const override { return "tests.DatasetHandler"; }
  [[nodiscard]] ItemFiles encode(const DatasetSave& args) const override {
    return {{"state.txt", args.text}};
  }
  [[nodiscard]] std::string decode(const ItemFiles& files, const DatasetRestore&) const override {
    return files.at("state.txt");
  }
};

// test_checkpoint_args_mismatch_item_handlers
CAIRN_BEHAVIOUR(B041);
TEST_P(B041, AnItemWithAHandlerTakesNoOthersArguments) {
  ManagerOptions several = given();
  several.handlers.add("a", handlers::pytree()).add("b", handlers::pytree());
  CheckpointManager composite(root() + "/several", several);
  const Error of_item = error_of([&] {
    args::Composite items{{"a", args::PyTreeSave(state(0))}, {"b", args::StandardSave(state(0))}};
    static_cast<void>(composite.save(0, std::move(items)).get());
  });
  EXPECT_EQ(of_item.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(of_item.context().item, "b");
  EXPECT_THAT(of_item.what(), HasSubstr("cairn::args::StandardSave"));
  EXPECT_THAT(of_item.what(), HasSubstr("PyTreeCheckpointHandler (cairn::args::PyTreeSave)"));
  EXPECT_EQ(composite.all_steps(true), Steps());

  ManagerOptions single = given();
  single.handlers.add("default", handlers::pytree());
  CheckpointManager manager(root() + "/single", single);
  const Error of_default =
      error_of([&] { static_cast<void>(manager.save(0, args::StandardSave(state(0))).get()); });
  EXPECT_EQ(of_default.code(), ErrorCode::invalid_argument);
  EXPECT_EQ(of_default.context().item, "default");
  EXPECT_TRUE(manager.save(0, args::PyTreeSave(state(0))).get());
}

// test_default_item_metadata_with_new_checkpoint_manager
CAIRN_BEHAVIOUR(B043);
TEST_P(B043, ANewManagerTellsNameDirectoryAndDtype) {
  {
    CheckpointManager writer(root(), given());
    EXPECT_TRUE(writer.save(0, Dict{{"a", Tree(1)}, {"b", Tree(2)}}).get());
  }
  CheckpointManager manager(root(), given());
  const ItemsMetadata items = manager.item_metadata(0).get();
  const ItemMetadata& item = items.only();
  EXPECT_EQ(item.name, "default");
  EXPECT_EQ(item.directory, root() + "/0/default");
  ASSERT_TRUE(item.tree);
  EXPECT_EQ(*item.tree, Tree(Dict{{"a", Tree(LeafSpec(DType::int64, {}))},
                                  {"b", Tree(LeafSpec(DType::int64, {}))}}));
  ASSERT_EQ(item.leaves.size(), 2u);
  EXPECT_EQ(item.leaves[0].key_path, "a");
  EXPECT_EQ(item.leaves[0].kind, "scalar");
  EXPECT_EQ(item.bytes, 16u);
}

// test_multi_item_mode_with_handler_registry
CAIRN_BEHAVIOUR(B061);
TEST_P(B061, AnItemThatTheRegistryDoesNotNameFindsItsHandler) {
  ManagerOptions options = given();
  options.handlers.add("dataset", std::make_shared<DatasetHandler>());
  {
    CheckpointManager manager(root(), options);
    args::Composite items{{"state", args::StandardSave(state(7))},
                          {"dataset", DatasetSave{"shard 3"}}};
    EXPECT_TRUE(manager.save(0, std::move(items)).get());
    Restored both = manager.restore(0).get();
    EXPECT_EQ(both.tree("state"), Tree(state(7)));
    EXPECT_EQ(both.get<std::string>("dataset"), "shard 3");
  }
  CheckpointManager again(root(), options);
  Restored named = again
                       .restore(0, args::CompositeRestore{{"state", args::StandardRestore()},
                                                          {"dataset", DatasetRestore()}})
                       .get();
  EXPECT_EQ(named.tree("state"), Tree(state(7)));
  EXPECT_EQ(named.get<std::string>("dataset"), "shard 3");
}

// test_item_metadata_access_with_no_handlers
CAIRN_BEHAVIOUR(B068);
TEST_P(B068, EveryItemIsListedWhateverReadsIt) {
  ManagerOptions options = given();
  options.handlers.add("dataset", std::make_shared<DatasetHandler>());
  {
    CheckpointManager writer(root(), options);
    args::Composite items{{"params", args::StandardSave(state(1))},
                          {"dataset", DatasetSave{"x"}},
                          {"notes", args::JsonSave(boost::json::object{{"a", 1}})}};
    SaveOptions with_metrics;
    with_metrics.metrics = loss(0.5);
    EXPECT_TRUE(writer.save(0, std::move(items), with_metrics).get());
  }
  CheckpointManager manager(root(), given());
  const ItemsMetadata items = manager.item_metadata(0).get();
  EXPECT_THAT(items.items(), ElementsAre(Key("dataset"), Key("notes"), Key("params")));
  EXPECT_FALSE(items.at("dataset"));
  ASSERT_TRUE(items.at("params"));
  EXPECT_EQ(items.at("params")->tree->at("w"), Tree(LeafSpec(DType::float32, {3, 5})));
  const StepMetadata step = manager.metadata(0).get();
  EXPECT_THAT(step.item_handlers, ::testing::Contains(Pair("dataset", "tests.DatasetHandler")));
  EXPECT_EQ(step.metrics, loss(0.5));
  EXPECT_GT(step.commit_timestamp_ns.value_or(0), 0);
}

// test_no_restore_args_with_step_metadata
CAIRN_BEHAVIOUR(B094);
TEST_P(B094, WithoutArgumentsTheMetadataMustNameAKnownHandler) {
  ManagerOptions options = given();
  options.handlers.add(std::make_shared<DatasetHandler>());
  {
    CheckpointManager writer(root(), options);
    args::Composite items{{"state", args::StandardSave(state(1))}, {"data", DatasetSave{"x"}}};
    EXPECT_TRUE(writer.save(0, std::move(items)).get());
  }
  CheckpointManager stranger(root(), given());
  const Error unknown = error_of([&] { static_cast<void>(stranger.restore(0).get()); });
  EXPECT_EQ(unknown.code(), ErrorCode::not_supported);
  EXPECT_EQ(unknown.context().item, "data");
  EXPECT_THAT(unknown.what(), HasSubstr("tests.DatasetHandler"));
  EXPECT_THAT(unknown.what(), HasSubstr("ManagerOptions::handlers"));

  const std::string file = root() + "/0/_CHECKPOINT_METADATA";
  std::filesystem::rename(file, root() + "/aside");
  CheckpointManager manager(root(), options);
  const Error unnamed = error_of([&] { static_cast<void>(manager.restore(0).get()); });
  EXPECT_EQ(unnamed.code(), ErrorCode::not_supported);
  EXPECT_EQ(unnamed.context().item, "data");
  std::filesystem::rename(root() + "/aside", file);
  EXPECT_EQ(manager.restore(0).get().get<std::string>("data"), "x");
}

// test_metadata_with_missing_metadata_file
CAIRN_BEHAVIOUR(B095);
TEST_P(B095, AnItemThatIsNoTreeHasNoMetadata) {
  {
    CheckpointManager writer(root(), given());
    args::Composite items{{"params", args::StandardSave(state(1))},
                          {"other", args::StandardSave(state(2))}};
    EXPECT_TRUE(writer.save(0, std::move(items)).get());
  }
  std::filesystem::remove_all(root() + "/0/other");
  make_directory("0/other");
  write_text("0/other/unrelated.bin", "x");
  CheckpointManager manager(root(), given());
  const ItemsMetadata items = manager.item_metadata(0).get();
  EXPECT_FALSE(items.at("other"));
  ASSERT_TRUE(items.at("params"));
  EXPECT_TRUE(items.at("params")->tree);
}

}  // namespace
}  // namespace cairn
