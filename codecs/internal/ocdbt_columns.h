#pragma once
// Columns that several structures share. OCDBT writes arrays field by field: all values of the
// first field, then all of the second. Each template here serves both directions.

#include <cairn/codecs/internal/ocdbt_envelope.h>
#include <cairn/codecs/ocdbt.h>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace cairn::ocdbt::internal {

/// A file may not end behind this: offsets are signed in the systems that read it.
inline constexpr std::uint64_t kMaxFileEnd = (std::uint64_t{1} << 63) - 1;
/// Offset and length of a version without a tree.
inline constexpr std::uint64_t kMissing = std::numeric_limits<std::uint64_t>::max();
inline constexpr std::uint32_t kMaxInlineValueBytes = std::uint32_t{1} << 20;
inline constexpr std::uint32_t kMaxNodeEntries = std::uint32_t{1} << 20;
inline constexpr std::uint64_t kMaxPathBytes = 65535;

/// Fails unless `index` names one of `file_count` files.
template <class Io>
void check_file(Io& io, std::uint64_t index, std::uint64_t file_count, const Field& field) {
  if (index < file_count) return;
  io.fail(field, std::to_string(index),
          "less than num_files, which is " + std::to_string(file_count));
}

template <class Io>
void check_range(Io& io, const Reference& range, const Field& field) {
  if (range.offset <= kMaxFileEnd && range.length <= kMaxFileEnd - range.offset) return;
  io.fail(field,
          "offset " + std::to_string(range.offset) + " and length " + std::to_string(range.length),
          "an end of at most 2^63 - 1");
}

enum class Missing { refused, allowed };

/// `get(record)` is the Reference of a record.
template <class Io, class Records, class Get>
void code_references(Io& io, Records& records, std::uint64_t file_count, Get get,
                     Missing missing = Missing::refused) {
  std::uint64_t i = 0;
  for (auto& record : records) {
    const Field field("entry", i++, "data_file_id");
    io.varint(get(record).file, field);
    check_file(io, get(record).file, file_count, field);
  }
  i = 0;
  for (auto& record : records) io.varint(get(record).offset, Field("entry", i++, "offset"));
  i = 0;
  for (auto& record : records) {
    const Field field("entry", i++, "length");
    auto& location = get(record);
    io.varint(location.length, field);
    const bool is_missing = location.offset == kMissing && location.length == kMissing;
    if (is_missing && missing == Missing::allowed) continue;
    check_range(io, location, field);
  }
}

template <class Io, class Records>
void code_statistics(Io& io, Records& records) {
  std::uint64_t i = 0;
  for (auto& record : records) {
    io.varint(record.statistics.num_keys, Field("entry", i++, "num_keys"));
  }
  i = 0;
  for (auto& record : records) {
    io.varint(record.statistics.num_tree_bytes, Field("entry", i++, "num_tree_bytes"));
  }
  i = 0;
  for (auto& record : records) {
    io.varint(record.statistics.num_indirect_value_bytes,
              Field("entry", i++, "num_indirect_value_bytes"));
  }
}

// Paths share prefixes, so encoder and decoder of the table differ; they stand side by side in
// ocdbt_file_table.cpp.
void encode_file_table(ByteWriter& writer, const FileTable& files);
[[nodiscard]] FileTable decode_file_table(ByteReader& reader, ExpansionBudget& budget);

// Versions, in ocdbt_version_tree.cpp. The encoders check what the decoders check.
void encode_versions(ByteWriter& writer, const std::vector<Version>& versions,
                     const FileTable& files, std::uint8_t arity_log2);
[[nodiscard]] std::vector<Version> decode_versions(ByteReader& reader, std::uint64_t file_count,
                                                   std::uint8_t arity_log2);
/// The manifest's references to nodes of the version tree, which hold all versions before the
/// window of `last_generation`.
void encode_version_nodes(ByteWriter& writer, const std::vector<VersionNodeReference>& nodes,
                          std::uint64_t file_count, std::uint8_t arity_log2,
                          std::uint64_t last_generation);
[[nodiscard]] std::vector<VersionNodeReference> decode_version_nodes(ByteReader& reader,
                                                                     std::uint64_t file_count,
                                                                     std::uint8_t arity_log2,
                                                                     std::uint64_t last_generation);

/// `files` as it must be written with `versions`: an empty version refers to an entry with an empty
/// path.
[[nodiscard]] FileTable files_for(const FileTable& files, const std::vector<Version>& versions);

inline constexpr std::uint8_t kMaxArityLog2 = 16;
template <class Io, class Arity>
void code_arity(Io& io, Arity& arity_log2) {
  io.u8(arity_log2, "version_tree_arity_log2", kMaxArityLog2);
  if (arity_log2 == 0) io.fail("version_tree_arity_log2", "0", "1 to 16");
}

}  // namespace cairn::ocdbt::internal
