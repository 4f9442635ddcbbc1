#include <cairn/codecs/internal/json_place.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

namespace cairn::internal {
namespace {

namespace json = boost::json;

constexpr std::string_view kBetween = " \t\r\n,:]}";  // what may follow a word or number

// `at` is that of the quote that begins it.
std::size_t end_of_string(std::string_view text, std::size_t at) noexcept {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, text.size());
}

// Of an object or array, the end of what begins it.
std::size_t end_of_token(std::string_view text, std::size_t at) noexcept {
  if (text[at] == '{' || text[at] == '[') return at + 1;
  if (text[at] == '"') return end_of_string(text, at);
  return std::min(text.find_first_of(kBetween, at), text.size());
}

// Adds the tokens before `wanted` to `tokens`, or all of `value` where it is not there.
bool count_up_to(const json::value& wanted, const json::value& value,
                 std::size_t& tokens) noexcept {
  if (&value == &wanted) return true;
  ++tokens;
  if (const auto* array = value.if_array()) {
    return std::any_of(array->begin(), array->end(), [&](const json::value& element) {
      return count_up_to(wanted, element, tokens);
    });
  }
  if (const auto* object = value.if_object()) {
    return std::any_of(object->begin(), object->end(), [&](const json::key_value_pair& member) {
      return ++tokens, count_up_to(wanted, member.value(), tokens);
    });
  }
  return false;
}

}  // namespace

std::size_t place_of_string(std::string_view text, std::size_t number) noexcept {
  std::size_t at = text.find('"');
  for (; number > 0 && at < text.size(); --number) at = text.find('"', end_of_string(text, at));
  return std::min(at, text.size());
}

std::size_t place_of_token(std::string_view text, std::size_t number) noexcept {
  std::size_t at = text.find_first_not_of(kBetween);
  for (; number > 0 && at < text.size(); --number) {
    at = text.find_first_not_of(kBetween, end_of_token(text, at));
  }
  return std::min(at, text.size());
}

std::size_t place_of(std::string_view text, const json::value& root,
                     const json::value& value) noexcept {
  std::size_t tokens = 0;
  count_up_to(value, root, tokens);
  return place_of_token(text, tokens);
}

}  // namespace cairn::internal
