#pragma once
// The options of a manager and what is asked of it, as plain data: what a sequence is made of, and
// all that the model and the manager's driver have in common.

#include <cairn/manager/error.h>
#include <cairn/manager/save_future.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace cairn::model {

inline constexpr Step kStepMax = 40;            ///< sequences stay below
inline constexpr double kNoScore = 13;          ///< metrics whose best_fn gives NaN
inline constexpr const char* kAside = "trash";  /// todelete_subdir
inline constexpr std::int64_t kMsNs = 1'000'000;

/// When a step is saved; of a list any.
struct SaveRule {
  enum class Kind { interval, listed, continuous, preemption, initial };
  Kind kind = Kind::interval;
  std::int64_t n = 1;  ///< steps, or ms (< 0: none)
  std::set<Step> steps{};
};
/// Which steps are kept; of a list any.
struct KeepRule {
  enum class Kind { all, latest, seconds, every, spaced, closest, listed, best, duration };
  Kind kind = Kind::all;
  std::int64_t n = 1;                   ///< steps to keep, interval in steps, or ms
  std::optional<std::int64_t> limit{};  ///< n of best and latest, max_to_keep of steps apart
  bool smallest = false;                ///< is the best
  bool without_metrics = true;          ///< best keeps such steps
  std::set<Step> steps{};
};
enum class Best { none, max, min };
enum class OnOlder { error, skip, supersede };
/// How steps are called. `several` writes ckpt_7 and reads 7 and 0007 too.
enum class Naming { plain, padded, prefixed, several };
/// The name that a step is given, and others by which it is found.
inline std::vector<std::string> step_names(Naming naming, Step step) {
  constexpr std::size_t kDigits = 4;
  const std::string plain = std::to_string(step);
  const std::string padded = std::string(kDigits - plain.size(), '0') + plain;
  switch (naming) {
    case Naming::plain:
      return {plain};
    case Naming::padded:
      return {padded};
    case Naming::prefixed:
      return {"ckpt_" + plain};
    case Naming::several:
      return {"ckpt_" + plain, plain, padded};
  }
  return {};
}

struct Settings {
  std::int64_t interval = 1;
  std::set<Step> on_steps;
  std::int64_t should_save_fn = 0;  ///< n: where n divides step + latest; 0: none
  std::vector<SaveRule> save_rules;
  OnOlder on_older = OnOlder::error;
  std::optional<std::int64_t> max_to_keep;
  std::optional<std::int64_t> keep_period;
  std::optional<std::int64_t> keep_ms;
  Best best = Best::none;
  bool without_metrics = true;  ///< keep_checkpoints_without_metrics
  bool allow_missing = false;
  bool keep_latest = false;
  std::vector<KeepRule> keep_rules;
  bool read_only = false;
  bool lightweight = false;
  bool strict_errors = false;
  bool clean_up = false;
  Naming naming = Naming::plain;
  bool aside = false;  ///< todelete_subdir is kAside
  bool background_delete = false;
  bool asynchronous = true;
  int verify = 1;  ///< VerifyBeforeDelete
};

/// What goes wrong with a save.
enum class Fault {
  none,
  no_tree,    ///< it is given an empty tree
  before,     ///< some operation before the commit fails
  commit,     ///< the commit's rename fails
  last_sync,  ///< it is renamed, and the root cannot be synced
  cancelled
};
struct SaveCall {
  Step step = 0;
  std::int64_t value = 0;
  std::optional<double> loss{};
  bool force = false;
  bool overwrite = false;
  bool composite = false;
  bool dropped = false;  ///< nobody asks the future
  Fault fault = Fault::none;
};

/// What a call gave.
struct Answer {
  Answer() = default;
  Answer(SaveOutcome o) : outcome(o) {}    // NOLINT(google-explicit-constructor)
  Answer(ErrorCode code) : error(code) {}  // NOLINT(google-explicit-constructor)
  std::optional<ErrorCode> error;
  SaveOutcome outcome = SaveOutcome::saved;
  bool operator==(const Answer&) const = default;
};
inline std::string text_of(const Answer& answer) {
  return std::string(answer.error ? to_string(*answer.error) : to_string(answer.outcome));
}

}  // namespace cairn::model
