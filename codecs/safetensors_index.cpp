// The index of a checkpoint in several safetensors files. Format: huggingface_hub's
// serialization/_torch.py and what transformers reads.

#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/json_place.h>
#include <cairn/codecs/safetensors.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <stdexcept>
#include <unordered_set>

namespace cairn::safetensors {
namespace {

constexpr std::size_t kMaxEntries = std::size_t{1} << 24;
constexpr std::size_t kMaxNesting = 32;  // of fields that are passed over
constexpr std::size_t kShardDigits = 5;

[[noreturn]] void fail(std::string field, std::string found, std::string allowed) {
  throw FormatError("safetensors index", std::move(field), std::move(found), std::move(allowed));
}

std::string map_field(std::string_view tensor) {
  return fmt::format("weight_map \"{}\"", tensor);
}

void check_file_name(const std::string& tensor, const std::string& name) {
  constexpr std::string_view kAllowed = "the name of a file beside the index";
  if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
      name.find('\0') != std::string::npos) {
    fail(map_field(tensor), fmt::format("\"{}\"", name), std::string(kAllowed));
  }
}

/// Events of boost::json::basic_parser, as in safetensors_parser.cpp: a DOM would keep the last of
/// two equal keys.
class Handler {
 public:
  static constexpr std::size_t max_object_size = kMaxEntries;
  static constexpr std::size_t max_array_size = kMaxEntries;
  static constexpr std::size_t max_key_size = kMaxIndexBytes;
  static constexpr std::size_t max_string_size = kMaxIndexBytes;
  using error = boost::json::error_code;
  using view = boost::json::string_view;

  bool on_document_begin(error&) { return true; }
  bool on_document_end(error&) { return true; }

  bool on_object_begin(error&) {
    if (in_map() && depth_ == 2) wrong("an object");
    ++depth_;
    return true;
  }
  bool on_object_end(std::size_t, error&) {
    --depth_;
    return true;
  }
  bool on_array_begin(error&) {
    if (depth_ == 0) fail("index", "an array", "an object");
    if (in_map()) wrong("an array");
    ++depth_;
    return true;
  }
  bool on_array_end(std::size_t, error&) {
    --depth_;
    return true;
  }

  bool on_key_part(view part, std::size_t, error&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_key(view part, std::size_t, error&) {
    text_.append(part.data(), part.size());
    key_ = std::exchange(text_, {});
    if (depth_ == 1) {
      field_ = key_;
      if (!fields_.insert(key_).second) fail(key_, "the field twice", "each field once");
    } else if (depth_ == 2 && in_map() && !tensors_.insert(key_).second) {
      fail(map_field(key_), "the tensor twice", "each tensor once");
    }
    return true;
  }
  bool on_string_part(view part, std::size_t, error&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(view part, std::size_t, error&) {
    text_.append(part.data(), part.size());
    std::string text = std::exchange(text_, {});
    if (depth_ == 0) fail("index", fmt::format("the string \"{}\"", text), "an object");
    if (!in_map()) return true;
    if (depth_ != 2) wrong(fmt::format("the string \"{}\"", text));
    check_file_name(key_, text);
    if (files_.insert(text).second && files_.size() > kMaxShards) {
      fail("weight_map", "more files", fmt::format("at most {}", kMaxShards));
    }
    index_.weight_map.emplace_back(key_, std::move(text));
    return true;
  }

  bool on_number_part(view, error&) { return true; }
  bool on_int64(std::int64_t value, view text, error&) {
    other(text);
    if (is_total() && value >= 0) index_.total_size = static_cast<std::uint64_t>(value);
    return true;
  }
  bool on_uint64(std::uint64_t value, view text, error&) {
    other(text);
    if (is_total()) index_.total_size = value;
    return true;
  }
  bool on_double(double, view text, error&) {
    other(text);
    return true;
  }
  bool on_bool(bool value, error&) {
    other(value ? "true" : "false");
    return true;
  }
  bool on_null(error&) {
    other("null");
    return true;
  }
  // Comments are off in the parse options; the parser still wants the calls.
  bool on_comment_part(view, error&) { return true; }
  bool on_comment(view, error&) { return true; }

  ShardIndex take() {
    if (!fields_.contains("weight_map")) fail("weight_map", "nothing", "the field");
    return std::move(index_);
  }

 private:
  [[nodiscard]] bool in_map() const { return depth_ >= 1 && field_ == "weight_map"; }
  [[nodiscard]] bool is_total() const {
    return depth_ == 2 && field_ == "metadata" && key_ == "total_size";
  }
  [[noreturn]] void wrong(std::string found) const {
    if (depth_ < 2) fail("weight_map", std::move(found), "an object of tensors and files");
    fail(map_field(key_), std::move(found), "the name of a file beside the index");
  }
  /// A value that is neither text nor a container.
  void other(view text) const {
    std::string found(text.data(), text.size());
    if (depth_ == 0) fail("index", std::move(found), "an object");
    if (in_map()) wrong(std::move(found));
  }

  ShardIndex index_;
  std::size_t depth_ = 0;  // objects and arrays that are open
  std::string text_;       // a key or string that comes in parts
  std::string key_;
  std::string field_;  // the member of the outermost object
  std::unordered_set<std::string> fields_, tensors_, files_;
};

// Serialized by Boost.JSON, which escapes what JSON forbids.
std::string quoted(std::string_view text) {
  return boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

}  // namespace

ShardIndex decode_index(std::string_view json) {
  using cairn::internal::Counted;
  boost::json::parse_options options;
  options.max_depth = kMaxNesting;
  boost::json::basic_parser<Counted<Handler>> parser(options);
  boost::json::error_code error;
  try {
    const auto parsed = parser.write_some(false, json.data(), json.size(), error);
    if (error) {
      throw FormatError("safetensors index", "JSON", error.message(),
                        fmt::format("JSON in UTF-8, at most {} tensors", kMaxEntries), parsed);
    }
    const auto extra = json.substr(parsed).find_first_not_of(" \t\r\n");
    if (extra != std::string_view::npos) {
      throw FormatError("safetensors index", "JSON", "text after the object", "spaces",
                        parsed + extra);
    }
    return parser.handler().take();
  } catch (const FormatError& fault) {
    if (fault.offset()) throw;
    throw fault.at(cairn::internal::place_of_token(json, parser.handler().token()));
  }
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
