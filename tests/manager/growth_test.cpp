// What a long life leaves behind: descriptors, threads and memory after hundreds of managers and
// ten thousand steps.

#include <malloc.h>

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "manager/counted_memory.h"
#include "support/manager_fixture.h"
#include "support/many_steps.h"
#include "support/sanitized.h"
#include "support/settle.h"

namespace cairn {
namespace {

// A sanitizer's allocator counts nothing of malloc's, and keeps freed memory back. Its runs are
// shorter, too: they look for leaks by themselves.
using test::kSanitized;
constexpr int kManagers = 180;
constexpr Step kSteps = kSanitized ? 500 : 10'000;
/// Until then pools, caches and the libraries' own helpers have grown to what they keep.
constexpr int kManagersBefore = 20;
constexpr Step kStepsBefore = kSteps / 10;
/// Of operator new, after managers: caches of threads and queues that have grown. A leak of 200
/// bytes in each of them is more.
constexpr std::int64_t kLiveBytesMax = 24 << 10;
static_assert(kLiveBytesMax < 200 * kManagers);
/// Of malloc, for what C libraries take, too: its caches count as in use. And within one manager,
/// whose own may have grown; a leak of 40 bytes in each of 9,000 saves is more.
constexpr std::int64_t kBytesMax = 256 << 10;

std::int64_t descriptors_of_process() {
  std::int64_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/self/fd"))
    ++count;
  return count;
}

/// Without the kernel's own workers (io_uring's), and those that carry out what a ring cannot,
/// which come when they are needed, up to a limit, and go with their engine.
std::int64_t threads_of_process() {
  std::int64_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(entry.path() / "comm"), name);
    // Empty: it has ended since.
    if (!name.empty() && !name.starts_with("iou-") && name != "cairn-io") ++count;
  }
  return count;
}

/// The kernel may list a thread for a moment after it was joined.
std::int64_t threads_above(std::int64_t allowed) {
  constexpr int kLooksMax = 20'000;
  std::int64_t count = threads_of_process();
  for (int looks = 0; count > allowed && looks < kLooksMax; ++looks) {
    std::this_thread::yield();
    count = threads_of_process();
  }
  return count - allowed;
}

/// What this process holds.
struct Holdings {
  std::int64_t descriptors = 0;
  std::int64_t threads = 0;
  std::int64_t live_bytes = 0;
  std::int64_t malloc_bytes = 0;

  /// Files are closed behind the back of those who are done with them: `engine` finishes that
  /// first.
  explicit Holdings(const std::shared_ptr<engine::Engine>& engine) {
    if (engine) test::settle(*engine, engine::FaultPlan());
    descriptors = descriptors_of_process();
    threads = threads_of_process();
    live_bytes = test::live_bytes();
    const struct mallinfo2 allocated = ::mallinfo2();
    malloc_bytes = static_cast<std::int64_t>(allocated.uordblks + allocated.hblkhd);
  }
};

void expect_no_growth(const Holdings& before, const std::shared_ptr<engine::Engine>& engine,
                      std::int64_t live_bytes_max = kBytesMax) {
  const Holdings after(engine);
  EXPECT_LE(after.descriptors, before.descriptors);
  EXPECT_LE(threads_above(before.threads), 0);
  if (kSanitized) return;
  EXPECT_LE(after.live_bytes, before.live_bytes + live_bytes_max);
  EXPECT_LE(after.malloc_bytes, before.malloc_bytes + kBytesMax);
}

/// Threads that are all there from the start; oneTBB's come when they are needed.
class FixedPool final : public engine::CpuPool {
 public:
  void enqueue(std::function<void()> task) override {
    boost::asio::post(threads_, std::move(task));
  }
  [[nodiscard]] unsigned concurrency() const noexcept override { return kThreads; }

 private:
  static constexpr unsigned kThreads = 2;
  boost::asio::thread_pool threads_{kThreads};
};

class Growth : public test::ManagerTest {
 protected:
  [[nodiscard]] std::string root_in_memory() const { return (memory_ / "root").string(); }
  static args::JsonSave document(Step step) { return args::JsonSave(boost::json::value(step)); }
  static Tree small(Step step) { return test::state_of(step, 16); }

  /// A manager that does a little of everything.
  static void use(const ManagerOptions& options, const std::string& path, Step step) {
    CheckpointManager manager(path, options);
    SaveOptions save;
    save.force = true;
    save.overwrite = true;
    EXPECT_TRUE(manager.save(step, small(step), save).get());
    EXPECT_EQ(manager.restore(step).get().tree(), small(step));
    static_cast<void>(manager.metadata(step).get());
    manager.close().get();
  }
  /// On threads that do not come and go.
  [[nodiscard]] ManagerOptions on_fixed_pool(test::EngineSettings settings = {}) {
    settings.cpu_pool = pool_;
    return options(settings);
  }

 private:
  std::shared_ptr<FixedPool> pool_ = std::make_shared<FixedPool>();
  test::TempDirectory memory_ = test::TempDirectory::in_memory();
};
CAIRN_ON_EVERY_BACKEND(Growth);

TEST_P(Growth, TwoHundredManagersOfOneEngineLeaveNothing) {
  ManagerOptions o = on_fixed_pool();
  o.max_to_keep = 2;
  for (int i = 0; i < kManagersBefore; ++i) use(o, root_in_memory(), i);
  const Holdings before(o.engine);
  for (int i = 0; i < kManagers; ++i) use(o, root_in_memory(), kManagersBefore + i);
  expect_no_growth(before, o.engine, kLiveBytesMax);
}

TEST_P(Growth, TwoHundredManagersWithAnEngineEachLeaveNothing) {
  const auto use_one = [&](int i) {
    test::EngineSettings settings;
    settings.staging_bytes = settings.io_window_bytes = 4u << 20;
    const ManagerOptions o = on_fixed_pool(settings);
    use(o, root_in_memory(), i % 2);
    // The last to let an engine go ends it: not a thread of its own, behind the test's back.
    test::settle(*o.engine, engine::FaultPlan());
    constexpr int kLooksMax = 1'000'000;
    for (int looks = 0; o.engine.use_count() > 1 && looks < kLooksMax; ++looks)
      std::this_thread::yield();
    EXPECT_EQ(o.engine.use_count(), 1);
  };
  for (int i = 0; i < kManagersBefore; ++i) use_one(i);
  const Holdings before(nullptr);
  for (int i = 0; i < kManagers; ++i) use_one(i);
  expect_no_growth(before, nullptr, kLiveBytesMax);
}

TEST_P(Growth, TenThousandStepsOfOneManagerLeaveNothing) {
  ManagerOptions o = on_fixed_pool();
  o.max_to_keep = 3;
  CheckpointManager manager(root_in_memory(), o);
  std::optional<Holdings> before;
  for (Step step = 0; step < kSteps; ++step) {
    ASSERT_TRUE(manager.save(step, document(step)).get());
    if (step == kStepsBefore) {
      manager.wait_until_finished().get();
      before.emplace(o.engine);
    }
  }
  manager.wait_until_finished().get();
  EXPECT_EQ(manager.all_steps(true), (std::vector<Step>{kSteps - 3, kSteps - 2, kSteps - 1}));
  expect_no_growth(*before, o.engine);
}

TEST_P(Growth, ARootOfTenThousandStepsIsListedAndLeavesNothing) {
  const ManagerOptions o = on_fixed_pool();
  {
    CheckpointManager manager(root_in_memory(), o);
    ASSERT_TRUE(manager.save(0, small(7)).get());
  }
  test::link_steps(root_in_memory(), "0", 1, kSteps - 1);
  ManagerOptions judging = o;  // reads each step's metadata
  judging.max_to_keep = kSteps;
  judging.keep_time_interval = std::chrono::hours(1);
  const auto look = [&](const ManagerOptions& given) {
    CheckpointManager manager(root_in_memory(), given);
    EXPECT_EQ(manager.all_steps().size(), static_cast<std::size_t>(kSteps));
    EXPECT_EQ(manager.latest_step(), kSteps - 1);
    EXPECT_EQ(manager.all_steps(true).size(), static_cast<std::size_t>(kSteps));
    EXPECT_EQ(manager.restore().get().tree(), small(7));
  };
  for (int i = 0; i < 2; ++i) look(i == 0 ? o : judging);
  const Holdings before(o.engine);
  for (int i = 0; i < 6; ++i) look(i % 2 == 0 ? o : judging);
  expect_no_growth(before, o.engine);
}

TEST_P(Growth, ARootOfTenThousandStepsIsSavedTo) {
  ManagerOptions o = options();
  {
    CheckpointManager manager(root_in_memory(), o);
    ASSERT_TRUE(manager.save(0, small(0)).get());
  }
  test::link_steps(root_in_memory(), "0", 1, kSteps - 1);
  o.max_to_keep = kSteps;
  CheckpointManager manager(root_in_memory(), o);
  for (Step step = kSteps; step < kSteps + 10; ++step)
    ASSERT_TRUE(manager.save(step, small(step)).get());
  manager.wait_until_finished().get();
  const std::vector<Step> steps = manager.all_steps(true);
  EXPECT_EQ(steps.size(), static_cast<std::size_t>(kSteps));
  EXPECT_EQ(steps.front(), 10) << "one goes for each that comes";
  EXPECT_EQ(manager.restore().get().tree(), small(kSteps + 9));
}

}  // namespace
}  // namespace cairn
