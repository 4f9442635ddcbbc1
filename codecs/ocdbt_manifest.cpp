#include <cairn/codecs/internal/ocdbt_columns.h>
#include <cairn/codecs/internal/zstd_frame.h>
#include <fmt/format.h>

#include <stdexcept>

namespace cairn::ocdbt {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file implements them

// A manifest holds at most 2^16 versions of some 80 bytes and as many paths.
constexpr std::uint64_t kMaxDecodedManifestBytes = std::uint64_t{64} << 20;

// ConfigT is Config to read into and const Config to write.
template <class Io, class ConfigT>
void code_compression(Io& io, ConfigT& config) {
  auto method = static_cast<std::uint32_t>(config.compression);
  io.varint(method, "compression_method", static_cast<std::uint32_t>(Compression::zstd));
  if constexpr (Io::kReads) config.compression = static_cast<Compression>(method);
  if (config.compression == Compression::none) return;
  io.little_endian(config.zstd_level, "zstd level");
  const auto low = cairn::internal::min_zstd_level();
  const auto high = cairn::internal::max_zstd_level();
  if (config.zstd_level < low || config.zstd_level > high) {
    io.fail("zstd level", std::to_string(config.zstd_level), fmt::format("{} to {}", low, high));
  }
}

template <class Io, class ConfigT>
void code_config(Io& io, ConfigT& config) {
  io.raw(std::span(config.uuid), "uuid");
  std::uint8_t kind = config.numbered ? 1 : 0;
  io.u8(kind, "manifest_kind", 1);
  if constexpr (Io::kReads) config.numbered = kind == 1;
  io.varint(config.max_inline_value_bytes, "max_inline_value_bytes", kMaxInlineValueBytes);
  io.varint(config.max_decoded_node_bytes, "max_decoded_node_bytes");
  code_arity(io, config.version_tree_arity_log2);
  code_compression(io, config);
}

}  // namespace

std::string encode(const Manifest& manifest) {
  if (manifest.config.numbered) {
    throw std::invalid_argument(
        "OCDBT manifest: numbered manifests are read only; write a single one, whose rename is "
        "atomic");
  }
  std::string body;
  ByteWriter writer(body, kManifestKind.structure);
  code_config(writer, manifest.config);
  const auto files = files_for(manifest.files, manifest.versions);
  encode_file_table(writer, files);
  const auto arity = manifest.config.version_tree_arity_log2;
  encode_versions(writer, manifest.versions, files, arity);
  encode_version_nodes(writer, manifest.version_nodes, files.size(), arity,
                       manifest.versions.back().generation);
  return seal(kManifestKind, body, manifest.config);
}

Manifest decode_manifest(std::string_view bytes) {
  const OpenEnvelope envelope(bytes, kManifestKind, kMaxDecodedManifestBytes);
  auto reader = envelope.reader();
  Manifest manifest;
  code_config(reader, manifest.config);
  // The first file of a numbered database ends here; the numbered ones say kind 0 and are whole.
  if (!manifest.config.numbered) {
    ExpansionBudget budget(envelope.expansion_limit());
    manifest.files = decode_file_table(reader, budget);
    const auto arity = manifest.config.version_tree_arity_log2;
    manifest.versions = decode_versions(reader, manifest.files.size(), arity);
    manifest.version_nodes = decode_version_nodes(reader, manifest.files.size(), arity,
                                                  manifest.versions.back().generation);
  }
  reader.expect_end();
  return manifest;
}

}  // namespace cairn::ocdbt
