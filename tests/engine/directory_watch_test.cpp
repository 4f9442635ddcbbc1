// What is heard of directories, on both backends, and what becomes of it where the kernel refuses.

#include <cairn/engine/directory_watch.h>
#include <cairn/engine/faulty_backend.h>
#include <cairn/engine/file.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_future.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "support/backends.h"
#include "support/refuse_call.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

using engine::DirectoryWatch;
using engine::FaultPlan;
using engine::IoOp;
using Answer = DirectoryWatch::Answer;
using std::chrono::seconds;

class DirectoryWatchTest : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  DirectoryWatchTest() { std::filesystem::create_directory(path("a")); }

  [[nodiscard]] std::string path(const std::string& name) const { return directory_ / name; }
  void make_file(const std::string& name) const { std::ofstream(path(name)) << "x"; }

  Answer watch(const std::string& name, std::string wanted) {
    const engine::Descriptor fd(::open(path(name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    std::vector<engine::WatchedDirectory> directories;
    directories.emplace_back(
        fd.get(), [wanted = std::move(wanted)](std::string_view entry) { return entry == wanted; });
    return boost::asio::co_spawn(engine_->executor(), watch_->watch(std::move(directories)),
                                 boost::asio::use_future)
        .get();
  }
  /// A wait that the clock, which stands still, would end in a minute.
  std::future<void> wait() {
    return boost::asio::co_spawn(engine_->executor(),
                                 watch_->wait_until(clock_->steady() + seconds(60)),
                                 boost::asio::use_future);
  }
  void pass_a_minute() {
    while (clock_->pending() == 0) std::this_thread::yield();
    clock_->advance(seconds(60));
  }

  TempDirectory directory_ = TempDirectory::in_memory();
  std::shared_ptr<engine::ManualClock> clock_ = std::make_shared<engine::ManualClock>();
  std::shared_ptr<FaultPlan> faults_ = std::make_shared<FaultPlan>();
  std::shared_ptr<engine::Engine> engine_ = [this] {
    engine::EngineOptions options;
    options.staging_bytes = 1u << 20;
    options.io_window_bytes = 4u << 20;
    options.clock = clock_;
    options.io_backend = engine::make_faulty_backend(make_backend(GetParam()), faults_);
    return engine::Engine::create(std::move(options));
  }();
  std::unique_ptr<DirectoryWatch> watch_ = std::make_unique<DirectoryWatch>(engine_);
};
INSTANTIATE_TEST_SUITE_P(Backends, DirectoryWatchTest, ::testing::ValuesIn(backend_kinds()),
                         backend_name);

TEST_P(DirectoryWatchTest, HearsOfNamesThatAreWantedAndOfNoOthers) {
  EXPECT_EQ(watch("a", "wanted"), Answer::anew);
  EXPECT_EQ(watch("a", "wanted"), Answer::as_before);
  std::future<void> first = wait();
  make_file("a/wanted");
  first.get();
  make_file("other");
  std::future<void> second = wait();
  make_file("a/unwanted");
  std::filesystem::rename(path("other"), path("a/wanted"));
  second.get();
  std::future<void> third = wait();
  make_file("a/unwanted too");
  pass_a_minute();
  third.get();
}

TEST_P(DirectoryWatchTest, WhatHappensBetweenWaitsEndsTheNext) {
  EXPECT_EQ(watch("a", "wanted"), Answer::anew);
  make_file("a/wanted");
  wait().get();
}

TEST_P(DirectoryWatchTest, HearsThatADirectoryItselfGoes) {
  EXPECT_EQ(watch("a", "wanted"), Answer::anew);
  std::future<void> first = wait();
  std::filesystem::rename(path("a"), path("b"));
  first.get();
  EXPECT_EQ(watch("b", "wanted"), Answer::as_before) << "it is the directory that counts";
  std::future<void> second = wait();
  std::filesystem::remove(path("b"));
  second.get();
  std::filesystem::create_directory(path("a"));
  EXPECT_EQ(watch("a", "wanted"), Answer::anew);
}

TEST_P(DirectoryWatchTest, ForgetsWhatIsNotWatchedAnyMore) {
  std::filesystem::create_directory(path("b"));
  EXPECT_EQ(watch("a", "wanted"), Answer::anew);
  EXPECT_EQ(watch("b", "wanted"), Answer::anew);
  std::future<void> waits = wait();
  make_file("a/wanted");
  pass_a_minute();
  waits.get();
  EXPECT_EQ(watch("a", "wanted"), Answer::anew);
}

TEST_P(DirectoryWatchTest, SaysWhyItCannotWatchAndWaitsForTheClock) {
  for (const int error : {ENOSPC, EOPNOTSUPP, EACCES}) {
    faults_->fail(FaultPlan::only({IoOp::watch}), 1, error);
    EXPECT_EQ(watch("a", "wanted"), Answer::unable);
    EXPECT_EQ(watch_->error(), engine::from_errno(error));
    std::future<void> waits = wait();
    pass_a_minute();
    waits.get();
  }
  EXPECT_EQ(watch("a", "wanted"), Answer::anew) << "a limit may have gone";
}

TEST_P(DirectoryWatchTest, TrustsNoFileSystemThatOthersMayChange) {
  std::vector<engine::WatchedDirectory> directories;
  const engine::Descriptor proc(::open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  directories.emplace_back(proc.get(), [](std::string_view) { return true; });
  EXPECT_EQ(boost::asio::co_spawn(engine_->executor(), watch_->watch(std::move(directories)),
                                  boost::asio::use_future)
                .get(),
            Answer::unable);
  EXPECT_EQ(watch_->error(), engine::from_errno(EOPNOTSUPP));
}

TEST_P(DirectoryWatchTest, AWatchThatGoesLeavesNothingThatKeepsTheEngine) {
  EXPECT_EQ(watch("a", "wanted"), Answer::anew);
  std::future<void> waits = wait();
  make_file("a/wanted");
  waits.get();
  watch_.reset();
  engine_.reset();  // would wait for ever
}

#if !defined(__SANITIZE_THREAD__)
using DirectoryWatchDeathTest = DirectoryWatchTest;
INSTANTIATE_TEST_SUITE_P(Backends, DirectoryWatchDeathTest, ::testing::ValuesIn(backend_kinds()),
                         backend_name);

TEST_P(DirectoryWatchDeathTest, WithoutInotifyItSaysSo) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  for (const int error : {EMFILE, ENOSYS}) {
    EXPECT_EXIT(
        {
          std::string trouble;
          refuse_call(SYS_inotify_init1, error);
          engine::EngineOptions options;
          options.staging_bytes = 1u << 20;
          options.io_window_bytes = 4u << 20;
          options.backend.kind = GetParam();
          engine_ = engine::Engine::create(std::move(options));
          watch_ = std::make_unique<DirectoryWatch>(engine_);
          if (watch("a", "wanted") != Answer::unable) trouble = "it watches";
          if (watch_->error() != engine::from_errno(error)) trouble = watch_->error().message();
          std::fprintf(stderr, "io_uring threads %s\n", trouble.c_str());
          std::_Exit(trouble.empty() ? 0 : 1);
        },
        ::testing::ExitedWithCode(0), "io_uring threads");
  }
}
#endif

}  // namespace
}  // namespace cairn::test
