// A trainer forks its data loaders while a save is under way.

#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <functional>
#include <future>
#include <thread>

#include "support/manager_fixture.h"

namespace cairn {
namespace {

using engine::FaultPlan;
using engine::IoOp;

constexpr unsigned kChildSeconds = 60;  // a child that hangs is killed by its alarm

bool is_closed(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code() == ErrorCode::closed;
  }
  return false;
}

ErrorCode code_of_save(CheckpointManager& manager, Step step) {
  try {
    static_cast<void>(manager.save(step, test::state_of(step)).get());
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "the save succeeded";
  return ErrorCode::internal;
}

int exit_status(pid_t child) {
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

class Fork : public test::ManagerTest {
 protected:
  Fork() : manager_(std::in_place, root(), faulty()), other_(std::in_place, root(), options()) {
    faults_->hold(FaultPlan::only({IoOp::sync_data}));
    save_ = manager_->save(0, state(0));
    faults_->wait_until_held(1);
  }

  ManagerOptions faulty() {
    test::EngineSettings settings;
    settings.faults = faults_;
    return options(settings);
  }

  /// Another writer, as another process would be: it has an open file and an engine of its own.
  CheckpointManager& other() { return *other_; }

  void finish_save() {
    faults_->release();
    EXPECT_TRUE(save_->get());
    manager_->wait_until_finished().get();
    EXPECT_EQ(manager_->restore(0).get().tree(), state(0));
  }

  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::optional<CheckpointManager> manager_;
  std::optional<CheckpointManager> other_;
  std::optional<SaveFuture> save_;
};
CAIRN_ON_EVERY_BACKEND(Fork);

TEST_P(Fork, TheChildIsRefusedAndTheParentsSaveGoesOn) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kChildSeconds);
    bool right = is_closed([&] { static_cast<void>(manager_->save(1, state(1)).get()); });
    right = right && is_closed([&] { manager_->delete_step(0).get(); });
    right = right && is_closed([&] { static_cast<void>(manager_->restore(0).get()); });
    right = right && is_closed([&] { manager_->reload(); });
    manager_.reset();
    ::_exit(right ? 0 : 1);
  }
  EXPECT_EQ(exit_status(child), 0);
  EXPECT_EQ(code_of_save(other(), 5), ErrorCode::busy) << "the lock is still the parent's";
  finish_save();
  EXPECT_TRUE(other().save(6, state(6)).get()) << "the lock is free";
}

TEST_P(Fork, TheChildsWaitsForTheParentsSaveFailAtOnce) {
  Future<void> finished = manager_->wait_until_finished();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kChildSeconds);
    bool right = is_closed([&] { static_cast<void>(save_->get()); });
    right = right && is_closed([&] { save_->wait_staged(); });
    right = right && is_closed([&] { save_->cancel(); });
    right = right && is_closed([&] { finished.get(); });
    right = right && save_->ready();
    // A handler without an executor runs at once, any other on its own.
    bool inside = false;
    bool posted = false;
    save_->committed([&](std::exception_ptr error, const SaveResult&) {
      inside = is_closed([&] { std::rethrow_exception(error); });
    });
    boost::asio::io_context context;
    save_->staged(boost::asio::bind_executor(context.get_executor(), [&](std::exception_ptr error) {
      posted = is_closed([&] { std::rethrow_exception(error); });
    }));
    right = right && inside && !posted;
    context.run();
    ::_exit(right && posted ? 0 : 1);
  }
  EXPECT_EQ(exit_status(child), 0);
  finish_save();
  finished.get();
}

TEST_P(Fork, TheChildIsToldThatItHasNoManager) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kChildSeconds);
    bool right = is_closed([&] { manager_->check_for_errors(); });
    right = right && is_closed([&] { static_cast<void>(manager_->all_steps()); });
    right = right && is_closed([&] { static_cast<void>(manager_->latest_step()); });
    right = right && is_closed([&] { static_cast<void>(manager_->latest_committed_step()); });
    right = right && is_closed([&] { static_cast<void>(manager_->best_step()); });
    right = right && is_closed([&] { static_cast<void>(manager_->should_save(1)); });
    right = right && is_closed([&] { static_cast<void>(manager_->is_saving_in_progress()); });
    right = right && is_closed([&] { static_cast<void>(manager_->metrics(0).get()); });
    right = right && is_closed([&] { static_cast<void>(manager_->metadata().get()); });
    right = right && is_closed([&] { manager_->close().get(); });
    ::_exit(right && manager_->directory() == root() ? 0 : 1);
  }
  EXPECT_EQ(exit_status(child), 0);
  finish_save();
}

/// This process's descriptor of an open file of that name; -1: it has none.
int open_descriptor(const std::string& name) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;  // the iterator's own, or one that another thread has closed
    const std::filesystem::path target = std::filesystem::read_symlink(entry.path(), gone);
    if (!gone && target.filename() == name) return std::stoi(entry.path().filename());
  }
  return -1;
}

int exit_status_of_child_without(const std::string& name) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kChildSeconds);
    ::_exit(open_descriptor(name) < 0 ? 0 : 1);
  }
  return exit_status(child);
}

TEST_P(Fork, AChildForkedWhileALockIsTakenDoesNotShareIt) {
  finish_save();
  faults_->hold(FaultPlan::only({IoOp::lock}));
  const SaveFuture save = manager_->save(1, state(1));
  faults_->wait_until_held(1);
  EXPECT_GE(open_descriptor(".cairn.lock"), 0);
  EXPECT_EQ(exit_status_of_child_without(".cairn.lock"), 0);
  faults_->release();
  EXPECT_TRUE(save.get());
  manager_->wait_until_finished().get();
  faults_->hold(FaultPlan::only({IoOp::lock}));
  Future<Restored> restored = manager_->restore(1);
  faults_->wait_until_held(1);
  EXPECT_GE(open_descriptor("_CHECKPOINT_METADATA"), 0);
  EXPECT_EQ(exit_status_of_child_without("_CHECKPOINT_METADATA"), 0);
  faults_->release();
  EXPECT_EQ(restored.get().tree(), state(1));
}

TEST_P(Fork, AChildThatHasTheLockFileBeforeItIsGuardedDoesNotShareTheLock) {
  finish_save();
  faults_->hold([](const engine::IoRequest& request) {
    return request.op == IoOp::open && request.path == ".cairn.lock";
  });
  const SaveFuture save = manager_->save(1, state(1));
  faults_->wait_until_held(1);
  std::promise<void> blocked;
  std::promise<void> go_on;
  boost::asio::post(manager_->engine()->executor(), [&] {
    blocked.set_value();
    go_on.get_future().get();
  });
  blocked.get_future().get();
  faults_->release();  // the file is opened, and the strand does not know yet
  while (open_descriptor(".cairn.lock") < 0) std::this_thread::yield();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kChildSeconds);
    const int shared = open_descriptor(".cairn.lock");
    char byte = 0;
    if (::read(ends[0], &byte, 1) != 1 || shared < 0) ::_exit(2);
    // Whoever shares the open file that is locked gets the lock again.
    ::_exit(::flock(shared, LOCK_EX | LOCK_NB) == 0 ? 1 : 0);
  }
  faults_->hold(FaultPlan::only({IoOp::sync_data}));
  go_on.set_value();
  faults_->wait_until_held(1);  // the lock is taken
  EXPECT_EQ(::write(ends[1], "x", 1), 1);
  EXPECT_EQ(exit_status(child), 0);
  ::close(ends[0]);
  ::close(ends[1]);
  faults_->release();
  EXPECT_TRUE(save.get());
}

TEST_P(Fork, AChildThatLivesOnDoesNotKeepTheLock) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kChildSeconds);
    ::close(ends[1]);
    char byte = 0;
    // Until the parent closes its end.
    ::_exit(::read(ends[0], &byte, 1) == 0 ? 0 : 1);
  }
  ::close(ends[0]);
  finish_save();
  EXPECT_TRUE(other().save(1, state(1)).get());
  ::close(ends[1]);
  EXPECT_EQ(exit_status(child), 0);
}

}  // namespace
}  // namespace cairn
