// Faults reach their owner as asked, and files deal with them below their callers.

#include <cairn/engine/error.h>
#include <cairn/engine/faulty_backend.h>
#include <cairn/engine/file.h>
#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/use_future.hpp>
#include <cerrno>
#include <fstream>
#include <future>
#include <iterator>
#include <string>
#include <thread>

#include "support/backends.h"
#include "support/io_calls.h"
#include "support/temp_directory.h"

namespace cairn::test {
namespace {

namespace asio = boost::asio;
using asio::use_future;
using engine::DirectIo;
using engine::Directory;
using engine::Engine;
using engine::Errc;
using engine::error_code;
using engine::FaultPlan;
using engine::File;
using engine::IoOp;
using engine::OpenMode;

class FaultTest : public ::testing::TestWithParam<engine::BackendKind> {
 protected:
  void SetUp() override {
    engine::EngineOptions options;
    options.io_backend = engine::make_faulty_backend(make_backend(GetParam()), plan_);
    options.staging_bytes = 1 << 20;
    options.io_window_bytes = 1 << 20;
    options.cpu_threads = 1;
    engine_ = Engine::create(std::move(options));
    root_ = Directory::async_open(engine_, temp_.string(), use_future).get();
    plan_->clear();
  }
  void TearDown() override { plan_->release(); }

  struct Outcome {
    error_code error;
    std::size_t bytes = 0;
  };
  Outcome write(File& file, std::uint64_t offset, std::string_view text) {
    std::promise<Outcome> promise;
    file.async_write_at(offset, std::as_bytes(std::span(text.data(), text.size())),
                        [&](error_code error, std::size_t bytes) {
                          promise.set_value({error, bytes});
                        });
    return promise.get_future().get();
  }
  Outcome read(File& file, std::span<std::byte> buffer) {
    std::promise<Outcome> promise;
    file.async_read_at(0, buffer, [&](error_code error, std::size_t bytes) {
      promise.set_value({error, bytes});
    });
    return promise.get_future().get();
  }
  std::pair<error_code, File> open(OpenMode mode, DirectIo direct = DirectIo::off) {
    std::promise<std::pair<error_code, File>> promise;
    root_.async_open_file("file", mode, direct, [&](error_code error, File file) {
      promise.set_value({error, std::move(file)});
    });
    return promise.get_future().get();
  }
  error_code sync(File& file) {
    std::promise<error_code> promise;
    file.async_sync([&](error_code error) { promise.set_value(error); });
    return promise.get_future().get();
  }
  std::string content() {
    std::ifstream file(temp_ / "file", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  TempDirectory temp_;
  std::shared_ptr<FaultPlan> plan_ = std::make_shared<FaultPlan>();
  std::shared_ptr<Engine> engine_;
  Directory root_;
};

TEST_P(FaultTest, TheNthMatchingCallFailsAndIsNotCarriedOut) {
  File file = open(OpenMode::create).second;
  plan_->clear();
  plan_->fail(FaultPlan::only({IoOp::write}), 2, ENOSPC);
  EXPECT_FALSE(write(file, 0, "one").error);
  EXPECT_EQ(write(file, 3, "two").error.value(), ENOSPC);
  EXPECT_FALSE(write(file, 3, "six").error);
  EXPECT_EQ(content(), "onesix");
  EXPECT_EQ(plan_->calls(), 3u);
  EXPECT_EQ(plan_->injected(), 1u);
}

TEST_P(FaultTest, AFailureAfterTheFactIsCarriedOut) {
  plan_->fail_after(FaultPlan::only({IoOp::open}), 1, EIO);
  EXPECT_EQ(open(OpenMode::create).first.value(), EIO);
  EXPECT_TRUE(std::filesystem::exists(temp_ / "file"));
  EXPECT_EQ(open(OpenMode::create).first.value(), EEXIST);
}

TEST_P(FaultTest, ShortWritesAndReadsAreCarriedOn) {
  File file = open(OpenMode::create).second;
  plan_->shorten(FaultPlan::only({IoOp::write, IoOp::read}), 1, 3, FaultPlan::kForever);
  const Outcome written = write(file, 0, "0123456789");
  EXPECT_FALSE(written.error);
  EXPECT_EQ(written.bytes, 10u);
  EXPECT_EQ(content(), "0123456789");
  File again = open(OpenMode::read).second;
  std::vector<std::byte> buffer(16);
  EXPECT_EQ(read(again, buffer).bytes, 10u);
  EXPECT_EQ(buffer[9], std::byte{'9'});
  EXPECT_GE(plan_->injected(), 8u);
}

TEST_P(FaultTest, InterruptedTransfersAreSubmittedAgain) {
  File file = open(OpenMode::create).second;
  plan_->fail(FaultPlan::only({IoOp::write}), 1, EINTR, 3);
  plan_->fail(FaultPlan::only({IoOp::write}), 4, EAGAIN, 2);
  EXPECT_EQ(write(file, 0, "text").bytes, 4u);
  EXPECT_EQ(plan_->injected(), 5u);
}

TEST_P(FaultTest, EndlessInterruptionsEndAsAnError) {
  File file = open(OpenMode::create).second;
  plan_->fail(FaultPlan::only({IoOp::write}), 1, EINTR, FaultPlan::kForever);
  EXPECT_EQ(write(file, 0, "text").error.value(), EINTR);
}

TEST_P(FaultTest, AnErrorAfterAPartReportsThePart) {
  File file = open(OpenMode::create).second;
  plan_->shorten(FaultPlan::only({IoOp::write}), 1, 4);
  plan_->fail(FaultPlan::only({IoOp::write}), 2, EIO);
  const Outcome outcome = write(file, 0, "0123456789");
  EXPECT_EQ(outcome.error.value(), EIO);
  EXPECT_EQ(outcome.bytes, 4u);
}

TEST_P(FaultTest, FailedSyncsAreReported) {
  File file = open(OpenMode::create).second;
  plan_->fail(FaultPlan::only({IoOp::sync_data}), 1, EIO);
  EXPECT_EQ(sync(file).value(), EIO);
}

TEST_P(FaultTest, AFileSystemThatShutItselfDownIsNotAnEngineThatDoes) {
  File file = open(OpenMode::create).second;
  plan_->fail(FaultPlan::only({IoOp::sync_data}), 1, ESHUTDOWN);
  EXPECT_EQ(sync(file), engine::from_errno(ESHUTDOWN));
}

TEST_P(FaultTest, AllocateForgivesFileSystemsThatCannotButNotFullOnes) {
  File file = open(OpenMode::create).second;
  const auto allocate = [&] {
    std::promise<error_code> promise;
    file.async_allocate(4096, [&](error_code error) { promise.set_value(error); });
    return promise.get_future().get();
  };
  plan_->fail(FaultPlan::only({IoOp::allocate}), 1, EOPNOTSUPP);
  EXPECT_FALSE(allocate());
  plan_->fail(FaultPlan::only({IoOp::allocate}), 1, ENOSPC);
  EXPECT_EQ(allocate().value(), ENOSPC);
}

TEST_P(FaultTest, DirectIoFallsBackWhereTheFileSystemRefusesIt) {
  const auto refuse = [](const engine::IoRequest& request) {
    return request.op == IoOp::open && (request.flags & O_DIRECT) != 0;
  };
  plan_->fail(refuse, 1, EINVAL, FaultPlan::kForever);
  EXPECT_EQ(open(OpenMode::create, DirectIo::required).first,
            make_error_code(Errc::direct_io_unavailable));
  auto [error, file] = open(OpenMode::create, DirectIo::automatic);
  EXPECT_FALSE(error) << error.message();
  EXPECT_FALSE(file.direct());
  EXPECT_EQ(engine_->stats().files_buffered, 1u);
}

TEST_P(FaultTest, TheFallbackFromDirectIoTakesTheFileThatLinuxLeft) {
  plan_->fail_after(
      [](const engine::IoRequest& request) { return (request.flags & O_DIRECT) != 0; }, 1, EINVAL);
  auto [error, file] = open(OpenMode::create, DirectIo::automatic);
  EXPECT_FALSE(error) << error.message();
  EXPECT_TRUE(file);
}

TEST_P(FaultTest, ACreateThatIsRefusedLeavesNoFileBehind) {
  plan_->fail_after(
      [](const engine::IoRequest& request) { return (request.flags & O_DIRECT) != 0; }, 1, EINVAL);
  EXPECT_EQ(open(OpenMode::create, DirectIo::required).first,
            make_error_code(Errc::direct_io_unavailable));
  EXPECT_EQ(plan_->injected(), 1u);
  EXPECT_FALSE(std::filesystem::exists(temp_ / "file"));
}

TEST_P(FaultTest, AFileThatWasThereSurvivesARefusedOpen) {
  std::ofstream(temp_ / "file") << "precious";
  plan_->fail_after(
      [](const engine::IoRequest& request) { return (request.flags & O_DIRECT) != 0; }, 1, EINVAL);
  EXPECT_EQ(open(OpenMode::read, DirectIo::required).first,
            make_error_code(Errc::direct_io_unavailable));
  EXPECT_EQ(content(), "precious");
}

TEST_P(FaultTest, AnOpenThatALeaseDelaysIsWaitedFor) {
  std::ofstream(temp_ / "file") << "precious";
  plan_->fail(
      [](const engine::IoRequest& request) {
        return request.op == IoOp::open && (request.flags & O_NONBLOCK) != 0;
      },
      1, EAGAIN, FaultPlan::kForever);
  auto [error, file] = open(OpenMode::read);
  EXPECT_FALSE(error) << error.message();
  EXPECT_TRUE(file);
  EXPECT_GE(plan_->injected(), 1u);
}

TEST_P(FaultTest, ShortDirectTransfersOffTheAlignmentAreErrors) {
  File file = open(OpenMode::create, DirectIo::automatic).second;
  if (!file.direct()) GTEST_SKIP() << "no direct I/O on " << temp_.string();
  const std::size_t size = 3 * 4096;
  const std::unique_ptr<char, void (*)(void*)> memory(
      static_cast<char*>(std::aligned_alloc(4096, size)), std::free);
  std::fill_n(memory.get(), size, 'd');
  plan_->shorten(FaultPlan::only({IoOp::write}), 1, 4096);
  EXPECT_EQ(write(file, 0, {memory.get(), size}).bytes, size);  // aligned: carried on
  File again = open(OpenMode::read, DirectIo::automatic).second;
  // Shortened below the alignment, the read itself is refused by Linux or ends before the file
  // does.
  plan_->shorten(FaultPlan::only({IoOp::read}), 1, 4096 + 512);
  const Outcome outcome = read(again, std::as_writable_bytes(std::span(memory.get(), size)));
  if (outcome.error.value() == EINVAL) GTEST_SKIP() << "reads of 512 bytes are refused here";
  if (again.alignment() > 512) {
    EXPECT_EQ(outcome.error, make_error_code(Errc::unaligned_short_transfer));
  } else {
    EXPECT_EQ(outcome.bytes, size);
  }
}

TEST_P(FaultTest, AFailedWriteBackFailsTheWrite) {
  // It would be reported by no later sync.
  File file = open(OpenMode::create).second;
  const std::string chunk(engine::impl::kWriteBackWindowBytes / 2, 'w');
  plan_->fail(
      [](const engine::IoRequest& request) {
        return request.op == IoOp::write_back && request.flags == engine::kWriteBackWait;
      },
      1, EIO);
  std::vector<int> errors;
  for (std::uint64_t i = 0; i < 4; ++i) {
    errors.push_back(write(file, i * chunk.size(), chunk).error.value());
  }
  EXPECT_EQ(errors, (std::vector<int>{0, 0, 0, EIO}));
}

TEST_P(FaultTest, CancellationEndsATransferBetweenItsRequests) {
  File file = open(OpenMode::create).second;
  plan_->clear();
  plan_->shorten(FaultPlan::only({IoOp::write}), 1, 2);
  plan_->hold(FaultPlan::only({IoOp::write}));
  asio::cancellation_signal signal;
  std::promise<Outcome> promise;
  const std::string text = "0123456789";
  asio::post(engine_->executor(), [&] {
    file.async_write_at(
        0, std::as_bytes(std::span(text.data(), text.size())),
        asio::bind_cancellation_slot(signal.slot(), [&](error_code error, std::size_t bytes) {
          promise.set_value({error, bytes});
        }));
  });
  plan_->wait_until_held(1);
  std::promise<void> emitted;
  asio::post(engine_->executor(), [&] {
    signal.emit(asio::cancellation_type::terminal);
    emitted.set_value();
  });
  emitted.get_future().wait();
  plan_->release();
  const Outcome outcome = promise.get_future().get();
  EXPECT_EQ(outcome.error, asio::error::operation_aborted);
  EXPECT_EQ(outcome.bytes, 2u);  // what the kernel had done by then
  EXPECT_EQ(content(), "01");
}

TEST_P(FaultTest, AFailedCloseHasClosedTheDescriptor) {
  for (const int errno_value : {ECANCELED, EIO}) {
    File file = open(OpenMode::create_lock).second;
    const int fd = file.fd();
    plan_->fail(FaultPlan::only({IoOp::close}), 1, errno_value);
    std::promise<error_code> promise;
    file.async_close([&](error_code error) { promise.set_value(error); });
    EXPECT_EQ(promise.get_future().get().value(), errno_value);
    EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
    plan_->clear();
  }
}

TEST_P(FaultTest, LettingAFileGoDoesNotWaitForItsClose) {
  File file = open(OpenMode::create).second;
  const int fd = file.fd();
  const auto before = engine_->stats();
  plan_->hold(FaultPlan::only({IoOp::close}));
  file = File();
  plan_->wait_until_held(1);
  EXPECT_GE(::fcntl(fd, F_GETFD), 0);
  plan_->release();
  root_ = Directory();
  while (engine_->stats().operations_completed < before.operations_submitted + 2) {
    std::this_thread::yield();
  }
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST_P(FaultTest, ShutDownDoesNotWaitForEverForWhatHangs) {
  auto plan = std::make_shared<FaultPlan>();
  const auto backend = engine::make_faulty_backend(make_backend(GetParam()), plan);
  plan->hold(FaultPlan::only({IoOp::stat}));
  TestOperation operation(path_request(IoOp::stat, AT_FDCWD, temp_.string()));
  backend->submit(&operation);
  plan->wait_until_held(1);
  EXPECT_FALSE(backend->shut_down(0));
  EXPECT_EQ(operation.completions(), 0);
  plan->release();
  EXPECT_EQ(operation.wait().value, 0);
  EXPECT_TRUE(backend->shut_down(-1));
}

INSTANTIATE_TEST_SUITE_P(Backends, FaultTest, ::testing::ValuesIn(backend_kinds()), backend_name);

}  // namespace
}  // namespace cairn::test
