// Coordination as manager code uses it: awaited on an engine's strand, and cancelled through slots.

#include <cairn/engine/engine.h>
#include <cairn/manager/coordination.h>
#include <gmock/gmock.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <future>
#include <thread>

#include "support/coordination.h"

namespace cairn {
namespace {

namespace asio = boost::asio;
using test::barrier;
using test::failure_of;
using test::Job;
using test::kLong;
using test::part;
using test::process_name;
using test::run_job;
using test::Via;
using ::testing::AllOf;
using ::testing::HasSubstr;

class CoordinationInCoroutines : public ::testing::TestWithParam<Job> {
 protected:
  [[nodiscard]] ProcessIndex count() const { return GetParam().count; }
};
INSTANTIATE_TEST_SUITE_P(Jobs, CoordinationInCoroutines,
                         ::testing::Values(Job{Via::single, 1}, Job{Via::sockets, 1},
                                           Job{Via::sockets, 2}, Job{Via::sockets, 3}),
                         test::job_name);

/// Of operations that do wait: there are others to wait for.
class WaitsInCoroutines : public CoordinationInCoroutines {};
INSTANTIATE_TEST_SUITE_P(Jobs, WaitsInCoroutines,
                         ::testing::Values(Job{Via::sockets, 2}, Job{Via::sockets, 3}),
                         test::job_name);

std::shared_ptr<engine::Engine> small_engine() {
  engine::EngineOptions options;
  options.backend.kind = engine::BackendKind::threads;
  options.staging_bytes = 16u << 20;
  options.io_window_bytes = 16u << 20;
  options.cpu_threads = 1;
  return engine::Engine::create(std::move(options));
}

/// What a save asks for, in a row.
asio::awaitable<std::string> like_a_save(Coordinator* c, std::shared_ptr<engine::Engine> engine) {
  co_await c->barrier("save.1.0.begin", kLong);
  EXPECT_TRUE(engine->on_strand());
  const std::string step =
      co_await c->broadcast("save.1.0.step", "step of " + std::to_string(c->process_index()), 0,
                            CollectiveOptions(kLong));
  EXPECT_TRUE(engine->on_strand());
  const std::vector<std::string> parts =
      co_await c->gather("save.1.0.parts", std::to_string(c->process_index()), 0, kLong);
  const std::int64_t most =
      co_await c->agree("save.1.0.most", c->process_index(), Agreement::maximum, kLong);
  std::string all = step;
  for (const std::string& part_of_one : parts) all += "," + part_of_one;
  co_return all + ":" + std::to_string(most);
}

TEST_P(CoordinationInCoroutines, OperationsAreAwaitedOnTheEnginesStrand) {
  run_job(GetParam(), [&](Coordinator& c) {
    const auto engine = small_engine();
    std::string expected = "step of 0";
    for (ProcessIndex i = 0; i < count() && c.process_index() == 0; ++i) {
      expected += "," + std::to_string(i);
    }
    expected += ":" + std::to_string(count() - 1);
    EXPECT_EQ(asio::co_spawn(engine->executor(), like_a_save(&c, engine), asio::use_future).get(),
              expected);
    part(c);
  });
}

asio::awaitable<void> barrier_for_ever(Coordinator* c, std::string name) {
  co_await c->barrier(std::move(name), CollectiveOptions::kNoTimeout);
}

TEST_P(WaitsInCoroutines, TheStrandIsFreeWhileAnOperationWaits) {
  run_job(GetParam(), [&](Coordinator& c) {
    const auto engine = small_engine();
    if (c.process_index() == 0) {
      auto waiting =
          asio::co_spawn(engine->executor(), barrier_for_ever(&c, "late"), asio::use_future);
      // Runs on the strand behind the start of the wait, while nobody else has come.
      asio::post(engine->executor(), asio::use_future).get();
      barrier(c, "seen").get();
      waiting.get();
    } else {
      barrier(c, "seen").get();
      barrier(c, "late").get();
    }
    part(c);
  });
}

/// Cancels what waits at `name`, on the strand where it waits.
void cancel_wait(Coordinator& c, const std::string& name) {
  asio::cancellation_signal signal;  // outlives the strand
  const auto engine = small_engine();
  test::Ended<void> waiting;
  asio::co_spawn(engine->executor(), barrier_for_ever(&c, name),
                 asio::bind_cancellation_slot(signal.slot(), test::Ended<void>::Token(waiting)));
  auto emit = [&signal] { signal.emit(asio::cancellation_type::terminal); };
  asio::post(engine->executor(), std::packaged_task<void()>(emit));
  try {
    waiting.get();
    ADD_FAILURE() << "the wait was not cancelled";
  } catch (const boost::system::system_error& error) {
    EXPECT_EQ(error.code(), asio::error::operation_aborted);
  }
}

TEST_P(WaitsInCoroutines, CancellingEndsTheWaitHereAndFailsTheOthersByName) {
  run_job(GetParam(), [&](Coordinator& c) {
    for (ProcessIndex who = 0; who < count(); ++who) {
      const std::string name = "save.1." + std::to_string(who) + ".commit";
      const std::string is_cancelled = "cancelled." + std::to_string(who);
      if (c.process_index() == who) {
        cancel_wait(c, name);
        c.announce(is_cancelled);
      } else {
        // One comes late, so that the wait does not end by itself; with three, another is there.
        if (c.process_index() == (who + 1) % count()) {
          while (!c.announced(is_cancelled)) std::this_thread::yield();
        }
        const auto failure = failure_of(barrier(c, name));
        EXPECT_EQ(failure.code, ErrorCode::cancelled);
        EXPECT_THAT(failure.text, AllOf(HasSubstr("barrier '" + name + "'"),
                                        HasSubstr(process_name(who, count()) + " cancelled it")));
      }
    }
    part(c);
  });
}

TEST_P(CoordinationInCoroutines, TheLastOwnerMayLetGoOnTheStrand) {
  test::MeetingPlace place(GetParam());
  const auto ends = test::run_forked(
      count(),
      [&](unsigned index) {
        auto c = place.join(index);
        part(*c);
        const auto engine = small_engine();
        std::promise<void> gone;
        asio::post(engine->executor(), [&] {
          c.reset();
          gone.set_value();
        });
        gone.get_future().get();
      },
      [&](const std::vector<pid_t>&) { place.leave(); });
  EXPECT_EQ(ends, std::vector<int>(count()));
}

}  // namespace
}  // namespace cairn
