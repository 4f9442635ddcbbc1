#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/cairn_record_parts.h>
#include <cairn/codecs/internal/checksummed.h>
#include <fmt/format.h>
#include <xxhash.h>

#include <limits>
#include <stdexcept>
#include <unordered_set>

namespace cairn {
namespace {

using internal::ByteReader;
using internal::ByteWriter;
using internal::Field;
using internal::kChecksumBytes;

constexpr std::string_view kStructure = internal::kRecordStructure;
constexpr std::string_view kMagic{"CAIRNREC", 8};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kMaxNameBytes = 255;
/// A part's name, flags and length, when all are as short as can be.
constexpr std::uint64_t kMinPartBytes = 4;
constexpr std::size_t kHashDigits = 32;

enum Flags : std::uint32_t { kIgnorable = 0, kMustUnderstand = 1 };

constexpr std::string_view kWriterVersion = "writer_version";
constexpr std::string_view kTuples = "tuples";
constexpr std::string_view kUnsignedScalars = "unsigned_scalars";
constexpr std::string_view kManifestHash = "manifest_hash";
constexpr std::string_view kStringsHash = "strings_hash";
constexpr std::string_view kMetadataHash = "metadata_hash";
constexpr std::string_view kFiles = "files";
constexpr std::string_view kArrayMetadata = "array_metadata";
constexpr std::string_view kChunkChecksums = "chunk_checksums";
constexpr std::string_view kCodecs = "codecs";
constexpr std::string_view kChunks = "chunks";

// ---- lists of strings
// -----------------------------------------------------------------------------------

std::string encode_list(const std::vector<std::string>& list) {
  std::string bytes;
  ByteWriter writer(bytes, kStructure);
  writer.varint(std::uint64_t{list.size()}, "count");
  for (const auto& text : list) {
    writer.varint(std::uint64_t{text.size()}, "length");
    writer.bytes(text);
  }
  return bytes;
}

std::vector<std::string> decode_list(std::string_view bytes, std::string_view name,
                                     std::uint64_t start) {
  const auto structure = fmt::format("{}, part {}", kStructure, name);
  ByteReader reader(bytes, structure, start);
  std::uint64_t count = 0;
  reader.varint(count, "count");
  reader.expect_room(count, 1, "count");
  std::vector<std::string> list;
  for (std::uint64_t i = 0; i < count; ++i) {
    const Field field("string", i, "length");
    std::uint32_t length = 0;
    reader.varint(length, field);
    list.emplace_back(reader.bytes(length, field));
  }
  reader.expect_end();
  return list;
}

// ---- parts
// ----------------------------------------------------------------------------------------------

struct Part {
  std::string_view name;
  std::uint32_t flags = kIgnorable;
  std::string_view bytes;
  std::uint64_t start = 0;  ///< of `bytes` in the file
};

std::string encode_part(std::string_view name, std::string_view bytes) {
  if (name.empty()) throw std::invalid_argument("_CAIRN record: a part has no name");
  std::string part;
  ByteWriter writer(part, kStructure);
  writer.varint(std::uint64_t{name.size()}, "part name", kMaxNameBytes);
  writer.bytes(name);
  writer.varint(std::uint32_t{kIgnorable}, "flags");
  writer.varint(std::uint64_t{bytes.size()}, "length");
  writer.bytes(bytes);
  return part;
}

Part decode_part(ByteReader& reader, std::uint64_t i) {
  Part part;
  std::uint32_t name_length = 0;
  reader.varint(name_length, Field("part", i, "name length"), kMaxNameBytes);
  part.name = reader.bytes(name_length, Field("part", i, "name"));
  if (part.name.empty()) reader.fail(Field("part", i, "name"), "no bytes", "a name");
  reader.varint(part.flags, Field("part", i, "flags"));
  std::uint64_t length = 0;
  reader.varint(length, Field("part", i, "length"));
  part.start = reader.offset();
  part.bytes = reader.bytes(static_cast<std::size_t>(length), Field("part", i, "bytes"));
  return part;
}

// Another hash could never match the file's: the record would look foreign for ever.
bool is_hash(std::string_view text) {
  return text.size() == kHashDigits &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string_view decode_hash(const Part& part, const ByteReader& reader) {
  if (!is_hash(part.bytes)) {
    reader.reject(std::string(part.name).c_str(), fmt::format("{} bytes", part.bytes.size()),
                  "32 lower-case hexadecimal digits");
  }
  return part.bytes;
}

void check_hash(std::string_view text, std::string_view name) {
  if (text.empty() || is_hash(text)) return;
  throw std::invalid_argument(
      fmt::format("_CAIRN record: {} is not 32 lower-case hexadecimal digits", name));
}

// Known parts are read whatever their flags say: whoever knows a part understands it.
void store(const Part& part, CairnRecord& record, const ByteReader& reader) {
  if (part.name == kWriterVersion) {
    record.writer_version = part.bytes;
  } else if (part.name == kTuples) {
    record.tuples = internal::decode_paths(part.bytes, part.start);
  } else if (part.name == kUnsignedScalars) {
    record.unsigned_scalars = decode_list(part.bytes, part.name, part.start);
  } else if (part.name == kManifestHash) {
    record.manifest_hash = decode_hash(part, reader);
  } else if (part.name == kStringsHash) {
    record.strings_hash = decode_hash(part, reader);
  } else if (part.name == kMetadataHash) {
    record.metadata_hash = decode_hash(part, reader);
  } else if (part.name == kFiles) {
    record.files = internal::decode_files(part.bytes, part.start);
  } else if (part.name == kArrayMetadata) {
    record.array_metadata = internal::decode_metadata_hashes(part.bytes, part.start);
  } else if (part.name == kChunkChecksums) {
    record.chunk_checksums = internal::decode_checksums(part.bytes, part.start);
  } else if (part.name == kCodecs) {
    record.codecs = internal::decode_codecs(part.bytes, part.start);
  } else if (part.name == kChunks) {
    record.chunks = internal::decode_traces(part.bytes, part.start);
  } else if ((part.flags & kMustUnderstand) != 0) {
    reader.unsupported(fmt::format("part \"{}\"", part.name).c_str(),
                       "a part that this version does not know",
                       "parts that may be ignored; read the item with a newer version");
  } else {
    record.unknown.emplace_back(part.name, part.bytes);
  }
}

struct EncodedPart {
  std::string_view name;
  std::string bytes;  ///< name, flags and length included
};
using EncodedParts = std::vector<EncodedPart>;

EncodedParts encode_parts(const CairnRecord& record) {
  check_hash(record.manifest_hash, kManifestHash);
  check_hash(record.strings_hash, kStringsHash);
  check_hash(record.metadata_hash, kMetadataHash);
  EncodedParts parts;
  std::unordered_set<std::string_view> names;
  const auto add = [&](std::string_view name, std::string_view bytes) {
    if (!names.insert(name).second) {
      throw std::invalid_argument(fmt::format("_CAIRN record: two parts \"{}\"", name));
    }
    parts.push_back({name, encode_part(name, bytes)});
  };
  if (!record.writer_version.empty()) add(kWriterVersion, record.writer_version);
  if (!record.tuples.empty()) add(kTuples, internal::encode_paths(record.tuples));
  if (!record.unsigned_scalars.empty()) add(kUnsignedScalars, encode_list(record.unsigned_scalars));
  if (!record.manifest_hash.empty()) add(kManifestHash, record.manifest_hash);
  if (!record.strings_hash.empty()) add(kStringsHash, record.strings_hash);
  if (!record.metadata_hash.empty()) add(kMetadataHash, record.metadata_hash);
  if (!record.files.empty()) add(kFiles, internal::encode_files(record.files));
  if (!record.array_metadata.empty()) {
    add(kArrayMetadata, internal::encode_metadata_hashes(record.array_metadata));
  }
  if (!record.chunk_checksums.empty()) {
    add(kChunkChecksums, internal::encode_checksums(record.chunk_checksums));
  }
  if (!record.codecs.empty()) add(kCodecs, internal::encode_codecs(record.codecs));
  if (record.chunks) add(kChunks, internal::encode_traces(*record.chunks));
  for (const auto& [name, bytes] : record.unknown) add(name, bytes);
  return parts;
}

std::size_t record_bytes(const EncodedParts& parts) {
  std::size_t bytes = kMagic.size() + internal::varint_size(kVersion) +
                      internal::varint_size(parts.size()) + kChecksumBytes;
  for (const EncodedPart& part : parts) bytes += part.bytes.size();
  return bytes;
}

std::string join(const EncodedParts& parts) {
  std::string encoded(kMagic);
  encoded.reserve(record_bytes(parts));
  ByteWriter writer(encoded, kStructure);
  writer.varint(kVersion, "version");
  writer.varint(std::uint64_t{parts.size()}, "num_parts");
  for (const EncodedPart& part : parts) writer.bytes(part.bytes);
  internal::append_checksum(encoded, kStructure);
  return encoded;
}

/// Checks what surrounds the parts and returns what the checksum covers.
std::string_view checked(std::string_view bytes) {
  const ByteReader whole(bytes, kStructure);
  if (!bytes.starts_with(kMagic) || bytes.size() < kMagic.size() + kChecksumBytes) {
    whole.fail("magic", fmt::format("{} bytes that do not begin a record", bytes.size()),
               fmt::format("\"{}\"", kMagic));
  }
  return internal::without_checksum(bytes, kStructure);
}

}  // namespace

std::string encode(const CairnRecord& record) {
  return encode_within(record, std::numeric_limits<std::size_t>::max()).bytes;
}

LimitedRecord encode_within(const CairnRecord& record, std::size_t bytes_max) {
  EncodedParts parts = encode_parts(record);
  LimitedRecord limited;
  for (const std::string_view name : {kChunks, kCodecs, kChunkChecksums, kArrayMetadata}) {
    if (record_bytes(parts) <= bytes_max) break;
    const auto one_less = std::erase_if(parts, [&](const auto& part) { return part.name == name; });
    if (one_less > 0) limited.left_out.push_back(name);
  }
  if (const auto bytes = record_bytes(parts); bytes > bytes_max) {
    throw std::invalid_argument(
        fmt::format("_CAIRN record: {} bytes, at most {} are allowed", bytes, bytes_max));
  }
  limited.bytes = join(parts);
  return limited;
}

CairnRecord decode_record(std::string_view bytes) {
  ByteReader reader(checked(bytes), kStructure);
  static_cast<void>(reader.bytes(kMagic.size(), "magic"));
  std::uint32_t version = 0;
  reader.varint(version, "version");
  internal::check_version(reader, version, kVersion);
  std::uint64_t count = 0;
  reader.varint(count, "num_parts");
  reader.expect_room(count, kMinPartBytes, "num_parts");
  CairnRecord record;
  std::unordered_set<std::string_view> names;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto part = decode_part(reader, i);
    if (!names.insert(part.name).second) {
      reader.reject(Field("part", i, "name"), fmt::format("\"{}\" again", part.name),
                    "each part once");
    }
    store(part, record, reader);
  }
  reader.expect_end();
  return record;
}

ContentHash hash_of(std::span<const std::byte> bytes) noexcept {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  ContentHash hash;
  static_assert(sizeof(canonical) == sizeof(hash));
  std::memcpy(hash.data(), &canonical, sizeof(hash));
  return hash;
}

std::string content_hash(std::string_view bytes) {
  const auto hash = XXH3_128bits(bytes.data(), bytes.size());
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

std::string to_hex(const ContentHash& hash) {
  std::string digits;
  for (const std::byte byte : hash) digits += fmt::format("{:02x}", std::to_integer<int>(byte));
  return digits;
}

}  // namespace cairn
