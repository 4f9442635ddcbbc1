#include "trainer/training_run.h"

#include "support/backends.h"
#include "temporary_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include <stdexcept>

namespace trainer {
namespace {

/// Runs every test on each I/O backend.
class TrainingRunTest : public testing::TestWithParam<cairn::engine::BackendKind> {
 protected:
  void SetUp() override {
    ::setenv("CAIRN_IO_BACKEND", cairn::test::to_string(GetParam()).c_str(), 1);
    std::filesystem::create_directory(folder_.path() / "data");
    folder_.write("data/text",
                  "the quick brown fox jumps over the lazy dog; " + std::string(200, '.'));
  }
  void TearDown() override { ::unsetenv("CAIRN_IO_BACKEND"); }

  [[nodiscard]] Options options(const std::string& name, std::int64_t steps) const {
    Options result;
    result.data = folder_.path() / "data";
    result.root = folder_.path() / name;
    result.log = folder_.path() / (name + ".log");
    result.final_state = folder_.path() / (name + ".state");
    result.announce = folder_.path() / (name + ".saves");
    result.steps = steps;
    result.save_every = 4;
    result.config.model.context = 4;
    result.config.model.embedding = 4;
    result.config.model.hidden = 16;
    result.config.model.layers = 1;
    result.config.batch = 8;
    return result;
  }
  static int run(const Options& options) { return TrainingRun(options).run(); }

  TemporaryFolder folder_;
};

std::string message_of(const Options& options) {
  try {
    TrainingRun started(options);
  } catch (const std::exception& error) {
    return error.what();
  }
  return "no error";
}

TEST_P(TrainingRunTest, ResumedRunEqualsAnUninterruptedOne) {
  ASSERT_EQ(run(options("whole", 20)), 0);
  ASSERT_EQ(run(options("resumed", 7)), 0);
  ASSERT_EQ(run(options("resumed", 13)), 0);
  ASSERT_EQ(run(options("resumed", 20)), 0);
  EXPECT_EQ(folder_.read("resumed.log"), folder_.read("whole.log"));
  EXPECT_EQ(folder_.read("resumed.state"), folder_.read("whole.state"));
}

TEST_P(TrainingRunTest, BorrowedArraysAreSavedAsTheyWere) {
  ASSERT_EQ(run(options("copied", 12)), 0);
  Options borrow = options("borrowed", 9);
  borrow.capture = cairn::Capture::borrow;
  ASSERT_EQ(run(borrow), 0);
  borrow.steps = 12;
  ASSERT_EQ(run(borrow), 0);
  EXPECT_EQ(folder_.read("borrowed.state"), folder_.read("copied.state"));
}

TEST_P(TrainingRunTest, SavesEveryFewStepsAndTheLastAndKeepsTheNewest) {
  Options all = options("run", 10);
  all.max_to_keep = 2;
  ASSERT_EQ(run(all), 0);
  EXPECT_THAT(cairn::CheckpointManager(all.root).all_steps(), testing::ElementsAre(8, 10));
  const std::string events = folder_.read("run.saves");
  EXPECT_THAT(events, testing::HasSubstr("saving 4\n"));
  EXPECT_THAT(events, testing::HasSubstr("committed 10\n"));
}

TEST_P(TrainingRunTest, MetricsOfAStepHoldTheAverageLoss) {
  const Options all = options("run", 4);
  ASSERT_EQ(run(all), 0);
  const cairn::CheckpointManager manager(all.root);
  const double loss = manager.metrics(4).get().at("loss").as_double();
  EXPECT_THAT(folder_.read("run.log"), testing::HasSubstr(fmt::format(" {:.17g}\n", loss)));
}

TEST_P(TrainingRunTest, ResumeModesAreHeeded) {
  Options required = options("run", 4);
  required.resume = Resume::required;
  EXPECT_THAT(message_of(required), testing::HasSubstr("holds no step"));
  ASSERT_EQ(run(options("run", 4)), 0);
  Options never = options("run", 8);
  never.resume = Resume::never;
  EXPECT_THAT(message_of(never), testing::HasSubstr("holds step 4"));
}

TEST_P(TrainingRunTest, RefusesToResumeWithAnotherSeed) {
  ASSERT_EQ(run(options("run", 4)), 0);
  Options other = options("run", 8);
  other.config.seed = 5;
  EXPECT_THAT(message_of(other), testing::HasSubstr("its seed is 1, here it is 5"));
}

TEST_P(TrainingRunTest, AFailedSaveIsReportedAndTrainingGoesOn) {
  const Options locked = options("run", 6);
  std::filesystem::create_directory(locked.root);
  // Another writer: a lock through a descriptor of its own excludes the manager's.
  const std::string lock = locked.root + "/.cairn.lock";
  const int descriptor = ::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(descriptor, 0);
  ASSERT_EQ(::flock(descriptor, LOCK_EX | LOCK_NB), 0);
  EXPECT_EQ(run(locked), 1);
  ::close(descriptor);
  EXPECT_THAT(folder_.read("run.saves"), testing::HasSubstr("failed 4\n"));
  EXPECT_THAT(folder_.read("run.log"), testing::HasSubstr("\n6 "));
}

INSTANTIATE_TEST_SUITE_P(Backends, TrainingRunTest, testing::ValuesIn(cairn::test::backend_kinds()),
                         cairn::test::backend_name);

}  // namespace
}  // namespace trainer
