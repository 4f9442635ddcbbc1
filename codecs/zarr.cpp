#include <cairn/codecs/internal/zarr_fill.h>
#include <cairn/codecs/internal/zarr_limits.h>
#include <cairn/codecs/zarr.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cassert>
#include <stdexcept>

namespace cairn::zarr {
namespace {

constexpr std::size_t kChecksumBytes = 4;  // crc32c appends a 32-bit number

void check(const ArrayMetadata& m) {
  const auto fail = [](const std::string& why) {
    throw std::invalid_argument("zarr.json: " + why);
  };
  static_cast<void>(element_count(m.shape));
  static_cast<void>(byte_count(m.dtype, m.chunk_shape));
  if (m.chunk_shape.size() != m.shape.size()) {
    fail(fmt::format("chunk_shape [{}] is not of the rank of shape [{}]",
                     fmt::join(m.chunk_shape, ","), fmt::join(m.shape, ",")));
  }
  if (std::any_of(m.chunk_shape.begin(), m.chunk_shape.end(), [](Index e) { return e < 1; })) {
    fail(fmt::format("chunk_shape [{}] has an extent below 1", fmt::join(m.chunk_shape, ",")));
  }
  if (m.codecs.empty() || m.codecs.size() > kMaxCodecs || m.codecs.front() != Codec::bytes ||
      std::count(m.codecs.begin(), m.codecs.end(), Codec::bytes) != 1) {
    fail("codecs must be `bytes` and then any checksums");
  }
  if (m.big_endian) fail("this library writes little-endian elements only");
  if (!m.fill_value.empty() && m.fill_value.size() != size_of(m.dtype)) {
    fail(fmt::format("fill_value has {} bytes, an element of {} has {}", m.fill_value.size(),
                     name_of(m.dtype), size_of(m.dtype)));
  }
  if (m.key_separator != '/' && m.key_separator != '.') {
    fail(fmt::format("key_separator '{}' is neither '/' nor '.'", m.key_separator));
  }
}

void append_codec(std::string& out, Codec codec, DType dtype) {
  switch (codec) {
    case Codec::bytes:
      out += has_endian(dtype) ? R"({"configuration":{"endian":"little"},"name":"bytes"})"
                               : R"({"name":"bytes"})";
      return;
    case Codec::crc32c:
      out += R"({"name":"crc32c"})";
      return;
  }
}

}  // namespace

std::string encode_metadata(const ArrayMetadata& metadata) {
  check(metadata);
  std::string out =
      fmt::format(R"({{"chunk_grid":{{"configuration":{{"chunk_shape":[{}]}},"name":"regular"}},)"
                  R"("chunk_key_encoding":)",
                  fmt::join(metadata.chunk_shape, ","));
  out += metadata.key_separator == '/' ? R"({"name":"default"})"
                                       : R"({"configuration":{"separator":"."},"name":"default"})";
  out += ",\"codecs\":[";
  for (std::size_t i = 0; i < metadata.codecs.size(); ++i) {
    if (i != 0) out += ',';
    append_codec(out, metadata.codecs[i], metadata.dtype);
  }
  out += "],\"data_type\":\"";
  out += name_of(metadata.dtype);
  out += "\",\"fill_value\":";
  const std::vector<std::byte> zero(size_of(metadata.dtype));
  internal::append_fill_value(out, metadata.dtype,
                              metadata.fill_value.empty() ? zero : metadata.fill_value);
  out += fmt::format(R"(,"node_type":"array","shape":[{}],"zarr_format":3}})",
                     fmt::join(metadata.shape, ","));
  return out;
}

Shape grid_shape(const ArrayMetadata& metadata) {
  assert(metadata.chunk_shape.size() == metadata.shape.size());
  Shape grid(metadata.shape.size());
  for (std::size_t i = 0; i < grid.size(); ++i) {
    const Index chunk = metadata.chunk_shape[i];
    assert(chunk >= 1);
    grid[i] = metadata.shape[i] / chunk + (metadata.shape[i] % chunk != 0 ? 1 : 0);
  }
  return grid;
}

std::string chunk_key(const ArrayMetadata& metadata, std::span<const Index> grid_index) {
  assert(grid_index.size() == metadata.shape.size());
  std::string key = "c";
  for (const Index index : grid_index) {
    key += metadata.key_separator;
    key += std::to_string(index);
  }
  return key;
}

std::size_t stored_chunk_size(const ArrayMetadata& metadata) {
  const auto checksums = static_cast<std::size_t>(
      std::count(metadata.codecs.begin(), metadata.codecs.end(), Codec::crc32c));
  return byte_count(metadata.dtype, metadata.chunk_shape) + checksums * kChecksumBytes;
}

}  // namespace cairn::zarr
