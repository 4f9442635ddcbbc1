#pragma once
// Steps for policies, and what a policy keeps of them.

#include <cairn/manager/preservation_policy.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace cairn::test {

using Steps = std::vector<Step>;

inline constexpr std::int64_t kSecondNs = 1'000'000'000;
inline constexpr std::int64_t kHourNs = 3600 * kSecondNs;
inline constexpr std::int64_t kEpochNs = 1'700'000'000 * kSecondNs;  ///< some day

inline boost::json::object metric(const char* name, double value) {
  boost::json::object metrics;
  metrics[name] = value;
  return metrics;
}
inline double loss_of(const boost::json::object& metrics) {
  return metrics.at("loss").as_double();
}

/// Steps that were saved one second after the other.
inline std::vector<CheckpointInfo> seconds_apart(const Steps& steps) {
  std::vector<CheckpointInfo> infos;
  for (const Step step : steps)
    infos.emplace_back(step, kEpochNs + static_cast<std::int64_t>(infos.size()) * kSecondNs);
  return infos;
}

/// Steps 0, 1, 2, ...; each with a loss, or none.
inline std::vector<CheckpointInfo> with_losses(const std::vector<std::optional<double>>& losses) {
  std::vector<CheckpointInfo> infos;
  for (const auto& loss : losses) {
    const auto number = static_cast<std::int64_t>(infos.size());
    CheckpointInfo info(number, kEpochNs + number * kSecondNs);
    if (loss) info.metrics = metric("loss", *loss);
    infos.push_back(std::move(info));
  }
  return infos;
}

/// The steps whose answer is true.
inline Steps select(const std::vector<CheckpointInfo>& infos, const std::vector<bool>& keep) {
  EXPECT_EQ(infos.size(), keep.size());
  Steps kept;
  for (std::size_t i = 0; i < infos.size() && i < keep.size(); ++i) {
    if (keep[i]) kept.push_back(infos[i].step);
  }
  return kept;
}
/// What a policy by itself keeps.
inline Steps kept_by(const PreservationPolicy& policy, const std::vector<CheckpointInfo>& infos) {
  return select(infos, policy(infos));
}

/// What a manager does with its list of steps: each save adds one, and what is not kept goes.
class Retention {
 public:
  explicit Retention(PreservationPolicy policy, PreservationRules rules = {})
      : policy_(std::move(policy)), rules_(rules) {}
  explicit Retention(const PreservationOptions& options)
      : Retention(default_preservation(options), PreservationRules(options)) {}

  void save(CheckpointInfo info) {
    infos.push_back(std::move(info));
    const PreservationVerdict verdict = preserve(policy_, infos, rules_);
    EXPECT_FALSE(verdict.error) << verdict.error->what();
    std::vector<CheckpointInfo> kept;
    for (std::size_t i = 0; i < infos.size(); ++i) {
      if (verdict.keep[i]) kept.push_back(infos[i]);
    }
    infos = std::move(kept);
  }
  [[nodiscard]] Steps steps() const { return select(infos, std::vector<bool>(infos.size(), true)); }

  std::vector<CheckpointInfo> infos;

 private:
  PreservationPolicy policy_;
  PreservationRules rules_;
};

/// Code and text of the Error that `call` throws.
template <class Call>
std::pair<ErrorCode, std::string> error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  ADD_FAILURE() << "no error";
  return {ErrorCode::internal, ""};
}
/// `call` is refused as an invalid argument, in words that hold `text`.
template <class Call>
void expect_refused(const Call& call, const std::string& text) {
  const auto [code, words] = error_of(call);
  EXPECT_EQ(code, ErrorCode::invalid_argument) << words;
  EXPECT_NE(words.find(text), std::string::npos) << words << "\nlacks: " << text;
}

}  // namespace cairn::test
