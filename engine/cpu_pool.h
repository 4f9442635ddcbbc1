#pragma once
// CPU work off the strand: copies, checksums, encoding. A small interface over oneTBB, with a
// manual stand-in for simulation.

#include <cairn/engine/impl/async_run.h>
#include <cairn/export.h>
#include <boost/asio/async_result.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace cairn::engine {

/// Runs short functions on worker threads, or when told to. Thread-safe. None may wait for another.
class CAIRN_EXPORT CpuPool {
 public:
  virtual ~CpuPool() = default;
  /// Queues `task`; it must not throw (async_run() wraps what may). A pool with threads throws
  /// system_error(Errc::forked_child) in a child forked after it was made.
  virtual void enqueue(std::function<void()> task) = 0;
  /// How many tasks run at once, at most: those of this library's pools give way while other
  /// threads want the cores (ARCHITECTURE.md, "Workers give way").
  [[nodiscard]] virtual unsigned concurrency() const noexcept = 0;
};

/// A oneTBB arena of `threads` workers; 0 = from affinity and the cgroup's CPU quota. In a child
/// forked after TBB was used, where TBB no longer works, plain threads.
[[nodiscard]] CAIRN_EXPORT std::shared_ptr<CpuPool> make_tbb_pool(unsigned threads = 0);
/// CPUs this process may use: affinity and cgroup quota, at least 1.
[[nodiscard]] CAIRN_EXPORT unsigned available_cpus();
/// Bytes of memory this process may use: the machine's, or the cgroup's limit.
[[nodiscard]] CAIRN_EXPORT std::uint64_t available_memory();

/// Runs nothing until told; picks the next task at random from its seed. For simulation tests.
class CAIRN_EXPORT ManualPool final : public CpuPool {
 public:
  explicit ManualPool(std::uint64_t seed);
  ~ManualPool() override;
  void enqueue(std::function<void()> task) override;
  [[nodiscard]] unsigned concurrency() const noexcept override { return 1; }
  /// Runs one waiting task on the calling thread; false when none waits.
  bool run_one();
  /// Runs until none waits; returns how many ran.
  std::size_t run_all();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Runs `work()` on `pool` and completes with void(std::exception_ptr, R) (void(std::exception_ptr)
/// where R is void), on the handler's associated executor, whose work is tracked meanwhile. R is
/// default-constructible and movable. `work` is destroyed before the completion is posted. Work
/// that has been handed over is not cancelled: it is short. What enqueue() throws arrives as the
/// exception. A handler without an executor runs on Asio's own thread pool.
template <class Work, class Token>
auto async_run(CpuPool& pool, Work work, Token&& token) {
  using Signature = impl::RunSignature<std::invoke_result_t<Work&>>;
  return boost::asio::async_initiate<Token, Signature>(impl::InitiateRun(pool), token,
                                                       std::move(work));
}

}  // namespace cairn::engine
