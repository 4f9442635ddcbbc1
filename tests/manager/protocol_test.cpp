// The commit, delete and lock protocols where a file system lacks a call or loses an answer, and
// where another writer is at work.

#include <gmock/gmock.h>
#include <unistd.h>

#include <fstream>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using ::testing::AllOf;
using ::testing::HasSubstr;

Tree state(std::int64_t value) {
  return Tree(Dict{{"s", Tree(value)}, {"w", Tree(Array(DType::float32, {1 << 10}))}});
}

class Protocol : public test::ManagerTest {
 protected:
  ManagerOptions faulty() {
    test::EngineSettings settings;
    settings.faults = faults_;
    return options(settings);
  }
  static Error error_of(const SaveFuture& save) {
    try {
      static_cast<void>(save.get());
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "the save succeeded";
    return Error(ErrorCode::internal, "none");
  }
  static SaveFuture overwrite(CheckpointManager& manager, std::int64_t value) {
    SaveOptions options;
    options.overwrite = true;
    return manager.save(0, state(value), options);
  }
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
};
CAIRN_ON_EVERY_BACKEND(Protocol);

// ---- file systems that lack a call --------------------------------------------------------------

TEST_P(Protocol, SavesAndDeletesWhereRenamesCannotRefuseToReplace) {
  CheckpointManager manager(root(), faulty());
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EINVAL, FaultPlan::kForever);
  EXPECT_TRUE(manager.save(0, state(0)).get());
  EXPECT_TRUE(manager.save(1, state(1)).get());
  manager.delete_step(0).get();
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "1"}));
  EXPECT_EQ(manager.restore(1).get().tree(), state(1));
  EXPECT_GE(faults_->injected(), 3u);
}

TEST_P(Protocol, AnOverwriteIsRefusedWhereNamesCannotBeExchanged) {
  CheckpointManager manager(root(), faulty());
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults_->fail(FaultPlan::only({IoOp::exchange}), 1, EINVAL);
  const Error error = error_of(overwrite(manager, 1));
  EXPECT_EQ(error.code(), ErrorCode::not_supported);
  EXPECT_THAT(error.what(), AllOf(HasSubstr("save step 0"), HasSubstr("cannot exchange"),
                                  HasSubstr("Delete what is there first")));
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"}));
}

// ---- answers that get lost ----------------------------------------------------------------------

TEST_P(Protocol, ALostAnswerToTheExchangeLeavesTheOutcomeOpen) {
  CheckpointManager manager(root(), faulty());
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults_->fail_after(FaultPlan::only({IoOp::exchange}), 1, EIO);
  EXPECT_EQ(error_of(overwrite(manager, 1)).code(), ErrorCode::commit_unknown);
  EXPECT_EQ(entries().size(), 3u) << "the old content, until the new one is certain";
  manager.reload();
  EXPECT_EQ(manager.restore(0).get().tree(), state(1));
}

TEST_P(Protocol, ALostAnswerToTheRenameLeavesTheOutcomeOpen) {
  CheckpointManager manager(root(), faulty());
  faults_->fail_after(FaultPlan::only({IoOp::rename}), 1, EIO);
  EXPECT_EQ(error_of(manager.save(0, state(0))).code(), ErrorCode::commit_unknown);
  manager.reload();
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0}));
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

TEST_P(Protocol, ARenameThatDidNotHappenIsAFailureLikeOthers) {
  CheckpointManager manager(root(), faulty());
  faults_->fail(FaultPlan::only({IoOp::rename}), 1, EIO);
  EXPECT_EQ(error_of(manager.save(0, state(0))).code(), ErrorCode::io_error);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock"}));
  EXPECT_TRUE(manager.save(0, state(0)).get());
  faults_->fail(FaultPlan::only({IoOp::exchange}), 1, EIO);
  EXPECT_EQ(error_of(overwrite(manager, 1)).code(), ErrorCode::io_error);
  EXPECT_EQ(entries(), (std::vector<std::string>{".cairn.lock", "0"}));
  EXPECT_EQ(manager.restore(0).get().tree(), state(0));
}

// ---- another writer -----------------------------------------------------------------------------

TEST_P(Protocol, TheBusyErrorNamesHostAndProcessOrSaysWhyItCannot) {
  CheckpointManager manager(root(), faulty());
  CheckpointManager other(root(), options());
  faults_->hold(FaultPlan::only({IoOp::rename}));
  const SaveFuture save = manager.save(0, state(0));
  faults_->wait_until_held(1);
  const Error named = error_of(other.save(1, state(1)));
  EXPECT_EQ(named.code(), ErrorCode::busy);
  EXPECT_THAT(named.reason(), AllOf(HasSubstr("another process is writing here: host "),
                                    HasSubstr(", pid " + std::to_string(::getpid()))));
  // As it is for a moment after a writer has taken the lock.
  std::ofstream(root() + "/.cairn.lock", std::ios::trunc).close();
  EXPECT_THAT(error_of(other.save(1, state(1))).reason(), HasSubstr("has not written who it is"));
  const std::string too_long(1 << 16, 'x');
  for (const std::string& text : {std::string("{\"host\": 3}"), std::string("\x01\xff{"),
                                  std::string(R"({"host": "a\nb", "pid": 1})"), too_long}) {
    std::ofstream(root() + "/.cairn.lock", std::ios::trunc) << text;
    const Error error = error_of(other.save(1, state(1)));
    EXPECT_EQ(error.code(), ErrorCode::busy);
    EXPECT_THAT(error.reason(), HasSubstr(text == too_long ? "cannot be read" : "damaged"));
  }
  faults_->release();
  EXPECT_TRUE(save.get());
}

}  // namespace
}  // namespace cairn
