// What a data loader sees that a trainer forks: the parent's engine is poisoned there, a new one
// works.

#include <cairn/engine/async_semaphore.h>
#include <cairn/engine/engine.h>
#include <cairn/engine/error.h>
#include <cairn/engine/file.h>
#include <cairn/engine/internal/task_queue.h>
#include <gtest/gtest.h>
#include <support/backends.h>
#include <support/run.h>
#include <support/sanitized.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/bind_executor.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/system/system_error.hpp>
#include <future>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;

constexpr std::size_t kMiB = 1 << 20;
// The thread sanitizer ends a forked child that starts a thread. The address sanitizer of clang 14
// leaves its allocator's locks as they were: where another thread held one at the fork, the child's
// next allocation hangs.
constexpr bool kChildrenMayStartThreads = !test::kSanitized;
constexpr unsigned kChildSeconds = 60;  // a child that hangs is killed by its alarm

// Exit status of `body` run in a forked child: 0 = it said true.
template <class Body>
int in_child(Body body) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kChildSeconds);
    int status = 1;
    try {
      status = body() ? 0 : 2;
    } catch (...) {
      status = 3;
    }
    ::_exit(status);
  }
  int status = -1;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

class Operation final : public IoOperation {
 public:
  explicit Operation(IoRequest r) : IoOperation(std::move(r)) {}
  ~Operation() override = default;
  void complete() noexcept override { completed = true; }
  bool completed = false;
};

class ForkTest : public ::testing::TestWithParam<BackendKind> {
 protected:
  static std::shared_ptr<Engine> make() {
    EngineOptions options;
    options.backend.kind = GetParam();
    options.staging_bytes = options.io_window_bytes = 4 * kMiB;
    options.cpu_threads = 1;
    return Engine::create(std::move(options));
  }
};
INSTANTIATE_TEST_SUITE_P(Backends, ForkTest, ::testing::ValuesIn(test::backend_kinds()),
                         test::backend_name);

TEST_P(ForkTest, EveryCallInTheChildSaysWhy) {
  const auto engine = make();
  EXPECT_FALSE(engine->forked());
  engine->check_usable();
  const int status = in_child([&] {
    bool right = engine->forked();
    try {
      engine->check_usable();
      right = false;
    } catch (const boost::system::system_error& error) {
      right = right && error.code() == make_error_code(Errc::forked_child);
    }
    Operation operation{IoRequest(IoOp::stat)};
    engine->submit(&operation);
    engine->cancel(&operation);
    right = right && operation.completed && operation.result.value == -EOWNERDEAD;
    right = right && !engine->staging().try_acquire(1);
    asio::io_context context;
    error_code seen;
    engine->window().async_acquire(
        1, asio::bind_executor(context, [&](error_code error, Buffer) { seen = error; }));
    context.run();
    return right && seen == make_error_code(Errc::forked_child);
  });
  EXPECT_EQ(status, 0);
  engine->check_usable();
}

// True when `body` throws the error of a forked child.
template <class Body>
bool says_forked(Body body) {
  try {
    body();
  } catch (const boost::system::system_error& error) {
    return error.code() == make_error_code(Errc::forked_child);
  }
  return false;
}

TEST_P(ForkTest, WaitingInTheChildEndsAtOnce) {
  if (!kChildrenMayStartThreads) GTEST_SKIP() << "not under a sanitizer";
  const auto engine = make();
  CpuPool& pool = engine->cpu();
  const IoRequest request(IoOp::stat);
  // Starts Asio's own pool, whose threads the child does not have either.
  async_run(
      pool, [] {}, asio::use_future)
      .get();
  const int status = in_child([&] {
    bool ran = false;
    error_code seen;
    async_io(engine, request, [&](error_code error, IoResult) { seen = error; });
    return seen == make_error_code(Errc::forked_child) &&
           says_forked([&] { async_io(engine, request, asio::use_future).get(); }) &&
           says_forked([&] {
             async_run(
                 pool, [&] { ran = true; }, asio::use_future)
                 .get();
           }) &&
           says_forked([&] { engine->window().async_acquire(1, asio::use_future).get(); }) &&
           says_forked([&] { static_cast<void>(engine->executor()); }) &&
           says_forked([&] { static_cast<void>(engine->cpu()); }) &&
           says_forked([&] { static_cast<void>(engine->quarantine(nullptr, 1, 1)); }) && !ran;
  });
  EXPECT_EQ(status, 0);
}

TEST(Fork, APoolOfPlainThreadsRefusesInTheChild) {
  const auto pool = internal::make_thread_pool(1);
  const int status = in_child([&] { return says_forked([&] { pool->enqueue([] {}); }); });
  EXPECT_EQ(status, 0);
}

TEST_P(ForkTest, DestroyingEverythingInTheChildDoesNothing) {
  auto engine = make();
  Buffer buffer = engine->staging().try_acquire(kMiB);
  AsyncSemaphore semaphore(1);
  Permit permit = semaphore.try_acquire(1);
  std::memset(buffer.data(), 1, buffer.size());
  std::byte* const data = buffer.data();
  const int status = in_child([&] {
    // Not inherited: the address is free, and ours to use for something else.
    void* again = ::mmap(data, kMiB, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (again != data) return false;
    buffer.reset();
    permit.reset();
    engine.reset();
    *data = std::byte{7};  // still mapped, though the arena's owner is gone
    return true;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(std::to_integer<int>(*data), 1);
}

TEST_P(ForkTest, AnEngineMadeInTheChildWorks) {
  if (!kChildrenMayStartThreads) GTEST_SKIP() << "not under a sanitizer";
  const auto engine = make();
  const auto shared = Engine::shared_default();
  std::promise<void> used;
  engine->cpu().enqueue([&] { used.set_value(); });
  used.get_future().wait();
  const int status = in_child([&] {
    if (Engine::shared_default() == shared) return false;
    const auto mine = make();
    std::promise<int> promise;
    mine->clock().call_at(Clock::Duration(0), [&] {
      mine->cpu().enqueue([&] {
        asio::post(mine->executor(), [&] { promise.set_value(mine->on_strand() ? 5 : 0); });
      });
    });
    return promise.get_future().get() == 5 && static_cast<bool>(mine->staging().try_acquire(1));
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace cairn::engine
