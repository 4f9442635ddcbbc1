// The N-th operation fails, for N = 1, 2, 3 ... until a run is clean: each run ends in one clear
// error or none, the earlier steps stay, nothing leaks, and the next save works.

#include <cairn/engine/faulty_backend.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <boost/asio/post.hpp>
#include <filesystem>
#include <future>
#include <thread>

#include "crash/history.h"
#include "support/backends.h"
#include "support/sanitized.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

namespace fs = std::filesystem;
using engine::FaultPlan;
using engine::IoOp;
using engine::IoRequest;

enum class Act : std::uint8_t {
  save_with_retention,
  overwrite,
  deletion,
  incremental_save,  ///< the same as the first, linking what has not changed
  plain_save,        ///< the same, encoded and in a file for each chunk
  save_by_file       ///< the same, committed by file
};
enum class Fault : std::uint8_t { io_error, no_space, answer_lost, dead_disk, short_write };

std::string name_of(Act act) {
  switch (act) {
    case Act::save_with_retention:
      return "save_with_retention";
    case Act::overwrite:
      return "overwrite";
    case Act::deletion:
      return "deletion";
    case Act::incremental_save:
      return "incremental_save";
    case Act::plain_save:
      return "plain_save";
    case Act::save_by_file:
      return "save_by_file";
  }
  return "unknown";
}

std::string name_of(Fault fault) {
  switch (fault) {
    case Fault::io_error:
      return "io_error";
    case Fault::no_space:
      return "no_space";
    case Fault::answer_lost:
      return "answer_lost";
    case Fault::dead_disk:
      return "dead_disk";
    case Fault::short_write:
      return "short_write";
  }
  return "unknown";
}

const Steps kBefore{{1, 10}, {2, 20}};

Steps after(Act act) {
  switch (act) {
    case Act::save_with_retention:
    case Act::incremental_save:
    case Act::plain_save:
    case Act::save_by_file:
      return {{2, 20}, {3, 30}};
    case Act::overwrite:
      return {{1, 10}, {2, 21}};
    case Act::deletion:
      return {{2, 20}};
  }
  return {};
}

// What may be listed: before, after, and what lies between.
std::vector<Steps> allowed(Act act) {
  std::vector<Steps> states{kBefore, after(act)};
  if (act != Act::overwrite && act != Act::deletion) {
    states.push_back({{1, 10}, {2, 20}, {3, 30}});
  }
  return states;
}

Atomicity atomicity_of(Act act) {
  return act == Act::save_by_file ? Atomicity::commit_file : Atomicity::rename;
}

void perform(Act act, CheckpointManager& manager) {
  switch (act) {
    case Act::save_with_retention:
    case Act::incremental_save:
    case Act::plain_save:
    case Act::save_by_file:
      static_cast<void>(manager.save(3, args::PyTreeSave(content(3, 30)), save_options(30)).get());
      break;
    case Act::overwrite:
      static_cast<void>(
          manager.save(2, args::PyTreeSave(content(2, 21)), save_options(21, true)).get());
      break;
    case Act::deletion:
      manager.delete_step(1).get();
      break;
  }
}

void plant(FaultPlan& plan, Fault fault, std::uint64_t nth) {
  // A close that is not carried out would leak by the test's own doing.
  const auto not_close = [](const IoRequest& request) { return request.op != IoOp::close; };
  constexpr std::uint64_t kShortBytes = 512;
  switch (fault) {
    case Fault::io_error:
      return plan.fail(not_close, nth, EIO);
    case Fault::no_space:
      return plan.fail(not_close, nth, ENOSPC);
    case Fault::answer_lost:
      return plan.fail_after(FaultPlan::any(), nth, EIO);
    case Fault::dead_disk:
      return plan.fail(not_close, nth, EIO, FaultPlan::kForever);
    case Fault::short_write:
      return plan.shorten(FaultPlan::only({IoOp::write}), nth, kShortBytes);
  }
}

class WarningCounter final : public Logger {
 public:
  void log(const LogRecord& record) override { count += record.level == LogLevel::warning ? 1 : 0; }
  std::atomic<int> count = 0;
};

std::ptrdiff_t open_descriptors() {
  const fs::directory_iterator all("/proc/self/fd");
  return std::distance(fs::begin(all), fs::end(all));
}

// Waits until what is posted to the strand by now has run (coroutine frames hold descriptors), and
// then until what these let go of is closed.
void drain(engine::Engine& engine) {
  std::promise<void> done;
  boost::asio::post(engine.executor(), [&] { done.set_value(); });
  done.get_future().get();
  const auto submitted = engine.stats().operations_submitted;
  while (engine.stats().operations_completed < submitted) std::this_thread::yield();
}

class Faults : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  Faults() : engine_(small_engine(engine::make_faulty_backend(make_backend(GetParam()), plan_))) {
    ManagerOptions options;
    options.engine = engine_;
    options.incremental = true;  // writes the record that an incremental save goes by
    CheckpointManager manager((directory_ / "model").string(), options);
    for (const auto& [step, version] : kBefore) {
      static_cast<void>(
          manager.save(step, args::PyTreeSave(content(step, version)), save_options(version))
              .get());
    }
    manager.close().get();
  }

  [[nodiscard]] std::string root() const { return (directory_ / "root").string(); }

  CheckpointManager open(Act act = Act::save_with_retention,
                         std::shared_ptr<Logger> logger = nullptr) {
    ManagerOptions options;
    options.incremental = act == Act::incremental_save;
    if (act == Act::plain_save) {
      options.layout = Layout::zarr2;
      options.codec = Codec::zstd(1);
    }
    options.atomicity = atomicity_of(act);
    options.engine = engine_;
    options.max_to_keep = 2;
    options.logger = std::move(logger);
    return CheckpointManager(root(), options);
  }

  void start_anew() {
    fs::remove_all(root());
    fs::copy(directory_ / "model", root(), fs::copy_options::recursive);
  }

  // One run with the fault at the nth operation; false when the run was clean.
  bool run(Act act, Fault fault, std::uint64_t nth);
  void check_after(Act act, Fault fault, const std::optional<Error>& error, int warnings);

  TempDirectory directory_ = TempDirectory::in_memory();
  std::shared_ptr<FaultPlan> plan_ = std::make_shared<FaultPlan>();
  std::shared_ptr<engine::Engine> engine_;
};
INSTANTIATE_TEST_SUITE_P(Backends, Faults, ::testing::ValuesIn(backend_kinds()), backend_name);

bool Faults::run(Act act, Fault fault, std::uint64_t nth) {
  SCOPED_TRACE(fmt::format("{} at operation {} of {}", name_of(fault), nth, name_of(act)));
  start_anew();
  drain(*engine_);
  const std::ptrdiff_t descriptors = open_descriptors();
  auto logger = std::make_shared<WarningCounter>();
  std::optional<Error> error;
  plan_->clear();
  plant(*plan_, fault, nth);
  try {
    CheckpointManager manager = open(act, logger);
    try {
      perform(act, manager);
    } catch (const Error& failure) {
      error = failure;
    }
    manager.wait_until_finished().get();  // the error has been delivered: nothing is left to throw
    manager.check_for_errors();
    const bool clean = plan_->injected() == 0;
    plan_->clear();
    check_after(act, fault, error, logger->count);
    // The same manager goes on, at the same step: what was left of it goes too.
    manager.reload();
    Step step = act == Act::overwrite ? 2 : 3;
    const std::vector<Step> there = manager.all_steps();
    // By file it cannot be replaced.
    if (act == Act::save_by_file && std::ranges::find(there, step) != there.end()) ++step;
    EXPECT_TRUE(
        manager.save(step, args::PyTreeSave(content(step, 40)), save_options(40, true)).get());
    manager.close().get();
    EXPECT_EQ(leftovers(root()), std::vector<std::string>());
    if (clean) {
      EXPECT_FALSE(error) << error->what();
      return false;
    }
  } catch (const Error& failure) {
    // Opening the manager failed.
    EXPECT_FALSE(error) << "a second error: " << failure.what();
    EXPECT_GT(plan_->injected(), 0u) << failure.what();
    plan_->clear();
    check_after(act, fault, failure, 0);
  }
  for (int turn = 0; turn < 8 && open_descriptors() != descriptors; ++turn) drain(*engine_);
  EXPECT_EQ(open_descriptors(), descriptors) << "descriptors leak";
  return true;
}

void Faults::check_after(Act act, Fault fault, const std::optional<Error>& error, int warnings) {
  const Found found = look(engine_, root(), atomicity_of(act));
  EXPECT_EQ(found.trouble, "");
  const std::vector<Steps> states = allowed(act);
  EXPECT_NE(std::ranges::find(states, found.steps), states.end()) << to_string(found.steps);
  if (error) {
    EXPECT_NE(error->code(), ErrorCode::internal) << error->what();
    EXPECT_FALSE(error->context().operation.empty()) << error->what();
    EXPECT_FALSE(error->context().path.empty()) << error->what();
    if (fault == Fault::no_space && error->code() != ErrorCode::commit_unknown) {
      EXPECT_EQ(error->code(), ErrorCode::no_space) << error->what();
    }
  } else if (warnings == 0) {
    EXPECT_EQ(found.steps, after(act)) << "neither done nor an error";
  }
  // A removal that itself failed leaves something, so does a deletion that failed half way; and
  // the old content must stay when nobody knows whether the new one is there.
  const bool unknown = error && error->code() == ErrorCode::commit_unknown;
  const bool may_leave = fault == Fault::dead_disk || fault == Fault::answer_lost || warnings > 0 ||
                         act == Act::deletion || unknown;
  if (!may_leave) {
    EXPECT_EQ(leftovers(root()), std::vector<std::string>());
  }
}

class EveryFault : public Faults {
 protected:
  void sweep(Fault fault) {
    for (const Act act : {Act::save_with_retention, Act::overwrite, Act::deletion,
                          Act::incremental_save, Act::plain_save, Act::save_by_file}) {
      // A sample differs from one backend to the other. Of six changes and four faults it is small.
      constexpr std::uint64_t kStride = kSanitized ? 16 : 1;
      const bool uring = GetParam() == engine::BackendKind::uring;
      std::uint64_t nth = uring ? 1 : 1 + kStride / 2;
      std::uint64_t runs = 0;
      for (; run(act, fault, nth) && !HasFailure(); nth += kStride) ++runs;
      fmt::print("{} at {} of the {} operations of {}\n", name_of(fault), runs, nth - 1,
                 name_of(act));
      EXPECT_TRUE(runs > 0 || kStride > 1) << "a sample may miss the few that there are";
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, EveryFault, ::testing::ValuesIn(backend_kinds()), backend_name);

TEST_P(EveryFault, AnIoErrorCostsAtMostTheChangeUnderWay) {
  sweep(Fault::io_error);
}
TEST_P(EveryFault, AFullDiskCostsAtMostTheChangeUnderWay) {
  sweep(Fault::no_space);
}
TEST_P(EveryFault, ALostAnswerCostsAtMostTheChangeUnderWay) {
  sweep(Fault::answer_lost);
}
TEST_P(EveryFault, ADiskThatDiesCostsAtMostTheChangeUnderWay) {
  sweep(Fault::dead_disk);
}
TEST_P(EveryFault, AShortWriteCostsAtMostTheChangeUnderWay) {
  sweep(Fault::short_write);
}

TEST_P(Faults, AnUnknownCommitDeletesNothingAndReloadSyncsBeforeItDecides) {
  start_anew();
  CheckpointManager manager = open();
  plan_->clear();
  plan_->fail(sync_of(root()), 1, EIO, 2);
  try {
    perform(Act::save_with_retention, manager);
    FAIL() << "the sync failed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::commit_unknown);
  }
  EXPECT_EQ(to_string(look(engine_, root()).steps), "1v10 2v20 3v30");
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{1, 2})) << "not before it is certain";
  EXPECT_THROW(manager.reload(), Error) << "the second sync fails too";
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{1, 2}));
  manager.reload();
  EXPECT_EQ(manager.all_steps(), (std::vector<Step>{1, 2, 3}));
  EXPECT_EQ(plan_->injected(), 2u);
}

TEST_P(Faults, AnUnknownOverwriteKeepsBothContents) {
  start_anew();
  CheckpointManager manager = open();
  plan_->clear();
  plan_->fail(sync_of(root()), 1, EIO);
  try {
    perform(Act::overwrite, manager);
    FAIL() << "the sync failed";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::commit_unknown);
  }
  manager.wait_until_finished().get();
  EXPECT_EQ(to_string(look(engine_, root()).steps), "1v10 2v21");
  EXPECT_EQ(leftovers(root()).size(), 1u) << "the old content, until the new one is certain";
}

}  // namespace
}  // namespace cairn::test
