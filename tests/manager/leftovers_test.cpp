// list_leftovers(): what tools may tell people to remove.

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;

class Leftovers : public test::ManagerTest {
 protected:
  [[nodiscard]] std::vector<Leftover> list() {
    return list_leftovers(options().engine, root()).get();
  }
  void make(const std::string& name) const {
    std::filesystem::create_directories(root() + "/" + name);
  }
};
CAIRN_ON_EVERY_BACKEND(Leftovers);

TEST_P(Leftovers, AreWhatCairnAndOrbaxLeaveOfSteps) {
  make("7.orbax-checkpoint-tmp");
  make("8.orbax-checkpoint-tmp-1700000000");  // Orbax before 0.6
  make("9.orbax-checkpoint-tmp-deleted-0123456789abcdef");
  const std::vector<Leftover> found = list();
  ASSERT_EQ(found.size(), 3u);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].step, static_cast<Step>(7 + i));
    EXPECT_EQ(found[i].deletion, i == 2);
    EXPECT_EQ(found[i].writer, "");
    EXPECT_GT(found[i].modified_ns, 0);
  }
}

TEST_P(Leftovers, MayHaveAnyStandardName) {
  make("00000012.orbax-checkpoint-tmp");
  make("model_12.orbax-checkpoint-tmp");
  const std::vector<Leftover> found = list();
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].step, 12);
  EXPECT_EQ(found[1].step, 12);
}

TEST_P(Leftovers, AreNotWhatSomebodyElseNamedLikeThem) {
  make("0");
  make("backup.orbax-checkpoint-tmp");
  make("7.orbax-checkpoint-tmp.saved");
  make("7.orbax-checkpoint-tmp-deleted-by-me");
  make("my 7.orbax-checkpoint-tmp");
  std::ofstream(root() + "/6.orbax-checkpoint-tmp") << "a file";
  EXPECT_EQ(list().size(), 0u);
}

TEST_P(Leftovers, NameTheWriterOfASaveUnderWay) {
  const auto faults = std::make_shared<FaultPlan>();
  test::EngineSettings settings;
  settings.faults = faults;
  CheckpointManager manager(root(), options(settings));
  faults->hold(FaultPlan::only({IoOp::sync_data}));
  const SaveFuture save = manager.save(3, Dict{{"s", 1}});
  faults->wait_until_held(1);
  const std::vector<Leftover> found = list();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "3.orbax-checkpoint-tmp");
  EXPECT_TRUE(found[0].writer.ends_with("pid " + std::to_string(::getpid()))) << found[0].writer;
  faults->release();
  EXPECT_TRUE(save.get());
  manager.wait_until_finished().get();
  EXPECT_EQ(list().size(), 0u);
}

TEST_P(Leftovers, AreSavesThatHaveTheirStepsNamesToo) {
  const auto faults = std::make_shared<FaultPlan>();
  test::EngineSettings settings;
  settings.faults = faults;
  ManagerOptions by_file = options(settings);
  by_file.atomicity = Atomicity::commit_file;
  CheckpointManager manager(root(), by_file);
  make("2/default");  // a step, perhaps
  faults->hold(FaultPlan::only({IoOp::sync_data}));
  const SaveFuture save = manager.save(3, Dict{{"s", 1}});
  faults->wait_until_held(1);
  const std::vector<Leftover> found = list();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].name, "3");
  EXPECT_EQ(found[0].step, 3);
  EXPECT_FALSE(found[0].deletion);
  EXPECT_TRUE(found[0].writer.ends_with("pid " + std::to_string(::getpid()))) << found[0].writer;
  const auto steps = [this] {
    std::vector<std::string> names;
    for (const StepEntry& step : list_steps(options().engine, root()).get())
      names.push_back(step.name);
    return names;
  };
  EXPECT_EQ(steps(), std::vector<std::string>{"2"});
  faults->release();
  EXPECT_TRUE(save.get());
  EXPECT_EQ(list().size(), 0u);
  EXPECT_EQ(steps(), (std::vector<std::string>{"2", "3"}));
}

TEST_P(Leftovers, OfAMissingRootAreAnError) {
  try {
    static_cast<void>(list());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::not_found);
  }
}

}  // namespace
}  // namespace cairn
