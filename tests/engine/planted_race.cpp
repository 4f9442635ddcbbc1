// A program with a race, on purpose: two tasks of the CPU pool add to one plain integer. Run under
// the thread sanitizer it must be reported, or the sanitizer (or tests/tsan.supp) has gone blind to
// what happens on the pool.

#include <cairn/engine/cpu_pool.h>

#include <cstdio>
#include <latch>

int main() {
  int counter = 0;
  {
    const auto pool = cairn::engine::make_tbb_pool(2);
    std::latch both(2);
    for (int task = 0; task < 2; ++task) {
      pool->enqueue([&] {
        both.count_down();
        // Busy, not wait(): waiting would order the two.
        for (int i = 0; i < 1000; ++i) ++counter;
      });
    }
  }
  std::printf("%d\n", counter);
}
