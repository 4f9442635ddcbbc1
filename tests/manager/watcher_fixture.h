#pragma once
// A trainer, and who watches its root, each with an engine of its own; the watcher's clock stands
// still, so that whatever ends a wait was heard of.

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>

#include "support/manager_fixture.h"
#include "support/settle.h"

namespace cairn::test {

using Found = std::optional<Step>;

class WatcherTest : public ManagerTest {
 protected:
  [[nodiscard]] ManagerOptions trainer() const {
    ManagerOptions options;
    options.engine = trainer_;
    return options;
  }
  [[nodiscard]] WatchOptions watcher() const {
    WatchOptions options;
    options.engine = engine_;
    return options;
  }
  static void save(CheckpointManager& manager, Step step) {
    ASSERT_TRUE(manager.save(step, state(step)).get());
    manager.wait_until_finished().get();
  }
  /// Until it waits for its clock: what it had to look at it has looked at.
  void wait_until_it_sleeps() {
    while (clock_->pending() == 0) std::this_thread::yield();
  }
  void pass(std::chrono::milliseconds time) {
    wait_until_it_sleeps();
    clock_->advance(time);
  }
  /// A step's directory in the root, as the name of one that is being deleted has it.
  [[nodiscard]] std::size_t count_trash() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        entries(), [](const std::string& name) { return name.find("-deleted-") != name.npos; }));
  }

  std::shared_ptr<engine::FaultPlan> trainer_faults_ = std::make_shared<engine::FaultPlan>();
  std::shared_ptr<engine::FaultPlan> faults_ = std::make_shared<engine::FaultPlan>();
  std::shared_ptr<engine::ManualClock> clock_ = std::make_shared<engine::ManualClock>();
  static std::shared_ptr<engine::Engine> engine_with(std::shared_ptr<engine::FaultPlan> faults,
                                                     std::shared_ptr<engine::Clock> clock) {
    EngineSettings settings;
    settings.staging_bytes = 16u << 20;
    settings.clock = std::move(clock);
    settings.faults = std::move(faults);
    return make_engine(GetParam(), settings);
  }
  std::shared_ptr<engine::Engine> trainer_ = engine_with(trainer_faults_, nullptr);
  std::shared_ptr<engine::Engine> engine_ = engine_with(faults_, clock_);
};

}  // namespace cairn::test
