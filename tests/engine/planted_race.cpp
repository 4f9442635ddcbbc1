// A program with a race, on purpose: two tasks of the CPU pool add to one plain integer. Run under
// the thread sanitizer it must be reported, or the sanitizer (or tests/tsan.supp) has gone blind to
// what happens on the pool.

#include <cairn/engine/cpu_pool.h>

#include <atomic>
#include <cstdio>
#include <thread>

int main() {
  volatile int counter = 0;
  {
    const auto pool = cairn::engine::make_tbb_pool(2);
    std::atomic<int> running = 0;
    for (int task = 0; task < 2; ++task) {
      pool->enqueue([&] {
        // At the same time, yet not ordered by it: relaxed. One after the other they would be
        // ordered, by the queue that hands tasks over.
        running.fetch_add(1, std::memory_order_relaxed);
        while (running.load(std::memory_order_relaxed) < 2) std::this_thread::yield();
        // Often: the sanitizer samples what it remembers, and may miss a single pair.
        for (int i = 0; i < 10000; ++i) counter = counter + 1;
      });
    }
  }
  std::printf("%d\n", counter);
}
