#pragma once
// Random sequences of what is done to a manager, and their text.

#include <cstdint>
#include <string>
#include <vector>

#include "model/settings.h"

namespace cairn::model {

struct Operation {
  enum class Kind {
    save,
    hold,     ///< the disk hangs: saves stay under way until release
    release,  ///< of everything that hangs
    cancel,   ///< the save under way of place `number`
    remove,   ///< delete_step()
    reload,
    restart,  ///< close, and open with other options
    restore,
    metrics,
    wait,          ///< wait_until_finished()
    check_errors,  ///< check_for_errors()
    advance,       ///< the clock, by `number` ms
    preempt,       ///< notify_preemption(), and the step that is asked about
    other_save,    ///< by another manager
    other_remove,  ///< somebody removes the step's directory
    damage,        ///< and overwrites its metadata
    leftover       ///< and leaves a temporary directory
  };
  Kind kind = Kind::wait;
  Step step = 0;  ///< < 0: none, for restore
  std::int64_t number = 0;
  bool fault = false;  ///< a rename to the trash, or the listing, fails
  SaveCall call;
  Settings settings;
};

struct Sequence {
  Settings settings;
  bool json = false;  ///< states are JSON documents instead of trees
  std::vector<Operation> operations;
};

[[nodiscard]] Sequence make_sequence(std::uint64_t seed);
/// A line for each operation.
[[nodiscard]] std::string text_of(const Sequence& sequence);

}  // namespace cairn::model
