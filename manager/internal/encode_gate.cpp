#include <cairn/manager/future.h>
#include <cairn/manager/internal/encode_gate.h>

#include <cassert>

namespace cairn {
namespace {

/// Buffers before the disk that keep it busy until the next one is ready.
constexpr std::size_t kBusyWrites = 4;
/// How much faster than the disk the cores must be to be waited for: an estimate's uncertainty.
constexpr double kFasterCores = 1.25;

}  // namespace

EncodeDecision encode_by_load(const EncodeLoad& load) {
  const bool disk_busy = load.writes >= kBusyWrites;
  // While arrays are still being copied the cores have better to do, and encoding would queue
  // behind the copies.
  if (!disk_busy && load.capturing > 0) return EncodeDecision::store;
  const bool rates_known = load.disk_rate > 0 && load.encode_rate > 0;
  const double cores = load.encode_rate * static_cast<double>(load.workers);
  if (!disk_busy && rates_known && cores < load.disk_rate * kFasterCores)
    return EncodeDecision::store;
  // One more than there are workers, so that none waits for the strand between two chunks.
  if (load.encoding <= load.workers) return EncodeDecision::encode;
  return EncodeDecision::wait;
}

namespace internal {
namespace {

/// Bytes after which a rate says something.
constexpr std::uint64_t kRateBytesMin = 32u << 20;
/// Weight of what was known before.
constexpr double kMemory = 0.75;

void blend(double& rate, double seen) {
  rate = rate == 0 ? seen : kMemory * rate + (1 - kMemory) * seen;
}

}  // namespace

EncodeGate::EncodeGate(EnginePtr engine, EncodePolicy policy, std::shared_ptr<Pace> pace)
    : engine_(std::move(engine)),
      policy_(policy ? std::move(policy) : EncodePolicy(encode_by_load)),
      pace_(std::move(pace)) {
  load_.workers = engine_->cpu().concurrency();
}

void EncodeGate::captured() {
  assert(load_.capturing > 0);
  --load_.capturing;
  wake();
}

void EncodeGate::change_writes(int by) {
  const std::int64_t now = engine_->clock().steady().count();
  if (load_.writes > 0) busy_ns_ += now - busy_since_ns_;
  busy_since_ns_ = now;
  assert(by > 0 || load_.writes > 0);
  load_.writes += static_cast<std::size_t>(by);
}

EncodeDecision EncodeGate::ask() {
  load_.disk_rate = pace_->disk_rate;
  load_.encode_rate = pace_->encode_rate;
  EncodeDecision decision = policy_(load_);
  const bool idle = load_.writes == 0 && load_.capturing == 0 && load_.encoding == 0;
  if (decision == EncodeDecision::wait && idle) decision = EncodeDecision::encode;
  if (decision == EncodeDecision::encode) ++load_.encoding;
  if (decision == EncodeDecision::store) expect_write();
  return decision;
}

Task<bool> EncodeGate::decide() {
  auto waiter = std::make_shared<Waiter>();
  waiters_.push_back(waiter);
  wake();
  const Future<void> decided(waiter->decided);
  co_await decided.result(asio::use_awaitable);
  co_return waiter->encode;
}

void EncodeGate::wake() {
  while (!waiters_.empty()) {
    const EncodeDecision decision = ask();
    if (decision == EncodeDecision::wait) return;
    const std::shared_ptr<Waiter> waiter = waiters_.front();
    waiters_.pop_front();
    waiter->encode = decision == EncodeDecision::encode;
    waiter->decided->set(nullptr, impl::Unit());
  }
}

void EncodeGate::encoded(std::uint64_t element_bytes, std::int64_t worker_ns) {
  assert(load_.encoding > 0);
  --load_.encoding;
  expect_write();
  if (worker_ns > 0) {
    blend(pace_->encode_rate,
          static_cast<double>(element_bytes) * 1e9 / static_cast<double>(worker_ns));
  }
  wake();
}

void EncodeGate::written(std::uint64_t bytes) {
  change_writes(-1);
  busy_bytes_ += bytes;
  note_disk();
  wake();
}

void EncodeGate::note_disk() {
  if (busy_bytes_ < kRateBytesMin || busy_ns_ <= 0) return;
  blend(pace_->disk_rate, static_cast<double>(busy_bytes_) * 1e9 / static_cast<double>(busy_ns_));
  busy_bytes_ = 0;
  busy_ns_ = 0;
}

}  // namespace internal
}  // namespace cairn
