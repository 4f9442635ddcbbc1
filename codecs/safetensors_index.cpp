// The index of a checkpoint in several safetensors files. Format: huggingface_hub's
// serialization/_torch.py and what transformers reads.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/json.h>
#include <cairn/codecs/safetensors.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <stdexcept>
#include <unordered_set>

namespace cairn::safetensors {
namespace {

using internal::JsonMembers;

constexpr std::size_t kShardDigits = 5;
constexpr std::string_view kStructure = "safetensors index";

/// True for a name that cannot lead out of the index's directory.
bool is_beside(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == name.npos &&
         name.find('\0') == name.npos;
}

// Serialized by Boost.JSON, which escapes what JSON forbids.
std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

}  // namespace

ShardIndex decode_index(std::string_view json) {
  if (json.size() > kMaxIndexBytes) {
    throw FormatError(std::string(kStructure), "size", std::to_string(json.size()),
                      fmt::format("at most {} bytes", kMaxIndexBytes));
  }
  const boost::json::value value = internal::parse_json(json, kStructure);
  const auto root = JsonMembers::of(value, std::string(kStructure), "");
  const JsonMembers map = root.members("weight_map");
  ShardIndex index;
  index.weight_map.reserve(map.object().size());
  std::unordered_set<std::string_view> files;
  for (const auto& member : map.object()) {
    const std::string_view tensor(member.key().data(), member.key().size());
    const std::string_view file = map.string(tensor);
    if (!is_beside(file)) {
      map.fail(tensor, internal::describe(member.value()), "the name of a file beside the index");
    }
    if (files.insert(file).second && files.size() > kMaxShards) {
      root.fail("weight_map", "more files", fmt::format("at most {}", kMaxShards));
    }
    index.weight_map.emplace_back(tensor, file);
  }
  // A hint of the Hub's, which writes it as a float too: only an integer is of use.
  const boost::json::value* metadata = root.find("metadata");
  const auto* object = metadata != nullptr ? metadata->if_object() : nullptr;
  const boost::json::value* total = object != nullptr ? object->if_contains("total_size") : nullptr;
  if (total != nullptr) {
    boost::json::error_code inexact;
    const auto bytes = total->to_number<std::uint64_t>(inexact);
    if (!inexact && !total->is_double()) index.total_size = bytes;
  }
  return index;
}

std::string encode_index(const ShardIndex& index) {
  auto sorted = index.weight_map;
  std::ranges::sort(sorted);
  std::string text = "{\n  \"metadata\": {";
  if (index.total_size) text += fmt::format("\n    \"total_size\": {}\n  ", *index.total_size);
  text += "},\n  \"weight_map\": {";
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    text += fmt::format("{}\n    {}: {}", i == 0 ? "" : ",", quoted(sorted[i].first),
                        quoted(sorted[i].second));
  }
  text += sorted.empty() ? "}\n}\n" : "\n  }\n}\n";
  if (text.size() > kMaxIndexBytes) {
    throw std::invalid_argument(fmt::format("safetensors: the index takes {} bytes, {} are allowed",
                                            text.size(), kMaxIndexBytes));
  }
  try {
    // Names may be duplicate or not UTF-8: what the decoder refuses is not written.
    static_cast<void>(decode_index(text));
  } catch (const FormatError& error) {
    throw std::invalid_argument(error.what());
  }
  return text;
}

std::string shard_name(std::string_view stem, std::size_t number, std::size_t count) {
  return fmt::format("{}-{:05}-of-{:05}{}", stem, number, count, kFileSuffix);
}

std::optional<ShardName> parse_shard_name(std::string_view name) noexcept {
  const auto take_end = [&name](std::string_view part) {
    if (!name.ends_with(part)) return false;
    name.remove_suffix(part.size());
    return true;
  };
  const auto take_number = [&name](std::size_t& number) {
    if (name.size() < kShardDigits) return false;
    for (const char digit : name.substr(name.size() - kShardDigits)) {
      if (digit < '0' || digit > '9') return false;
      number = number * 10 + static_cast<std::size_t>(digit - '0');
    }
    name.remove_suffix(kShardDigits);
    return true;
  };
  ShardName shard;
  if (!take_end(kFileSuffix) || !take_number(shard.count) || !take_end("-of-") ||
      !take_number(shard.number) || !take_end("-")) {
    return std::nullopt;
  }
  shard.stem = name;
  return shard;
}

}  // namespace cairn::safetensors
