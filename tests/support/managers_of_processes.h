#pragma once
// Managers of several forked processes on one root, or on one each.

#include <cairn/cairn.h>
#include <cairn/manager/local_coordination.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "support/forked_processes.h"
#include "support/manager_fixture.h"

namespace cairn::test {

/// One of a job's processes. Its clock, of the coordinator and of its engines, stands still unless
/// the test moves it: nobody runs into a timeout by accident.
struct Process {
  ProcessIndex index = 0;
  ProcessIndex count = 0;
  std::shared_ptr<engine::ManualClock> clock;
  std::shared_ptr<Coordinator> coordinator;

  /// Waits for all processes, or those named, by the test's name for the place.
  void meet(const std::string& place, const std::vector<ProcessIndex>& who = {}) const {
    const auto met = std::make_shared<impl::SharedState<void>>();
    coordinator->barrier("test." + place, CollectiveOptions(std::chrono::hours(1), who),
                         [met](const std::exception_ptr& error) {
                           EXPECT_FALSE(error) << "a process is missing";
                           met->set(nullptr, impl::Unit());
                         });
    met->wait();
  }
};

/// Engines are made in the processes, because the one that forks them has no threads. `Rows` of an
/// array "w" are each process's own; what else the tree has is everybody's.
class ProcessesTest : public ManagerTest {
 protected:
  static constexpr Index kRows = 12;  // for 1, 2, 3, 4 or 6 processes
  static constexpr Index kColumns = 1024;
  using Body = std::function<void(const Process&)>;

  /// Runs `body` in `count` processes and expects them to end well, or as `results` says. All of
  /// those that are to end well wait for each other at the end.
  static void run(ProcessIndex count, const Body& body, const std::vector<int>& results = {}) {
    auto group = std::make_unique<LocalGroup>(count);
    const auto in_child = [&](unsigned index) {
      Process process;
      process.index = index;
      process.count = count;
      process.clock = std::make_shared<engine::ManualClock>();
      process.coordinator = group->join(index, process.clock);
      body(process);
      if (results.empty()) process.meet("the end");
    };
    // The end of a process's connection is seen when nobody else has it.
    const auto in_parent = [&](const std::vector<pid_t>&) { group.reset(); };
    EXPECT_EQ(run_forked(count, in_child, in_parent),
              results.empty() ? std::vector<int>(count) : results);
  }

  ManagerOptions options_of(const Process& process, EngineSettings settings = {}) {
    settings.clock = process.clock;
    ManagerOptions made = options(settings);
    made.coordinator = process.coordinator;
    return made;
  }

  static Array whole(std::int64_t value) {
    Array array(DType::float32, {kRows, kColumns});
    auto elements = array.values<float>();
    for (std::size_t i = 0; i < elements.size(); ++i) {
      elements[i] = static_cast<float>(value * 100'000 + static_cast<std::int64_t>(i));
    }
    return array;
  }
  static IndexRange rows(ProcessIndex process, ProcessIndex count) {
    const Index each = kRows / static_cast<Index>(count);
    return IndexRange{{each * static_cast<Index>(process), 0}, {each, kColumns}};
  }
  /// The rows of `process`; `array` is to live as long.
  static Leaf rows_of(const Array& array, ProcessIndex process, ProcessIndex count) {
    const IndexRange range = rows(process, count);
    const auto first = static_cast<std::size_t>(range.origin[0] * kColumns) * sizeof(float);
    LeafPart part(range,
                  ArrayView(DType::float32, range.shape, array.bytes().subspan(first).data()));
    return Leaf(DType::float32, {kRows, kColumns}, std::vector<LeafPart>(1, part));
  }
  /// What a process saves of state `value`.
  struct Part {
    Part(const Process& process, std::int64_t value)
        : array(whole(value)), index(process.index), count(process.count), number(value) {}
    [[nodiscard]] Tree tree() const {
      return Tree(Dict{{"bias", Tree(whole(number + 1))},
                       {"step", Tree(number)},
                       {"w", Tree(rows_of(array, index, count))}});
    }
    Array array;
    ProcessIndex index;
    ProcessIndex count;
    std::int64_t number;
  };
  /// What all of them save together.
  static Tree expected(std::int64_t value) {
    return Tree(
        Dict{{"bias", Tree(whole(value + 1))}, {"step", Tree(value)}, {"w", Tree(whole(value))}});
  }
  /// Saves state `step` and waits.
  static SaveResult save(CheckpointManager& manager, const Process& process, Step step) {
    const Part part(process, step);
    return manager.save(step, part.tree()).get();
  }
  /// What the others see afterwards, in a process of its own, which is alone.
  void look(const std::function<void(CheckpointManager&)>& body) {
    const auto alone = [&](unsigned) {
      CheckpointManager manager(root(), options());
      body(manager);
    };
    EXPECT_EQ(run_forked(1, alone), std::vector<int>{0});
  }
};

}  // namespace cairn::test
