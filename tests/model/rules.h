#pragma once
// Which step is saved, which go and which is best, written from the descriptions of the rules and
// with no code of the policies.

#include <cstdint>
#include <map>
#include <optional>
#include <set>

#include "model/settings.h"

namespace cairn::model {

/// A step's directory, and what a manager knows of it.
struct Content {
  Step step = 0;
  std::int64_t value = 0;
  std::optional<double> loss{};
  std::int64_t time_ns = 0;
  bool composite = false;
  bool damaged = false;  ///< its metadata cannot be read
  bool unread = false;   ///< only its name is known
};
using Contents = std::map<Step, Content>;

/// When somebody asks whether to save a step.
struct Moment {
  Step step;
  std::int64_t now_ns;
  bool saving;  ///< a save is under way
  bool last;    ///< it is the step to save before the job ends
};
[[nodiscard]] bool is_wanted(const Moment& at, const Contents& steps, const Settings& settings);
[[nodiscard]] std::set<Step> losers_of(const Contents& steps, const Settings& settings);
[[nodiscard]] std::optional<Step> latest_of(const Contents& steps);
[[nodiscard]] std::optional<Step> best_of(const Contents& steps, bool smallest);

}  // namespace cairn::model
