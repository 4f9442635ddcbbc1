// .zarray <-> ArrayMetadata.

#include <cairn/codecs/internal/zarr_chain.h>
#include <cairn/codecs/internal/zarr_fill.h>
#include <cairn/codecs/internal/zarr_text.h>
#include <cairn/codecs/internal/zstd_frame.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <numeric>

namespace cairn::zarr {
namespace {

namespace json = boost::json;
using cairn::internal::describe;
using cairn::internal::max_zstd_level;
using cairn::internal::min_zstd_level;
using internal::integer;
using internal::JsonMembers;

constexpr std::string_view kFile = ".zarray";
// TensorStore's and numcodecs' levels where the text gives none.
constexpr int kLevel = 1;
constexpr int kBloscLevel = 5;
constexpr int kAutoShuffle = -1;

struct TypeName {
  DType dtype;
  std::string_view text;  // without the byte order
};
// Every other type has its own name, and one order of bytes: little-endian.
constexpr TypeName kTypeNames[] = {
    {DType::boolean, "b1"},   {DType::int8, "i1"},        {DType::int16, "i2"},
    {DType::int32, "i4"},     {DType::int64, "i8"},       {DType::uint8, "u1"},
    {DType::uint16, "u2"},    {DType::uint32, "u4"},      {DType::uint64, "u8"},
    {DType::float16, "f2"},   {DType::float32, "f4"},     {DType::float64, "f8"},
    {DType::complex64, "c8"}, {DType::complex128, "c16"},
};

std::string dtype_text(DType dtype) {
  for (const TypeName& type : kTypeNames) {
    if (type.dtype != dtype) continue;
    return (size_of(dtype) == 1 ? '|' : '<') + std::string(type.text);
  }
  return std::string(name_of(dtype));
}

struct StoredType {
  DType dtype;
  bool big_endian;
};

StoredType decode_dtype(const JsonMembers& root) {
  constexpr std::string_view kAllowed =
      "\"|b1\", \"|i1\", \"|u1\", \"<i2\" to \"<u8\", \"<f2\" to \"<f8\", \"<c8\", \"<c16\", all "
      "of "
      "these with \">\", int2, int4, bfloat16, float4_e2m1fn or float8_*";
  const json::value& value = root.require("dtype", std::string(kAllowed));
  const auto* string = value.if_string();
  const std::string_view text =
      string ? std::string_view(string->data(), string->size()) : std::string_view();
  if (!text.empty()) {
    for (const TypeName& type : kTypeNames) {
      if (text.substr(1) != type.text) continue;
      const char order = text.front();
      const bool one_byte = size_of(type.dtype) == 1;
      if (order == '<' || order == '>') return {type.dtype, order == '>' && !one_byte};
      if (order == '|' && one_byte) return {type.dtype, false};
    }
    // What v2 has a short name for goes by that alone.
    const auto dtype = dtype_from_name(text);
    if (dtype && dtype_text(*dtype) == text) return {*dtype, false};
  }
  root.unsupported("dtype", describe(value), std::string(kAllowed));
}

Blosc decode_blosc(const JsonMembers& compressor, DType dtype) {
  internal::refuse_unknown(compressor,
                           {"id", "blocksize", "clevel", "cname", "shuffle", "typesize"});
  Blosc blosc;
  blosc.compressor = compressor.find("cname") ? internal::decode_compressor(compressor, "cname")
                                              : blosc::Compressor::lz4;
  blosc.level = static_cast<int>(integer(compressor, "clevel", 0, 9, kBloscLevel));
  const std::int64_t shuffle = integer(compressor, "shuffle", kAutoShuffle, 2, kAutoShuffle);
  blosc.typesize = size_of(dtype);
  if (shuffle == kAutoShuffle) {
    blosc.shuffle = blosc.typesize == 1 ? blosc::Shuffle::bit : blosc::Shuffle::byte;
  } else {
    blosc.shuffle = static_cast<blosc::Shuffle>(shuffle);
  }
  blosc.blocksize = static_cast<std::size_t>(
      integer(compressor, "blocksize", 0, static_cast<std::int64_t>(blosc::kContentBytesMax), 0));
  // numcodecs writes it, null or the buffer's; readers take it from the frame.
  return blosc;
}
static_assert(static_cast<int>(blosc::Shuffle::none) == 0 &&
              static_cast<int>(blosc::Shuffle::byte) == 1 &&
              static_cast<int>(blosc::Shuffle::bit) == 2);

void decode_compressor(const JsonMembers& root, ArrayMetadata& metadata) {
  // zarr-python takes a missing one, as missing filters, for null; TensorStore writes both always.
  const json::value* value = root.find("compressor");
  if (value == nullptr || value->is_null()) return;
  const auto compressor = root.members("compressor", *value);
  const std::string_view id = compressor.string("id");
  if (id == "zstd") {
    internal::refuse_unknown(compressor, {"id", "level", "checksum"});
    // numcodecs writes it; a reader takes it from the frame.
    static_cast<void>(compressor.boolean_or("checksum", false));
    const auto level = integer(compressor, "level", min_zstd_level(), max_zstd_level(), kLevel);
    metadata.codecs.push_back(Zstd{static_cast<int>(level), false});
  } else if (id == "zlib" || id == "gzip") {
    internal::refuse_unknown(compressor, {"id", "level"});
    const auto level = integer(compressor, "level", 0, 9, kLevel);
    metadata.codecs.push_back(Gzip{static_cast<int>(level), id == "zlib"});
  } else if (id == "bz2") {
    internal::refuse_unknown(compressor, {"id", "level"});
    metadata.codecs.push_back(Bz2{static_cast<int>(integer(compressor, "level", 1, 9, kLevel))});
  } else if (id == "blosc") {
    metadata.codecs.push_back(decode_blosc(compressor, metadata.dtype));
  } else {
    compressor.unsupported("id", fmt::format("\"{}\"", id),
                           "\"zstd\", \"zlib\", \"gzip\", \"bz2\" or \"blosc\"");
  }
}

void check_filters(const JsonMembers& root) {
  const json::value* filters = root.find("filters");
  if (filters == nullptr || filters->is_null()) return;
  if (!filters->is_array() || !filters->get_array().empty()) {
    root.unsupported("filters", describe(*filters), "null or an empty array");
  }
}

// Order F is the transpose that reverses all axes, also where that moves nothing (rank 0 and 1), so
// that the text comes back as it was.
Transpose reversed(std::size_t rank) {
  Transpose transpose;
  transpose.order.resize(rank);
  std::iota(transpose.order.rbegin(), transpose.order.rend(), std::size_t{0});
  return transpose;
}

// Appends an object, or null for a codec that is no compressor. Members in alphabetical order, as
// TensorStore has them.
struct CompressorWriter {
  std::string& out;
  void operator()(const Zstd& codec) const {
    out += fmt::format(R"({{"id":"zstd","level":{}}})", codec.level);
  }
  void operator()(const Gzip& codec) const {
    out += fmt::format(R"({{"id":"{}","level":{}}})", codec.zlib ? "zlib" : "gzip", codec.level);
  }
  void operator()(const Bz2& codec) const {
    out += fmt::format(R"({{"id":"bz2","level":{}}})", codec.level);
  }
  void operator()(const Blosc& codec) const {
    out += fmt::format(R"({{"blocksize":{},"clevel":{},"cname":"{}","id":"blosc","shuffle":{}}})",
                       codec.blocksize, codec.level, blosc::name_of(codec.compressor),
                       static_cast<int>(codec.shuffle));
  }
  template <class Other>
  void operator()(const Other&) const {
    out += "null";
  }
};

}  // namespace

ArrayMetadata decode_v2_metadata(std::string_view text) {
  const cairn::internal::JsonDocument document(text, kFile);
  const JsonMembers root(document);
  const json::value& format = root.require("zarr_format", "2");
  if (format != 2) root.unsupported("zarr_format", describe(format), "2");
  ArrayMetadata metadata;
  metadata.format = Format::v2;
  metadata.v2_keys = true;
  const StoredType type = decode_dtype(root);
  metadata.dtype = type.dtype;
  metadata.shape = internal::decode_extents(root, "shape", 0);
  metadata.chunk_shape = internal::decode_extents(root, "chunks", 1);
  internal::check_sizes(root, metadata, "chunks");
  metadata.key_separator = internal::decode_separator(root, "dimension_separator", '.');
  const json::value& order = root.require("order", "\"C\" or \"F\"");
  if (order != "C" && order != "F") root.fail("order", describe(order), "\"C\" or \"F\"");
  if (order == "F") metadata.codecs.push_back(reversed(metadata.shape.size()));
  metadata.codecs.push_back(Bytes{type.big_endian});
  check_filters(root);
  decode_compressor(root, metadata);
  metadata.fill_value = cairn::internal::decode_v2_fill_value(
      root, metadata.dtype, type.big_endian,
      root.require("fill_value", "null or a value of the array's type"));
  return metadata;
}

std::string internal::encode_v2(const ArrayMetadata& metadata) {
  const ChainParts parts(metadata.codecs);
  std::string out =
      fmt::format(R"({{"chunks":[{}],"compressor":)", fmt::join(metadata.chunk_shape, ","));
  std::visit(CompressorWriter{out}, metadata.codecs.back().value);
  out += fmt::format(R"(,"dimension_separator":"{}","dtype":"{}","fill_value":)",
                     metadata.key_separator, dtype_text(metadata.dtype));
  cairn::internal::append_v2_fill_value(out, metadata.dtype, metadata.fill_value);
  out += fmt::format(R"(,"filters":null,"order":"{}","shape":[{}],"zarr_format":2}})",
                     parts.transposes.empty() ? 'C' : 'F', fmt::join(metadata.shape, ","));
  return out;
}

}  // namespace cairn::zarr
