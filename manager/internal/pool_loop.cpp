#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/pool_loop.h>

#include <algorithm>
#include <atomic>

namespace cairn::internal {
namespace {

struct Loop {
  Loop(std::size_t c, std::function<void(std::size_t)> w) : count(c), work(std::move(w)) {}
  const std::size_t count;
  const std::function<void(std::size_t)> work;
  std::atomic<std::size_t> next{0};

  void run() {
    try {
      for (std::size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      next = count;
      throw;
    }
  }
};

Task<void> take_rounds(EnginePtr engine, std::shared_ptr<Loop> loop) {
  auto run = [loop] { loop->run(); };
  co_await engine::async_run(engine->cpu(), std::move(run), asio::use_awaitable);
}

}  // namespace

Task<void> loop_on_pool(EnginePtr engine, std::size_t count,
                        std::function<void(std::size_t)> work) {
  const auto loop = std::make_shared<Loop>(count, std::move(work));
  const std::size_t workers = std::min<std::size_t>(count, engine->cpu().concurrency());
  engine::Nursery rounds(engine->executor());
  for (std::size_t i = 0; i < workers; ++i) rounds.spawn(take_rounds(engine, loop));
  co_await rounds.join();
}

}  // namespace cairn::internal
