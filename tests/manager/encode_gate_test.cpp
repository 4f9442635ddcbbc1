// When auto encodes a chunk and when it leaves it as it is.

#include <cairn/manager/internal/encode_gate.h>
#include <gtest/gtest.h>

#include <vector>

#include "support/run.h"

namespace cairn {
namespace {

EncodeLoad load(std::size_t writes, std::size_t capturing, std::size_t encoding) {
  EncodeLoad load;
  load.writes = writes;
  load.capturing = capturing;
  load.encoding = encoding;
  load.workers = 2;
  return load;
}

EncodeLoad with_rates(EncodeLoad load, double disk, double worker) {
  load.disk_rate = disk;
  load.encode_rate = worker;
  return load;
}

TEST(EncodeByLoad, StoresWhileTheDiskIsIdleAndTheCoresAreCopying) {
  EXPECT_EQ(encode_by_load(load(0, 5, 0)), EncodeDecision::store);
  EXPECT_EQ(encode_by_load(load(4, 5, 0)), EncodeDecision::encode);
}

TEST(EncodeByLoad, EncodesWithAnIdleDiskUnlessItIsKnownToBeFasterThanTheCores) {
  EXPECT_EQ(encode_by_load(load(0, 0, 0)), EncodeDecision::encode);
  EXPECT_EQ(encode_by_load(with_rates(load(0, 0, 0), 1e9, 2e9)), EncodeDecision::encode);
  EXPECT_EQ(encode_by_load(with_rates(load(0, 0, 0), 5e9, 2e9)), EncodeDecision::store);
  EXPECT_EQ(encode_by_load(with_rates(load(4, 0, 0), 5e9, 2e9)), EncodeDecision::encode)
      << "it is busy all the same";
}

TEST(EncodeByLoad, WaitsWhenEveryWorkerHasAChunk) {
  EXPECT_EQ(encode_by_load(load(4, 0, 2)), EncodeDecision::encode) << "one ahead";
  EXPECT_EQ(encode_by_load(load(4, 0, 3)), EncodeDecision::wait);
  EXPECT_EQ(encode_by_load(load(4, 9, 3)), EncodeDecision::wait);
  EXPECT_EQ(encode_by_load(load(3, 9, 3)), EncodeDecision::store);
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
  auto gate = make();
  for (int i = 0; i < 6; ++i) gate.expect_capture();
  std::vector<test::Started<bool>> chunks;
  for (int i = 0; i < 6; ++i) chunks.emplace_back(context.get_executor(), gate.decide());
  drain();
  std::vector<bool> encode;
  for (auto& chunk : chunks) {
    ASSERT_TRUE(chunk.done());
    encode.push_back(chunk.get());
  }
  EXPECT_EQ(encode, (std::vector<bool>{false, false, false, false, true, true}))
      << "four keep the disk busy, then the cores have time";
  EXPECT_EQ(gate.load().writes, 4u);
  EXPECT_EQ(gate.load().encoding, 2u);
}

TEST_F(Gate, AsksAgainWhenAWriteOrAnEncodingHasEnded) {
  auto gate = make();
  for (int i = 0; i < 4; ++i) gate.expect_write();
  std::vector<test::Started<bool>> chunks;
  for (int i = 0; i < 5; ++i) chunks.emplace_back(context.get_executor(), gate.decide());
  drain();
  EXPECT_TRUE(chunks[2].done());
  EXPECT_FALSE(chunks[3].done()) << "every worker has one";
  gate.encoded(1000, 0);
  drain();
  EXPECT_TRUE(chunks[3].done());
  EXPECT_FALSE(chunks[4].done());
  gate.encoded(1000, 0);
  drain();
  EXPECT_TRUE(chunks[4].get());
}

TEST_F(Gate, DoesNotWaitWhenNothingIsUnderWay) {
  auto gate = make([](const EncodeLoad&) { return EncodeDecision::wait; });
  test::Started<bool> chunk(context.get_executor(), gate.decide());
  drain();
  EXPECT_TRUE(chunk.get());
}

TEST_F(Gate, LearnsHowFastDiskAndCoresAre) {
  auto gate = make();
  constexpr std::uint64_t kBytes = 64'000'000;
  gate.expect_write();
  clock->advance(std::chrono::milliseconds(32));
  gate.written(kBytes);
  EXPECT_DOUBLE_EQ(pace->disk_rate, 2e9);
  clock->advance(std::chrono::seconds(5));  // idle: that is nothing the disk could help
  gate.expect_write();
  clock->advance(std::chrono::milliseconds(32));
  gate.written(kBytes);
  EXPECT_DOUBLE_EQ(pace->disk_rate, 2e9);
  test::Started<bool> chunk(context.get_executor(), gate.decide());
  drain();
  EXPECT_TRUE(chunk.get());
  gate.encoded(kBytes, 32'000'000);
  EXPECT_DOUBLE_EQ(pace->encode_rate, 2e9);
}

}  // namespace
}  // namespace cairn
