// What becomes of the user's own rules: when they throw, wait or warn; and what deletions by rule
// are told from.

#include <boost/asio/post.hpp>
#include <functional>

#include "behaviours/behaviour.h"
#include "support/log_records.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using test::LogRecords;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// ---- functions of the user's --------------------------------------------------------------------

CAIRN_BEHAVIOUR(UserRules);
TEST_P(UserRules, OneThatThrowsIsNamedAndTheNextSaveWorks) {
  ManagerOptions options = given();
  bool broken = true;
  options.should_save_fn = [&broken](Step, std::optional<Step>) {
    if (broken) throw std::runtime_error("no such epoch");
    return true;
  };
  CheckpointManager manager(root(), options);
  const Error error = error_of(manager.save(0, state(0)));
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("no such epoch"), HasSubstr("should_save_fn")));
  EXPECT_EQ(error_of([&] { static_cast<void>(manager.should_save(0)); }).code(),
            ErrorCode::invalid_argument);
  broken = false;
  EXPECT_TRUE(save(manager, 0));
}
TEST_P(UserRules, ACallbackThatThrowsIsNamedAndNothingIsCommitted) {
  ManagerOptions options = given();
  options.post_finalization_callback = [](Step step) {
    if (step == 0) throw std::runtime_error("no more disk in the catalogue");
  };
  CheckpointManager manager(root(), options);
  const Error error = error_of(manager.save(0, state(0)));
  EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
  EXPECT_THAT(error.what(),
              AllOf(HasSubstr("in the catalogue"), HasSubstr("post_finalization_callback")));
  EXPECT_TRUE(manager.all_steps(true).empty());
  EXPECT_TRUE(save(manager, 1));
}
TEST_P(UserRules, OneMayWaitForWhatTheManagerTells) {
  ManagerOptions options = given();
  CheckpointManager* asked = nullptr;
  std::vector<double> seen;
  options.should_save_fn = [&](Step, std::optional<Step> latest) {
    if (latest) seen.push_back(loss_of(asked->metrics(*latest).get()));
    return true;
  };
  CheckpointManager manager(root(), options);
  asked = &manager;
  EXPECT_TRUE(save(manager, 0, loss(0.5)));
  EXPECT_TRUE(save(manager, 1, loss(0.25)));
  EXPECT_THAT(seen, ElementsAre(0.5));
}
TEST_P(UserRules, OneMayWaitForASaveThatIsUnderWay) {
  ManagerOptions options = given();
  std::optional<SaveFuture> before;
  options.should_save_fn = [&](Step, std::optional<Step>) {
    if (!before) return true;
    faults_->release();
    static_cast<void>(before->get());
    return true;
  };
  CheckpointManager manager(root(), options);
  faults_->hold(FaultPlan::only({IoOp::rename}));
  before = manager.save(0, state(0));
  faults_->wait_until_held(1);
  EXPECT_TRUE(save(manager, 1));
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1}));
}
TEST_P(UserRules, OneThatWaitsHoldsUpNoCallOnTheEnginesThread) {
  ManagerOptions options = given();
  CheckpointManager* asked = nullptr;
  std::function<void()> meanwhile;
  options.should_save_fn = [&](Step, std::optional<Step>) {
    const std::function<void()> call = std::exchange(meanwhile, nullptr);
    if (!call) return true;
    // The engine's thread makes the call before it comes to what is waited for.
    boost::asio::post(asked->engine()->executor(), call);
    static_cast<void>(asked->metrics(1).get());
    return true;
  };
  CheckpointManager manager(root(), options);
  asked = &manager;
  save_all(manager, 0, 1);
  std::optional<Future<void>> deleted;
  meanwhile = [&] { deleted = manager.delete_step(0); };
  EXPECT_TRUE(save(manager, 2));
  deleted->get();
  std::optional<SaveFuture> saved;
  meanwhile = [&] {
    SaveOptions unasked;  // a rule that waits would be refused there
    unasked.force = true;
    saved = manager.save(3, state(3), unasked);
  };
  EXPECT_TRUE(save(manager, 4));
  EXPECT_TRUE(saved->get());
  EXPECT_EQ(manager.all_steps(), (Steps{1, 2, 3, 4}));
  std::optional<Future<void>> closed;
  meanwhile = [&] { closed = manager.close(); };
  EXPECT_EQ(error_of(manager.save(5, state(5))).code(), ErrorCode::closed);
  EXPECT_EQ(manager.all_steps(), (Steps{1, 2, 3, 4}));
}
TEST_P(UserRules, OneIsAskedAgainAboutWhatHasBegunMeanwhile) {
  ManagerOptions options = given();
  CheckpointManager* asked = nullptr;
  std::optional<SaveFuture> saved;
  std::vector<std::optional<Step>> seen;
  options.should_save_fn = [&](Step step, std::optional<Step> latest) {
    if (step != 1) return true;
    seen.push_back(latest);
    if (saved) return true;
    boost::asio::post(asked->engine()->executor(), [&] { saved = asked->save(2, state(2)); });
    static_cast<void>(asked->metrics(0).get());
    return true;
  };
  CheckpointManager manager(root(), options);
  asked = &manager;
  EXPECT_TRUE(save(manager, 0));
  EXPECT_EQ(manager.save(1, state(1)).get().outcome, SaveOutcome::skipped_older_step)
      << "step 2 came before it";
  EXPECT_TRUE(saved->get());
  EXPECT_THAT(seen, ElementsAre(0));
}
TEST_P(UserRules, OneCannotChangeItsManager) {
  ManagerOptions options = given();
  CheckpointManager* asked = nullptr;
  std::vector<Error> refused;
  const auto change = [&] {
    refused.push_back(error_of(asked->save(9, state(9))));
    refused.push_back(error_of(asked->delete_step(0)));
    refused.push_back(error_of(asked->close()));
  };
  options.should_save_fn = [&](Step, std::optional<Step> latest) {
    if (latest == 0) change();
    return true;
  };
  options.post_finalization_callback = [&](Step step) {
    if (step == 2) change();
  };
  CheckpointManager manager(root(), options);
  asked = &manager;
  save_all(manager, 0, 2);
  ASSERT_EQ(refused.size(), 6u);
  for (const Error& error : refused) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(error.what(), HasSubstr("called from within a rule of the same manager"));
  }
  EXPECT_EQ(manager.all_steps(true), (Steps{0, 1, 2}));
  EXPECT_TRUE(save(manager, 3)) << "nothing has been closed";
}
TEST_P(UserRules, MetricsThatAreMissingAreWarnedOfWhereTheyMayBe) {
  const auto logger = std::make_shared<LogRecords>();
  ManagerOptions options = given();
  options.logger = logger;
  options.allow_missing_metrics = true;
  options.best_fn = [](const boost::json::object& metrics) { return loss_of(metrics); };
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 0, loss(1)));
  EXPECT_TRUE(logger->of("metrics").empty());
  EXPECT_TRUE(save(manager, 1));
  ASSERT_EQ(logger->of("metrics").size(), 1u);
  EXPECT_EQ(logger->of("metrics").front().level, LogLevel::warning);
}

// ---- deletions ----------------------------------------------------------------------------------

CAIRN_BEHAVIOUR(Deletions);
TEST_P(Deletions, InTheBackgroundOneThatCannotEvenBeginIsReported) {
  ManagerOptions options = given();
  options.enable_background_delete = true;
  options.max_to_keep = 1;
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 0));
  faults_->fail(is_deletion, 1, EACCES);
  EXPECT_TRUE(save(manager, 1));
  const Error error = error_of(manager.close());
  EXPECT_EQ(error.code(), ErrorCode::permission_denied);
  EXPECT_THAT(error.what(), HasSubstr("delete step 0"));
  EXPECT_TRUE(exists("0"));
}
TEST_P(Deletions, WaitForTheNewStepToReadBackEvenIfItGoesItself) {
  ManagerOptions options = given();
  options.max_to_keep = 2;
  options.best_fn = [](const boost::json::object& metrics) { return loss_of(metrics); };
  options.best_mode = BestMode::min;
  // As a disk that loses what it has confirmed.
  options.post_finalization_callback = [this](Step step) {
    if (step == 3) write_text("3.orbax-checkpoint-tmp/default/manifest.ocdbt", "lost");
  };
  {
    CheckpointManager manager(root(), given());
    for (const Step step : {0, 1, 2}) {
      EXPECT_TRUE(save(manager, step, loss(0.1 * static_cast<double>(3 - step))));
    }
  }
  CheckpointManager manager(root(), options);
  // The worst of all: it goes itself, and step 0 with it.
  EXPECT_TRUE(save(manager, 3, loss(9)));
  EXPECT_EQ(error_of(manager.wait_until_finished()).code(), ErrorCode::data_loss);
  EXPECT_EQ(manager.all_steps(), (Steps{0, 1, 2, 3}));
}

// ---- restores -----------------------------------------------------------------------------------

CAIRN_BEHAVIOUR(Restores);
TEST_P(Restores, HaveOneRecordEachHoweverTheyEnd) {
  const auto logger = std::make_shared<LogRecords>();
  ManagerOptions options = given();
  options.logger = logger;
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 0));
  EXPECT_EQ(value_of(manager, 0), 0);
  EXPECT_EQ(error_of(manager.restore(7)).code(), ErrorCode::not_found);
  std::vector<float> memory(15);
  const Dict into{{"step", Placeholder()}, {"w", Tree(MutableArrayView::of(memory, {3, 5}))}};
  static_cast<void>(manager.restore(0, args::StandardRestore(Tree(into))).get());
  const std::vector<LogRecord> records = logger->of("restore");
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[0].level, LogLevel::info);
  EXPECT_EQ(records[0].bytes, 60u);
  EXPECT_EQ(records[1].level, LogLevel::error);
  EXPECT_EQ(records[1].step, 7);
  EXPECT_THAT(records[1].message, HasSubstr("7"));
  EXPECT_EQ(records[2].bytes, 60u);
}

TEST_P(Restores, WithoutAStepTakeOneThatASaveUnderWayPushesOut) {
  ManagerOptions options = given();
  options.max_to_keep = 1;
  CheckpointManager manager(root(), options);
  EXPECT_TRUE(save(manager, 1));
  faults_->hold(FaultPlan::only({IoOp::write}));
  const SaveFuture second = manager.save(2, state(2));
  faults_->wait_until_held(1);
  EXPECT_FALSE(manager.latest_committed_step());
  EXPECT_EQ(value_of(manager), 1);
  faults_->release();
  EXPECT_TRUE(second.get());
  manager.wait_until_finished().get();
  EXPECT_EQ(value_of(manager), 2);
}

TEST_P(Restores, HaveARecordAlsoWhereThereIsNoStep) {
  const auto logger = std::make_shared<LogRecords>();
  ManagerOptions options = given();
  options.logger = logger;
  CheckpointManager manager(root(), options);
  EXPECT_EQ(error_of(manager.restore()).code(), ErrorCode::not_found);
  EXPECT_EQ(error_of(manager.restore_latest_valid()).code(), ErrorCode::not_found);
  const std::vector<LogRecord> records = logger->of("restore");
  ASSERT_EQ(records.size(), 2u);
  for (const LogRecord& record : records) {
    EXPECT_EQ(record.level, LogLevel::error);
    EXPECT_THAT(record.message, HasSubstr("there is no step to restore"));
  }
}

}  // namespace
}  // namespace cairn
