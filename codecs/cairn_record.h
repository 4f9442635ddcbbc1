#pragma once
// `_CAIRN`: our own record inside an item. Optional on read and unknown to Orbax and TensorStore.
// Grammar in codecs/cairn_record_format.md: magic, version, then parts {name, flags, length,
// bytes}, then crc32c. A part that is flagged must-understand and not known makes the file
// unreadable; any other unknown part is skipped.

#include <cairn/export.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn {

/// Its name in the item's directory.
inline constexpr std::string_view kRecordFile = "_CAIRN";
/// Of that file. A reader holds all of it, and about twice as much decoded: what is longer it takes
/// for damage, so writers leave out what can be done without (encode_within). It is the traces of
/// 35 million chunks.
inline constexpr std::size_t kRecordBytesMax = std::size_t{1} << 30;

/// XXH3-128, big-endian (its canonical form).
using ContentHash = std::array<std::byte, 16>;
[[nodiscard]] CAIRN_EXPORT ContentHash hash_of(std::span<const std::byte> bytes) noexcept;

/// crc32c of the stored bytes of each chunk of an array, in the C order of its grid.
struct ChunkChecksums {
  ChunkChecksums() = default;
  std::string array;  ///< Orbax's parameter name, here and below
  std::vector<std::uint32_t> crc32c;
  friend bool operator==(const ChunkChecksums&, const ChunkChecksums&) = default;
};

/// XXH3-128 of the file that describes an array: its zarr.json or .zarray.
struct ArrayMetadataHash {
  ArrayMetadataHash() = default;
  std::string array;
  ContentHash hash{};
  friend bool operator==(const ArrayMetadataHash&, const ArrayMetadataHash&) = default;
};

/// A file of an item that is a few files: JSON, metrics, protocol buffers, those of a user's
/// handler.
struct FileHash {
  FileHash() = default;
  std::string name;         ///< in the item's directory: 1 to 255 bytes, neither slash nor NUL
  std::uint64_t bytes = 0;  ///< of the file
  ContentHash hash{};       ///< of the same
  friend bool operator==(const FileHash&, const FileHash&) = default;
};

/// How an array was encoded, why, and what came of it.
struct CodecRecord {
  CodecRecord() = default;
  std::string array;
  std::string codec;   ///< for people: "blosc planes", "zstd(3)", ...; <= 255 bytes
  std::string reason;  ///< likewise
  std::uint32_t expected_permille = 1000;  ///< bytes / stored_bytes by the sample, times 1000
  std::uint64_t bytes = 0;                 ///< of elements
  std::uint64_t stored_bytes = 0;
  std::uint64_t chunks = 0;
  std::uint64_t chunks_stored = 0;  ///< left as they were by this save, linked ones not
  friend bool operator==(const CodecRecord&, const CodecRecord&) = default;
};

/// What the next step must know to link what has not changed.
struct DataFileRecord {
  DataFileRecord() = default;
  std::string path;         ///< relative to the item
  std::uint64_t bytes = 0;  ///< of the file
  std::uint32_t age = 0;    ///< steps since it was written
  friend bool operator==(const DataFileRecord&, const DataFileRecord&) = default;
};
struct ChunkTrace {
  ChunkTrace() = default;
  ContentHash hash{};        ///< of the chunk's elements, padded, before any codec
  std::uint64_t file = 0;    ///< index into the files
  std::uint64_t offset = 0;  ///< bytes
  std::uint64_t length = 0;  ///< bytes; 0: the chunk is in the database and cannot be linked
  std::uint8_t heat = 0;     ///< how often it has changed lately, 255 = always
  friend bool operator==(const ChunkTrace&, const ChunkTrace&) = default;
};
struct ArrayTrace {
  ArrayTrace() = default;
  std::string array;
  ContentHash metadata{};          ///< of the text of its zarr.json or .zarray
  std::vector<ChunkTrace> chunks;  ///< all, in the C order of the grid
  friend bool operator==(const ArrayTrace&, const ArrayTrace&) = default;
};
struct ChunkTraces {
  std::vector<DataFileRecord> files;
  std::vector<ArrayTrace> arrays;
  friend bool operator==(const ChunkTraces&, const ChunkTraces&) = default;
};

/// The names of a KeyPath: keys of dictionaries as they are, indices of sequences in decimal.
using KeyNames = std::vector<std::string>;

/// What `_CAIRN` says of an item.
struct CairnRecord {
  std::string writer_version;  ///< of the library that wrote the item
  /// Containers whose kind Orbax's metadata cannot tell: paths of non-empty tuples.
  std::vector<KeyNames> tuples;
  /// Scalars saved as unsigned 64-bit (Orbax stores their dtype; this keeps the tree's kind).
  std::vector<std::string> unsigned_scalars;
  /// XXH3-128 of the manifest's bytes, hexadecimal; ties the record to the data it describes.
  std::string manifest_hash;
  /// The same of the file with the string leaves; empty where there are none.
  std::string strings_hash;
  /// The same of `_METADATA`; empty in records of versions that did not write it.
  std::string metadata_hash;
  /// Of items that are a few files, by name in ascending order, each once.
  std::vector<FileHash> files;
  /// Of arrays that a file describes (plain layouts): a database has checksums of its own.
  std::vector<ArrayMetadataHash> array_metadata;
  /// Of arrays whose own chain has no checksum (zarr v2).
  std::vector<ChunkChecksums> chunk_checksums;
  /// Of arrays that are encoded, or were looked at for it.
  std::vector<CodecRecord> codecs;
  /// Of items saved incrementally.
  std::optional<ChunkTraces> chunks;
  /// Ignorable parts of newer versions, kept for inspection: name and bytes.
  std::vector<std::pair<std::string, std::string>> unknown;
};
/// The bytes of _CAIRN. Throws std::invalid_argument for what decode_record() would refuse.
[[nodiscard]] CAIRN_EXPORT std::string encode(const CairnRecord& record);
/// The record in at most `bytes_max` bytes, and the names of the parts that it is without for that:
/// `chunks`, `codecs`, `chunk_checksums`, `array_metadata`, in this order and no more than need be.
struct LimitedRecord {
  std::string bytes;
  std::vector<std::string_view> left_out;
};
/// Throws std::invalid_argument where the rest is longer.
[[nodiscard]] CAIRN_EXPORT LimitedRecord encode_within(const CairnRecord& record,
                                                       std::size_t bytes_max = kRecordBytesMax);
/// Throws FormatError.
[[nodiscard]] CAIRN_EXPORT CairnRecord decode_record(std::string_view bytes);
/// XXH3-128, 32 lower-case hexadecimal digits.
[[nodiscard]] CAIRN_EXPORT std::string content_hash(std::string_view bytes);
/// The same digits of a hash.
[[nodiscard]] CAIRN_EXPORT std::string to_hex(const ContentHash& hash);

}  // namespace cairn
