#include <cairn/codecs/internal/byte_io.h>
#include <cairn/codecs/internal/cairn_record_parts.h>

#include <limits>
#include <map>

namespace cairn::internal {
namespace {

constexpr std::string_view kPaths = "_CAIRN record, part tuples";
constexpr std::string_view kFiles = "_CAIRN record, part files";
constexpr std::string_view kMetadataHashes = "_CAIRN record, part array_metadata";
constexpr std::string_view kChecksums = "_CAIRN record, part chunk_checksums";
constexpr std::string_view kCodecs = "_CAIRN record, part codecs";
constexpr std::string_view kTraces = "_CAIRN record, part chunks";

// The fewest bytes that one record of each kind takes: what a count must leave room for.
constexpr std::uint64_t kMinPathBytes = 1;
constexpr std::uint64_t kMinTextBytes = 1;
constexpr std::uint64_t kMinHashedFileBytes = 19;
constexpr std::uint64_t kMinHashedArrayBytes = 17;
constexpr std::uint64_t kMinChecksumArrayBytes = 2;
constexpr std::uint64_t kMinKindBytes = 2;
constexpr std::uint64_t kMinCodecBytes = 7;
constexpr std::uint64_t kMinFileBytes = 3;
constexpr std::uint64_t kMinTraceArrayBytes = 18;
constexpr std::uint64_t kMinTraceBytes = 20;
/// Of a codec's name and a reason, which every array that has them holds in memory.
constexpr std::uint64_t kLabelBytesMax = 255;
constexpr std::uint64_t kFileNameBytesMax = 255;  // of every Linux file system

// One description for both directions: `io` is a ByteReader or a ByteWriter, and values are read
// or written through the same references.

template <class Io>
void text(Io& io, std::string& value, const Field& field,
          std::uint64_t bytes_max = std::numeric_limits<std::uint64_t>::max()) {
  std::uint64_t length = value.size();
  io.varint(length, field, bytes_max);
  if constexpr (Io::kReads) {
    value = io.bytes(static_cast<std::size_t>(length), field);
  } else {
    io.bytes(value);
  }
}

template <class Io, class T>
void count(Io& io, std::vector<T>& values, std::uint64_t bytes_each, const Field& field) {
  std::uint64_t number = values.size();
  io.varint(number, field);
  if constexpr (Io::kReads) {
    io.expect_room(number, bytes_each, field);
    values.resize(static_cast<std::size_t>(number));
  }
}

template <class Io>
void transfer(Io& io, std::vector<KeyNames>& paths) {
  count(io, paths, kMinPathBytes, "num_paths");
  for (std::size_t i = 0; i < paths.size(); ++i) {
    count(io, paths[i], kMinTextBytes, Field("path", i, "num_keys"));
    for (std::string& key : paths[i]) text(io, key, Field("path", i, "key"));
  }
}

/// In ascending order, so that each is there once.
template <class Io>
void check_name(Io& io, const std::vector<FileHash>& files, std::size_t i) {
  const std::string& name = files[i].name;
  const Field field("file", i, "name");
  if (name.empty() || name.find('/') != std::string::npos || name.find('\0') != std::string::npos)
    io.reject(field, '"' + name + '"', "the name of a file, without slash and NUL");
  if (i > 0 && name <= files[i - 1].name)
    io.reject(field, '"' + name + "\" after \"" + files[i - 1].name + '"', "ascending names");
}

template <class Io>
void transfer(Io& io, std::vector<FileHash>& files) {
  count(io, files, kMinHashedFileBytes, "num_files");
  for (std::size_t i = 0; i < files.size(); ++i) {
    text(io, files[i].name, Field("file", i, "name"), kFileNameBytesMax);
    check_name(io, files, i);
    io.varint(files[i].bytes, Field("file", i, "bytes"));
    io.raw(files[i].hash, Field("file", i, "hash"));
  }
}

template <class Io>
void transfer(Io& io, std::vector<ArrayMetadataHash>& arrays) {
  count(io, arrays, kMinHashedArrayBytes, "num_arrays");
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    text(io, arrays[i].array, Field("array", i, "name"));
    io.raw(arrays[i].hash, Field("array", i, "hash"));
  }
}

template <class Io>
void transfer(Io& io, std::vector<ChunkChecksums>& arrays) {
  count(io, arrays, kMinChecksumArrayBytes, "num_arrays");
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    text(io, arrays[i].array, Field("array", i, "name"));
    count(io, arrays[i].crc32c, sizeof(std::uint32_t), Field("array", i, "num_chunks"));
    for (std::uint32_t& crc : arrays[i].crc32c) {
      io.little_endian(crc, Field("array", i, "crc32c"));
    }
  }
}

template <class Io>
void transfer(Io& io, ChunkTrace& chunk, std::uint64_t files, std::size_t array) {
  const std::uint64_t last = files == 0 ? 0 : files - 1;
  io.raw(chunk.hash, Field("array", array, "chunk hash"));
  io.varint(chunk.length, Field("array", array, "chunk length"));
  io.u8(chunk.heat, Field("array", array, "chunk heat"));
  io.varint(chunk.file, Field("array", array, "chunk file"), last);
  io.varint(chunk.offset, Field("array", array, "chunk offset"));
}

template <class Io>
void transfer(Io& io, ChunkTraces& traces) {
  count(io, traces.files, kMinFileBytes, "num_files");
  for (std::size_t i = 0; i < traces.files.size(); ++i) {
    DataFileRecord& file = traces.files[i];
    text(io, file.path, Field("file", i, "path"));
    io.varint(file.bytes, Field("file", i, "bytes"));
    io.varint(file.age, Field("file", i, "age"));
  }
  count(io, traces.arrays, kMinTraceArrayBytes, "num_arrays");
  for (std::size_t i = 0; i < traces.arrays.size(); ++i) {
    ArrayTrace& array = traces.arrays[i];
    text(io, array.array, Field("array", i, "name"));
    io.raw(array.metadata, Field("array", i, "metadata hash"));
    count(io, array.chunks, kMinTraceBytes, Field("array", i, "num_chunks"));
    for (ChunkTrace& chunk : array.chunks) transfer(io, chunk, traces.files.size(), i);
  }
}

/// A codec and a reason: many arrays have the same.
struct Kind {
  std::string codec;
  std::string reason;
};

template <class Io>
void transfer(Io& io, std::vector<Kind>& kinds) {
  count(io, kinds, kMinKindBytes, "num_kinds");
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    text(io, kinds[i].codec, Field("kind", i, "codec"), kLabelBytesMax);
    text(io, kinds[i].reason, Field("kind", i, "reason"), kLabelBytesMax);
  }
}

template <class Io>
void transfer(Io& io, CodecRecord& array, std::uint64_t& kind, std::uint64_t kinds, std::size_t i) {
  text(io, array.array, Field("array", i, "name"));
  io.varint(kind, Field("array", i, "kind"), kinds - 1);
  io.varint(array.expected_permille, Field("array", i, "expected ratio"));
  io.varint(array.bytes, Field("array", i, "bytes"));
  io.varint(array.stored_bytes, Field("array", i, "stored bytes"));
  io.varint(array.chunks, Field("array", i, "chunks"));
  io.varint(array.chunks_stored, Field("array", i, "chunks stored"));
}

/// Of the parts that are lists of one kind.
template <class T>
std::string encode_list(std::vector<T> values, std::string_view structure) {
  std::string bytes;
  ByteWriter writer(bytes, structure);
  transfer(writer, values);
  return bytes;
}

template <class T>
std::vector<T> decode_list(std::string_view bytes, std::uint64_t start,
                           std::string_view structure) {
  ByteReader reader(bytes, structure, start);
  std::vector<T> values;
  transfer(reader, values);
  reader.expect_end();
  return values;
}

}  // namespace

std::string encode_paths(const std::vector<KeyNames>& paths) {
  return encode_list(paths, kPaths);
}

std::vector<KeyNames> decode_paths(std::string_view bytes, std::uint64_t start) {
  return decode_list<KeyNames>(bytes, start, kPaths);
}

std::string encode_files(const std::vector<FileHash>& files) {
  return encode_list(files, kFiles);
}

std::vector<FileHash> decode_files(std::string_view bytes, std::uint64_t start) {
  return decode_list<FileHash>(bytes, start, kFiles);
}

std::string encode_metadata_hashes(const std::vector<ArrayMetadataHash>& arrays) {
  return encode_list(arrays, kMetadataHashes);
}

std::vector<ArrayMetadataHash> decode_metadata_hashes(std::string_view bytes, std::uint64_t start) {
  return decode_list<ArrayMetadataHash>(bytes, start, kMetadataHashes);
}

std::string encode_checksums(const std::vector<ChunkChecksums>& arrays) {
  return encode_list(arrays, kChecksums);
}

std::vector<ChunkChecksums> decode_checksums(std::string_view bytes, std::uint64_t start) {
  return decode_list<ChunkChecksums>(bytes, start, kChecksums);
}

std::string encode_codecs(const std::vector<CodecRecord>& arrays) {
  std::vector<Kind> kinds;
  std::map<std::pair<std::string_view, std::string_view>, std::uint64_t> known;
  std::vector<std::uint64_t> kind_of;
  kind_of.reserve(arrays.size());
  for (const CodecRecord& array : arrays) {
    const auto [found, fresh] = known.try_emplace({array.codec, array.reason}, kinds.size());
    if (fresh) kinds.push_back({array.codec, array.reason});
    kind_of.push_back(found->second);
  }
  std::string bytes;
  ByteWriter writer(bytes, kCodecs);
  transfer(writer, kinds);
  writer.varint(std::uint64_t{arrays.size()}, "num_arrays");
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    CodecRecord copy = arrays[i];
    transfer(writer, copy, kind_of[i], kinds.size(), i);
  }
  return bytes;
}

std::vector<CodecRecord> decode_codecs(std::string_view bytes, std::uint64_t start) {
  ByteReader reader(bytes, kCodecs, start);
  std::vector<Kind> kinds;
  transfer(reader, kinds);
  std::vector<CodecRecord> arrays;
  count(reader, arrays, kMinCodecBytes, "num_arrays");
  if (kinds.empty() && !arrays.empty()) {
    reader.fail("num_arrays", std::to_string(arrays.size()), "0, as there are no kinds");
  }
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    std::uint64_t kind = 0;
    transfer(reader, arrays[i], kind, kinds.size(), i);
    arrays[i].codec = kinds[static_cast<std::size_t>(kind)].codec;
    arrays[i].reason = kinds[static_cast<std::size_t>(kind)].reason;
  }
  reader.expect_end();
  return arrays;
}

std::string encode_traces(const ChunkTraces& traces) {
  std::string bytes;
  ByteWriter writer(bytes, kTraces);
  auto copy = traces;
  transfer(writer, copy);
  return bytes;
}

ChunkTraces decode_traces(std::string_view bytes, std::uint64_t start) {
  ByteReader reader(bytes, kTraces, start);
  ChunkTraces traces;
  transfer(reader, traces);
  reader.expect_end();
  return traces;
}

}  // namespace cairn::internal
