// Names of directories in a root, by the formats that know steps by them. The input is a name;
// where there is a line break in it, a prefix stands before and the name after it.

#include <cairn/codecs/orbax.h>
#include <cairn/manager/error.h>
#include <cairn/manager/step_name.h>
#include <fuzz/harness.h>

#include <algorithm>

namespace cairn::fuzz {
namespace {

void check_refusal(const Error& error) {
  require(error.code() == ErrorCode::invalid_argument, "what is refused is an argument");
  require(std::string_view(error.what()).find('\n') == std::string_view::npos,
          "an error is one line");
}

template <class Call>
bool refused(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    check_refusal(error);
    return true;
  }
  return false;
}

void check_step(const StepNameFormat& format, Step step) {
  require(step >= 0, "steps are not negative");
  const std::string own = format.name(step);
  require(format.parse(own) == step, "a format reads the names that it writes");
  const std::vector<std::string> candidates = format.candidates(step);
  require(std::ranges::count(candidates, own) == 1, "a step is looked for under its own name");
  for (const std::string& candidate : candidates) {
    require(std::ranges::count(candidates, candidate) == 1, "and under each name once");
    require(format.parse(candidate) == step, "and not where another step would be");
  }
  const std::string temporary = own + std::string(orbax::kTemporaryInfix) + "-1";
  require(format.parse_temporary(temporary) == step, "a temporary name is that of a step to be");
  require(!format.parse(temporary) && !format.parse_temporary(own), "and of none that is there");
}

void check_format(const StepNameFormat& format, std::string_view name) {
  if (const auto step = format.parse(name)) {
    require(!orbax::is_temporary_name(name), "a step's name is no temporary one");
    check_step(format, *step);
  }
  if (const auto step = format.parse_temporary(name)) {
    require(orbax::is_temporary_name(name), "a temporary name says that it is one");
    check_step(format, *step);
  }
  require(refused([&] { static_cast<void>(format.name(-1)); }), "no step is negative");
}

/// What whoever knows no format makes of a name.
void check_any(std::string_view name) {
  const StepNameFormatPtr any = any_standard_name_format();
  check_format(*any, name);
  std::optional<Step> found;
  const bool none = refused([&] { found = step_from_checkpoint_name(name); });
  require(none || *found >= 0, "steps are not negative");
  for (const auto& step : {any->parse(name), any->parse_temporary(name)})
    require(!step || step == found, "two ways to read a name read the same");
}

void check_standard(std::optional<std::string> prefix, std::optional<int> digits,
                    std::string_view name) {
  StepNameFormatPtr format;
  if (refused([&] { format = standard_name_format(prefix, digits); })) return;
  check_format(*format, name);
  const StepNameFormatPtr any = any_standard_name_format();
  if (const auto step = format->parse(name)) {
    require(format->name(*step) == name, "a step has one name in a standard format");
    require(any->parse(name) == step, "whoever knows no format reads the same");
  }
  check_format(*composite_name_format(format, {any}), name);
  check_format(*composite_name_format(any, {format}), name);
}

/// Somebody's own, in which every step has the name that the input is, and that is step 7's.
class OneName final : public StepNameFormat {
 public:
  explicit OneName(std::string_view name) : name_(name) {}

 private:
  std::string format_step(Step) const override { return name_; }
  std::optional<Step> parse_step(std::string_view name) const override {
    return name == name_ ? 7 : -7;
  }

  std::string name_;
};

void check_one_name(std::string_view name) {
  const OneName format(name);
  std::string given;
  if (!refused([&] { given = format.name(7); })) {
    require(given == name && format.parse(name) == 7, "a format's name is its own");
    require(name.find('/') == name.npos && !name.starts_with('.'), "and one visible directory's");
    require(!name.empty() && name.size() <= kStepNameBytesMax, "and neither empty nor too long");
  }
  require(refused([&] { static_cast<void>(format.name(8)); }), "two steps have two names");
  require(!format.parse(std::string(name) + "0"), "no format makes a step negative");
}

void check(std::string_view input) {
  const std::size_t end = input.find('\n');
  std::optional<std::string> prefix;
  if (end != input.npos) prefix = std::string(input.substr(0, end));
  const std::string_view name = prefix ? input.substr(end + 1) : input;
  check_any(name);
  for (const auto& digits : {std::optional<int>(), std::optional(0), std::optional(1),
                             std::optional(8), std::optional(100)}) {
    check_standard(prefix, digits, name);
  }
  check_one_name(input);
  require(standard_name_format()->parse(name) == orbax::step_from_name(name),
          "a number alone is what Orbax's rule takes for one");
}

Seeds seeds(const TestData&) {
  Seeds seeds = {"0",
                 "1",
                 "12345678",
                 "007",
                 "00000007",
                 "+7",
                 "-1",
                 "9223372036854775807",
                 "9223372036854775808",
                 "1.orbax-checkpoint-tmp-0",
                 "00000012.orbax-checkpoint-tmp",
                 "step_1",
                 "a_b_00000001.orbax-checkpoint-tmp-17",
                 "_1",
                 " 1",
                 "1 ",
                 "",
                 ".1",
                 "a/1",
                 "step\nstep_1",
                 "step\nstep_00000012",
                 "step\nstep_123456789",
                 "step\nstep_00000012.orbax-checkpoint-tmp-1",
                 "step\nother_1",
                 "\n1",
                 ".step\n.step_1",
                 "a.orbax-checkpoint-tmp\n1"};
  // Names at and above their limits.
  const auto add = [&seeds](std::size_t count, char letter, std::string_view rest) {
    std::string name(count, letter);
    name += rest;
    seeds.push_back(std::move(name));
  };
  std::string prefixed = "\n";
  prefixed.append(150, 'p');
  prefixed += "_1";
  add(150, 'p', prefixed);
  add(190, 'p', "\n1");
  add(99, '0', "7");
  add(201, 'n', "");
  return seeds;
}

const Registration registration({"step_name", check, nullptr, seeds});

}  // namespace
}  // namespace cairn::fuzz
