// When auto encodes a chunk and when it leaves it as it is.

#include <cairn/manager/internal/encode_gate.h>
#include <gtest/gtest.h>

#include <vector>

#include "support/run.h"

namespace cairn {
namespace {

using internal::Encoding;

constexpr std::uint64_t kChunk = 16'000'000;

/// Two workers of 2 GB/s (8 ms for a chunk), a disk of 1 GB/s (16 ms for a chunk).
EncodeLoad load(std::uint64_t queued, std::uint64_t encoding, std::uint64_t capturing = 0) {
  EncodeLoad load;
  load.chunk_bytes = kChunk;
  load.queued_bytes = queued;
  load.encoding_bytes = encoding;
  load.capturing_bytes = capturing;
  load.workers = 2;
  load.disk_rate = 1e9;
  load.encode_rate = 2e9;
  return load;
}

TEST(EncodeByLoad, StoresWhenTheDiskHasNothingToDo) {
  EXPECT_EQ(encode_by_load(load(0, 0)), EncodeDecision::store);
}

TEST(EncodeByLoad, EncodesWhatIsReadyBeforeTheDiskHasWrittenWhatItHas) {
  EXPECT_EQ(encode_by_load(load(kChunk, 0)), EncodeDecision::encode) << "8 ms, the disk has 16";
  EXPECT_EQ(encode_by_load(load(kChunk / 2, 0)), EncodeDecision::store) << "8 ms each: too close";
  EncodeLoad fast_disk = load(kChunk, 0);
  fast_disk.disk_rate = 4e9;
  EXPECT_EQ(encode_by_load(fast_disk), EncodeDecision::store);
  fast_disk.queued_bytes = 4 * kChunk;
  EXPECT_EQ(encode_by_load(fast_disk), EncodeDecision::encode) << "it is busy all the same";
}

TEST(EncodeByLoad, ReckonsWithTheCopiesAndChunksBeforeIt) {
  EXPECT_EQ(encode_by_load(load(kChunk, 0, 64 * kChunk)), EncodeDecision::store);
  EXPECT_EQ(encode_by_load(load(9 * kChunk, 0, 256 * kChunk)), EncodeDecision::wait)
      << "there is time to see how it goes on";
  EXPECT_EQ(encode_by_load(load(2 * kChunk, 2 * kChunk)), EncodeDecision::encode);
}

TEST(EncodeByLoad, WaitsWhenEveryWorkerHasAChunkAndTheDiskIsBusy) {
  EXPECT_EQ(encode_by_load(load(8 * kChunk, 2 * kChunk)), EncodeDecision::encode) << "one ahead";
  EXPECT_EQ(encode_by_load(load(8 * kChunk, 3 * kChunk)), EncodeDecision::wait);
  EXPECT_EQ(encode_by_load(load(0, 3 * kChunk, 9 * kChunk)), EncodeDecision::store);
}

TEST(EncodeByLoad, IsCarefulBeforeItKnowsDiskAndCores) {
  EncodeLoad unknown = load(3 * kChunk, 0);
  unknown.disk_rate = 0;
  unknown.encode_rate = 0;
  EXPECT_EQ(encode_by_load(unknown), EncodeDecision::store);
  unknown.queued_bytes = 6 * kChunk;
  EXPECT_EQ(encode_by_load(unknown), EncodeDecision::encode);
}

// The fastest codec is not the one that gets most through, nor is the smallest.
TEST(RateThrough, IsTheDisksWhereTheCoresKeepUpAndLessWhereTheyDoNot) {
  using internal::rate_through;
  EXPECT_DOUBLE_EQ(rate_through(2, 1e9, 8e9), 2e9) << "all is encoded";
  EXPECT_DOUBLE_EQ(rate_through(1, 1e9, 8e9), 1e9);
  EXPECT_DOUBLE_EQ(rate_through(0.9, 1e9, 8e9), 1e9) << "nothing is";
  // In a second 0.5 GB are encoded to 0.125 GB; beside them the disk writes 0.875 GB as it is.
  EXPECT_DOUBLE_EQ(rate_through(4, 1e9, 0.5e9), 1.375e9);
}

class Gate : public ::testing::Test {
 protected:
  Gate() {
    engine::EngineOptions options;
    options.clock = clock;
    options.cpu_threads = 2;
    options.staging_bytes = 1u << 20;
    options.io_window_bytes = 1u << 20;
    engine = engine::Engine::create(std::move(options));
  }
  internal::EncodeGate make(EncodePolicy policy = {}) {
    return internal::EncodeGate(engine, std::move(policy), pace);
  }
  std::shared_ptr<engine::ManualClock> clock = std::make_shared<engine::ManualClock>();
  std::shared_ptr<engine::Engine> engine;
  std::shared_ptr<internal::Pace> pace = std::make_shared<internal::Pace>();
  boost::asio::io_context context;
  void drain() {
    context.restart();
    context.poll();
  }
};

TEST_F(Gate, DecidesInOrderAndCountsWhatItDecided) {
  pace->disk_rate = 1e9;
  pace->planes_rate = 2e9;
  auto gate = make();
  std::vector<test::Started<bool>> chunks;
  for (int i = 0; i < 5; ++i)
    chunks.emplace_back(context.get_executor(), gate.decide(kChunk, Encoding::planes));
  drain();
  std::vector<bool> encode;
  for (std::size_t i = 0; i < 4; ++i) {
    ASSERT_TRUE(chunks[i].done());
    encode.push_back(chunks[i].get());
  }
  EXPECT_EQ(encode, (std::vector<bool>{false, true, true, true}))
      << "one keeps the disk busy, then the cores have time";
  EXPECT_FALSE(chunks[4].done()) << "every worker has one, and there is one ahead";
  EXPECT_EQ(gate.load().queued_bytes, kChunk);
  EXPECT_EQ(gate.load().encoding_bytes, 3 * kChunk);
  gate.encoded(kChunk, Encoding::planes, kChunk / 2, 0);
  drain();
  EXPECT_TRUE(chunks[4].done());
}

TEST_F(Gate, AsksAgainWhenTheLoadChanges) {
  bool open = false;
  auto gate = make(
      [&open](const EncodeLoad&) { return open ? EncodeDecision::store : EncodeDecision::wait; });
  gate.expect_capture(10);
  gate.expect_write(10);
  test::Started<bool> chunk(context.get_executor(), gate.decide(kChunk, Encoding::planes));
  drain();
  EXPECT_FALSE(chunk.done());
  gate.captured(10);
  drain();
  EXPECT_FALSE(chunk.done());
  open = true;
  gate.written(10);
  drain();
  EXPECT_FALSE(chunk.get());
}

TEST_F(Gate, DoesNotWaitWhenNothingIsUnderWay) {
  auto gate = make([](const EncodeLoad&) { return EncodeDecision::wait; });
  test::Started<bool> chunk(context.get_executor(), gate.decide(kChunk, Encoding::planes));
  drain();
  EXPECT_TRUE(chunk.get());
}

TEST_F(Gate, LearnsHowFastDiskAndCoresAre) {
  auto gate = make();
  constexpr std::uint64_t kBytes = 64'000'000;
  gate.expect_write(kBytes);
  clock->advance(std::chrono::milliseconds(32));
  gate.written(kBytes);
  EXPECT_DOUBLE_EQ(pace->disk_rate, 2e9);
  clock->advance(std::chrono::seconds(5));  // idle: that is nothing the disk could help
  gate.expect_write(kBytes);
  clock->advance(std::chrono::milliseconds(32));
  gate.written(kBytes);
  EXPECT_DOUBLE_EQ(pace->disk_rate, 2e9);
  gate.expect_write(100 * kBytes);
  test::Started<bool> chunk(context.get_executor(), gate.decide(kBytes, Encoding::planes));
  drain();
  EXPECT_TRUE(chunk.get());
  gate.encoded(kBytes, Encoding::planes, kBytes / 2, 32'000'000);
  EXPECT_DOUBLE_EQ(pace->planes_rate, 2e9);
}

TEST_F(Gate, WritesThatEndAtOnceAreNotTakenForAFastDisk) {
  auto gate = make();
  constexpr std::uint64_t kBytes = 20'000'000;
  constexpr int kBurst = 8;
  for (int burst = 0; burst < 4; ++burst) {
    for (int i = 0; i < kBurst; ++i) gate.expect_write(kBytes);
    clock->advance(std::chrono::milliseconds(80));  // and then the strand hears of all
    for (int i = 0; i < kBurst; ++i) {
      clock->advance(std::chrono::microseconds(1));
      gate.written(kBytes);
    }
  }
  EXPECT_NEAR(pace->disk_rate, 2e9, 0.3e9);
}

TEST_F(Gate, LearnsFromWritesThatNeverPause) {
  auto gate = make();
  constexpr std::uint64_t kBytes = 400'000;
  gate.expect_write(kBytes);
  for (int i = 0; i < 2'000; ++i) {
    gate.expect_write(kBytes);
    clock->advance(std::chrono::microseconds(200));
    gate.written(kBytes);
  }
  EXPECT_NEAR(pace->disk_rate, 2e9, 0.01e9);
}

TEST_F(Gate, KnowsThePaceOfEachEncoding) {
  std::vector<double> rates;
  auto gate = make([&rates](const EncodeLoad& load) {
    rates.push_back(load.encode_rate);
    return EncodeDecision::encode;
  });
  for (const Encoding encoding : {Encoding::planes, Encoding::matches}) {
    test::Started<bool> chunk(context.get_executor(), gate.decide(kChunk, encoding));
    drain();
    EXPECT_TRUE(chunk.get());
  }
  gate.encoded(kChunk, Encoding::matches, kChunk / 8, 32'000'000);
  EXPECT_DOUBLE_EQ(pace->matches_rate, 0.5e9);
  EXPECT_EQ(pace->planes_rate, 0);
  EXPECT_EQ(rates, (std::vector<double>{0, internal::kAssumedMatchesRate}));
}

}  // namespace
}  // namespace cairn
