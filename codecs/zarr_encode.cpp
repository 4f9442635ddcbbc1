// ArrayMetadata -> zarr.json.

#include <cairn/codecs/internal/zarr_chain.h>
#include <cairn/codecs/internal/zarr_fill.h>
#include <cairn/codecs/internal/zarr_text.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

namespace cairn::zarr {
namespace {

// Chunks can be encoded so, but no peer gains by it, and v2 would need a second set of type names.
bool writes_big_endian(const CodecChain& codecs) {
  return std::any_of(codecs.begin(), codecs.end(), [](const Codec& codec) {
    const auto* bytes = std::get_if<Bytes>(&codec.value);
    const auto* shards = std::get_if<Sharding>(&codec.value);
    return (bytes != nullptr && bytes->big_endian) ||
           (shards != nullptr &&
            (writes_big_endian(shards->codecs) || writes_big_endian(shards->index_codecs)));
  });
}

// Appends the configuration of a codec, if it has one, with the comma behind it.
struct ConfigurationWriter {
  std::string& out;
  DType dtype;

  void operator()(const Bytes&) const {
    if (internal::has_endian(dtype)) out += R"("configuration":{"endian":"little"},)";
  }
  void operator()(const Transpose& codec) const {
    out += fmt::format(R"("configuration":{{"order":[{}]}},)", fmt::join(codec.order, ","));
  }
  void operator()(const Zstd& codec) const {
    out += fmt::format(R"("configuration":{{"checksum":{},"level":{}}},)", codec.checksum,
                       codec.level);
  }
  void operator()(const Gzip& codec) const {
    out += fmt::format(R"("configuration":{{"level":{}}},)", codec.level);
  }
  void operator()(const Bz2&) const {}
  void operator()(const Blosc& codec) const {
    out += fmt::format(
        R"("configuration":{{"blocksize":{},"clevel":{},"cname":"{}","shuffle":"{}")",
        codec.blocksize, codec.level, blosc::name_of(codec.compressor), name_of(codec.shuffle));
    if (codec.shuffle != blosc::Shuffle::none) {
      out += fmt::format(R"(,"typesize":{})", codec.typesize);
    }
    out += "},";
  }
  void operator()(const Crc32c&) const {}
  void operator()(const Sharding& codec) const {
    out += fmt::format(R"("configuration":{{"chunk_shape":[{}],"codecs":)",
                       fmt::join(codec.chunk_shape, ","));
    internal::append_codecs(out, codec.codecs, dtype);
    out += ",\"index_codecs\":";
    internal::append_codecs(out, codec.index_codecs, DType::uint64);
    if (codec.index_at_start) out += R"(,"index_location":"start")";
    out += "},";
  }
};

void append_key_encoding(std::string& out, const ArrayMetadata& metadata) {
  const char usual = metadata.v2_keys ? '.' : '/';
  const std::string_view name = metadata.v2_keys ? "v2" : "default";
  out += metadata.key_separator == usual
             ? fmt::format(R"({{"name":"{}"}})", name)
             : fmt::format(R"({{"configuration":{{"separator":"{}"}},"name":"{}"}})",
                           metadata.key_separator, name);
}

}  // namespace

namespace internal {

void check(const ArrayMetadata& m) {
  const auto fail = [&](const std::string& why) {
    throw std::invalid_argument(std::string(metadata_file(m.format)) + ": " + why);
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
  if (const auto fault = find_fault(m.format, m.codecs, m.chunk_shape, "codecs")) {
    fail(fmt::format("{} is {}; allowed: {}", fault->field, fault->found, fault->allowed));
  }
  if (writes_big_endian(m.codecs)) fail("this library writes little-endian elements only");
  if (!m.fill_value.empty() && m.fill_value.size() != size_of(m.dtype)) {
    fail(fmt::format("fill_value has {} bytes, an element of {} has {}", m.fill_value.size(),
                     name_of(m.dtype), size_of(m.dtype)));
  }
  if (m.key_separator != '/' && m.key_separator != '.') {
    fail(fmt::format("key_separator '{}' is neither '/' nor '.'", m.key_separator));
  }
}

void append_codecs(std::string& out, const CodecChain& codecs, DType dtype) {
  out += '[';
  for (std::size_t i = 0; i < codecs.size(); ++i) {
    if (i != 0) out += ',';
    out += '{';
    std::visit(ConfigurationWriter{out, dtype}, codecs[i].value);
    out += fmt::format(R"("name":"{}"}})", name_of(codecs[i]));
  }
  out += ']';
}

}  // namespace internal

std::string encode_metadata(const ArrayMetadata& metadata) {
  internal::check(metadata);
  if (metadata.format == Format::v2) return internal::encode_v2(metadata);
  std::string out =
      fmt::format(R"({{"chunk_grid":{{"configuration":{{"chunk_shape":[{}]}},"name":"regular"}},)"
                  R"("chunk_key_encoding":)",
                  fmt::join(metadata.chunk_shape, ","));
  append_key_encoding(out, metadata);
  out += ",\"codecs\":";
  internal::append_codecs(out, metadata.codecs, metadata.dtype);
  out += ",\"data_type\":\"";
  out += name_of(metadata.dtype);
  out += "\",\"fill_value\":";
  const std::vector<std::byte> zero(size_of(metadata.dtype));
  cairn::internal::append_fill_value(out, metadata.dtype,
                                     metadata.fill_value.empty() ? zero : metadata.fill_value);
  out += fmt::format(R"(,"node_type":"array","shape":[{}],"zarr_format":3}})",
                     fmt::join(metadata.shape, ","));
  return out;
}

}  // namespace cairn::zarr
