#pragma once
// The rules of saving and keeping, written from their descriptions and with no code of the
// policies.

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "model/settings.h"

namespace cairn::model {

/// A step that may be judged.
struct Row {
  Step step;
  std::int64_t time_ns;  ///< grows with the step
  std::optional<double> score{};
};
using Rows = std::vector<Row>;

/// What is kept of steps in ascending order, at least one.
[[nodiscard]] std::set<Step> kept_by(const KeepRule& rule, const Rows& rows);

/// What the options that make up the default keep by.
[[nodiscard]] std::vector<KeepRule> default_keeping(const Settings& settings);

/// When somebody asks whether to save a step.
struct Moment {
  Step step = 0;
  std::int64_t now_ns = 0;
  std::optional<Step> newest{};  ///< of the steps before; none: it is the first
  std::int64_t newest_ns = 0;    ///< when that was committed
  bool saving = false;           ///< a save is under way
  bool last = false;             ///< the step to save before the job ends
};
[[nodiscard]] bool wanted_by(const SaveRule& rule, const Moment& moment);
/// By the options that make up the default.
[[nodiscard]] bool wanted_by(const Settings& settings, const Moment& moment);

}  // namespace cairn::model
