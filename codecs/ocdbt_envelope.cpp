#include <cairn/codecs/internal/checksummed.h>
#include <cairn/codecs/internal/ocdbt_envelope.h>
#include <cairn/codecs/internal/zstd_frame.h>
#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace cairn::ocdbt::internal {
namespace {

using cairn::internal::kChecksumBytes;

constexpr std::size_t kMagicBytes = 4;
constexpr std::size_t kHeaderBytes =
    kMagicBytes + 8 + 1 + 1;  // magic, length, version, compression
constexpr std::size_t kMinEnvelopeBytes = 16;
constexpr std::uint32_t kFormatVersion = 0;

/// A writer closes a node behind the entry that made it too large and does not count the file
/// table, so a node may pass max_decoded_node_bytes a little: by an inline value of 1 MiB, a key,
/// some paths.
constexpr std::uint64_t kDecodedSlackBytes = std::uint64_t{4} << 20;
/// Ten times Orbax's limit: what a manifest claims beyond it would let a few hundred KiB of zstd
/// ask for gigabytes.
constexpr std::uint64_t kMaxDecodedBytes = 1'000'000'000;
static_assert(kMaxDecodedBytes >= 10 * std::uint64_t{Config().max_decoded_node_bytes});

/// Keys, paths and values may grow to this multiple of the encoded node: a key of 1 KiB that zstd
/// and prefixes together bring down to two bits is beyond what real databases do.
constexpr std::uint64_t kMaxExpansion = 4096;
constexpr std::uint64_t kFreeExpansionBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxExpansionBytes = std::uint64_t{1} << 30;

// Hex is how the magic is known.
std::string hex(std::uint32_t value) {
  return fmt::format("{:08x}", value);
}

constexpr std::uint32_t big_endian(std::uint32_t value) {
  return __builtin_bswap32(value);
}

}  // namespace

// The body comes first and the header is filled in around it, so that a node is copied once at
// most.
std::string seal(const EnvelopeKind& kind, std::string_view body, const Config& config) {
  std::string sealed;
  sealed.reserve(kHeaderBytes + body.size() + kChecksumBytes);
  ByteWriter writer(sealed, kind.structure);
  writer.little_endian(big_endian(kind.magic), "magic");
  writer.little_endian(std::uint64_t{0}, "length");
  writer.varint(kFormatVersion, "version");
  writer.varint(static_cast<std::uint32_t>(config.compression), "compression");
  switch (config.compression) {
    case Compression::none:
      writer.bytes(body);
      break;
    case Compression::zstd:
      cairn::internal::append_zstd_frame(body, config.zstd_level, sealed);
      break;
  }
  const auto length = std::uint64_t{sealed.size() + kChecksumBytes};
  std::memcpy(sealed.data() + kMagicBytes, &length, sizeof(length));
  cairn::internal::append_checksum(sealed, kind.structure);
  return sealed;
}

OpenEnvelope::OpenEnvelope(std::string_view bytes, const EnvelopeKind& kind,
                           std::uint64_t max_decoded_bytes, NodeBudget* budget)
    : budget_(budget), encoded_(bytes), structure_(kind.structure) {
  ByteReader header(bytes, structure_);
  if (bytes.size() < kMinEnvelopeBytes) {
    header.fail("length", fmt::format("{} bytes", bytes.size()),
                fmt::format("{} bytes or more", kMinEnvelopeBytes));
  }
  std::uint32_t magic = 0;
  header.little_endian(magic, "magic");
  if (big_endian(magic) != kind.magic) {
    header.fail("magic", hex(big_endian(magic)), hex(kind.magic));
  }
  std::uint64_t length = 0;
  header.little_endian(length, "length");
  if (length != bytes.size()) {
    header.fail("length", std::to_string(length),
                fmt::format("{}, the bytes there are", bytes.size()));
  }
  // First of all: chance damage ends here, and the checks below face what somebody meant to write.
  const auto covered = cairn::internal::without_checksum(bytes, structure_);
  std::uint32_t version = 0;
  header.varint(version, "version");
  if (version > kFormatVersion) {
    header.unsupported("version", std::to_string(version), std::to_string(kFormatVersion));
  }
  std::uint32_t compression = 0;
  header.varint(compression, "compression");
  if (compression > static_cast<std::uint32_t>(Compression::zstd)) {
    header.unsupported("compression", std::to_string(compression), "0 (none) or 1 (zstd)");
  }
  compressed_ = compression != 0;
  raw_ = covered.substr(static_cast<std::size_t>(header.offset()));
  if (compressed_) decompress(std::min(max_decoded_bytes, kMaxDecodedBytes) + kDecodedSlackBytes);
}

void OpenEnvelope::decompress(std::uint64_t max_bytes) {
  const auto may_take = [this](std::uint64_t bytes) {
    if (budget_ == nullptr) return true;
    if (!budget_->take(bytes)) return false;
    taken_ += bytes;
    return true;
  };
  try {
    decoded_ = cairn::internal::decode_zstd_frame(raw_, max_bytes, structure_, may_take);
  } catch (...) {
    give_back();  // there is no destructor of what is not made
    throw;
  }
  structure_ += ", decompressed body";
}

ByteReader OpenEnvelope::reader() const {
  return compressed_ ? ByteReader(decoded_, structure_, std::nullopt)
                     : ByteReader(raw_, structure_, kHeaderBytes);
}

std::uint64_t OpenEnvelope::expansion_limit() const noexcept {
  return std::min(kFreeExpansionBytes + kMaxExpansion * encoded_.size(), kMaxExpansionBytes);
}

void ExpansionBudget::take(std::uint64_t bytes, const ByteReader& reader, const Field& field) {
  used_ += bytes;
  const bool within = used_ <= limit_;
  if (within && (shared_ == nullptr || shared_->take(bytes))) return;
  reader.reject(field, fmt::format("{} bytes of keys, paths and values so far", used_),
                within ? "less, given the size of all nodes"
                       : fmt::format("at most {} in a node of this size", limit_));
}

}  // namespace cairn::ocdbt::internal
