#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/internal/machine.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <mutex>
#include <random>
#include <vector>

namespace cairn::engine {

unsigned available_cpus() {
  const unsigned affinity = internal::affinity_cpus();
  const auto quota = internal::cgroup_cpus(internal::process_cgroups());
  if (!quota || *quota >= affinity) return affinity;
  return std::max(1u, static_cast<unsigned>(std::ceil(*quota)));
}

std::uint64_t available_memory() {
  return internal::available_memory();
}

struct ManualPool::State {
  explicit State(std::uint64_t seed) : random(seed) {}
  std::mutex mutex;
  std::vector<std::function<void()>> tasks;
  std::mt19937_64 random;
};

ManualPool::ManualPool(std::uint64_t seed) : state_(std::make_unique<State>(seed)) {}
ManualPool::~ManualPool() = default;

void ManualPool::enqueue(std::function<void()> task) {
  assert(task != nullptr);
  const std::lock_guard lock(state_->mutex);
  state_->tasks.push_back(std::move(task));
}

bool ManualPool::run_one() {
  std::function<void()> task;
  {
    const std::lock_guard lock(state_->mutex);
    auto& tasks = state_->tasks;
    if (tasks.empty()) return false;
    // A plain remainder: the standard's distributions differ between libraries, a seed must not.
    const auto pick = static_cast<std::ptrdiff_t>(state_->random() % tasks.size());
    task = std::move(tasks[static_cast<std::size_t>(pick)]);
    tasks.erase(tasks.begin() + pick);
  }
  task();
  return true;
}

std::size_t ManualPool::run_all() {
  std::size_t ran = 0;
  while (run_one()) ++ran;
  return ran;
}

}  // namespace cairn::engine
