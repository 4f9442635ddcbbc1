// What the engine adds to each piece of work: hops between threads, memory, coroutines.

#include <cairn/engine/buffer_arena.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/engine.h>
#include <cairn/engine/file.h>
#include <cairn/engine/nursery.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <system_error>
#include <thread>

#include "micro/samples.h"

namespace cairn::bench {
namespace {

namespace asio = boost::asio;
using engine::BackendKind;
using engine::IoOp;

constexpr std::size_t kBlockBytes = 4096;
/// Awaits of one coroutine before it ends, so that starting it does not count.
constexpr int kBatch = 64;
constexpr std::size_t kChildren = 100;
constexpr std::size_t kArenaBytes = std::size_t{64} << 20;
constexpr std::size_t kBufferBytes = std::size_t{4} << 20;

/// Wakes a thread by system calls alone: condition variables and semaphores may spin first.
class Event {
 public:
  Event() : fd_(::eventfd(0, EFD_CLOEXEC)) {
    if (!fd_) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  void set() const {
    const std::uint64_t one = 1;
    if (::write(fd_.get(), &one, sizeof(one)) != sizeof(one)) std::abort();
  }
  void wait() const {
    std::uint64_t count = 0;
    if (::read(fd_.get(), &count, sizeof(count)) != sizeof(count)) std::abort();
  }

 private:
  engine::Descriptor fd_;
};

// The yardstick: another thread is woken, and wakes this one.
void run_round_trip(benchmark::State& state) {
  const Event there, back;
  std::atomic<bool> ending = false;
  std::thread other([&] {
    for (there.wait(); !ending; there.wait()) back.set();
  });
  while (state.KeepRunning()) {
    there.set();
    back.wait();
  }
  ending = true;
  there.set();
  other.join();
}
BENCHMARK(run_round_trip)->Name(kRoundTripName)->UseRealTime();

/// A file without a name, with one block of data, which stays in the page cache.
engine::Descriptor make_file() {
  const char* folder = std::getenv("TMPDIR");
  std::string name = (folder != nullptr ? std::string(folder) : "/tmp") + "/cairn-micro-XXXXXX";
  engine::Descriptor fd(::mkostemp(name.data(), O_CLOEXEC));
  if (!fd) throw std::system_error(errno, std::generic_category(), name);
  ::unlink(name.c_str());
  const auto block = sample(kBf16, kBlockBytes);
  if (::pwrite(fd.get(), block.data(), block.size(), 0) != static_cast<ssize_t>(block.size())) {
    throw std::system_error(errno, std::generic_category(), name);
  }
  return fd;
}

engine::IoRequest make_request(IoOp op, int fd, const Memory& buffer, std::size_t bytes) {
  engine::IoRequest request(op);
  request.fd = fd;
  request.buffer = buffer.data();
  request.length = bytes;
  return request;
}

// ---- backends ----------------------------------------------------------------------------------

class AwaitedOperation final : public engine::IoOperation {
 public:
  AwaitedOperation(engine::IoRequest r, const Event& done)
      : IoOperation(std::move(r)), done_(done) {}
  void complete() noexcept override { done_.set(); }

 private:
  const Event& done_;
};

// From this thread through the backend's to the kernel, and back.
void run_backend(benchmark::State& state, BackendKind kind, IoOp op, std::size_t bytes) try {
  engine::BackendOptions options;
  options.kind = kind;
  const auto backend = engine::make_backend(options);
  const auto file = make_file();
  const Memory buffer(kBlockBytes);
  std::memcpy(buffer.data(), sample(kBf16, kBlockBytes).data(), kBlockBytes);
  const Event done;
  AwaitedOperation operation(make_request(op, file.get(), buffer, bytes), done);
  while (state.KeepRunning()) {
    backend->submit(&operation);
    done.wait();
  }
  if (operation.result.value != static_cast<std::int64_t>(bytes)) {
    state.SkipWithError("a transfer failed");
  }
  backend->shut_down(-1);
  measure_hops(state);
} catch (const std::exception& error) {
  state.SkipWithError(error.what());
}
// A read of nothing is what a no-op is elsewhere: the way there and back.
BENCHMARK_CAPTURE(run_backend, nop, BackendKind::uring, IoOp::read, 0)
    ->Name("uring.nop")
    ->UseRealTime();
BENCHMARK_CAPTURE(run_backend, read, BackendKind::uring, IoOp::read, kBlockBytes)
    ->Name("uring.read_4k")
    ->UseRealTime();
BENCHMARK_CAPTURE(run_backend, write, BackendKind::uring, IoOp::write, kBlockBytes)
    ->Name("uring.write_4k")
    ->UseRealTime();
BENCHMARK_CAPTURE(run_backend, nop, BackendKind::threads, IoOp::read, 0)
    ->Name("threads.nop")
    ->UseRealTime();
BENCHMARK_CAPTURE(run_backend, read, BackendKind::threads, IoOp::read, kBlockBytes)
    ->Name("threads.read_4k")
    ->UseRealTime();
BENCHMARK_CAPTURE(run_backend, write, BackendKind::threads, IoOp::write, kBlockBytes)
    ->Name("threads.write_4k")
    ->UseRealTime();

// ---- the strand and the pool -------------------------------------------------------------------

std::shared_ptr<engine::Engine> make_engine(BackendKind kind) {
  engine::EngineOptions options;
  options.backend.kind = kind;
  options.staging_bytes = kArenaBytes;
  options.io_window_bytes = kArenaBytes;
  return engine::Engine::create(std::move(options));
}

asio::awaitable<void> await_reads(std::shared_ptr<engine::Engine> engine,
                                  engine::IoRequest request) {
  for (int i = 0; i < kBatch; ++i) {
    static_cast<void>(co_await engine::async_io(engine, request, asio::use_awaitable));
  }
}

// Operations one after another in a coroutine on the strand, as the manager has them.
void run_strand(benchmark::State& state, BackendKind kind) try {
  const auto engine = make_engine(kind);
  const auto file = make_file();
  const Memory buffer(kBlockBytes);
  const auto request = make_request(IoOp::read, file.get(), buffer, kBlockBytes);
  while (state.KeepRunningBatch(kBatch)) {
    asio::co_spawn(engine->executor(), await_reads(engine, request), asio::use_future).get();
  }
  measure_hops(state);
} catch (const std::exception& error) {
  state.SkipWithError(error.what());
}
BENCHMARK_CAPTURE(run_strand, uring, BackendKind::uring)
    ->Name("strand.read_4k.uring")
    ->UseRealTime();
BENCHMARK_CAPTURE(run_strand, threads, BackendKind::threads)
    ->Name("strand.read_4k.threads")
    ->UseRealTime();

asio::awaitable<void> await_pool(std::shared_ptr<engine::Engine> engine) {
  for (int i = 0; i < kBatch; ++i) {
    auto work = [] { return 1; };
    benchmark::DoNotOptimize(
        co_await engine::async_run(engine->cpu(), std::move(work), asio::use_awaitable));
  }
}

// From the strand to a thread of the pool, and back.
void run_cpu_pool(benchmark::State& state) {
  const auto engine = make_engine(BackendKind::threads);
  while (state.KeepRunningBatch(kBatch)) {
    asio::co_spawn(engine->executor(), await_pool(engine), asio::use_future).get();
  }
  measure_hops(state);
}
BENCHMARK(run_cpu_pool)->Name("cpu_pool.hop")->UseRealTime();

// ---- memory ------------------------------------------------------------------------------------

void run_try_acquire(benchmark::State& state) {
  engine::BufferArena arena(kArenaBytes);
  while (state.KeepRunning()) benchmark::DoNotOptimize(arena.try_acquire(kBufferBytes));
  measure_items(state, 1);
}
BENCHMARK(run_try_acquire)->Name("arena.try_acquire");

asio::awaitable<void> await_buffers(engine::BufferArena* arena) {
  for (int i = 0; i < kBatch; ++i) {
    const engine::Buffer buffer = co_await arena->async_acquire(kBufferBytes, asio::use_awaitable);
    if (!buffer) throw std::bad_alloc();
  }
}

void run_async_acquire(benchmark::State& state) {
  engine::BufferArena arena(kArenaBytes);
  asio::io_context context(1);
  while (state.KeepRunningBatch(kBatch)) {
    asio::co_spawn(context, await_buffers(&arena), asio::detached);
    context.restart();
    context.run();
  }
  measure_items(state, 1);
}
BENCHMARK(run_async_acquire)->Name("arena.async_acquire");

// ---- coroutines --------------------------------------------------------------------------------

asio::awaitable<void> do_nothing() {
  co_return;
}

asio::awaitable<void> spawn_children(engine::Nursery& nursery) {
  for (std::size_t i = 0; i < kChildren; ++i) nursery.spawn(do_nothing());
  co_return;
}

void run_nursery(benchmark::State& state) {
  asio::io_context context(1);
  const asio::any_io_executor executor = context.get_executor();
  while (state.KeepRunning()) {
    asio::co_spawn(context, engine::with_nursery(executor, spawn_children), asio::detached);
    context.restart();
    context.run();
  }
  measure_items(state, kChildren);
}
BENCHMARK(run_nursery)->Name("nursery.100_children");

}  // namespace
}  // namespace cairn::bench
