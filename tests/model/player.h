#pragma once
// Plays a sequence to a CheckpointManager and to the model, and compares after each operation.

#include <cairn/cairn.h>
#include <cairn/engine/faulty_backend.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "model/model.h"
#include "model/save_fault.h"
#include "model/sequence.h"

namespace cairn::model {

/// What managers of many sequences run on.
struct Machine {
  std::shared_ptr<engine::FaultPlan> faults;
  std::shared_ptr<engine::ManualClock> clock;
  std::shared_ptr<engine::Engine> engine;
};

class Player {
 public:
  /// `root` is to be a new directory.
  Player(Machine machine, std::string root);
  ~Player();
  /// Empty, or the first difference and the operation after which it showed.
  [[nodiscard]] std::string play(const Sequence& sequence);

 private:
  /// What a future gave.
  struct Given {
    Answer answer;
    bool warned = false;
  };
  struct Flight {
    SaveFuture future;
    SaveCall call;
    FaultStatePtr fault;
    std::size_t number;  ///< in the model
    std::optional<Given> given{};
  };

  void open(const Settings& settings);
  void perform(const Operation& operation);
  void save(const Operation& operation);
  void hold();
  void release();
  void cancel(std::size_t place);
  void remove(const Operation& operation);
  void reload(bool fault);
  void restart(const Settings& settings);
  void restore(Step step);
  void metrics(Step step);
  void wait();
  void check_errors();
  void preempt(Step step);
  void other_save(const Operation& operation);
  void other_remove(Step step);
  void damage(Step step);
  void leftover(Step step);

  /// Until the manager has nothing to do; delivers no error. `silent`: there is none.
  void idle(bool silent);
  /// Waits for all saves under way, in the manager and in the model.
  void finish_saves();
  /// Waits for a save, and asks its future unless nobody is to.
  static void take(Flight& flight);
  /// What the future gives is what the model says.
  void deliver(Flight& flight, const Answer& expected, bool warns);
  [[nodiscard]] FaultStatePtr arm(const SaveCall& call, std::int64_t nth);
  void arm_trash();

  void compare(Step step);
  void compare_disk();
  template <class T>
  void expect_equal(const char* what, const T& real, const T& model);
  void differ(const std::string& text);

  const Machine machine_;
  const std::string root_;
  Model model_;
  bool json_ = false;
  Settings settings_;
  std::optional<CheckpointManager> manager_;
  std::vector<Flight> flights_;
  bool holding_ = false;
  bool has_trash_ = false;  ///< what an exchange left may lie about
  std::string difference_;
};

}  // namespace cairn::model
