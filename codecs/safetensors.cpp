#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/byte_io.h>
#include <cairn/codecs/internal/safetensors_parser.h>
#include <cairn/codecs/safetensors.h>
#include <fmt/format.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/string.hpp>
#include <stdexcept>

namespace cairn::safetensors {
namespace {

constexpr std::string_view kStructure = "safetensors file";
constexpr std::string_view kHeader = "safetensors header";
constexpr std::size_t kLengthBytes = 8;

struct NamedType {
  std::string_view name;
  DType dtype;
};
// The names of safetensors/src/tensor.rs, without F6_E2M3 and F6_E3M2: TensorStore has no types of
// six bits, and neither have we.
constexpr NamedType kTypes[] = {
    {"BOOL", DType::boolean},
    {"U8", DType::uint8},
    {"U16", DType::uint16},
    {"U32", DType::uint32},
    {"U64", DType::uint64},
    {"I8", DType::int8},
    {"I16", DType::int16},
    {"I32", DType::int32},
    {"I64", DType::int64},
    {"F4", DType::float4_e2m1fn},
    {"F8_E4M3", DType::float8_e4m3fn},
    {"F8_E4M3FNUZ", DType::float8_e4m3fnuz},
    {"F8_E5M2", DType::float8_e5m2},
    {"F8_E5M2FNUZ", DType::float8_e5m2fnuz},
    {"F8_E8M0", DType::float8_e8m0fnu},
    {"F16", DType::float16},
    {"BF16", DType::bfloat16},
    {"F32", DType::float32},
    {"F64", DType::float64},
    {"C64", DType::complex64},
};

/// Bytes of the tensor in memory; none when it has 2^63 or more, or a negative extent.
std::optional<std::uint64_t> memory_size(const TensorInfo& tensor) {
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t bytes = size_of(tensor.dtype);
  for (const auto extent : tensor.shape) {
    if (extent < 0) return std::nullopt;
    const auto wide = static_cast<std::uint64_t>(extent);
    if (wide != 0 && bytes > kMax / wide) return std::nullopt;
    bytes *= wide;
  }
  return bytes;
}

// F4's elements are packed across rows, so the last extent may be odd. The reference implementation
// refuses what does not end with a byte, too.
constexpr std::string_view kEven = "an even number of elements: F4 has two in a byte";

// The reference implementation's rules: in order of offsets, each tensor begins where the one
// before ended. `json` is what the tensor is from.
void check_offsets(const TensorInfo& tensor, std::uint64_t begin, std::uint64_t data_bytes,
                   std::string_view json) {
  const auto fail = [&](std::string_view name, std::string found, std::string allowed) {
    throw FormatError(std::string(kHeader), fmt::format("tensor \"{}\": {}", tensor.name, name),
                      std::move(found), std::move(allowed),
                      internal::place_of_field(json, tensor.name, name));
  };
  const auto offsets = fmt::format("[{}, {}]", tensor.begin, tensor.end);
  const auto memory = memory_size(tensor);
  if (!memory) fail("shape", "more than 2^63 - 1 bytes", "less");
  const auto packing = packing_of(tensor.dtype);
  if (*memory % packing != 0) {
    fail("shape", fmt::format("[{}]", fmt::join(tensor.shape, ", ")), std::string(kEven));
  }
  const auto bytes = *memory / packing;
  if (tensor.end < tensor.begin || tensor.end - tensor.begin != bytes) {
    fail("data_offsets", offsets, fmt::format("{} bytes, by dtype and shape", bytes));
  }
  if (tensor.begin != begin) {
    fail("data_offsets", offsets,
         fmt::format("{} for begin: tensors follow each other without holes or overlap", begin));
  }
  if (tensor.end > data_bytes) {
    fail("data_offsets", offsets, fmt::format("at most {}, where the file ends", data_bytes));
  }
}

// Serialized by Boost.JSON, which escapes what JSON forbids.
void append_text(std::string& to, std::string_view text) {
  to += boost::json::serialize(boost::json::string_view(text.data(), text.size()));
}

std::string to_json(const Header& header) {
  std::string json = "{";
  const auto comma = [&] {
    if (json.back() != '{') json += ',';
  };
  if (!header.metadata.empty()) {
    json += fmt::format("\"{}\":{{", internal::kMetadataName);
    for (const auto& [key, value] : header.metadata) {
      comma();
      append_text(json, key);
      json += ':';
      append_text(json, value);
    }
    json += '}';
  }
  for (const auto& tensor : header.tensors) {
    comma();
    append_text(json, tensor.name);
    json += fmt::format(R"(:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        *safetensors_name(tensor.dtype), fmt::join(tensor.shape, ","), tensor.begin,
                        tensor.end);
  }
  return json + '}';
}

// Offsets follow the given order without padding: readers accept nothing else.
void lay_out(Header& header) {
  std::uint64_t offset = 0;
  for (auto& tensor : header.tensors) {
    const auto refuse = [&](std::string_view why) {
      throw std::invalid_argument(fmt::format("safetensors: tensor \"{}\": {}", tensor.name, why));
    };
    if (tensor.name == internal::kMetadataName) refuse("the name is reserved for metadata");
    if (tensor.shape.size() > kMaxRank) refuse("more than 32 dimensions");
    if (!safetensors_name(tensor.dtype)) {
      refuse(fmt::format("safetensors cannot hold {}", name_of(tensor.dtype)));
    }
    const auto memory = memory_size(tensor);
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!memory || *memory > kMax - offset) refuse("the file would pass 2^63 - 1 bytes");
    const auto packing = packing_of(tensor.dtype);
    if (*memory % packing != 0) {
      refuse(fmt::format("found {} elements; allowed: {}", *memory, kEven));
    }
    tensor.begin = offset;
    tensor.end = offset += *memory / packing;
  }
}

}  // namespace

std::uint64_t decode_header_length(std::string_view first8, std::uint64_t file_bytes) {
  cairn::internal::ByteReader reader(first8, kStructure);
  std::uint64_t length = 0;
  reader.little_endian(length, "header length");
  if (length > kMaxHeaderBytes) {
    reader.fail("header length", std::to_string(length),
                fmt::format("at most {}", kMaxHeaderBytes));
  }
  if (file_bytes < kLengthBytes || length > file_bytes - kLengthBytes) {
    reader.fail("header length", std::to_string(length),
                fmt::format("at most {}, where the file ends",
                            file_bytes - std::min<std::uint64_t>(file_bytes, kLengthBytes)));
  }
  return length;
}

Header decode_header(std::string_view json, std::uint64_t file_bytes) {
  auto header = internal::parse_header(json);
  header.data_offset = kLengthBytes + json.size();
  if (header.data_offset > file_bytes) {
    throw FormatError(std::string(kHeader), "size of the file", fmt::format("{} bytes", file_bytes),
                      fmt::format("{} or more, the end of the header", header.data_offset),
                      json.size());
  }
  const auto data_bytes = file_bytes - header.data_offset;
  // Tensors without elements share their begin with the next: the end puts them first.
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const TensorInfo& a, const TensorInfo& b) {
                     return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
                   });
  std::uint64_t begin = 0;
  for (const auto& tensor : header.tensors) {
    check_offsets(tensor, begin, data_bytes, json);
    begin = tensor.end;
  }
  if (begin != data_bytes) {
    throw FormatError(std::string(kHeader), "data section", fmt::format("{} bytes", data_bytes),
                      fmt::format("{}, the end of the last tensor", begin), json.size());
  }
  return header;
}

std::string encode_header(Header& header, std::size_t alignment) {
  if (alignment == 0) throw std::invalid_argument("safetensors: the alignment is 0");
  lay_out(header);
  auto json = to_json(header);
  const auto misaligned = (kLengthBytes + json.size()) % alignment;
  if (misaligned != 0) json.append(alignment - misaligned, ' ');
  if (json.size() > kMaxHeaderBytes) {
    throw std::invalid_argument(fmt::format(
        "safetensors: the header takes {} bytes, {} are allowed", json.size(), kMaxHeaderBytes));
  }
  try {
    // Names may be duplicate or not UTF-8: what the decoder refuses is not written.
    static_cast<void>(internal::parse_header(json));
  } catch (const FormatError& error) {
    throw std::invalid_argument(error.what());
  }
  header.data_offset = kLengthBytes + json.size();
  std::string bytes;
  cairn::internal::ByteWriter writer(bytes, kStructure);
  writer.little_endian(std::uint64_t{json.size()}, "header length");
  return bytes + json;
}

std::optional<std::string_view> safetensors_name(DType dtype) noexcept {
  for (const auto& type : kTypes) {
    if (type.dtype == dtype) return type.name;
  }
  return std::nullopt;
}

std::optional<DType> dtype_from_safetensors(std::string_view name) noexcept {
  for (const auto& type : kTypes) {
    if (type.name == name) return type.dtype;
  }
  return std::nullopt;
}

}  // namespace cairn::safetensors
