// What decoders of JSON documents take values with, and the errors that name the place of one.

#include <cairn/codecs/internal/json.h>
#include <cairn/codecs/internal/json_place.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <charconv>

namespace cairn::internal {
namespace {

namespace json = boost::json;

const json::value* member_of(const json::value& value, std::string_view name) noexcept {
  const auto* object = value.if_object();
  return object ? object->if_contains(json::string_view(name.data(), name.size())) : nullptr;
}

// `text` begins with the index.
const json::value* element_at(const json::value& value, std::string_view text) noexcept {
  const auto* array = value.if_array();
  std::size_t index = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), index);
  return array && result.ec == std::errc() ? array->if_contains(index) : nullptr;
}

// Where `path`, as "codecs[1]/configuration/level", leads from `value`, as far as that is there.
const json::value& end_of_path(const json::value& value, std::string_view path) noexcept {
  // A file's own names have any characters.
  if (const json::value* member = member_of(value, path)) return *member;
  const json::value* at = &value;
  while (!path.empty()) {
    const bool is_index = path.front() == '[';
    if (is_index || path.front() == '/') path.remove_prefix(1);
    const auto name = path.substr(0, path.find_first_of(is_index ? "]" : "/["));
    const json::value* next = is_index ? element_at(*at, name) : member_of(*at, name);
    if (next == nullptr) break;
    at = next;
    path.remove_prefix(std::min(path.size(), name.size() + (is_index ? 1 : 0)));
  }
  return *at;
}

}  // namespace

JsonDocument::JsonDocument(std::string_view text, std::string_view structure,
                           json::storage_ptr storage)
    : text_(text), structure_(structure), value_(parse_json(text, structure, std::move(storage))) {}

std::size_t JsonDocument::place(const json::value& value) const noexcept {
  return place_of(text_, value_, value);
}

void JsonDocument::fail(const json::value& value, std::string field, std::string found,
                        std::string allowed, FormatError::Kind kind) const {
  throw FormatError(std::string(structure_), std::move(field), std::move(found), std::move(allowed),
                    place(value), kind);
}

JsonMembers::JsonMembers(const JsonDocument& document)
    : JsonMembers(document, document.value(), "") {}

JsonMembers::JsonMembers(const JsonDocument& document, const json::value& value, std::string where)
    : document_(&document), value_(&value), where_(std::move(where)) {
  if (value.is_object()) return;
  document.fail(value, where_.empty() ? "text" : std::move(where_), describe(value), "an object");
}

const json::value* JsonMembers::find(std::string_view name) const noexcept {
  return member_of(*value_, name);
}

const json::value& JsonMembers::require(std::string_view name, std::string_view allowed) const {
  if (const json::value* value = find(name)) return *value;
  fail(name, "nothing", std::string(allowed));
}

void JsonMembers::fail(std::string_view name, std::string found, std::string allowed) const {
  document_->fail(end_of_path(*value_, name), field(name), std::move(found), std::move(allowed));
}

void JsonMembers::unsupported(std::string_view name, std::string found, std::string allowed) const {
  document_->fail(end_of_path(*value_, name), field(name), std::move(found), std::move(allowed),
                  FormatError::Kind::unsupported);
}

std::string_view JsonMembers::string(std::string_view name) const {
  const json::value& value = require(name, "a string");
  if (const auto* text = value.if_string()) return {text->data(), text->size()};
  fail(name, describe(value), "a string");
}

JsonMembers JsonMembers::members(std::string_view name) const {
  return members(name, require(name, "an object"));
}

JsonMembers JsonMembers::members(std::string_view name, const json::value& value) const {
  return {*document_, value, field(name)};
}

bool JsonMembers::boolean_or(std::string_view name, bool missing) const {
  const json::value* value = find(name);
  if (value == nullptr) return missing;
  if (!value->is_bool()) fail(name, describe(*value), "true or false");
  return value->get_bool();
}

std::string JsonMembers::field(std::string_view name) const {
  // An empty name is one, too.
  const std::string shown(name.empty() ? "\"\"" : name);
  return where_.empty() ? shown : where_ + '/' + shown;
}

}  // namespace cairn::internal
