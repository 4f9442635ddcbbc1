// What a long life leaves behind: descriptors, threads and memory after hundreds of managers and
// ten thousand steps.

#include <malloc.h>

#include <chrono>
#include <filesystem>
#include <iterator>
#include <optional>

#include "support/manager_fixture.h"
#include "support/many_steps.h"
#include "support/sanitized.h"
#include "support/settle.h"

namespace cairn {
namespace {

// A sanitizer's allocator counts nothing of malloc's, and keeps freed memory back. Its runs are
// shorter, too: they look for leaks by themselves.
using test::kSanitized;
constexpr int kManagers = 200;
constexpr Step kSteps = kSanitized ? 500 : 10'000;
/// Until then pools, caches and the libraries' own helpers have grown to what they keep.
constexpr int kManagersBefore = 40;
constexpr Step kStepsBefore = kSteps / 10;
/// Kept by allocators here and there; a leak of 40 bytes in each of 10,000 saves is more.
constexpr std::int64_t kBytesMax = 256 << 10;
/// The kernel may list a thread for a moment after it was joined.
constexpr std::int64_t kThreadsMax = 5;
/// Of an engine that is about to end on a thread of its own.
constexpr std::int64_t kEndingDescriptorsMax = 8;

std::int64_t entries_of(const char* directory) {
  return std::distance(std::filesystem::directory_iterator(directory),
                       std::filesystem::directory_iterator());
}

/// What this process holds.
struct Holdings {
  std::int64_t descriptors = 0;
  std::int64_t threads = 0;
  std::int64_t bytes = 0;

  /// Files are closed behind the back of those who are done with them: `engine` finishes that
  /// first.
  explicit Holdings(const std::shared_ptr<engine::Engine>& engine) {
    if (engine) test::settle(*engine, engine::FaultPlan());
    descriptors = entries_of("/proc/self/fd");
    threads = entries_of("/proc/self/task");
    const struct mallinfo2 allocated = ::mallinfo2();
    bytes = static_cast<std::int64_t>(allocated.uordblks + allocated.hblkhd);
  }
};

void expect_no_growth(const Holdings& before, const std::shared_ptr<engine::Engine>& engine) {
  const Holdings after(engine);
  const std::int64_t ending = engine ? 0 : kEndingDescriptorsMax;
  EXPECT_LE(after.descriptors, before.descriptors + ending);
  EXPECT_LE(after.threads, before.threads + kThreadsMax);
  if (!kSanitized) {
    EXPECT_LE(after.bytes, before.bytes + kBytesMax);
  }
}

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

 private:
  test::TempDirectory memory_ = test::TempDirectory::in_memory();
};
CAIRN_ON_EVERY_BACKEND(Growth);

TEST_P(Growth, TwoHundredManagersOfOneEngineLeaveNothing) {
  ManagerOptions o = options();
  o.max_to_keep = 2;
  for (int i = 0; i < kManagersBefore; ++i) use(o, root_in_memory(), i);
  const Holdings before(o.engine);
  for (int i = 0; i < kManagers; ++i) use(o, root_in_memory(), kManagersBefore + i);
  expect_no_growth(before, o.engine);
}

TEST_P(Growth, TwoHundredManagersWithAnEngineEachLeaveNothing) {
  test::EngineSettings small;
  small.staging_bytes = small.io_window_bytes = 4u << 20;
  for (int i = 0; i < kManagersBefore; ++i) use(options(small), root_in_memory(), i % 2);
  const Holdings before(nullptr);
  for (int i = 0; i < kManagers; ++i) use(options(small), root_in_memory(), i % 2);
  expect_no_growth(before, nullptr);
}

TEST_P(Growth, TenThousandStepsOfOneManagerLeaveNothing) {
  ManagerOptions o = options();
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
  const ManagerOptions o = options();
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
