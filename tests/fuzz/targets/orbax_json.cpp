// JSON items: a value that is read can be written, and that text says the same value.

#include <cairn/codecs/orbax.h>
#include <fuzz/json_inputs.h>

#include <sstream>

namespace cairn::fuzz {
namespace {

void check(std::string_view input) {
  const auto value = decoded(json_memory(input), [&] { return orbax::parse_json(input, "JSON"); });
  if (!value) return;
  const auto text = orbax::to_json(*value);
  require(text.find_first_not_of("\t") == 0 && text.find('\n') == text.npos, "one line of text");
  require(orbax::to_json(orbax::parse_json(text, "JSON")) == text, "text reads back as it was");
}

std::string mutate(std::string_view input, Mutation& mutation) {
  return mutate_json(input, {}, mutation);
}

Seeds seeds(const TestData& data) {
  Seeds found = {
      R"({"a": [1, -2, 3.5, 18446744073709551615, 1e400], "b": {"c": null}, "d": [true]})",
      R"([NaN, Infinity, -Infinity, "NaN", {"Infinity": -Infinity}])",
      "\"\\u00e9\\ud83d\\ude00\\n\\\"\\\\\xc3\xa9\""};
  std::istringstream lines(data.read("python/json.txt"));
  for (std::string bits, number; lines >> bits >> number;) found.push_back(number);
  // As deep as it goes.
  found.push_back(std::string(256, '[') + std::string(256, ']'));
  return found;
}

const Registration registration({"orbax_json", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz
