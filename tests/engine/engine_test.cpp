#include <cairn/engine/engine.h>
#include <cairn/engine/error.h>
#include <cairn/engine/internal/thread.h>
#include <gtest/gtest.h>
#include <support/backends.h>
#include <support/run.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>
#include <csignal>
#include <filesystem>
#include <future>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

constexpr std::size_t kMiB = 1 << 20;

// An operation that tells a future how it ended.
class Operation final : public IoOperation {
 public:
  Operation(Engine* engine, IoRequest r) : IoOperation(std::move(r)), engine_(engine) {}
  ~Operation() override = default;
  void complete() noexcept override {
    engine_->note_completed(request, result);
    done.set_value(result.value);
  }
  std::promise<std::int64_t> done;

 private:
  Engine* engine_;
};

std::size_t entries(const char* directory) {
  const std::filesystem::directory_iterator all(directory);
  return static_cast<std::size_t>(std::distance(begin(all), end(all)));
}

class EngineTest : public ::testing::TestWithParam<BackendKind> {
 protected:
  static EngineOptions options() {
    EngineOptions options;
    options.backend.kind = GetParam();
    options.staging_bytes = 4 * kMiB;
    options.io_window_bytes = 4 * kMiB;
    options.cpu_threads = 1;
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, EngineTest, ::testing::ValuesIn(test::backend_kinds()),
                         test::backend_name);

TEST_P(EngineTest, IsWhatTheOptionsSay) {
  auto wanted = options();
  const auto clock = std::make_shared<ManualClock>(5);
  const auto pool = std::make_shared<ManualPool>(1);
  wanted.clock = clock;
  wanted.cpu_pool = pool;
  wanted.direct_io = DirectIo::off;
  const auto engine = Engine::create(std::move(wanted));
  EXPECT_EQ(engine->clock().now_ns(), 5);
  EXPECT_EQ(engine->shared_clock(), clock);
  EXPECT_EQ(&engine->cpu(), pool.get());
  EXPECT_EQ(engine->direct_io(), DirectIo::off);
  EXPECT_EQ(engine->staging().capacity(), 4 * kMiB);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.backend.name, test::to_string(GetParam()));
  EXPECT_EQ(stats.window.capacity_bytes, 4 * kMiB);
  EXPECT_EQ(stats.direct_io, DirectIo::off);
  EXPECT_EQ(stats.cpu_threads, 1u);
  EXPECT_EQ(stats.operations_submitted, 0u);
}

TEST_P(EngineTest, EveryEnginesStrandIsAStrand) {
  const auto engine = Engine::create(options());
  const auto other = Engine::create(options());
  EXPECT_FALSE(on_any_strand());
  std::promise<std::array<bool, 3>> promise;
  asio::post(engine->executor(), [&] {
    promise.set_value({on_any_strand(), engine->on_strand(), other->on_strand()});
  });
  EXPECT_EQ(promise.get_future().get(), (std::array{true, true, false}));
  std::promise<bool> worker;
  engine->cpu().enqueue([&] { worker.set_value(on_any_strand()); });
  EXPECT_FALSE(worker.get_future().get());
}

TEST_P(EngineTest, StrandIsOneThreadWithSignalsBlocked) {
  std::promise<bool> promise;
  const auto engine = Engine::create(options());
  EXPECT_FALSE(engine->on_strand());
  asio::post(engine->executor(), [&] {
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    promise.set_value(engine->on_strand() && sigismember(&mask, SIGTERM) == 1);
  });
  EXPECT_TRUE(promise.get_future().get());
}

TEST_P(EngineTest, CountsOperationsBytesAndFiles) {
  const auto engine = Engine::create(options());
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  std::string bytes(1000, 'x');
  IoRequest request(IoOp::write);
  request.fd = fileno(file);
  request.buffer = bytes.data();
  request.length = bytes.size();
  Operation write(engine.get(), request);
  engine->submit(&write);
  EXPECT_EQ(write.done.get_future().get(), 1000);
  request.op = IoOp::read;
  request.length = 400;
  Operation read(engine.get(), request);
  engine->submit(&read);
  EXPECT_EQ(read.done.get_future().get(), 400);
  request.fd = -1;
  Operation failing(engine.get(), request);
  engine->submit(&failing);
  EXPECT_EQ(failing.done.get_future().get(), -EBADF);
  engine->note_opened(true);
  engine->note_opened(false);
  std::fclose(file);
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.operations_submitted, 3u);
  EXPECT_EQ(stats.operations_completed, 3u);
  EXPECT_EQ(stats.bytes_written, 1000u);
  EXPECT_EQ(stats.bytes_read, 400u);
  EXPECT_EQ(stats.files_direct, 1u);
  EXPECT_EQ(stats.files_buffered, 1u);
}

TEST_P(EngineTest, ComesAndGoesWithoutLeavingThreadsOrDescriptors) {
  // Once first: libraries start helpers of their own that stay.
  Engine::create(options()).reset();
  const std::size_t descriptors = entries("/proc/self/fd");
  const std::size_t threads = entries("/proc/self/task");
  for (int i = 0; i < 100; ++i) {
    const auto engine = Engine::create(options());
    Operation stat(engine.get(), IoRequest(IoOp::stat));
    engine->submit(&stat);
    stat.done.get_future().wait();
  }
  EXPECT_EQ(entries("/proc/self/fd"), descriptors);
  // The kernel may list a thread for a moment after it was joined.
  EXPECT_LE(entries("/proc/self/task"), threads + 5);
}

TEST_P(EngineTest, LastReleaseRunsWhatHasBeenPosted) {
  auto engine = Engine::create(options());
  int ran = 0;
  for (int i = 0; i < 100; ++i) asio::post(engine->executor(), [&] { ++ran; });
  engine.reset();
  EXPECT_EQ(ran, 100);
}

TEST_P(EngineTest, LastReleaseOnTheStrandDoesNotWaitForItself) {
  auto engine = Engine::create(options());
  const std::weak_ptr<Engine> watch = engine;
  std::promise<void> released;
  std::promise<void> go;
  asio::post(engine->executor(), [engine, &released, &go]() mutable {
    go.get_future().wait();
    engine.reset();
    released.set_value();
  });
  engine.reset();
  go.set_value();
  released.get_future().wait();
  EXPECT_TRUE(watch.expired());
  internal::wait_for_reapers();
}

TEST_P(EngineTest, LastReleaseOnThePoolDoesNotWaitForItself) {
  auto engine = Engine::create(options());
  std::promise<void> released;
  std::promise<void> go;
  engine->cpu().enqueue([engine, &released, &go]() mutable {
    go.get_future().wait();
    engine.reset();
    released.set_value();
  });
  engine.reset();
  go.set_value();
  released.get_future().wait();
  internal::wait_for_reapers();
}

TEST_P(EngineTest, LastReleaseOnTheClockDoesNotWaitForItself) {
  auto engine = Engine::create(options());
  std::promise<void> released;
  const auto clock = engine->shared_clock();
  clock->call_at(0ns, [engine = std::move(engine), &released]() mutable {
    engine.reset();
    released.set_value();
  });
  released.get_future().wait();
  internal::wait_for_reapers();
}

asio::awaitable<int> compute(std::shared_ptr<Engine> engine) {
  const Buffer buffer = co_await engine->window().async_acquire(kMiB, asio::use_awaitable);
  auto work = [] { return 20; };
  const int half = co_await async_run(engine->cpu(), std::move(work), asio::use_awaitable);
  co_await async_wait_until(engine->clock(), engine->clock().steady(), asio::use_awaitable);
  co_return engine->on_strand() ? 2 * half : -1;
}

TEST_P(EngineTest, RunsCoroutinesThatOwnIt) {
  auto engine = Engine::create(options());
  auto result = asio::co_spawn(engine->executor(), compute(engine), asio::use_future);
  engine.reset();
  EXPECT_EQ(result.get(), 40);
  internal::wait_for_reapers();
}

TEST_P(EngineTest, SharedDefaultIsOneWhileInUse) {
  auto first = Engine::shared_default();
  EXPECT_EQ(first, Engine::shared_default());
  const std::weak_ptr<Engine> watch = first;
  first.reset();
  EXPECT_TRUE(watch.expired());
}

// A file system that does not answer: operations stay until the test says so.
class HungBackend final : public IoBackend {
 public:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    IoOperation* operation = nullptr;
    bool under_way = false;
    std::atomic<int> shut_downs = 0;
  };
  explicit HungBackend(std::shared_ptr<State> state) : state_(std::move(state)) {}
  void submit(IoOperation* operation) noexcept override {
    const std::lock_guard lock(state_->mutex);
    state_->operation = operation;
    state_->under_way = true;
  }
  void cancel(IoOperation*) noexcept override {}
  [[nodiscard]] BackendInfo info() const override { return {}; }
  bool shut_down(std::int64_t) noexcept override {
    std::unique_lock lock(state_->mutex);
    state_->changed.wait(lock, [this] { return !state_->under_way; });
    ++state_->shut_downs;
    return true;
  }
  static void answer(State& state) {
    state.operation->complete();
    const std::lock_guard lock(state.mutex);
    state.under_way = false;
    state.changed.notify_all();
  }

 private:
  std::shared_ptr<State> state_;
};

class Forgotten final : public IoOperation {
 public:
  Forgotten(std::shared_ptr<QuarantineEntry> entry, bool* done)
      : IoOperation(IoRequest(IoOp::write)), entry_(std::move(entry)), done_(done) {}
  ~Forgotten() override = default;
  void complete() noexcept override {
    entry_->release();
    *done_ = true;
    delete this;
  }

 private:
  std::shared_ptr<QuarantineEntry> entry_;
  bool* done_;
};

TEST(EngineQuarantine, KeepsTheCoreUntilTheKernelAnswers) {
  const auto state = std::make_shared<HungBackend::State>();
  EngineOptions options;
  options.io_backend = std::make_unique<HungBackend>(state);
  options.staging_bytes = options.io_window_bytes = kMiB;
  auto engine = Engine::create(std::move(options));
  auto buffer = std::make_shared<Buffer>(engine->staging().try_acquire(4096));
  const std::weak_ptr<Buffer> watch = buffer;
  const auto entry = std::make_shared<QuarantineEntry>();
  bool done = false;
  engine->submit(new Forgotten(entry, &done));
  *entry = engine->quarantine(std::move(buffer), 1, 4096);
  EXPECT_EQ(engine->stats().quarantined_tasks, 1u);
  EXPECT_EQ(engine->stats().quarantined_operations, 1u);
  EXPECT_EQ(engine->stats().quarantined_bytes, 4096u);

  engine.reset();  // returns, although the operation hangs
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(state->shut_downs, 0);
  HungBackend::answer(*state);
  internal::wait_for_reapers();
  EXPECT_TRUE(done);
  EXPECT_TRUE(watch.expired());
  EXPECT_EQ(state->shut_downs, 1);
}

}  // namespace
}  // namespace cairn::engine
