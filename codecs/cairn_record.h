#pragma once
// `_CAIRN`: our own record inside an item. Optional on read and unknown to Orbax and TensorStore. Grammar in
// codecs/cairn_record_format.md: magic, version, then parts {name, flags, length, bytes}, then crc32c. A part
// that is flagged must-understand and not known makes the file unreadable; any other unknown part is skipped.

#include <cairn/export.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn {

inline constexpr std::string_view kRecordFile = "_CAIRN";

struct CairnRecord {
  std::string writer_version;  ///< of the library that wrote the item
  /// Containers whose kind Orbax's metadata cannot tell: dotted paths of non-empty tuples.
  std::vector<std::string> tuples;
  /// Scalars saved as unsigned 64-bit (Orbax stores their dtype; this keeps the tree's kind).
  std::vector<std::string> unsigned_scalars;
  /// XXH3-128 of the manifest's bytes, hexadecimal; ties the record to the data it describes.
  std::string manifest_hash;
  /// Ignorable parts of newer versions, kept for inspection: name and bytes.
  std::vector<std::pair<std::string, std::string>> unknown;
};
[[nodiscard]] CAIRN_EXPORT std::string encode(const CairnRecord& record);
/// Throws FormatError.
[[nodiscard]] CAIRN_EXPORT CairnRecord decode_record(std::string_view bytes);
/// XXH3-128, 32 lower-case hexadecimal digits.
[[nodiscard]] CAIRN_EXPORT std::string content_hash(std::string_view bytes);

}  // namespace cairn
