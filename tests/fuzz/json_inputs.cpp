#include <cairn/codecs/format_error.h>
#include <cairn/codecs/orbax.h>
#include <fuzz/json_inputs.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <limits>
#include <vector>

namespace cairn::fuzz {
namespace {

namespace json = boost::json;

/// More than the decoders allow, so that they refuse it.
constexpr std::size_t kWrapsMax = 300;

json::value odd_value(std::span<const std::string_view> words, Mutation& mutation) {
  constexpr std::int64_t kIntegers[] = {0,
                                        1,
                                        2,
                                        3,
                                        -1,
                                        31,
                                        32,
                                        33,
                                        255,
                                        256,
                                        65536,
                                        std::int64_t{1} << 31,
                                        (std::int64_t{1} << 31) - 1,
                                        std::int64_t{1} << 53,
                                        std::int64_t{1} << 62,
                                        std::numeric_limits<std::int64_t>::max(),
                                        std::numeric_limits<std::int64_t>::min()};
  constexpr double kDoubles[] = {0.5,
                                 -0.0,
                                 1e308,
                                 5e-324,
                                 std::numeric_limits<double>::infinity(),
                                 -std::numeric_limits<double>::infinity(),
                                 std::numeric_limits<double>::quiet_NaN()};
  switch (mutation.below(9)) {
    case 0:
      return nullptr;
    case 1:
      return mutation.one_in(2);
    case 2:
      return kDoubles[mutation.below(std::size(kDoubles))];
    case 3:
      return std::numeric_limits<std::uint64_t>::max() - mutation.below(2);
    case 4:
      return json::array();
    case 5:
      return json::object();
    case 6:
    case 7:
      if (!words.empty()) {
        const auto word = words[mutation.below(words.size())];
        return json::string(json::string_view(word.data(), word.size()));
      }
      return json::string("");
    default:
      return kIntegers[mutation.below(std::size(kIntegers))];
  }
}

void collect(json::value& value, std::vector<json::value*>& nodes) {
  nodes.push_back(&value);
  if (auto* array = value.if_array()) {
    for (auto& element : *array) collect(element, nodes);
  } else if (auto* object = value.if_object()) {
    for (auto& member : *object) collect(member.value(), nodes);
  }
}

std::string odd_name(std::span<const std::string_view> words, Mutation& mutation) {
  if (words.empty() || mutation.one_in(4)) return std::string(mutation.below(4), 'k');
  return std::string(words[mutation.below(words.size())]);
}

void change_object(json::object& object, std::span<const std::string_view> words,
                   Mutation& mutation) {
  if (object.empty() || mutation.one_in(4)) {
    object.insert_or_assign(odd_name(words, mutation), odd_value(words, mutation));
    return;
  }
  const auto at = object.begin() + static_cast<std::ptrdiff_t>(mutation.below(object.size()));
  if (mutation.one_in(2)) {
    object.erase(at);
    return;
  }
  json::value copy = at->value();
  if (mutation.one_in(2)) object.erase(at);
  object.insert_or_assign(odd_name(words, mutation), std::move(copy));
}

void change_array(json::array& array, std::span<const std::string_view> words, Mutation& mutation) {
  if (array.empty() || mutation.one_in(4)) {
    array.push_back(odd_value(words, mutation));
    return;
  }
  const auto at = array.begin() + static_cast<std::ptrdiff_t>(mutation.below(array.size()));
  if (mutation.one_in(2)) {
    array.erase(at);
  } else {
    json::value copy = *at;
    array.insert(at, std::move(copy));
  }
}

void change(json::value& root, std::span<const std::string_view> words, Mutation& mutation) {
  std::vector<json::value*> nodes;
  collect(root, nodes);
  json::value& node = *nodes[mutation.below(nodes.size())];
  switch (mutation.below(6)) {
    case 0:
      node = odd_value(words, mutation);
      return;
    case 1: {
      json::value copy = *nodes[mutation.below(nodes.size())];
      node = std::move(copy);
      return;
    }
    case 2:
      if (mutation.one_in(8)) {
        for (auto wraps = mutation.below(kWrapsMax); wraps > 0; --wraps) {
          json::value inner = std::move(node);
          node = json::array({std::move(inner)});
        }
      }
      return;
    default:
      if (auto* object = node.if_object()) return change_object(*object, words, mutation);
      if (auto* array = node.if_array()) return change_array(*array, words, mutation);
      node = odd_value(words, mutation);
  }
}

}  // namespace

std::string mutate_json(std::string_view text, std::span<const std::string_view> words,
                        Mutation& mutation) {
  if (mutation.one_in(3)) return mutation.of_bytes(text);
  try {
    json::value value = orbax::parse_json(text, "fuzz input");
    for (auto changes = mutation.below(3) + 1; changes > 0; --changes) {
      change(value, words, mutation);
    }
    return orbax::to_json(value);
  } catch (const FormatError&) {            // was no JSON before
  } catch (const std::invalid_argument&) {  // is nested too deep now
  }
  return mutation.of_bytes(text);
}

}  // namespace cairn::fuzz
