#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/argument_check.h>
#include <cairn/manager/step_name.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <limits>

namespace cairn {
namespace {

constexpr int kStepDigitsMax = std::numeric_limits<Step>::digits10 + 1;

/// Digits alone, any number of zeros first; none where it is anything else or does not fit.
std::optional<Step> parse_digits(std::string_view text) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == text.npos;
  Step step = 0;
  if (!digits || std::from_chars(text.data(), text.data() + text.size(), step).ec != std::errc())
    return std::nullopt;
  return step;
}

bool is_control(unsigned char c) {
  return c < ' ' || c == 0x7f;
}

/// A name in an error: in one line, whatever it holds.
std::string quoted(std::string_view name) {
  std::string text(name.substr(0, kStepNameBytesMax));
  std::ranges::replace_if(text, is_control, '?');
  return "'" + text + (name.size() > text.size() ? "...'" : "'");
}

/// Why a name cannot be that of a step's directory; empty where it can.
std::string fault_of(std::string_view name) {
  if (name.empty()) return "it is empty";
  if (name.front() == '.') return "it begins with '.'";
  if (name.find('/') != name.npos) return "it contains '/'";
  if (std::ranges::any_of(name, is_control)) return "it contains a control character";
  if (orbax::is_temporary_name(name))
    return "it contains '" + std::string(orbax::kTemporaryInfix) +
           "', which marks temporary directories";
  if (name.size() > kStepNameBytesMax)
    return "it has " + std::to_string(name.size()) + " bytes, " +
           std::to_string(kStepNameBytesMax) + " are allowed";
  return {};
}

class StandardFormat final : public StepNameFormat {
 public:
  StandardFormat(std::string prefix, std::size_t digits)
      : prefix_(std::move(prefix)), digits_(digits) {}

 private:
  std::string format_step(Step step) const override {
    const std::string number = std::to_string(step);
    const std::size_t zeros = digits_ > number.size() ? digits_ - number.size() : 0;
    return prefix_ + std::string(zeros, '0') + number;
  }
  std::optional<Step> parse_step(std::string_view name) const override {
    if (!name.starts_with(prefix_)) return std::nullopt;
    const std::string_view number = name.substr(prefix_.size());
    const bool padded = number.starts_with('0');
    if (padded ? number.size() != digits_ : number.size() < digits_) return std::nullopt;
    return parse_digits(number);
  }

  std::string prefix_;  ///< with its underscore
  std::size_t digits_;  ///< at least
};

class CompositeFormat final : public StepNameFormat {
 public:
  CompositeFormat(StepNameFormatPtr write, std::vector<StepNameFormatPtr> read)
      : write_(std::move(write)), read_(std::move(read)) {}

 private:
  std::string format_step(Step step) const override { return write_->name(step); }
  std::optional<Step> parse_step(std::string_view name) const override {
    for (const StepNameFormatPtr& format : read_) {
      if (const std::optional<Step> step = format->parse(name)) return step;
    }
    return std::nullopt;
  }
  std::vector<std::string> format_candidates(Step step) const override {
    std::vector<std::string> names;
    for (const StepNameFormatPtr& format : read_) {
      try {
        std::vector<std::string> more = format->candidates(step);
        std::ranges::move(more, std::back_inserter(names));
      } catch (const Error&) {
        continue;  // under this format no such step can lie here
      }
    }
    return names;
  }

  StepNameFormatPtr write_;
  std::vector<StepNameFormatPtr> read_;
};

/// Digits, alone or after a prefix and '_'.
std::optional<Step> parse_any(std::string_view name) {
  const std::size_t underscore = name.rfind('_');
  const bool has_prefix = underscore != name.npos && underscore > 0;
  return parse_digits(has_prefix ? name.substr(underscore + 1) : name);
}

class AnyStandardNames final : public StepNameFormat {
  std::string format_step(Step step) const override { return std::to_string(step); }
  std::optional<Step> parse_step(std::string_view name) const override { return parse_any(name); }
};

}  // namespace

std::string StepNameFormat::name(Step step) const {
  const std::string where = "name of step " + std::to_string(step);
  if (step < 0) internal::refuse_argument(where, "steps are not negative");
  std::string name = format_step(step);
  const std::string fault = fault_of(name);
  if (!fault.empty())
    internal::refuse_argument(where, "the step name format gives " + quoted(name) + ": " + fault);
  const std::optional<Step> back = parse(name);
  if (back != step)
    internal::refuse_argument(where, "the step name format gives " + quoted(name) +
                                         " and reads it as " +
                                         (back ? "step " + std::to_string(*back) : "no step"));
  return name;
}

std::optional<Step> StepNameFormat::parse(std::string_view name) const {
  if (!fault_of(name).empty()) return std::nullopt;
  const std::optional<Step> step = parse_step(name);
  return step && *step >= 0 ? step : std::nullopt;
}

std::optional<Step> StepNameFormat::parse_temporary(std::string_view name) const {
  const std::size_t infix = name.find(orbax::kTemporaryInfix);
  return infix == name.npos ? std::nullopt : parse(name.substr(0, infix));
}

std::vector<std::string> StepNameFormat::candidates(Step step) const {
  static_cast<void>(name(step));  // refuses what it must
  std::vector<std::string> names;
  for (std::string& candidate : format_candidates(step)) {
    // Of a format's further names, those that it would read as another step are another step's.
    const bool new_name = std::ranges::find(names, candidate) == names.end();
    if (new_name && parse(candidate) == step) names.push_back(std::move(candidate));
  }
  return names;
}

std::vector<std::string> StepNameFormat::format_candidates(Step step) const {
  return {format_step(step)};
}

StepNameFormatPtr standard_name_format(std::optional<std::string> prefix,
                                       std::optional<int> fixed_length) {
  constexpr const char* kWhere = "standard_name_format";
  if (prefix && prefix->empty()) {
    internal::refuse_argument(kWhere, "step_prefix is empty", "Leave it out for bare numbers");
  }
  if (prefix) {
    const std::string fault = fault_of(*prefix);
    if (!fault.empty())
      internal::refuse_argument(
          kWhere, "step_prefix " + quoted(*prefix) + " cannot begin a name: " + fault);
    *prefix += '_';
  }
  internal::require_at_least(kWhere, "step_format_fixed_length", fixed_length, 1);
  const auto digits = static_cast<std::size_t>(fixed_length.value_or(1));
  const std::string start = prefix.value_or("");
  const std::size_t longest = start.size() + std::max<std::size_t>(digits, kStepDigitsMax);
  if (longest > kStepNameBytesMax) {
    internal::refuse_argument(kWhere, "names would have " + std::to_string(longest) + " bytes, " +
                                          std::to_string(kStepNameBytesMax) + " are allowed");
  }
  return std::make_shared<StandardFormat>(start, digits);
}

StepNameFormatPtr composite_name_format(StepNameFormatPtr write,
                                        std::vector<StepNameFormatPtr> read) {
  constexpr const char* kWhere = "composite_name_format";
  if (!write) internal::refuse_argument(kWhere, "the format to write is null");
  if (std::ranges::find(read, nullptr) != read.end())
    internal::refuse_argument(kWhere, "a format to read is null");
  // What is saved has to be found again.
  if (std::ranges::find(read, write) == read.end()) read.insert(read.begin(), write);
  return std::make_shared<CompositeFormat>(std::move(write), std::move(read));
}

StepNameFormatPtr any_standard_name_format() {
  static const StepNameFormatPtr format = std::make_shared<AnyStandardNames>();
  return format;
}

Step step_from_checkpoint_name(std::string_view name) {
  const std::optional<Step> step = parse_any(name.substr(0, name.find(orbax::kTemporaryInfix)));
  if (!step) {
    internal::refuse_argument(
        "step_from_checkpoint_name",
        quoted(name) + " is not a step's name: expected digits, or a prefix, '_' and digits");
  }
  return *step;
}

}  // namespace cairn
