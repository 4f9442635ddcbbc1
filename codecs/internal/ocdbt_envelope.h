#pragma once
// What surrounds a manifest, a B+tree node and a version tree node: magic, length, version,
// compression, checksum.

#include <cairn/codecs/internal/byte_io.h>
#include <cairn/codecs/ocdbt.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace cairn::ocdbt::internal {

using cairn::internal::ByteReader;
using cairn::internal::ByteWriter;
using cairn::internal::Field;

struct EnvelopeKind {
  std::uint32_t magic;
  std::string_view structure;  ///< for errors
};
inline constexpr EnvelopeKind kManifestKind{kManifestMagic, "OCDBT manifest"};
inline constexpr EnvelopeKind kNodeKind{kBtreeMagic, "OCDBT B+tree node"};
inline constexpr EnvelopeKind kVersionNodeKind{kVersionTreeMagic, "OCDBT version tree node"};

/// The body with its envelope. `body` is compressed as `config` says.
[[nodiscard]] std::string seal(const EnvelopeKind& kind, std::string_view body,
                               const Config& config);

/// A checked envelope's body, decoded. Borrows the bytes that it was made of.
class OpenEnvelope {
 public:
  /// `budget`: what a decompressed body takes from as long as this lives; may be null.
  OpenEnvelope(std::string_view bytes, const EnvelopeKind& kind, std::uint64_t max_decoded_bytes,
               NodeBudget* budget = nullptr);
  ~OpenEnvelope() { give_back(); }
  OpenEnvelope(const OpenEnvelope&) = delete;
  OpenEnvelope& operator=(const OpenEnvelope&) = delete;
  /// Borrows this object.
  [[nodiscard]] ByteReader reader() const;
  /// Bytes that keys and paths, once their prefixes are undone, and values may take.
  [[nodiscard]] std::uint64_t expansion_limit() const noexcept;

 private:
  void decompress(std::uint64_t max_bytes);
  void give_back() noexcept {
    if (budget_ != nullptr) budget_->give(std::exchange(taken_, 0));
  }

  NodeBudget* budget_;
  std::uint64_t taken_ = 0;
  std::string_view encoded_;
  std::string structure_;
  bool compressed_ = false;
  std::string_view raw_;
  std::string decoded_;
};

/// Prefix compression lets a byte stand for 64 KiB of key or path. What comes out is bounded by a
/// budget, so that memory stays in proportion to the file.
class ExpansionBudget {
 public:
  /// `shared`: what other structures take too; may be null.
  explicit ExpansionBudget(std::uint64_t limit, NodeBudget* shared = nullptr)
      : limit_(limit), shared_(shared) {}
  void take(std::uint64_t bytes, const ByteReader& reader, const Field& field);

 private:
  std::uint64_t limit_;
  std::uint64_t used_ = 0;
  NodeBudget* shared_;
};

}  // namespace cairn::ocdbt::internal
