// <item>/_strings.json. Source: orbax-checkpoint 0.12.8, serialization/type_handlers.py
// (StringHandler): each string is written with TensorStore's json driver under the JSON pointer
// (RFC 6901) "/" + name, which makes "a/b" a member of a member and gives '~' a meaning.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/json.h>
#include <cairn/codecs/internal/json_place.h>
#include <cairn/codecs/internal/utf8.h>
#include <cairn/codecs/orbax.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <stdexcept>

namespace cairn::orbax {
namespace {

namespace json = boost::json;

/// The member names that the pointer "/" + `name` leads through; none where '~' is not followed by
/// 0 or 1.
std::optional<std::vector<std::string>> pointer_tokens(std::string_view name) {
  std::vector<std::string> tokens(1);
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '/') {
      tokens.emplace_back();
    } else if (name[i] != '~') {
      tokens.back() += name[i];
    } else {
      if (++i == name.size() || (name[i] != '0' && name[i] != '1')) return std::nullopt;
      tokens.back() += name[i] == '0' ? '~' : '/';
    }
  }
  return tokens;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const std::size_t size = internal::first_code_point(text).size;
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

/// Members in the order of their names' bytes, as TensorStore's JSON library keeps them.
void append_sorted(std::string& out, const json::value& value) {
  const auto* object = value.if_object();
  if (object == nullptr) {
    out += json::serialize(value);
    return;
  }
  std::vector<const json::key_value_pair*> members;
  members.reserve(object->size());
  for (const json::key_value_pair& member : *object) members.push_back(&member);
  std::ranges::sort(members, {}, [](const json::key_value_pair* m) { return m->key(); });
  out += '{';
  for (const json::key_value_pair* member : members) {
    if (out.back() != '{') out += ',';
    out += json::serialize(json::value(member->key()));
    out += ':';
    append_sorted(out, member->value());
  }
  out += '}';
}

}  // namespace

void put_string(json::object& strings, std::string_view name, std::string_view text) {
  if (!is_utf8(name) || !is_utf8(text)) throw std::invalid_argument("it is not UTF-8");
  const auto tokens = pointer_tokens(name);
  if (!tokens) {
    throw std::invalid_argument("its name '" + std::string(name) +
                                "' has a '~' that is not followed by 0 or 1, and Orbax finds "
                                "strings by JSON pointers");
  }
  if (tokens->size() > internal::kMaxJsonDepth) {
    throw std::invalid_argument("its name has more than " +
                                std::to_string(internal::kMaxJsonDepth - 1) +
                                " '/', and Orbax nests strings by them");
  }
  json::object* parent = &strings;
  for (std::size_t i = 0; i + 1 < tokens->size(); ++i) {
    json::value& member = (*parent)[(*tokens)[i]];
    if (member.is_null()) member.emplace_object();
    parent = member.if_object();
    if (parent == nullptr) {
      throw std::invalid_argument("its name '" + std::string(name) +
                                  "' lies below that of another string");
    }
  }
  json::value& member = (*parent)[tokens->back()];
  if (!member.is_null()) {
    throw std::invalid_argument("its name '" + std::string(name) + "' is " +
                                (member.is_object() ? "the start of that" : "that") +
                                " of another string");
  }
  member = text;
}

const json::string* find_string(const json::value& strings, std::string_view name,
                                std::string_view text) {
  const auto tokens = pointer_tokens(name);
  if (!tokens) return nullptr;
  const json::value* value = &strings;
  for (const std::string& token : *tokens) {
    const auto* object = value->if_object();
    if (object == nullptr) return nullptr;
    value = object->if_contains(token);
    if (value == nullptr) return nullptr;
  }
  if (const json::string* leaf = value->if_string()) return leaf;
  FormatError error(std::string(kStringsFile), std::string(name), internal::describe(*value),
                    "a string");
  throw text.empty() ? error : error.at(internal::place_of(text, strings, *value));
}

std::string encode_strings(const json::object& strings) {
  std::string out;
  append_sorted(out, json::value(strings));
  return out;
}

}  // namespace cairn::orbax
