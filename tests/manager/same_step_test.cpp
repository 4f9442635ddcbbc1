// Several saves of one step under way, each to replace the one before.

#include "support/manager_fixture.h"
#include "support/policy_samples.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;

class SameStep : public test::ManagerTest {
 protected:
  SameStep() : manager_(root(), faulty()) {
    faults_->hold(FaultPlan::only({IoOp::write}));
    first_ = save(1, 5);
    faults_->wait_until_held(1);
    second_ = save(2, 3);
  }

  ManagerOptions faulty() {
    test::EngineSettings settings;
    settings.faults = faults_;
    ManagerOptions options = this->options(settings);
    options.best_fn = test::loss_of;
    return options;
  }
  SaveFuture save(std::int64_t value, double loss) {
    SaveOptions save;
    save.overwrite = true;
    save.metrics = test::metric("loss", loss);
    return manager_.save(0, state(value), save);
  }
  void save_another() {
    SaveOptions save;
    save.metrics = test::metric("loss", 4);
    EXPECT_TRUE(manager_.save(1, state(0), save).get());
  }

  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  CheckpointManager manager_;
  std::optional<SaveFuture> first_;
  std::optional<SaveFuture> second_;
};
CAIRN_ON_EVERY_BACKEND(SameStep);

TEST_P(SameStep, IsListedWhileTheOtherFails) {
  first_->cancel();
  faults_->release();
  EXPECT_EQ(error_of(*first_).code(), ErrorCode::cancelled);
  EXPECT_TRUE(second_->get());
  EXPECT_EQ(manager_.all_steps(), (std::vector<Step>{0}));
}

TEST_P(SameStep, IsBeingSavedUntilBothAreOver) {
  second_->cancel();
  EXPECT_EQ(error_of(*second_).code(), ErrorCode::cancelled);
  EXPECT_EQ(manager_.all_steps(), (std::vector<Step>{0}));
  EXPECT_EQ(error_of(manager_.delete_step(0)).code(), ErrorCode::busy);
  faults_->release();
  EXPECT_TRUE(first_->get());
}

TEST_P(SameStep, HasTheMetricsOfTheLastOne) {
  faults_->release();
  EXPECT_TRUE(first_->get());
  EXPECT_TRUE(second_->get());
  save_another();
  EXPECT_EQ(manager_.best_step(), 1) << "4 is more than 3";
  manager_.delete_step(1).get();
  EXPECT_EQ(manager_.best_step(), 0) << "its metrics are not lost";
}

TEST_P(SameStep, HasItsOwnMetricsWhereTheOtherFails) {
  second_->cancel();
  EXPECT_EQ(error_of(*second_).code(), ErrorCode::cancelled);
  faults_->release();
  EXPECT_TRUE(first_->get());
  save_another();
  EXPECT_EQ(manager_.best_step(), 0) << "5 is more than 4";
}

}  // namespace
}  // namespace cairn
