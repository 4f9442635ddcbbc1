// What the two backends do with the process around them: fallbacks, fork, signals, cancellation.

#include <cairn/engine/error.h>
#include <cairn/engine/file.h>
#include <cairn/engine/internal/execute_blocking.h>
#include <cairn/engine/internal/threads_backend.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <thread>

#include <array>
#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <fstream>
#include <optional>
#include <string>

#include "support/backends.h"
#include "support/io_calls.h"
#include "support/refuse_call.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

using engine::BackendKind;
using engine::IoBackend;
using engine::IoOp;

class IoBackendTest : public ::testing::TestWithParam<BackendKind> {
 protected:
  TempDirectory temp_;
};
INSTANTIATE_TEST_SUITE_P(Backends, IoBackendTest, ::testing::ValuesIn(backend_kinds()),
                         backend_name);

// ---- cancellation -------------------------------------------------------------------------------

// An operation that hangs in the kernel until let_go(). A read of an empty FIFO does on io_uring,
// which ignores the offset; for pread() a FIFO has none, but opening one waits for its writer.
class HungOperation {
 public:
  HungOperation(IoBackend& backend, BackendKind kind, const std::filesystem::path& fifo) {
    EXPECT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    path_ = fifo;
    if (kind == BackendKind::uring) {
      fd_ = ::open(fifo.c_str(), O_RDWR | O_CLOEXEC);
      operation_.emplace(read_request(fd_, 0, buffer_));
    } else {
      operation_.emplace(open_request(AT_FDCWD, fifo.string(), O_RDONLY));
    }
    backend.submit(&*operation_);
  }
  ~HungOperation() {
    if (fd_ < 0) fd_ = static_cast<int>(operation_->result.value);
    if (fd_ >= 0) ::close(fd_);
  }
  TestOperation& operation() { return *operation_; }
  void let_go() {
    int writer = -1;  // ENXIO until the reader has arrived
    while ((writer = ::open(path_.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0) {
      ASSERT_EQ(errno, ENXIO);
      std::this_thread::yield();
    }
    EXPECT_TRUE(fd_ < 0 || ::write(writer, "x", 1) == 1);
    operation_->wait();
    ::close(writer);
  }

 private:
  std::filesystem::path path_;
  int fd_ = -1;
  std::array<char, 1> buffer_{};
  std::optional<TestOperation> operation_;
};

TEST_P(IoBackendTest, AWaitingOperationIsCancelledWhileTheKernelHangs) {
  engine::BackendOptions options;
  options.kind = GetParam();
  options.queue_depth = 1;
  options.threads = 1;
  const auto backend = engine::make_backend(options);
  HungOperation hung(*backend, GetParam(), temp_ / "fifo");
  TestOperation waiting(path_request(IoOp::make_directory, AT_FDCWD, (temp_ / "dir").string()));
  backend->submit(&waiting);
  backend->cancel(&waiting);
  EXPECT_EQ(waiting.wait().value, -ECANCELED);
  EXPECT_TRUE(waiting.result.refused);
  EXPECT_EQ(hung.operation().completions(), 0);
  hung.let_go();
  EXPECT_GE(hung.operation().result.value, 0);
  EXPECT_FALSE(std::filesystem::exists(temp_ / "dir"));
}

// The helper of the uring backend: two hung truncates must not stop every list and lock.
TEST(ThreadsBackend, GrowsWhileCallsHang) {
  constexpr unsigned kMost = 3;
  const TempDirectory temp;
  engine::internal::ThreadsBackend backend(1, kMost, "test");
  std::deque<HungOperation> hung;
  for (unsigned i = 0; i + 1 < kMost; ++i) {
    hung.emplace_back(backend, BackendKind::threads, temp / ("fifo" + std::to_string(i)));
  }
  EXPECT_EQ(call(backend, path_request(IoOp::stat, AT_FDCWD, "/")).value, 0);
  hung.emplace_back(backend, BackendKind::threads, temp / "last");
  TestOperation waiting(path_request(IoOp::stat, AT_FDCWD, "/"));
  backend.submit(&waiting);  // there is a limit
  EXPECT_EQ(waiting.completions(), 0);
  for (HungOperation& operation : hung) operation.let_go();
  EXPECT_EQ(waiting.wait().value, 0);
}

TEST_P(IoBackendTest, ACloseIsCarriedOutAlthoughItIsCancelledWhileItWaits) {
  engine::BackendOptions options;
  options.kind = GetParam();
  options.queue_depth = 1;
  options.threads = 1;
  const auto backend = engine::make_backend(options);
  HungOperation hung(*backend, GetParam(), temp_ / "fifo");
  const int fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  TestOperation close(range_request(IoOp::close, fd, 0, 0));
  backend->submit(&close);
  backend->cancel(&close);
  hung.let_go();
  EXPECT_EQ(close.wait().value, 0);
  EXPECT_FALSE(close.result.refused);
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST_P(IoBackendTest, AnOperationInTheKernelEndsWhenTheKernelSaysSo) {
  const auto backend = make_backend(GetParam());
  HungOperation hung(*backend, GetParam(), temp_ / "fifo");
  Calls calls(*backend);
  const int root = calls.open_directory(temp_.string());  // behind it: so it is in the kernel
  backend->cancel(&hung.operation());
  if (GetParam() == BackendKind::uring) {
    EXPECT_EQ(hung.operation().wait().value, -ECANCELED);
  } else {
    hung.let_go();
    const auto value = hung.operation().wait().value;
    EXPECT_TRUE(value >= 0 || value == -ECANCELED) << value;
  }
  calls.close(root);
}

TEST_P(IoBackendTest, ALateCancelDoesNotHitTheNextOperationAtItsAddress) {
  const auto backend = make_backend(GetParam());
  for (int round = 0; round < 500; ++round) {
    std::optional<TestOperation> operation;
    operation.emplace(path_request(IoOp::stat, AT_FDCWD, "/"));
    backend->submit(&*operation);
    EXPECT_EQ(operation->wait().value, 0);
    backend->cancel(&*operation);  // too late
    operation.emplace(path_request(IoOp::stat, AT_FDCWD, "/"));
    backend->submit(&*operation);
    ASSERT_EQ(operation->wait().value, 0) << "round " << round;
  }
}

// ---- choosing a backend -------------------------------------------------------------------------

[[noreturn]] void report(const engine::BackendOptions& options) {
  try {
    const auto info = engine::make_backend(options)->info();
    std::fprintf(stderr, "name=%s reason=%s\n", info.name.c_str(), info.reason.c_str());
  } catch (const boost::system::system_error& error) {
    std::fprintf(stderr, "thrown=%d %s\n", error.code().value(), error.what());
  }
  std::_Exit(0);
}

[[noreturn]] void report_without_io_uring(int error, BackendKind kind) {
  ::unsetenv("CAIRN_IO_BACKEND");
  refuse_call(SYS_io_uring_setup, error);
  engine::BackendOptions options;
  options.kind = kind;
  report(options);
}

[[noreturn]] void report_without_eventfd(BackendKind kind) {
  ::unsetenv("CAIRN_IO_BACKEND");
  refuse_call(SYS_eventfd2, EMFILE);
  engine::BackendOptions options;
  options.kind = kind;
  report(options);
}

[[noreturn]] void report_without_threads(BackendKind kind) {
  ::unsetenv("CAIRN_IO_BACKEND");
  refuse_call(SYS_clone3, ENOSYS);
  refuse_call(SYS_clone, EAGAIN);
  engine::BackendOptions options;
  options.kind = kind;
  report(options);
}

[[noreturn]] void report_with_variable(const char* value, BackendKind kind) {
  ::setenv("CAIRN_IO_BACKEND", value, 1);
  engine::BackendOptions options;
  options.kind = kind;
  report(options);
}

// Each runs in a fresh process: filters cannot be taken back, and the environment is the process's.
class BackendChoice : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};
const auto kClean = ::testing::ExitedWithCode(0);

TEST_F(BackendChoice, FallsBackToThreadsAndNamesCauseAndRemedy) {
  const auto automatic = BackendKind::automatic;
  EXPECT_EXIT(report_without_io_uring(EPERM, automatic), kClean,
              "name=threads reason=io_uring_setup: .*(seccomp.*allow|io_uring_disabled)");
  EXPECT_EXIT(report_without_io_uring(ENOSYS, automatic), kClean,
              "name=threads reason=.*no io_uring.*run Linux");
  EXPECT_EXIT(report_without_io_uring(ENOMEM, automatic), kClean,
              "name=threads reason=.*locked memory.*ulimit -l");
  EXPECT_EXIT(report_without_io_uring(EINVAL, automatic), kClean,
              "name=threads reason=io_uring_setup: Invalid argument");
}

TEST_F(BackendChoice, FallsBackWhereARingIsGrantedAndADescriptorIsNot) {
  EXPECT_EXIT(report_without_eventfd(BackendKind::automatic), kClean,
              "name=threads reason=io_uring.*eventfd.*ulimit -n");
  EXPECT_EXIT(report_without_eventfd(BackendKind::uring), kClean, "thrown=24 .*eventfd");
}

TEST_F(BackendChoice, ThreadsThatCannotBeHadAreAnErrorOfBoosts) {
  EXPECT_EXIT(report_without_threads(BackendKind::automatic), kClean, "thrown=11 ");
  EXPECT_EXIT(report_without_threads(BackendKind::threads), kClean, "thrown=11 ");
}

TEST_F(BackendChoice, AForcedRingThatIsRefusedIsAnErrorWithTheCause) {
  EXPECT_EXIT(report_without_io_uring(EPERM, BackendKind::uring), kClean,
              "thrown=1 .*(seccomp|io_uring_disabled)");
}

TEST_F(BackendChoice, TheEnvironmentOverridesAutomaticOnly) {
  EXPECT_EXIT(report_with_variable("threads", BackendKind::automatic), kClean,
              "name=threads reason=.*CAIRN_IO_BACKEND=threads");
  EXPECT_EXIT(report_with_variable("nonsense", BackendKind::automatic), kClean,
              "thrown=22 .*allowed: uring, threads");
  EXPECT_EXIT(report_with_variable("nonsense", BackendKind::threads), kClean,
              "name=threads reason=forced by options");
}

TEST_P(IoBackendTest, InfoSaysWhatItIs) {
  const auto info = make_backend(GetParam(), 32)->info();
  EXPECT_EQ(info.name, to_string(GetParam()));
  EXPECT_EQ(info.reason, "forced by options");
  EXPECT_EQ(info.queue_depth, GetParam() == BackendKind::uring ? 32u : 8u);
}

// ---- fork and signals ---------------------------------------------------------------------------

bool maps_a_ring() {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    if (line.find("io_uring") != std::string::npos) return true;
  }
  return false;
}

[[noreturn]] void fork_with_backend(BackendKind kind) {
  auto backend = make_backend(kind);
  const auto request = path_request(IoOp::stat, AT_FDCWD, "/");
  if (call(*backend, request).value != 0) std::_Exit(10);
  const pid_t child = ::fork();
  if (child == 0) {
    if (maps_a_ring()) std::_Exit(11);
    if (call(*backend, request).value != -EOWNERDEAD) std::_Exit(12);
    if (!backend->shut_down(-1)) std::_Exit(13);
    backend.reset();  // neither hangs nor touches what the parent has
    std::_Exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status)) std::_Exit(14);
  if (WEXITSTATUS(status) != 0) std::_Exit(WEXITSTATUS(status));
  if (call(*backend, request).value != 0) std::_Exit(15);  // the parent goes on
  backend.reset();
  std::_Exit(0);
}

TEST_P(IoBackendTest, AForkedChildIsRefusedAndTheParentGoesOn) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(fork_with_backend(GetParam()), kClean, "");
}

TEST_P(IoBackendTest, ThreadsBlockAllSignals) {
  const auto backend = make_backend(GetParam());
  // Threads give themselves their names: until three have, there is nothing to look at.
  int checked = 0;
  while (checked < 3) {
    checked = 0;
    for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
      std::ifstream name_file(task.path() / "comm");
      std::string name;
      std::getline(name_file, name);
      if (name != "cairn-reactor" && name != "cairn-io" && name != "cairn-cancel") continue;
      std::ifstream status(task.path() / "status");
      std::string line;
      while (std::getline(status, line)) {
        if (!line.starts_with("SigBlk:")) continue;
        const auto mask = std::stoull(line.substr(7), nullptr, 16);
        for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGPROF}) {
          EXPECT_NE(mask & (1ull << (signal - 1)), 0u) << name << " signal " << signal;
        }
        ++checked;
      }
    }
    std::this_thread::yield();
  }
}

// ---- what only plain system calls do ------------------------------------------------------------

TEST(ExecuteBlocking, CutsTransfersToAnAlignedLengthThatLinuxAccepts) {
  EXPECT_EQ(engine::internal::transfer_length(100), 100u);
  EXPECT_EQ(engine::internal::transfer_length(~std::uint64_t{0}),
            engine::internal::kMaxTransferBytes);
  static_assert(engine::internal::kMaxTransferBytes % 4096 == 0);
}

TEST(IoOpNames, AreThoseOfTheEnumeration) {
  EXPECT_EQ(engine::to_string(IoOp::open), "open");
  EXPECT_EQ(engine::to_string(IoOp::lock), "lock");
  EXPECT_EQ(engine::to_string(IoOp::watch), "watch");
}

}  // namespace
}  // namespace cairn::test
