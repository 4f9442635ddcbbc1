// Step and root metadata, directory names, and JSON values.
// Source: orbax-checkpoint 0.12.4, metadata/step_metadata_serialization.py, metadata/root_metadata_
// serialization.py, path/step.py, path/atomicity_types.py.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/json.h>
#include <cairn/codecs/orbax.h>

#include <algorithm>
#include <charconv>

namespace cairn::orbax {
namespace {

namespace json = boost::json;
using internal::append_json;
using internal::append_json_string;
using internal::describe;
using internal::JsonMembers;

std::string_view view(json::string_view text) {
  return {text.data(), text.size()};
}

json::object object_or_empty(const JsonMembers& members, std::string_view name) {
  const json::value* value = members.find(name);
  if (value == nullptr || value->is_null()) return {};
  if (const auto* object = value->if_object()) return *object;
  members.fail(name, describe(*value), "an object or null");
}

std::optional<std::int64_t> timestamp(const JsonMembers& members, std::string_view name) {
  const json::value* value = members.find(name);
  if (value == nullptr || value->is_null()) return std::nullopt;
  if (const auto* number = value->if_int64()) return *number;
  members.fail(name, describe(*value), "nanoseconds as a 64-bit integer, or null");
}

std::map<std::string, std::string> item_handlers(const JsonMembers& members) {
  constexpr std::string_view kName = "item_handlers";
  std::map<std::string, std::string> handlers;
  const json::value* value = members.find(kName);
  if (value == nullptr || value->is_null()) return handlers;
  if (const auto* text = value->if_string()) {
    handlers.emplace("", view(*text));
    return handlers;
  }
  if (!value->is_object()) {
    members.fail(kName, describe(*value), "an object of strings, a string or null");
  }
  const JsonMembers items = members.members(kName);
  for (const auto& item : items.object()) {
    const std::string_view name = view(item.key());
    handlers.emplace(name, items.string(name));
  }
  return handlers;
}

// Orbax's rule for files from before there was a member for the user's own metadata.
void adopt_unknown(const JsonMembers& members, std::initializer_list<std::string_view> known,
                   json::object& custom) {
  if (!custom.empty()) return;
  for (const auto& member : members.object()) {
    if (std::find(known.begin(), known.end(), view(member.key())) != known.end()) continue;
    custom.emplace(member.key(), member.value());
  }
}

void append_timestamp(std::string& out, std::optional<std::int64_t> time) {
  out += time ? std::to_string(*time) : "null";
}

void append_handlers(std::string& out, const std::map<std::string, std::string>& handlers) {
  if (handlers.size() == 1 && handlers.begin()->first.empty()) {
    append_json_string(out, handlers.begin()->second);
    return;
  }
  out += '{';
  for (const auto& [item, handler] : handlers) {
    if (out.back() != '{') out += ", ";
    append_json_string(out, item);
    out += ": ";
    append_json_string(out, handler);
  }
  out += '}';
}

}  // namespace

std::string encode(const StepMetadata& metadata) {
  std::string out = "{\"item_handlers\": ";
  append_handlers(out, metadata.item_handlers);
  out += ", \"metrics\": ";
  append_json(out, metadata.metrics, 1);
  out += ", \"performance_metrics\": ";
  append_json(out, metadata.performance_metrics, 1);
  out += ", \"init_timestamp_nsecs\": ";
  append_timestamp(out, metadata.init_timestamp_ns);
  out += ", \"commit_timestamp_nsecs\": ";
  append_timestamp(out, metadata.commit_timestamp_ns);
  out += ", \"custom_metadata\": ";
  append_json(out, metadata.custom_metadata, 1);
  out += '}';
  return out;
}

StepMetadata decode_step_metadata(std::string_view text) {
  const internal::JsonDocument document(text, kStepMetadataFile);
  const JsonMembers members(document);
  StepMetadata metadata;
  metadata.item_handlers = item_handlers(members);
  metadata.metrics = object_or_empty(members, "metrics");
  metadata.performance_metrics = object_or_empty(members, "performance_metrics");
  metadata.init_timestamp_ns = timestamp(members, "init_timestamp_nsecs");
  metadata.commit_timestamp_ns = timestamp(members, "commit_timestamp_nsecs");
  metadata.custom_metadata = object_or_empty(members, "custom_metadata");
  adopt_unknown(members,
                {"item_handlers", "metrics", "performance_metrics", "init_timestamp_nsecs",
                 "commit_timestamp_nsecs", "custom_metadata"},
                metadata.custom_metadata);
  return metadata;
}

std::string encode(const RootMetadata& metadata) {
  std::string out = "{\"internal_metadata\": ";
  append_json(out, metadata.internal_metadata, 1);
  out += ", \"custom_metadata\": ";
  append_json(out, metadata.custom_metadata, 1);
  out += '}';
  return out;
}

RootMetadata decode_root_metadata(std::string_view text) {
  const internal::JsonDocument document(text, kRootMetadataFile);
  const JsonMembers members(document);
  RootMetadata metadata;
  metadata.internal_metadata = object_or_empty(members, "internal_metadata");
  metadata.custom_metadata = object_or_empty(members, "custom_metadata");
  adopt_unknown(members, {"internal_metadata", "custom_metadata"}, metadata.custom_metadata);
  return metadata;
}

std::optional<std::int64_t> step_from_name(std::string_view name) noexcept {
  // Digits alone, and no leading zero: "007" and "+7" belong to somebody else.
  if (name.empty() || name.front() < '0' || name.front() > '9') return std::nullopt;
  if (name.front() == '0' && name.size() > 1) return std::nullopt;
  std::int64_t step = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return step;
}

bool is_temporary_name(std::string_view name) noexcept {
  return name.find(kTemporaryInfix) != name.npos;
}

json::value parse_json(std::string_view text, std::string_view structure) {
  return internal::parse_json(text, structure);
}

std::string to_json(const json::value& value) {
  std::string out;
  append_json(out, value);
  return out;
}

}  // namespace cairn::orbax
