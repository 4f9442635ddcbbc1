// kill -9 at fifty random moments of saves, overwrites and deletions: what was acknowledged is
// there, or one change more, and all is whole. The oracle is the parent, which heard of each change
// through a pipe.

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>
#include <random>

#include "crash/worker_watch.h"
#include "support/backends.h"
#include "support/sanitized.h"
#include "support/seed.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

constexpr int kKills = 50;
constexpr int kByOperation = 38;  // the rest by the clock
constexpr int kInsideMin = 30;
constexpr std::size_t kMaxToKeep = 2;
constexpr std::uint64_t kOperationsMax = 600;  // some changes of a worker
constexpr int kOperationsInTurn = 160;         // of a save and the begin of the next change
constexpr std::uint64_t kDelayMaxMs = 60;
constexpr std::int64_t kVersionsApart = 1000;

// A worker whose lines come through a pipe.
class Worker {
 public:
  explicit Worker(const std::vector<std::string>& arguments) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    std::string program =
        std::filesystem::canonical("/proc/self/exe").parent_path() / "kill_worker";
    std::vector<std::string> copies = arguments;
    std::vector<char*> argv{program.data()};
    for (std::string& argument : copies) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const int rc = ::posix_spawn(&pid_, program.c_str(), &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    if (rc != 0) throw std::runtime_error("cannot start " + program);
    lines_ = ends[0];
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    if (!reaped_) wait_for(true);
    ::close(lines_);
  }

  // Hands lines to `watch` until the worker is dead, killing it `delay_ms` after its first line
  // when given. Returns its wait status.
  int follow(WorkerWatch& watch, std::optional<std::uint64_t> delay_ms) {
    std::string text;
    std::array<char, 1 << 16> buffer{};
    using Clock = std::chrono::steady_clock;
    Clock::time_point kill_time = Clock::time_point::max();
    for (;;) {
      int timeout = -1;
      if (kill_time != Clock::time_point::max()) {
        const auto left = std::max(kill_time - Clock::now(), Clock::duration::zero());
        timeout = static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count());
      }
      pollfd readable{lines_, POLLIN, 0};
      if (::poll(&readable, 1, timeout) == 0) {
        ::kill(pid_, SIGKILL);
        kill_time = Clock::time_point::max();
        continue;
      }
      const ssize_t count = ::read(lines_, buffer.data(), buffer.size());
      if (count <= 0) break;
      if (text.empty() && delay_ms) {
        kill_time = Clock::now() + std::chrono::milliseconds(*delay_ms);
        delay_ms.reset();
      }
      text.append(buffer.data(), static_cast<std::size_t>(count));
      hand_over(text, watch);
    }
    return wait_for(false);
  }

 private:
  static void hand_over(std::string& text, WorkerWatch& watch) {
    std::size_t begin = 0;
    for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
      watch.hear(std::string_view(text).substr(begin, end - begin));
      begin = end + 1;
    }
    text.erase(0, begin);
  }

  int wait_for(bool kill_first) {
    if (kill_first) ::kill(pid_, SIGKILL);
    int status = 0;
    ::waitpid(pid_, &status, 0);
    reaped_ = true;
    return status;
  }

  pid_t pid_ = -1;
  int lines_ = -1;
  bool reaped_ = false;
};

class Kill : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  TempDirectory directory_ = TempDirectory::in_memory();
  std::string root_ = (directory_ / "root").string();
  std::shared_ptr<engine::Engine> engine_ = small_engine(make_backend(GetParam()));
  Steps steps_;  // certain, as the last look found them
  std::array<int, kPhases> hits_{};

  // Returns how many were inside a save or a deletion.
  int print_hits() const {
    int inside = 0;
    int all = 0;
    for (std::size_t i = 0; i < kPhases; ++i) {
      const auto phase = static_cast<Phase>(i);
      fmt::print("{:>3} kills in {}\n", hits_[i], to_string(phase));
      all += hits_[i];
      if (phase != Phase::idle) inside += hits_[i];
    }
    fmt::print("{:>3} of {} inside a save or a deletion\n", inside, all);
    return inside;
  }

  void kill_once(int run, std::mt19937_64& random) {
    if (run < kByOperation) {
      kill(run, random(), 1 + random() % kOperationsMax, std::nullopt);
    } else {
      kill(run, random(), 0, random() % kDelayMaxMs);
    }
  }

  // One worker's life, and a look at what it left.
  void kill(int run, std::uint64_t seed, std::uint64_t kill_at,
            std::optional<std::uint64_t> delay_ms) {
    WorkerWatch watch(steps_, kMaxToKeep);
    Worker worker({root_, to_string(GetParam()), std::to_string(seed),
                   std::to_string(run * kVersionsApart), std::to_string(kill_at)});
    const int status = worker.follow(watch, delay_ms);
    ASSERT_EQ(watch.error(), "");
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "status " << status;
    ++hits_[static_cast<std::size_t>(watch.phase())];
    const Found found = look(engine_, root_);
    ASSERT_EQ(found.trouble, "") << "killed in " << to_string(watch.phase());
    const std::vector<Steps> allowed = watch.allowed();
    ASSERT_NE(std::ranges::find(allowed, found.steps), allowed.end())
        << "killed in " << to_string(watch.phase()) << ", found " << to_string(found.steps)
        << ", certain " << to_string(allowed.front()) << ", or else " << to_string(allowed.back());
    steps_ = found.steps;
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, Kill, ::testing::ValuesIn(backend_kinds()), backend_name);

TEST_P(Kill, LeavesTheAcknowledgedStepsOrOneChangeMore) {
  std::mt19937_64 random(make_seed());
  for (int run = 0; run < kKills; ++run) {
    SCOPED_TRACE(fmt::format("kill {}", run));
    ASSERT_NO_FATAL_FAILURE(kill_once(run, random));
  }
  EXPECT_GE(print_hits(), kInsideMin);
}

TEST_P(Kill, AtEachOperationOfAFewChangesLeavesTheSame) {
  const std::uint64_t seed = make_seed();
  // A sample differs from one backend to the other.
  constexpr int kStride = static_cast<int>(kOneCaseIn);
  const int first = GetParam() == engine::BackendKind::uring ? 1 : 1 + kStride / 2;
  for (int n = first; n <= kOperationsInTurn; n += kStride) {
    SCOPED_TRACE(fmt::format("operation {}", n));
    const auto kill_at = static_cast<std::uint64_t>(n);
    ASSERT_NO_FATAL_FAILURE(kill(n, seed + kill_at, kill_at, std::nullopt));
  }
  print_hits();
}

TEST_P(Kill, TheNextWriterRemovesWhatTheDeadOneLeft) {
  std::mt19937_64 random(make_seed());
  constexpr int kRuns = 10;
  for (int run = 0; run < kRuns; ++run) {
    ASSERT_NO_FATAL_FAILURE(kill_once(run, random));
    ManagerOptions options;
    options.engine = engine_;
    CheckpointManager manager(root_, options);
    // A temporary directory goes when its step is saved again, trash goes at once.
    for (const std::string& name : leftovers(root_)) {
      const Step step = std::stoll(name);
      static_cast<void>(
          manager.save(step, args::PyTreeSave(content(step, 1)), save_options(1, true)).get());
    }
    manager.close().get();
    EXPECT_EQ(leftovers(root_), std::vector<std::string>());
    steps_ = look(engine_, root_).steps;
  }
}

}  // namespace
}  // namespace cairn::test
