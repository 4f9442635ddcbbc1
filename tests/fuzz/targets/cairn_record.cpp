// _CAIRN: what decodes can be written again and reads the same. A record is taken apart into its
// parts, one of them is changed, and it is put together again with true lengths and checksum.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/internal/byte_io.h>
#include <fuzz/harness.h>

#include <tuple>

namespace cairn::fuzz {
namespace {

constexpr std::size_t kMagicBytes = 8, kChecksumBytes = 4;
constexpr std::string_view kStructure = "fuzz input";

auto parts(const CairnRecord& record) {
  return std::tie(record.writer_version, record.tuples, record.unsigned_scalars,
                  record.manifest_hash, record.strings_hash, record.metadata_hash, record.files,
                  record.array_metadata, record.chunk_checksums, record.codecs, record.chunks,
                  record.unknown);
}

void check(std::string_view input) {
  // One byte of a list is a string in memory, and the name of an array may repeat a reason of 255
  // bytes in seven.
  const auto record =
      decoded(kFreeMemory + 128 * input.size(), [&] { return decode_record(input); });
  if (!record) return;
  const auto encoded = encode(*record);
  require(parts(decode_record(encoded)) == parts(*record), "a record reads back as it was");
  require(content_hash(input).size() == 32, "a hash has 32 digits");
  auto least = *record;
  least.chunks.reset();
  least.codecs.clear();
  least.chunk_checksums.clear();
  least.array_metadata.clear();
  const auto least_bytes = encode(least);
  const auto limited = encode_within(*record, (encoded.size() + least_bytes.size()) / 2);
  require(limited.bytes.size() <= (encoded.size() + least_bytes.size()) / 2, "a limit is kept");
  require(encode_within(*record, least_bytes.size()).bytes == least_bytes,
          "what cannot be done without is kept");
}

// ---- mutation -----------------------------------------------------------------------------------

struct RawPart {
  std::string name;
  std::uint32_t flags = 0;
  std::string bytes;
};

/// None where the frame of the parts does not hold.
std::optional<std::vector<RawPart>> take_apart(std::string_view input) {
  if (input.size() < kMagicBytes + kChecksumBytes) return std::nullopt;
  try {
    const auto body = input.substr(kMagicBytes, input.size() - kMagicBytes - kChecksumBytes);
    internal::ByteReader reader(body, kStructure);
    std::uint64_t version = 0, count = 0;
    reader.varint(version, "version");
    reader.varint(count, "num_parts");
    reader.expect_room(count, 1, "num_parts");
    std::vector<RawPart> found(static_cast<std::size_t>(count));
    for (RawPart& part : found) {
      std::uint32_t length = 0;
      reader.varint(length, "name length");
      part.name = reader.bytes(length, "name");
      reader.varint(part.flags, "flags");
      reader.varint(length, "length");
      part.bytes = reader.bytes(length, "bytes");
    }
    return found;
  } catch (const FormatError&) {
    return std::nullopt;
  }
}

std::string sealed(std::string bytes) {
  const auto crc = crc32c(std::as_bytes(std::span(bytes)));
  return bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
}

std::string put_together(const std::vector<RawPart>& parts) {
  std::string bytes = "CAIRNREC\1";
  internal::ByteWriter writer(bytes, kStructure);
  writer.varint(std::uint64_t{parts.size()}, "num_parts");
  for (const RawPart& part : parts) {
    writer.varint(std::uint64_t{part.name.size()}, "name length");
    writer.bytes(part.name);
    writer.varint(part.flags, "flags");
    writer.varint(std::uint64_t{part.bytes.size()}, "length");
    writer.bytes(part.bytes);
  }
  return sealed(std::move(bytes));
}

std::string mutate(std::string_view input, Mutation& mutation) {
  if (mutation.one_in(16) || input.size() < kChecksumBytes) return mutation.of_bytes(input);
  auto found = take_apart(input);
  if (!found || found->empty() || mutation.one_in(8)) {
    return sealed(mutation.of_bytes(input.substr(0, input.size() - kChecksumBytes)));
  }
  const std::size_t at = mutation.below(found->size());
  RawPart& part = (*found)[at];
  if (mutation.one_in(16)) {
    found->erase(found->begin() + static_cast<std::ptrdiff_t>(at));
  } else if (mutation.one_in(16)) {
    part.name = mutation.of_bytes(part.name);
  } else if (mutation.one_in(32)) {
    part.flags ^= 1;
  } else {
    part.bytes = mutation.of_bytes(part.bytes);
  }
  return put_together(*found);
}

// ---- seeds --------------------------------------------------------------------------------------

CodecRecord codec(std::string array, std::string name, std::string reason) {
  CodecRecord record;
  record.array = std::move(array);
  record.codec = std::move(name);
  record.reason = std::move(reason);
  record.expected_permille = 1493;
  record.bytes = 1u << 30;
  record.stored_bytes = 700'000'000;
  record.chunks = 64;
  record.chunks_stored = 3;
  return record;
}

ChunkChecksums checksums(std::string array, std::vector<std::uint32_t> crc32c) {
  ChunkChecksums record;
  record.array = std::move(array);
  record.crc32c = std::move(crc32c);
  return record;
}

ArrayMetadataHash metadata_hash(std::string array) {
  ArrayMetadataHash metadata;
  metadata.hash = hash_of(std::as_bytes(std::span(array)));
  metadata.array = std::move(array);
  return metadata;
}

FileHash file_hash(std::string name) {
  FileHash file;
  file.bytes = name.size();
  file.hash = hash_of(std::as_bytes(std::span(name)));
  file.name = std::move(name);
  return file;
}

ChunkTraces traces() {
  ChunkTraces traces;
  for (const char* path : {"d/00ff", "d/11"}) {
    DataFileRecord file;
    file.path = path;
    file.bytes = 1u << 28;
    file.age = 3;
    traces.files.push_back(std::move(file));
  }
  for (const char* name : {"w", "opt.m"}) {
    ArrayTrace array;
    array.array = name;
    array.metadata = hash_of(std::as_bytes(std::span(array.array)));
    for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{200}, std::uint64_t{4096}}) {
      ChunkTrace chunk;
      chunk.hash = array.metadata;
      chunk.file = length % 2;
      chunk.offset = 4096 * length;
      chunk.length = length;
      chunk.heat = static_cast<std::uint8_t>(length / 17);
      array.chunks.push_back(chunk);
    }
    traces.arrays.push_back(std::move(array));
  }
  return traces;
}

// A part at a time, and all of them.
Seeds seeds(const TestData&) {
  CairnRecord all;
  Seeds found = {encode(all)};
  const auto add = [&](auto set) {
    CairnRecord one;
    set(one);
    set(all);
    found.push_back(encode(one));
  };
  add([](CairnRecord& record) { record.writer_version = "0.1.0"; });
  add([](CairnRecord& record) { record.tuples = {{"a", "b"}, {"a.b"}, {"c", "0"}, {}}; });
  add([](CairnRecord& record) { record.unsigned_scalars = {"step"}; });
  add([](CairnRecord& record) { record.manifest_hash = content_hash("manifest"); });
  add([](CairnRecord& record) { record.strings_hash = content_hash("strings"); });
  add([](CairnRecord& record) { record.metadata_hash = content_hash("metadata"); });
  add([](CairnRecord& record) { record.files = {file_hash("metadata"), file_hash("metrics")}; });
  add([](CairnRecord& record) {
    record.array_metadata = {metadata_hash("w"), metadata_hash("opt.m")};
  });
  add([](CairnRecord& record) {
    record.chunk_checksums = {checksums("w", {1, 0xdeadbeef}), checksums("empty", {})};
  });
  add([](CairnRecord& record) {
    record.codecs = {codec("w", "blosc planes", "auto: by the sample"),
                     codec("noise", "raw", "auto: the sample promised less than 5 %"),
                     codec("opt.m", "blosc planes", "auto: by the sample")};
  });
  add([](CairnRecord& record) { record.chunks = ChunkTraces(); });
  add([](CairnRecord& record) { record.chunks = traces(); });
  add([](CairnRecord& record) { record.unknown = {{"later", "bytes"}, {"still later", ""}}; });
  found.push_back(encode(all));
  return found;
}

const Registration registration({"cairn_record", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz
