#pragma once
// The rules of saving and keeping, written from their descriptions and with no code of the
// policies.

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "model/settings.h"

namespace cairn::model {

/// What a manager knows of a step.
struct Known {
  std::int64_t time_ns = 0;
  std::optional<double> loss;
  bool damaged = false;
  bool unread = false;
};
using KnownSteps = std::map<Step, Known>;

/// Which of these go.
[[nodiscard]] std::vector<Step> losers_of(const KnownSteps& steps, const Settings& settings);
[[nodiscard]] std::optional<Step> best_of(const KnownSteps& steps, Best which);

/// When somebody asks whether to save a step.
struct Moment {
  Step step = 0;
  std::int64_t now_ns = 0;
  std::optional<Step> newest{};  ///< of the steps before; none: it is the first
  std::int64_t newest_ns = 0;    ///< when that was committed
  bool saving = false;           ///< a save is under way
  bool last = false;             ///< the step to save before the job ends
};
[[nodiscard]] bool wanted_by(const Settings& settings, const Moment& moment);

}  // namespace cairn::model
