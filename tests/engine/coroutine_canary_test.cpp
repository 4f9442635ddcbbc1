// g++ 12 miscompiles some coroutines without a warning: it destroys temporaries twice, or not at
// all. This counts what lives while things are passed the way this code passes them. A failure here
// means that the rules of engine/coroutine_rules.h no longer suffice for the compiler in use.

#include <cairn/engine/buffer_arena.h>
#include <cairn/engine/coroutine_rules.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/nursery.h>
#include <gtest/gtest.h>
#include <support/run.h>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/redirect_error.hpp>

namespace cairn::engine {
namespace {

namespace asio = boost::asio;

// Counts itself, and notices when it is used or destroyed while it does not live.
class Canary {
 public:
  explicit Canary(int value = 0) : self_(this), value_(value) { ++alive; }
  Canary(const Canary& other) : self_(this), value_(other.checked()) { ++alive; }
  Canary(Canary&& other) noexcept : self_(this), value_(other.checked()) { ++alive; }
  Canary& operator=(const Canary&) = default;
  Canary& operator=(Canary&&) = default;
  ~Canary() {
    static_cast<void>(checked());
    self_ = nullptr;
    --alive;
  }
  [[nodiscard]] int checked() const noexcept {
    if (self_ != this) ++broken;
    return value_;
  }
  static inline int alive = 0;
  static inline int broken = 0;

 private:
  // Not `const`: assignment keeps it, a bitwise copy to another address is what it detects.
  struct Self {
    explicit Self(const Canary* c) : canary(c) {}
    Self& operator=(const Self&) { return *this; }
    Self& operator=(const Canary* c) {
      canary = c;
      return *this;
    }
    bool operator!=(const Canary* c) const { return canary != c; }
    const Canary* volatile canary;
  } self_;
  int value_;
};

// How structs are passed: with a constructor.
struct Plan {
  Plan(Canary c, std::string n) : canary(std::move(c)), name(std::move(n)) {}
  Canary canary;
  std::string name;
};
struct Aggregate {
  Canary canary;
  std::string name;
};
struct TrivialAggregate {
  int a;
  int b;
};
static_assert(CoroutineParameter<Plan>);
static_assert(CoroutineParameter<TrivialAggregate>);
static_assert(CoroutineParameter<std::shared_ptr<int>>);
static_assert(CoroutineParameter<std::span<const std::byte>>);
static_assert(CoroutineParameter<Buffer>);
static_assert(!CoroutineParameter<Aggregate>);
static_assert(!CoroutineParameter<const Aggregate&>);

class CoroutineCanary : public ::testing::Test {
 protected:
  void SetUp() override { Canary::alive = Canary::broken = 0; }
  void TearDown() override {
    EXPECT_EQ(Canary::alive, 0) << "leaked when positive, destroyed twice when negative";
    EXPECT_EQ(Canary::broken, 0) << "used while not alive, or moved bit by bit";
  }
  asio::io_context context_;
};

asio::awaitable<int> by_value(Canary canary, std::string text) {
  co_await asio::post(asio::use_awaitable);
  co_return canary.checked() + static_cast<int>(text.size());
}
asio::awaitable<int> by_plan(Plan plan) {
  co_await asio::post(asio::use_awaitable);
  co_return plan.canary.checked() + static_cast<int>(plan.name.size());
}
asio::awaitable<int> by_pointer(std::shared_ptr<Canary> canary, std::unique_ptr<Canary> other) {
  co_await asio::post(asio::use_awaitable);
  co_return canary->checked() + other->checked();
}
asio::awaitable<int> by_span(std::span<const Canary> canaries) {
  co_await asio::post(asio::use_awaitable);
  int sum = 0;
  for (const Canary& canary : canaries) sum += canary.checked();
  co_return sum;
}
asio::awaitable<Plan> give_plan(Canary canary) {
  co_await asio::post(asio::use_awaitable);
  co_return Plan(std::move(canary), "a name that is too long to be kept inside the string");
}
asio::awaitable<void> throw_it(Canary canary) {
  co_await asio::post(asio::use_awaitable);
  throw std::runtime_error(std::to_string(canary.checked()));
}

asio::awaitable<int> temporaries() {
  int sum = co_await by_value(Canary(1), "two");
  sum += co_await by_plan(Plan(Canary(3), std::string(40, 'x')));
  sum += co_await by_pointer(std::make_shared<Canary>(4), std::make_unique<Canary>(5));
  const Canary kept(6);
  sum += co_await by_value(kept, std::string("x") + "y");
  sum += (co_await give_plan(Canary(7))).canary.checked();
  co_return sum;
}

TEST_F(CoroutineCanary, TemporariesInAwaitsLiveOnce) {
  EXPECT_EQ(test::run(context_, temporaries()), 1 + 3 + 3 + 40 + 9 + 8 + 7);
}

asio::awaitable<int> conditional(bool which) {
  const int value = which ? co_await by_value(Canary(1), "") : co_await by_value(Canary(2), "");
  const std::vector<Canary> many(3, Canary(10));
  if (co_await by_span(many) != 30) co_return -1;
  for (int i = 0; i < 3; ++i) {
    const Plan plan = co_await give_plan(Canary(i));
    if (plan.canary.checked() != i) co_return -1;
  }
  co_return value;
}

TEST_F(CoroutineCanary, ConditionsLoopsAndSpans) {
  EXPECT_EQ(test::run(context_, conditional(true)), 1);
  EXPECT_EQ(test::run(context_, conditional(false)), 2);
}

asio::awaitable<int> failures() {
  std::exception_ptr failure;
  try {
    co_await throw_it(Canary(5));
  } catch (...) {
    failure = std::current_exception();
  }
  co_return failure ? co_await by_value(Canary(8), "") : -1;
}

TEST_F(CoroutineCanary, ExceptionsUnwindFramesOnce) {
  EXPECT_EQ(test::run(context_, failures()), 8);
}

asio::awaitable<int> operations(CpuPool& pool, BufferArena& arena) {
  Canary captured(9);
  auto work = [captured] { return std::make_unique<Canary>(captured.checked()); };
  const auto result = co_await async_run(pool, std::move(work), asio::use_awaitable);
  auto again = [canary = Canary(2)] { return canary.checked(); };
  const int two = co_await async_run(pool, std::move(again), asio::use_awaitable);
  error_code error;
  const Buffer buffer =
      co_await arena.async_acquire(64, asio::redirect_error(asio::use_awaitable, error));
  auto [second_error, second] =
      co_await arena.async_acquire(64, asio::as_tuple(asio::use_awaitable));
  if (error || second_error || !buffer || !second) co_return -1;
  co_return result->checked() + two;
}

TEST_F(CoroutineCanary, OperationsKeepTheirWorkAndBuffers) {
  const auto pool = make_tbb_pool(1);
  BufferArena arena(1 << 20);
  EXPECT_EQ(test::run(context_, operations(*pool, arena)), 11);
  EXPECT_EQ(arena.stats().in_use_bytes, 0u);
}

asio::awaitable<void> child(Canary canary, std::shared_ptr<int> sum, Buffer buffer) {
  co_await asio::post(asio::use_awaitable);
  *sum += canary.checked() + static_cast<int>(buffer.size() / kBufferAlignment);
}
asio::awaitable<void> body(Nursery& nursery, BufferArena* arena, std::shared_ptr<int> sum,
                           Plan plan) {
  for (int i = 0; i < 10; ++i) {
    Buffer buffer = co_await arena->async_acquire(1, asio::use_awaitable);
    nursery.spawn(child(Canary(i), sum, std::move(buffer)));
  }
  *sum += plan.canary.checked();
}

TEST_F(CoroutineCanary, NurseriesOwnWhatTheirChildrenTake) {
  BufferArena arena(1 << 20);
  const auto sum = std::make_shared<int>(0);
  test::run(context_,
            with_nursery(context_.get_executor(), &body, &arena, sum, Plan(Canary(100), "plan")));
  EXPECT_EQ(*sum, 45 + 10 + 100);
  EXPECT_EQ(sum.use_count(), 1);
  EXPECT_EQ(arena.stats().in_use_bytes, 0u);
}

TEST_F(CoroutineCanary, ChildrenCancelledBeforeTheyStartDropWhatTheyTook) {
  BufferArena arena(1 << 20);
  const auto sum = std::make_shared<int>(0);
  Nursery nursery(context_.get_executor());
  nursery.spawn(child(Canary(1), sum, arena.try_acquire(1)));
  nursery.cancel();
  nursery.spawn(child(Canary(2), sum, arena.try_acquire(1)));
  test::run(context_, nursery.join());
  EXPECT_EQ(*sum, 0);
  EXPECT_EQ(arena.stats().in_use_bytes, 0u);
}

TEST_F(CoroutineCanary, CoroutinesThatNeverStartDropWhatTheyTook) {
  { const asio::awaitable<int> unused = by_value(Canary(1), "text"); }
  EXPECT_EQ(Canary::alive, 0);
}

}  // namespace
}  // namespace cairn::engine
