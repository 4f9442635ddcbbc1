// Registered buffers: what stats() says of them, and that transfers through them move the right
// bytes.

#include <cairn/engine/file.h>
#include <cairn/engine/internal/registered_memory.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/use_future.hpp>
#include <cstdio>
#include <cstdlib>

#include "support/backends.h"
#include "support/temp_directory.h"

namespace cairn::engine {
namespace {

namespace asio = boost::asio;
constexpr std::size_t kMiB = 1 << 20;
constexpr std::size_t kSlab = internal::RegisteredMemory::kSlabBytes;

EngineOptions options_of(BackendKind kind, std::size_t window_bytes) {
  EngineOptions options;
  options.backend.kind = kind;
  options.staging_bytes = kMiB;
  options.io_window_bytes = window_bytes;
  options.cpu_threads = 1;
  options.registered_buffers = RegisteredBuffers::automatic;
  return options;
}

// Writes `from` to a new file and reads it back into `to`, by direct I/O where there is some.
bool survives(const std::shared_ptr<Engine>& engine, const std::string& path, const Buffer& from,
              const Buffer& to) {
  auto directory = Directory::async_open(engine, path, asio::use_future).get();
  std::ranges::generate(from.span(), [n = 0u]() mutable { return std::byte(n++ * 7 >> 3); });
  std::ranges::fill(to.span(), std::byte{0});
  File out =
      directory.async_open_file("data", OpenMode::create, DirectIo::automatic, asio::use_future)
          .get();
  out.async_write_at(0, from.span(), asio::use_future).get();
  File in = directory.async_open_file("data", OpenMode::read, DirectIo::automatic, asio::use_future)
                .get();
  const std::size_t read = in.async_read_at(0, to.span(), asio::use_future).get();
  directory.async_unlink("data", asio::use_future).get();
  return read == from.size() && std::ranges::equal(from.span(), to.span());
}

class RegisteredMemoryTest : public ::testing::TestWithParam<BackendKind> {
 protected:
  test::TempDirectory temp_;
};
INSTANTIATE_TEST_SUITE_P(Backends, RegisteredMemoryTest, ::testing::ValuesIn(test::backend_kinds()),
                         test::backend_name);

TEST_P(RegisteredMemoryTest, IsRegisteredByTheFirstTransferInsideIt) {
  const auto engine = Engine::create(options_of(GetParam(), 4 * kMiB));
  EXPECT_FALSE(engine->stats().backend.registered_buffers);
  EXPECT_NE(engine->stats().backend.registered_reason, "");
  const Buffer from = engine->window().try_acquire(kMiB);
  const Buffer to = engine->window().try_acquire(kMiB);
  EXPECT_TRUE(survives(engine, temp_.string(), from, to));
  const BackendInfo info = engine->stats().backend;
  if (GetParam() == BackendKind::threads) {
    EXPECT_EQ(info.registered_bytes, 0u);
    EXPECT_NE(info.registered_reason, "");
  } else if (info.registered_buffers) {
    EXPECT_EQ(info.registered_bytes, 4 * kMiB) << "the window, and nothing of staging";
    EXPECT_EQ(info.registered_reason, "");
  } else {
    EXPECT_NE(info.registered_reason.find("RLIMIT_MEMLOCK"), std::string::npos);
  }
}

TEST_P(RegisteredMemoryTest, ATransferAcrossTwoSlabsMovesTheRightBytes) {
  const auto engine = Engine::create(options_of(GetParam(), 2 * kSlab));
  const Buffer ahead = engine->window().try_acquire(kSlab - kMiB);
  const Buffer across = engine->window().try_acquire(2 * kMiB);
  const Buffer behind = engine->window().try_acquire(2 * kMiB);
  ASSERT_TRUE(across && behind);
  EXPECT_TRUE(survives(engine, temp_.string(), across, behind));
  EXPECT_TRUE(survives(engine, temp_.string(), behind, across));
  EXPECT_LE(engine->stats().backend.registered_bytes, kSlab) << "the first was in no transfer";
}

TEST_P(RegisteredMemoryTest, MemoryOfTheCallersOwnIsLeftAlone) {
  const auto engine = Engine::create(options_of(GetParam(), 4 * kMiB));
  BufferArena other(4 * kMiB);
  const Buffer from = other.try_acquire(kMiB);
  const Buffer to = other.try_acquire(kMiB);
  EXPECT_TRUE(survives(engine, temp_.string(), from, to));
  EXPECT_EQ(engine->stats().backend.registered_bytes, 0u);
}

TEST_P(RegisteredMemoryTest, OffMeansOff) {
  EngineOptions options = options_of(GetParam(), 4 * kMiB);
  options.registered_buffers = RegisteredBuffers::off;
  const auto engine = Engine::create(std::move(options));
  const Buffer from = engine->window().try_acquire(kMiB);
  const Buffer to = engine->window().try_acquire(kMiB);
  EXPECT_TRUE(survives(engine, temp_.string(), from, to));
  EXPECT_FALSE(engine->stats().backend.registered_buffers);
  EXPECT_NE(engine->stats().backend.registered_reason, "");
}

// ---- a limit ------------------------------------------------------------------------------------

// In a process of its own: neither capability nor limit can be taken back.
void limit_locked_memory(std::size_t bytes) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2]{};
  if (::syscall(SYS_capget, &header, sets) != 0) std::_Exit(10);
  sets[CAP_IPC_LOCK / 32].effective &= ~(1u << CAP_IPC_LOCK % 32);
  sets[CAP_IPC_LOCK / 32].permitted &= ~(1u << CAP_IPC_LOCK % 32);
  if (::syscall(SYS_capset, &header, sets) != 0) std::_Exit(11);
  rlimit limit{bytes, bytes};
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) std::_Exit(12);
}

// One transfer out of each arena; each arena is one slab.
[[noreturn]] void transfer_under_limit(std::size_t limit, const std::string& path) {
  limit_locked_memory(limit);
  bool right = true;
  {
    EngineOptions options = options_of(BackendKind::uring, 4 * kMiB);
    options.staging_bytes = 4 * kMiB;
    const auto engine = Engine::create(std::move(options));
    for (BufferArena* arena : {&engine->window(), &engine->staging()}) {
      const Buffer from = arena->try_acquire(kMiB);
      const Buffer to = arena->try_acquire(kMiB);
      right = right && survives(engine, path, from, to);
    }
    const BackendInfo info = engine->stats().backend;
    std::fprintf(stderr, "registered=%d bytes=%zu reason=%s\n", info.registered_buffers ? 1 : 0,
                 static_cast<std::size_t>(info.registered_bytes), info.registered_reason.c_str());
  }
  std::_Exit(right ? 0 : 1);
}

// On the ring alone: the other backend locks no memory.
class RegisteredMemoryLimit : public ::testing::Test {
 protected:
  void SetUp() override {
    if (test::backend_kinds().front() != BackendKind::uring) GTEST_SKIP() << "no ring here";
    GTEST_FLAG_SET(death_test_style, "threadsafe");
  }
  test::TempDirectory temp_;
};

TEST_F(RegisteredMemoryLimit, WhereNothingFitsTransfersGoWithoutAndTheCauseIsNamed) {
  EXPECT_EXIT(transfer_under_limit(2 * kMiB, temp_.string()), ::testing::ExitedWithCode(0),
              "registered=0 bytes=0 reason=.*RLIMIT_MEMLOCK is 2097152 bytes.*ulimit -l");
}

TEST_F(RegisteredMemoryLimit, WhatFitsStaysInUseBesideWhatDoesNot) {
  EXPECT_EXIT(transfer_under_limit(6 * kMiB, temp_.string()), ::testing::ExitedWithCode(0),
              "registered=1 bytes=4194304 reason=.*RLIMIT_MEMLOCK");
}

}  // namespace
}  // namespace cairn::engine
