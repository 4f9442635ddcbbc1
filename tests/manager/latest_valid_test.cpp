// The newest step that is sound, with damaged ones above it.

#include <gmock/gmock.h>

#include <fstream>

#include "manager/restore_samples.h"

namespace cairn::test {
namespace {

using ::testing::HasSubstr;

class LatestValidTest : public RestoreTest {
 protected:
  [[nodiscard]] static Array weights(Step step) {
    return normal_float32({50'000}, static_cast<std::uint64_t>(step));
  }
  /// Steps 1 to `last`.
  static void save(CheckpointManager& manager, Step last) {
    for (Step step = 1; step <= last; ++step)
      ASSERT_TRUE(manager.save(step, Dict{{"w", weights(step)}, {"step", step}}).get());
  }
  void damage_step(Step step) {
    const Array w = weights(step);
    damage(root() + "/" + std::to_string(step), w.bytes().subspan(100'000, 64));
  }
  static Tree saved(Step step) { return Dict{{"w", weights(step)}, {"step", step}}; }
};
CAIRN_ON_EVERY_BACKEND(LatestValidTest);

TEST_P(LatestValidTest, IsTheNewestWhereThatIsSound) {
  CheckpointManager manager(root(), given());
  save(manager, 2);
  LatestValid found = manager.restore_latest_valid().get();
  EXPECT_EQ(found.restored.step(), 2);
  EXPECT_EQ(found.restored.tree(), saved(2));
  EXPECT_TRUE(found.skipped.empty());
  // No roll-back: an older step is skipped, and not an error.
  EXPECT_EQ(manager.save(1, Dict{{"a", 1}}).get().outcome, SaveOutcome::skipped_older_step);
}

TEST_P(LatestValidTest, DamagedStepsAreSkippedAndReported) {
  CheckpointManager manager(root(), given());
  save(manager, 5);
  damage_step(5);                                                       // a chunk
  std::filesystem::remove(root() + "/4/default/manifest.ocdbt");        // the database
  std::ofstream(root() + "/3/default/_METADATA") << R"({"tree_metad)";  // the tree
  LatestValid found = manager.restore_latest_valid().get();
  EXPECT_EQ(found.restored.step(), 2);
  EXPECT_EQ(found.restored.tree(), saved(2));
  ASSERT_EQ(found.skipped.size(), 3u);
  EXPECT_EQ(found.skipped[0].step, 5);
  EXPECT_EQ(found.skipped[0].error.code(), ErrorCode::data_loss);
  EXPECT_EQ(found.skipped[0].error.context().key_path, "w");
  EXPECT_THAT(found.skipped[0].error.what(), HasSubstr("restore step 5"));
  EXPECT_EQ(found.skipped[1].step, 4);
  EXPECT_EQ(found.skipped[2].step, 3);
}

TEST_P(LatestValidTest, AnOlderStepIsARollBack) {
  ManagerOptions options = given();
  CheckpointManager manager(root(), options);
  save(manager, 3);
  damage_step(3);
  EXPECT_EQ(manager.restore_latest_valid().get().restored.step(), 2);
  const Error error = error_of([&] { static_cast<void>(manager.save(3, Dict{{"a", 1}}).get()); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("on_older_step"));
}

TEST_P(LatestValidTest, ArraysAndMemoryOfTheTargetServeEveryAttempt) {
  CheckpointManager writer(root(), given());
  save(writer, 3);
  damage_step(3);
  damage_step(2);
  CheckpointManager manager(root(), given());  // takes items with and without names
  Array memory(DType::float64, {50'000});
  Array own(DType::float32, {50'000});
  const std::byte* const place = own.bytes().data();
  for (const bool composite : {false, true}) {
    Dict target{{"w", std::move(own)}, {"step", 0}};
    args::RestoreArgs args = args::StandardRestore(Tree(std::move(target)));
    if (composite) {
      args::CompositeRestore items;
      items.items.emplace_back("default", std::move(std::get<args::ItemRestore>(args.value)));
      args = std::move(items);
    }
    LatestValid found = manager.restore_latest_valid(std::move(args)).get();
    EXPECT_EQ(found.restored.step(), 1);
    EXPECT_EQ(found.restored.tree(), saved(1));
    ASSERT_TRUE(found.restored.tree().at("w").is<Array>());
    own = std::move(found.restored.tree().at("w").as<Array>());
    EXPECT_EQ(own.bytes().data(), place) << "no array was copied";
  }
  const Dict view{{"w", MutableArrayView(memory)}, {"step", LeafSpec()}};
  EXPECT_EQ(manager.restore_latest_valid(view).get().skipped.size(), 2u);
  EXPECT_EQ(memory, cast_array(weights(1), DType::float64));
}

TEST_P(LatestValidTest, OnlyWhatIsReadCounts) {
  CheckpointManager manager(root(), given());
  save(manager, 2);
  damage_step(2);
  LatestValid found = manager.restore_latest_valid(Dict{{"w", Placeholder()}, {"step", 0}}).get();
  EXPECT_EQ(found.restored.step(), 2);
  EXPECT_TRUE(found.skipped.empty());
}

TEST_P(LatestValidTest, ArgumentsThatAreAtFaultEndIt) {
  CheckpointManager manager(root(), given());
  save(manager, 2);
  Error error = error_of([&] { manager.restore_latest_valid(Dict{{"v", 1}}).get(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("restore step 2"));
  error = error_of([&] { manager.restore_latest_valid(args::LazyRestore()).get(); });
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), HasSubstr("lazy restore reads nothing"));
}

TEST_P(LatestValidTest, WithoutASoundStepItIsTheNewestOnesError) {
  CheckpointManager manager(root(), given());
  EXPECT_EQ(error_of([&] { manager.restore_latest_valid().get(); }).code(), ErrorCode::not_found);
  save(manager, 2);
  damage_step(2);
  damage_step(1);
  const Error error = error_of([&] { manager.restore_latest_valid().get(); });
  EXPECT_EQ(error.code(), ErrorCode::data_loss);
  EXPECT_THAT(error.what(), HasSubstr("none of 2 steps can be restored; the newest, 2: "));
}

TEST_P(LatestValidTest, LooksInAnotherDirectoryWithoutRollingThisOneBack) {
  CheckpointManager manager(root(), given());
  save(manager, 2);
  damage_step(2);
  CheckpointManager other(fresh_root(), given());
  ASSERT_TRUE(other.save(9, Dict{{"a", 1}}).get());
  RestoreOptions there;
  there.directory = root();
  EXPECT_EQ(other.restore_latest_valid({}, there).get().restored.step(), 1);
  EXPECT_EQ(other.save(8, Dict{{"a", 1}}).get().outcome, SaveOutcome::skipped_older_step);
}

}  // namespace
}  // namespace cairn::test
