#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/json_place.h>
#include <cairn/codecs/internal/safetensors_parser.h>
#include <fmt/format.h>

#include <boost/json/basic_parser_impl.hpp>
#include <unordered_set>

namespace cairn::safetensors::internal {
namespace {

constexpr std::size_t kMaxTensors = std::size_t{1} << 24;

[[noreturn]] void fail(std::string field, std::string found, std::string allowed) {
  throw FormatError("safetensors header", std::move(field), std::move(found), std::move(allowed));
}

/// The same for what may be sound: a dtype that a newer version has, or that is not read here.
[[noreturn]] void unsupported(std::string field, std::string found, std::string allowed) {
  throw FormatError("safetensors header", std::move(field), std::move(found), std::move(allowed),
                    std::nullopt, FormatError::Kind::unsupported);
}

// Which object or array the parser is in.
enum class Place { document, header, tensor, shape, offsets, metadata };

/// Events of boost::json::basic_parser. FormatErrors pass through the parser, which is not used
/// again.
class Handler {
 public:
  static constexpr std::size_t max_object_size = kMaxTensors;
  static constexpr std::size_t max_array_size = kMaxRank;
  static constexpr std::size_t max_key_size = kMaxHeaderBytes;
  static constexpr std::size_t max_string_size = kMaxHeaderBytes;
  using error = boost::json::error_code;
  using view = boost::json::string_view;

  bool on_document_begin(error&) { return true; }
  bool on_document_end(error&) { return true; }

  bool on_object_begin(error&) {
    switch (place_) {
      case Place::document:
        place_ = Place::header;
        return true;
      case Place::header:
        begin_member();
        return true;
      case Place::tensor:
      case Place::shape:
      case Place::offsets:
      case Place::metadata:
        wrong("an object");
    }
    return false;
  }
  bool on_object_end(std::size_t, error&) {
    if (place_ == Place::tensor) {
      end_tensor();
      place_ = Place::header;
    } else if (place_ == Place::metadata) {
      place_ = Place::header;
    } else {
      place_ = Place::document;
    }
    return true;
  }

  bool on_array_begin(error&) {
    if (place_ != Place::tensor) wrong("an array");
    if (key_ == "shape") {
      place_ = Place::shape;
    } else if (key_ == "data_offsets") {
      place_ = Place::offsets;
    } else {
      wrong("an array");
    }
    return true;
  }
  bool on_array_end(std::size_t count, error&) {
    if (place_ == Place::offsets && count != 2) {
      fail(field("data_offsets"), fmt::format("{} numbers", count), "2: begin and end");
    }
    place_ = Place::tensor;
    return true;
  }

  // Long texts arrive in parts, the last one through on_key() or on_string().
  bool on_key_part(view part, std::size_t, error&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_key(view part, std::size_t, error&) {
    text_.append(part.data(), part.size());
    key_ = std::exchange(text_, {});
    // Escapes are undone here, so two spellings of a name are one.
    if (place_ == Place::header) {
      if (!names_.insert(key_).second) {
        fail(fmt::format("tensor \"{}\"", key_), "the name twice", "each name once");
      }
    } else if (place_ == Place::metadata) {
      if (!metadata_names_.insert(key_).second) {
        fail(fmt::format("{} \"{}\"", kMetadataName, key_), "the key twice", "each key once");
      }
    } else {
      note_tensor_key();
    }
    return true;
  }
  bool on_string_part(view part, std::size_t, error&) {
    text_.append(part.data(), part.size());
    return true;
  }
  bool on_string(view part, std::size_t, error&) {
    text_.append(part.data(), part.size());
    auto text = std::exchange(text_, {});
    if (place_ == Place::metadata) {
      header_.metadata.emplace_back(key_, std::move(text));
    } else if (place_ == Place::tensor && key_ == "dtype") {
      set_dtype(text);
    } else {
      wrong(fmt::format("the string \"{}\"", text));
    }
    return true;
  }

  bool on_number_part(view, error&) { return true; }
  bool on_int64(std::int64_t value, view, error&) {
    if (value < 0) wrong(std::to_string(value));
    return number(static_cast<std::uint64_t>(value));
  }
  bool on_uint64(std::uint64_t value, view, error&) { return number(value); }
  bool on_double(double, view text, error&) { wrong(std::string(text.data(), text.size())); }
  bool on_bool(bool value, error&) { wrong(value ? "true" : "false"); }
  bool on_null(error&) {
    // The reference implementation's metadata is optional, and null is its way to say so.
    if (place_ != Place::header || key_ != kMetadataName) wrong("null");
    return true;
  }
  // Comments are off in the parse options; the parser still wants the calls.
  bool on_comment_part(view, error&) { return true; }
  bool on_comment(view, error&) { return true; }

  Header take() { return std::move(header_); }

  /// Whether the last key is this one.
  [[nodiscard]] bool is_at(std::string_view tensor, std::string_view field) const {
    return place_ == Place::tensor && tensor_.name == tensor && key_ == field;
  }

 private:
  [[nodiscard]] std::string field(std::string_view name) const {
    return fmt::format("tensor \"{}\": {}", tensor_.name, name);
  }

  /// A value that may not be where it is.
  [[noreturn]] void wrong(const std::string& found) const {
    switch (place_) {
      case Place::document:
        fail("header", found, "an object");
      case Place::header:
        fail(fmt::format("\"{}\"", key_), found, "an object");
      case Place::metadata:
        fail(fmt::format("{} \"{}\"", kMetadataName, key_), found, "a string");
      case Place::tensor:
        fail(field(key_), found, key_ == "dtype" ? "a string" : "an array of integers");
      case Place::shape:
      case Place::offsets:
        break;
    }
    fail(field(key_), found, "an integer from 0 to 2^63 - 1");
  }

  void begin_member() {
    if (key_ == kMetadataName) {
      place_ = Place::metadata;
      return;
    }
    place_ = Place::tensor;
    tensor_ = {};
    tensor_.name = key_;
    seen_ = {};
  }

  void note_tensor_key() {
    const auto once = [&](bool& seen) {
      if (std::exchange(seen, true)) fail(field(key_), "the field twice", "each field once");
    };
    if (key_ == "dtype") return once(seen_.dtype);
    if (key_ == "shape") return once(seen_.shape);
    if (key_ == "data_offsets") return once(seen_.offsets);
    fail(field(key_), "an unknown field", "dtype, shape and data_offsets");
  }

  void set_dtype(std::string_view name) {
    if (name == "F6_E2M3" || name == "F6_E3M2") {
      unsupported(field("dtype"), fmt::format("{}, whose six bits Cairn has no type for", name),
                  "not supported: convert the tensor to F8 or wider");
    }
    const auto dtype = dtype_from_safetensors(name);
    if (!dtype) {
      unsupported(
          field("dtype"), fmt::format("\"{}\"", name),
          "BOOL, U8 to U64, I8 to I64, F4, F8_E4M3, F8_E5M2, F8_E8M0, F8_E4M3FNUZ, F8_E5M2FNUZ, "
          "F16, BF16, F32, F64, C64");
    }
    tensor_.dtype = *dtype;
  }

  bool number(std::uint64_t value) {
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (value > kMax || (place_ != Place::shape && place_ != Place::offsets)) {
      wrong(std::to_string(value));
    }
    if (place_ == Place::shape) {
      tensor_.shape.push_back(static_cast<Index>(value));
    } else {
      // More than two are refused at the end of the array.
      (std::exchange(seen_.begin, true) ? tensor_.end : tensor_.begin) = value;
    }
    return true;
  }

  void end_tensor() {
    const auto need = [&](bool seen, const char* name) {
      if (!seen) fail(field(name), "nothing", "the field");
    };
    need(seen_.dtype, "dtype");
    need(seen_.shape, "shape");
    need(seen_.offsets, "data_offsets");
    header_.tensors.push_back(std::move(tensor_));
  }

  struct Seen {
    bool dtype = false, shape = false, offsets = false, begin = false;
  };

  Header header_;
  Place place_ = Place::document;
  std::string text_;  // a key or string that comes in parts
  std::string key_;
  TensorInfo tensor_;
  Seen seen_;
  std::unordered_set<std::string> names_, metadata_names_;
};

using cairn::internal::Counted;
using cairn::internal::place_of_token;

/// Notes which token the value of a tensor's field is.
struct Finder : Counted<Handler> {
  bool on_key(view part, std::size_t size, error& e) {
    const bool goes_on = Counted<Handler>::on_key(part, size, e);
    if (is_at(tensor, field)) found = token() + 1;
    return goes_on;
  }
  std::string_view tensor, field;
  std::size_t found = 0;
};

}  // namespace

std::size_t place_of_field(std::string_view json, std::string_view tensor, std::string_view field) {
  boost::json::basic_parser<Finder> parser{boost::json::parse_options()};
  parser.handler().tensor = tensor;
  parser.handler().field = field;
  boost::json::error_code error;
  parser.write_some(false, json.data(), json.size(), error);
  return place_of_token(json, parser.handler().found);
}

Header parse_header(std::string_view json) {
  boost::json::basic_parser<Counted<Handler>> parser{boost::json::parse_options()};
  boost::json::error_code error;
  std::size_t parsed = 0;
  // The format asks for it, so that a file of another kind is told apart at once.
  if (!json.starts_with('{')) {
    const std::string found =
        json.empty() ? "no bytes"
                     : fmt::format("byte {:#04x}", static_cast<unsigned char>(json[0]));
    throw FormatError("safetensors header", "header", found, "'{' first", 0);
  }
  try {
    parsed = parser.write_some(false, json.data(), json.size(), error);
  } catch (const FormatError& fault) {
    throw fault.at(place_of_token(json, parser.handler().token()));
  }
  if (error) {
    throw FormatError(
        "safetensors header", "JSON", error.message(),
        fmt::format("JSON in UTF-8, at most {} dimensions and {} tensors", kMaxRank, kMaxTensors),
        parsed);
  }
  const auto rest = json.substr(parsed);
  if (const auto extra = rest.find_first_not_of(" \t\r\n"); extra != std::string_view::npos) {
    throw FormatError("safetensors header", "JSON", "text after the object", "spaces",
                      parsed + extra);
  }
  return parser.handler().take();
}

}  // namespace cairn::safetensors::internal
