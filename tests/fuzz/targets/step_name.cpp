// Names of directories in a root: a name that is a step's is the step's only name.

#include <cairn/codecs/orbax.h>
#include <fuzz/harness.h>

namespace cairn::fuzz {
namespace {

void check(std::string_view input) {
  const auto step = orbax::step_from_name(input);
  if (step) {
    require(*step >= 0 && std::to_string(*step) == input, "a step has one name");
    require(!orbax::is_temporary_name(input), "a step's name is no temporary one");
  }
  const auto temporary = std::string(input) + std::string(orbax::kTemporaryInfix) + "-1";
  require(orbax::is_temporary_name(temporary) && !orbax::step_from_name(temporary),
          "a temporary name is no step's");
}

Seeds seeds(const TestData&) {
  return {"0",
          "1",
          "12345678",
          "007",
          "+7",
          "-1",
          "9223372036854775807",
          "9223372036854775808",
          "1.orbax-checkpoint-tmp-0",
          "step_1",
          " 1",
          "1 "};
}

const Registration registration({"step_name", check, nullptr, seeds});

}  // namespace
}  // namespace cairn::fuzz
