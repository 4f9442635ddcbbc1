// Waiting for a Source.

#include <cairn/manager/internal/source_reader.h>
#include <gtest/gtest.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>
#include <stdexcept>

namespace cairn::internal {
namespace {

class ThrowingSource final : public Source {
 public:
  void read(const IndexRange&, std::span<std::byte>,
            std::function<void(std::exception_ptr)>) override {
    throw std::runtime_error("no such device");
  }
};

struct Outcome {
  Outcome() = default;
  bool threw = false;
  bool throws_if_cancelled = false;
};

Task<void> read_from(std::shared_ptr<Source> source, Outcome* outcome) {
  std::array<std::byte, 4> bytes{};
  IndexRange range({0}, {4});
  try {
    co_await await_source(source, std::move(range), std::span<std::byte>(bytes));
  } catch (const std::runtime_error&) {
    outcome->threw = true;
  }
  outcome->throws_if_cancelled = co_await asio::this_coro::throw_if_cancelled();
}

TEST(AwaitSource, LeavesTheCoroutineAsItWasWhenTheSourceThrows) {
  asio::io_context context;
  Outcome outcome;
  std::exception_ptr failure;
  asio::co_spawn(context, read_from(std::make_shared<ThrowingSource>(), &outcome),
                 [&](std::exception_ptr error) { failure = error; });
  context.run();
  EXPECT_EQ(failure, nullptr);
  EXPECT_TRUE(outcome.threw);
  EXPECT_TRUE(outcome.throws_if_cancelled) << "later waits would not notice a cancellation";
}

}  // namespace
}  // namespace cairn::internal
