#include <cairn/engine/buffer_arena.h>
#include <cairn/engine/internal/poison.h>
#include <gtest/gtest.h>
#include <support/gate_test.h>
#include <support/run.h>
#include <support/seed.h>

#include <random>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;
constexpr std::size_t kBlock = kBufferAlignment;

using BufferArenaTest = test::GateTest<BufferArena, Buffer>;

TEST_F(BufferArenaTest, GivesAlignedMemoryRoundedUp) {
  BufferArena arena(8 * kBlock);
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}, kBlock, kBlock + 1}) {
    const Buffer buffer = arena.try_acquire(bytes);
    ASSERT_TRUE(buffer);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(buffer.data()) % kBufferAlignment, 0u);
    EXPECT_EQ(buffer.size(), bytes <= kBlock ? kBlock : 2 * kBlock);
    std::memset(buffer.data(), 0xAB, buffer.size());
  }
  EXPECT_EQ(arena.stats().in_use_bytes, 0u);
  EXPECT_EQ(arena.stats().peak_bytes, 2 * kBlock);
}

TEST_F(BufferArenaTest, CompletesOnTheHandlersExecutorNeverInline) {
  BufferArena arena(kBlock);
  const auto request = ask(arena, kBlock);
  EXPECT_FALSE(request->done);
  settle();
  EXPECT_TRUE(request->done);
  EXPECT_TRUE(request->grant);
}

TEST_F(BufferArenaTest, KeepsTheExecutorsWorkWhileARequestWaits) {
  BufferArena arena(kBlock);
  Buffer held = arena.try_acquire(kBlock);
  const auto request = ask(arena, kBlock);
  settle();
  EXPECT_FALSE(context_.stopped());
  held.reset();
  settle();
  EXPECT_TRUE(request->done);
  EXPECT_TRUE(context_.stopped());
}

TEST_F(BufferArenaTest, ServesInTheOrderOfAsking) {
  BufferArena arena(4 * kBlock);
  Buffer first = arena.try_acquire(2 * kBlock);
  Buffer second = arena.try_acquire(kBlock);
  const auto large = ask(arena, 3 * kBlock);
  const auto small = ask(arena, kBlock);
  settle();
  EXPECT_FALSE(large->done);
  EXPECT_FALSE(small->done) << "a small request overtook the large one before it";
  EXPECT_FALSE(arena.try_acquire(kBlock)) << "try_acquire() overtook the queue";
  EXPECT_EQ(arena.stats().waiting, 2u);
  second.reset();
  settle();
  EXPECT_FALSE(large->done);
  first.reset();
  settle();
  EXPECT_TRUE(large->grant);
  EXPECT_TRUE(small->grant);
}

TEST_F(BufferArenaTest, CancellingTheHeadLetsTheNextIn) {
  BufferArena arena(4 * kBlock);
  Buffer held = arena.try_acquire(2 * kBlock);
  const auto large = ask(arena, 3 * kBlock);
  const auto small = ask(arena, kBlock);
  settle();
  large->signal.emit(asio::cancellation_type::terminal);
  settle();
  EXPECT_EQ(large->error, asio::error::operation_aborted);
  EXPECT_FALSE(large->grant);
  EXPECT_TRUE(small->grant);
}

TEST_F(BufferArenaTest, CancellingAfterTheGrantKeepsTheGrant) {
  BufferArena arena(kBlock);
  const auto request = ask(arena, kBlock);
  request->signal.emit(asio::cancellation_type::terminal);
  settle();
  EXPECT_FALSE(request->error);
  EXPECT_TRUE(request->grant);
}

TEST_F(BufferArenaTest, JoinsNeighboursThatComeBack) {
  BufferArena arena(6 * kBlock);
  std::vector<Buffer> buffers;
  for (int i = 0; i < 6; ++i) buffers.push_back(arena.try_acquire(kBlock));
  for (const std::size_t i : {1u, 3u, 5u, 4u, 0u, 2u}) buffers[i].reset();
  EXPECT_TRUE(arena.try_acquire(6 * kBlock));
}

TEST_F(BufferArenaTest, UsesTouchedMemoryBeforeFresh) {
  BufferArena arena(1024 * kBlock);
  for (int i = 0; i < 100; ++i) {
    const Buffer one = arena.try_acquire(3 * kBlock);
    const Buffer two = arena.try_acquire(kBlock);
  }
  EXPECT_EQ(arena.stats().committed_bytes, 4 * kBlock);
}

TEST_F(BufferArenaTest, RequestAboveCapacityRunsAlone) {
  BufferArena arena(4 * kBlock);
  Buffer held = arena.try_acquire(kBlock);
  const auto oversize = ask(arena, 100 * kBlock);
  const auto behind = ask(arena, kBlock);
  settle();
  EXPECT_FALSE(oversize->done);
  held.reset();
  settle();
  ASSERT_TRUE(oversize->grant);
  EXPECT_EQ(oversize->grant.size(), 100 * kBlock);
  std::memset(oversize->grant.data(), 1, oversize->grant.size());
  EXPECT_FALSE(behind->done);
  EXPECT_EQ(arena.stats().in_use_bytes, 100 * kBlock);
  oversize->grant.reset();
  settle();
  EXPECT_TRUE(behind->grant);
}

TEST_F(BufferArenaTest, RefusesAbsurdSizes) {
  BufferArena arena(kBlock);
  const auto request = ask(arena, ~std::size_t{0});
  const auto too_much = ask(arena, std::size_t{1} << 62);
  settle();
  EXPECT_EQ(request->error, make_error_code(Errc::request_too_large));
  EXPECT_EQ(too_much->error, boost::system::errc::not_enough_memory);
  EXPECT_TRUE(arena.try_acquire(kBlock)) << "a failed request left the arena unusable";
  EXPECT_THROW(BufferArena(0), boost::system::system_error);
}

TEST_F(BufferArenaTest, EndsWaitersWhenDestroyedAndBuffersOutliveIt) {
  auto arena = std::make_unique<BufferArena>(kBlock);
  Buffer held = arena->try_acquire(kBlock);
  const auto request = ask(*arena, kBlock);
  arena.reset();
  settle();
  EXPECT_EQ(request->error, asio::error::operation_aborted);
  std::memset(held.data(), 7, held.size());
  EXPECT_EQ(std::to_integer<int>(held.data()[kBlock - 1]), 7);
}

TEST_F(BufferArenaTest, MovedBuffersGiveBackOnce) {
  BufferArena arena(2 * kBlock);
  Buffer one = arena.try_acquire(kBlock);
  Buffer two = std::move(one);
  EXPECT_FALSE(one);  // NOLINT(bugprone-use-after-move): a moved-from buffer is empty
  one = arena.try_acquire(kBlock);
  one = std::move(two);
  EXPECT_EQ(arena.stats().in_use_bytes, kBlock);
  one.reset();
  one.reset();
  EXPECT_EQ(arena.stats().in_use_bytes, 0u);
}

TEST_F(BufferArenaTest, PrefaultKeepsWhatIsInUse) {
  BufferArena arena(64 * kBlock);
  const Buffer held = arena.try_acquire(kBlock);
  std::memset(held.data(), 0x5A, held.size());
  EXPECT_FALSE(arena.prefault(32 * kBlock));
  EXPECT_EQ(arena.stats().committed_bytes, 32 * kBlock);
  EXPECT_FALSE(arena.prefault(~std::size_t{0}, 32 * kBlock));
  EXPECT_EQ(arena.stats().committed_bytes, 64 * kBlock);
  EXPECT_EQ(std::to_integer<int>(held.data()[17]), 0x5A);
}

// One of many coroutines that take, mark, hold, check and give back.
asio::awaitable<void> use_buffers(BufferArena& arena, std::uint64_t seed, int rounds) {
  std::mt19937_64 random(seed);
  const auto mark = static_cast<int>(seed % 251);
  for (int round = 0; round < rounds; ++round) {
    // Now and then above capacity, which must wait for all others and not for ever.
    const std::size_t blocks = random() % 50 == 0 ? 80 : 1 + random() % 20;
    const auto use = random() % 2 == 0 ? ArenaUse::write : ArenaUse::read;
    const Buffer buffer = co_await arena.async_acquire(blocks * kBlock, use, asio::use_awaitable);
    for (std::size_t at = 0; at < buffer.size(); at += kBlock / 2)
      buffer.data()[at] = static_cast<std::byte>(mark);
    for (std::uint64_t pause = random() % 4; pause > 0; --pause)
      co_await asio::post(asio::use_awaitable);
    for (std::size_t at = 0; at < buffer.size(); at += kBlock / 2)
      if (std::to_integer<int>(buffer.data()[at]) != mark) throw std::runtime_error("overlap");
  }
}

void use_from_several_threads(BufferArena& arena, std::uint64_t seed) {
  asio::thread_pool threads(3);
  std::atomic<int> failures = 0;
  const auto count = [&failures](std::exception_ptr failure) {
    if (failure) ++failures;
  };
  for (std::uint64_t task = 0; task < 24; ++task)
    asio::co_spawn(threads, use_buffers(arena, seed + task, 60), count);
  threads.join();
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(arena.stats().in_use_bytes, 0u);
}

TEST_F(BufferArenaTest, RandomUseFromSeveralThreadsNeverOverlapsAndEnds) {
  const std::uint64_t seed = test::make_seed();
  BufferArena common(64 * kBlock);
  use_from_several_threads(common, seed);
  EXPECT_TRUE(common.try_acquire(64 * kBlock)) << "free ranges were not joined";
  BufferArena shared(64 * kBlock, 16 * kBlock);
  use_from_several_threads(shared, seed);
  const std::vector<Buffer> all = [&] {
    std::vector<Buffer> taken;
    taken.push_back(shared.try_acquire(32 * kBlock));
    taken.push_back(shared.try_acquire(16 * kBlock, ArenaUse::write));
    taken.push_back(shared.try_acquire(16 * kBlock, ArenaUse::read));
    return taken;
  }();
  for (const Buffer& part : all) EXPECT_TRUE(part) << "free ranges were not joined";
}

// ---- shares -------------------------------------------------------------------------------------

TEST_F(BufferArenaTest, AUseCannotTakeTheShareOfTheOther) {
  BufferArena arena(8 * kBlock, 2 * kBlock);
  std::vector<std::unique_ptr<Request>> writes;
  for (int i = 0; i < 7; ++i) writes.push_back(ask(arena, kBlock));
  settle();
  EXPECT_TRUE(writes[5]->done);
  EXPECT_FALSE(writes[6]->done) << "six of the eight: its own two, and the four that are common";
  // Writing stalls; reading goes on for as long as it likes.
  for (int round = 0; round < 10; ++round) {
    const auto one = ask(arena, kBlock, ArenaUse::read);
    const auto two = ask(arena, kBlock, ArenaUse::read);
    const auto three = ask(arena, kBlock, ArenaUse::read);
    settle();
    EXPECT_TRUE(one->grant && two->grant);
    EXPECT_FALSE(three->done);
    one->grant.reset();
    settle();
    EXPECT_TRUE(three->grant);
  }
  EXPECT_FALSE(writes[6]->done);
  writes[0]->grant.reset();
  settle();
  EXPECT_TRUE(writes[6]->grant);
}

TEST_F(BufferArenaTest, TheCommonPartIsForWhoeverAskedFirst) {
  BufferArena arena(8 * kBlock, 2 * kBlock);
  const Buffer own = arena.try_acquire(2 * kBlock, ArenaUse::read);
  Buffer common = arena.try_acquire(kBlock, ArenaUse::read);
  const auto large = ask(arena, 4 * kBlock, ArenaUse::write);
  const auto small = ask(arena, kBlock, ArenaUse::read);
  settle();
  EXPECT_FALSE(large->done);
  EXPECT_FALSE(small->done) << "it fits, and would keep the large one waiting for ever";
  EXPECT_FALSE(arena.try_acquire(kBlock, ArenaUse::read));
  common.reset();
  settle();
  EXPECT_EQ(large->grant.size(), 4 * kBlock);
  EXPECT_FALSE(small->done);
  large->grant.reset();
  settle();
  EXPECT_TRUE(small->grant);
}

TEST_F(BufferArenaTest, AnOversizeRequestRunsAloneAmongThoseOfItsUse) {
  BufferArena arena(8 * kBlock, 2 * kBlock);
  Buffer written = arena.try_acquire(kBlock, ArenaUse::write);
  const auto oversize = ask(arena, 5 * kBlock, ArenaUse::write);
  Buffer read = arena.try_acquire(kBlock, ArenaUse::read);
  settle();
  EXPECT_TRUE(read);
  EXPECT_FALSE(oversize->done);
  written.reset();
  settle();
  ASSERT_TRUE(oversize->grant) << "a buffer of the other use is none of its business";
  const auto behind = ask(arena, kBlock, ArenaUse::write);
  const auto beside = ask(arena, kBlock, ArenaUse::read);
  settle();
  EXPECT_FALSE(behind->done);
  EXPECT_TRUE(beside->grant);
  oversize->grant.reset();
  settle();
  EXPECT_TRUE(behind->grant);
}

#ifdef CAIRN_ADDRESS_SANITIZER
TEST_F(BufferArenaTest, UseAfterReleaseIsCaught) {
  BufferArena arena(4 * kBlock);
  Buffer buffer = arena.try_acquire(kBlock);
  std::byte* data = buffer.data();
  buffer.reset();
  EXPECT_DEATH(*data = std::byte{1}, "use-after-poison");
}
#endif

}  // namespace
}  // namespace cairn::engine
