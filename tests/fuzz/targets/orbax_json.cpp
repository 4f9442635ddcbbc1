// JSON items: a value that is read can be written, and that text says the same value. String leaves
// of any names: those that are taken are found again in the file that is written. And the input as
// a file of strings that somebody else wrote.

#include <cairn/codecs/orbax.h>
#include <fuzz/json_inputs.h>

#include <sstream>

namespace cairn::fuzz {
namespace {

void check_strings(const boost::json::object& leaves) {
  boost::json::object strings;
  std::vector<const boost::json::key_value_pair*> taken;
  for (const boost::json::key_value_pair& leaf : leaves) {
    const auto* text = leaf.value().if_string();
    if (text == nullptr) continue;
    try {
      orbax::put_string(strings, leaf.key(), *text);
      taken.push_back(&leaf);
    } catch (const std::invalid_argument&) {
      // A name that Orbax could not find, or that runs into another.
    }
  }
  const auto again = orbax::parse_json(orbax::encode_strings(strings), "strings");
  require(again == boost::json::value(strings), "strings read back as they were");
  for (const boost::json::key_value_pair* leaf : taken) {
    const auto* text = orbax::find_string(again, leaf->key());
    require(text != nullptr && *text == leaf->value().get_string(), "a string is under its name");
  }
}

/// Any file of strings: under a name there is a string, something that an error tells of, or
/// nothing.
void find_strings(std::string_view input, const boost::json::value& strings) {
  const auto find = [&](std::string_view name) {
    return decoded_document(input, json_memory(input), [&](std::string_view text) {
      return orbax::find_string(strings, name, text);
    });
  };
  for (const char* name : {"", "a", "a/b", "a/b/c", "b/d~1e~0", "~", "/", "a~1b"}) {
    const auto found = find(name);
    require(found || strings.is_object(), "only members are found");
  }
  const auto* object = strings.if_object();
  if (object == nullptr) return;
  constexpr std::size_t kNamesMax = 16;  // an error costs a look at all of the text
  std::size_t names = 0;
  for (const boost::json::key_value_pair& member : *object) {
    if (++names > kNamesMax) return;
    const std::string_view name = member.key();
    const auto found = find(name);
    if (name.find_first_of("~/") != name.npos) continue;
    require(found ? *found == member.value().if_string() && *found != nullptr
                  : !member.value().is_string(),
            "what has a name is found under it, and is a string or an error");
  }
}

void check(std::string_view input) {
  const auto value = decoded_document(input, json_memory(input), [](std::string_view text) {
    return orbax::parse_json(text, "JSON");
  });
  if (!value) return;
  find_strings(input, *value);
  const auto text = orbax::to_json(*value);
  require(text.find_first_not_of("\t") == 0 && text.find('\n') == text.npos, "one line of text");
  require(orbax::to_json(orbax::parse_json(text, "JSON")) == text, "text reads back as it was");
  if (const auto* object = value->if_object()) check_strings(*object);
}

std::string mutate(std::string_view input, Mutation& mutation) {
  return mutate_json(input, {}, mutation);
}

Seeds seeds(const TestData& data) {
  Seeds found = {
      R"({"a": [1, -2, 3.5, 18446744073709551615, 1e400], "b": {"c": null}, "d": [true]})",
      R"([NaN, Infinity, -Infinity, "NaN", {"Infinity": -Infinity}])",
      R"({"a": "x", "a/b": "y", "b/c": "", "b/d~1e~0": "z", "~": "", "": "\u0001", "b": "t"})",
      "\"\\u00e9\\ud83d\\ude00\\n\\\"\\\\\xc3\xa9\""};
  std::istringstream lines(data.read("python/json.txt"));
  for (std::string bits, number; lines >> bits >> number;) found.push_back(number);
  // A string's name that Orbax would nest too deep.
  found.push_back("{\"" + std::string(300, '/') + "\": \"x\"}");
  // As deep as it goes.
  found.push_back(std::string(256, '[') + std::string(256, ']'));
  return found;
}

const Registration registration({"orbax_json", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz
