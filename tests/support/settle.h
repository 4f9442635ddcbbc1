#pragma once
// Waiting, without a clock, until an engine does nothing more by itself.

#include <cairn/engine/engine.h>
#include <cairn/engine/faulty_backend.h>

#include <boost/asio/post.hpp>
#include <future>
#include <thread>

namespace cairn::test {

/// Until no operation of `engine` moves but those that `faults` holds, and its strand has run what
/// those that ended gave it to do. Work on the CPU pool may go on.
inline void settle(engine::Engine& engine, const engine::FaultPlan& faults) {
  constexpr int kRounds = 3;  // what a round posts, the next one waits for
  for (int still = 0; still < kRounds;) {
    const auto before = engine.stats().operations_submitted;
    std::promise<void> passed;
    boost::asio::post(engine.executor(), [&passed] { passed.set_value(); });
    passed.get_future().get();
    while (engine.stats().operations_completed + faults.held() <
           engine.stats().operations_submitted) {
      std::this_thread::yield();
    }
    still = engine.stats().operations_submitted == before ? still + 1 : 0;
  }
}

}  // namespace cairn::test
