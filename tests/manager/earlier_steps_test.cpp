// What is in a root already outlives what goes wrong later, and a machine without io_uring.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "support/manager_fixture.h"
#include "support/refuse_call.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;
using ::testing::AllOf;
using ::testing::HasSubstr;

/// As on a directory that takes no entries: neither files nor directories can be made.
bool makes_an_entry(const engine::IoRequest& request) {
  return request.op == IoOp::make_directory ||
         (request.op == IoOp::open && (request.flags & O_CREAT) != 0);
}

class EarlierSteps : public test::ManagerTest {
 protected:
  EarlierSteps() {
    test::EngineSettings settings;
    settings.faults = faults_;
    manager_.emplace(root(), options(settings));
    EXPECT_TRUE(manager_->save(0, state(0)).get());
    EXPECT_TRUE(manager_->save(1, state(1)).get());
    manager_->wait_until_finished().get();
    entries_ = entries();
  }
  Error refused(args::SaveArgs args) {
    try {
      static_cast<void>(manager_->save(2, std::move(args)).get());
    } catch (const Error& error) {
      return error;
    }
    ADD_FAILURE() << "the save succeeded";
    return Error(ErrorCode::internal, "none");
  }
  void expect_as_before() {
    EXPECT_EQ(entries(), entries_);
    EXPECT_EQ(manager_->all_steps(true), (std::vector<Step>{0, 1}));
    for (const Step step : {0, 1}) EXPECT_EQ(manager_->restore(step).get().tree(), state(step));
  }
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::optional<CheckpointManager> manager_;
  std::vector<std::string> entries_;
};
CAIRN_ON_EVERY_BACKEND(EarlierSteps);

TEST_P(EarlierSteps, StayWhereTheirMetadataIsDamagedAlsoWhenNamesAloneWereRead) {
  manager_.reset();
  std::ofstream(root() + "/0/_CHECKPOINT_METADATA") << "{";
  ManagerOptions given = options();
  given.lightweight_initialize = true;
  given.max_to_keep = 1;
  CheckpointManager manager(root(), given);
  EXPECT_TRUE(manager.save(2, state(2)).get());
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{0, 2})) << "1 went by rule";
}

TEST_P(EarlierSteps, RestoreWhereTheRootHasBecomeUnwritable) {
  for (const int error : {EACCES, EROFS}) {
    faults_->fail(makes_an_entry, 1, error, FaultPlan::kForever);
    const Error failure = refused(state(2));
    EXPECT_EQ(failure.code(), ErrorCode::permission_denied);
    EXPECT_THAT(failure.what(), AllOf(HasSubstr("save step 2"), HasSubstr(root())));
    expect_as_before();
    faults_->clear();
  }
  EXPECT_TRUE(manager_->save(2, state(2)).get()) << "it is writable again";
}

TEST_P(EarlierSteps, RestoreWhereOnlyTheStepsDirectoryCannotBeMade) {
  faults_->fail(FaultPlan::only({IoOp::make_directory}), 1, EROFS, FaultPlan::kForever);
  EXPECT_EQ(refused(state(2)).code(), ErrorCode::permission_denied);
  expect_as_before();
}

TEST_P(EarlierSteps, RestoreAfterASaveOfWhatCannotBeSaved) {
  const LeafSpec spec{DType::bfloat16, {2}};
  for (const Tree& bad : {Tree(Dict{{"a", List{1, "text"}}}), Tree(Dict{{"a", List{1, spec}}}),
                          Tree(Dict{{"a", List{1, Placeholder()}}})}) {
    const Error failure = refused(bad);
    EXPECT_EQ(failure.code(), ErrorCode::invalid_argument);
    EXPECT_THAT(failure.what(), HasSubstr("a[1]"));
    expect_as_before();
  }
}

/// In a process in which the kernel refuses io_uring.
[[noreturn]] void save_and_restore_without_io_uring(const std::string& root) {
  ::unsetenv("CAIRN_IO_BACKEND");
  test::refuse_call(SYS_io_uring_setup, EPERM);
  ManagerOptions options;
  options.engine = test::make_engine(engine::BackendKind::automatic);
  CheckpointManager manager(root, options);
  const bool saved = static_cast<bool>(manager.save(0, test::state_of(7)).get());
  const bool same = manager.restore(0).get().tree() == test::state_of(7);
  const engine::BackendInfo backend = manager.engine()->stats().backend;
  std::fprintf(stderr, "saved=%d same=%d name=%s reason=%s\n", saved, same, backend.name.c_str(),
               backend.reason.c_str());
  std::_Exit(0);
}

TEST(WithoutIoUring, AManagerSavesAndRestoresOnThreads) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const test::TempDirectory directory;
  EXPECT_EXIT(save_and_restore_without_io_uring((directory.path() / "root").string()),
              ::testing::ExitedWithCode(0),
              "no seccomp here|saved=1 same=1 name=threads reason=io_uring");
}

}  // namespace
}  // namespace cairn
