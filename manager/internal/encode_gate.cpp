#include <cairn/manager/future.h>
#include <cairn/manager/internal/encode_gate.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace cairn {
namespace {

/// Copying is about so much faster than encoding, and comes first.
constexpr double kCopySpeed = 4;
/// Of what is being encoded so much is expected to reach the disk at least.
constexpr double kLeastStored = 0.5;
/// Time that the disk must have in hand, over what encoding is expected to take.
constexpr double kMargin = 1.25;
/// What a raw save has in the kernel at once: nothing need be stored before the disk has less
/// to do, and storing later would let it wait for a thread to be scheduled (seen: 0.8 of raw).
constexpr std::uint64_t kLowWaterBytes = 128u << 20;

}  // namespace

EncodeDecision encode_by_load(const EncodeLoad& load) {
  const double disk_rate = load.disk_rate > 0 ? load.disk_rate : internal::kAssumedDiskRate;
  const double encode_rate = load.encode_rate > 0 ? load.encode_rate : internal::kAssumedPlanesRate;
  const double workers = static_cast<double>(load.workers);
  const double chunk = static_cast<double>(load.chunk_bytes);
  const double encoding = static_cast<double>(load.encoding_bytes);
  const double capturing = static_cast<double>(load.capturing_bytes);
  const double queued = static_cast<double>(load.queued_bytes);
  const double ready_s = (chunk + (encoding + capturing / kCopySpeed) / workers) / encode_rate;
  const double busy_s = (queued + kLeastStored * encoding) / disk_rate;
  if (busy_s < kMargin * ready_s) {
    return load.queued_bytes < kLowWaterBytes ? EncodeDecision::store : EncodeDecision::wait;
  }
  // One chunk more than there are workers, so that none waits for the strand between two.
  return encoding <= workers * chunk ? EncodeDecision::encode : EncodeDecision::wait;
}

namespace internal {
namespace {

/// Bytes, and time of the disk, after which its rate says something.
constexpr std::uint64_t kRateBytesMin = 16u << 20;
constexpr std::int64_t kRateSpanMinNs = 20'000'000;
/// Writes end several at once. A rate is of the time from after one such moment to after another,
/// unless it is of so long that a moment more or less is nothing.
constexpr std::int64_t kMomentNs = 1'000'000;
constexpr std::int64_t kRateSpanMaxNs = 10 * kRateSpanMinNs;
/// Weight of what was known before.
constexpr double kMemory = 0.75;

void blend(double* rate, std::uint64_t bytes, std::int64_t ns) {
  if (ns <= 0) return;
  const double seen = static_cast<double>(bytes) * 1e9 / static_cast<double>(ns);
  *rate = *rate == 0 ? seen : kMemory * *rate + (1 - kMemory) * seen;
}

}  // namespace

EncodeGate::EncodeGate(EnginePtr engine, EncodePolicy policy, std::shared_ptr<Pace> pace)
    : engine_(std::move(engine)),
      policy_(policy ? std::move(policy) : EncodePolicy(encode_by_load)),
      pace_(std::move(pace)) {
  load_.workers = engine_->cpu().concurrency();
}

void EncodeGate::captured(std::uint64_t bytes) {
  assert(load_.capturing_bytes >= bytes);
  load_.capturing_bytes -= bytes;
  wake();
}

void EncodeGate::note_busy() {
  const std::int64_t now = engine_->clock().steady().count();
  if (load_.queued_bytes > 0) busy_ns_ += now - busy_since_ns_;
  busy_since_ns_ = now;
}

void EncodeGate::expect_write(std::uint64_t bytes) {
  note_busy();
  load_.queued_bytes += bytes;
}

EncodeDecision EncodeGate::ask(const Waiter& waiter) {
  const std::uint64_t bytes = waiter.bytes;
  load_.chunk_bytes = bytes;
  load_.disk_rate = pace_->disk_rate;
  load_.encode_rate = pace_->rate_of(waiter.encoding);
  if (load_.encode_rate == 0 && waiter.encoding == Encoding::matches) {
    load_.encode_rate = kAssumedMatchesRate;
  }
  EncodeDecision decision = policy_(load_);
  const bool idle =
      load_.queued_bytes == 0 && load_.capturing_bytes == 0 && load_.encoding_bytes == 0;
  if (decision == EncodeDecision::wait && idle) decision = EncodeDecision::encode;
  if (decision == EncodeDecision::encode) load_.encoding_bytes += bytes;
  if (decision == EncodeDecision::store) expect_write(bytes);
  return decision;
}

Task<bool> EncodeGate::decide(std::uint64_t bytes, Encoding encoding) {
  auto waiter = std::make_shared<Waiter>();
  waiter->bytes = bytes;
  waiter->encoding = encoding;
  waiters_.push_back(waiter);
  wake();
  const Future<void> decided(waiter->decided);
  co_await decided.result(asio::use_awaitable);
  co_return waiter->encode;
}

void EncodeGate::wake() {
  while (!waiters_.empty()) {
    const std::shared_ptr<Waiter> waiter = waiters_.front();
    const EncodeDecision decision = ask(*waiter);
    if (decision == EncodeDecision::wait) return;
    waiters_.pop_front();
    waiter->encode = decision == EncodeDecision::encode;
    waiter->decided->set(nullptr, impl::Unit());
  }
}

void EncodeGate::encoded(std::uint64_t bytes, Encoding encoding, std::uint64_t stored_bytes,
                         std::int64_t worker_ns) {
  assert(load_.encoding_bytes >= bytes);
  load_.encoding_bytes -= bytes;
  expect_write(stored_bytes);
  blend(&pace_->rate_of(encoding), bytes, worker_ns);
  wake();
}

void EncodeGate::learn_disk_rate() {
  if (busy_bytes_ < kRateBytesMin || counted_ns_ < kRateSpanMinNs) return;
  blend(&pace_->disk_rate, busy_bytes_, counted_ns_);
  busy_bytes_ = 0;
  busy_ns_ -= std::exchange(counted_ns_, 0);
}

void EncodeGate::written(std::uint64_t bytes) {
  note_busy();
  if (busy_ns_ - counted_ns_ > kMomentNs || counted_ns_ >= kRateSpanMaxNs) learn_disk_rate();
  assert(load_.queued_bytes >= bytes);
  load_.queued_bytes -= bytes;
  busy_bytes_ += bytes;
  counted_ns_ = busy_ns_;
  if (load_.queued_bytes == 0) learn_disk_rate();
  wake();
}

}  // namespace internal
}  // namespace cairn
