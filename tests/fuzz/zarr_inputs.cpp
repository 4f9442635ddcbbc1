#include <cairn/codecs/crc32c.h>
#include <fuzz/blosc_inputs.h>
#include <fuzz/json_inputs.h>
#include <fuzz/zarr_inputs.h>

#include <sstream>

namespace cairn::fuzz {
namespace {

using namespace zarr;  // NOLINT(google-build-using-namespace): all of this is zarr

/// Elements of a chunk, and cells and codecs in it, that are quick to try.
constexpr std::size_t kChunkBytesMax = std::size_t{64} << 10;
constexpr std::size_t kChecksumBytes = 4;

constexpr std::string_view kWords[] = {
    // zarr.json
    "attributes", "chunk_grid", "chunk_key_encoding", "codecs", "data_type", "dimension_names",
    "fill_value", "node_type", "shape", "storage_transformers", "zarr_format", "must_understand",
    "name", "configuration", "regular", "chunk_shape", "default", "v2", "separator", "array",
    // codecs
    "bytes", "endian", "little", "big", "transpose", "order", "zstd", "level", "checksum", "gzip",
    "blosc", "cname", "clevel", "shuffle", "noshuffle", "bitshuffle", "typesize", "blocksize",
    "blosclz", "lz4", "lz4hc", "snappy", "zlib", "crc32c", "sharding_indexed", "index_codecs",
    "index_location", "start", "end",
    // .zarray
    "chunks", "compressor", "id", "bz2", "dimension_separator", "dtype", "filters", "C", "F", "/",
    ".", "|b1", "|u1", "<i2", ">i2", "<f4", ">f8", "<c8", ">c16",
    // types and values
    "bool", "int2", "int4", "int8", "int64", "uint16", "uint64", "float16", "bfloat16", "float32",
    "float64", "float8_e4m3fn", "float8_e8m0fnu", "float4_e2m1fn", "complex64", "complex128", "NaN",
    "Infinity", "-Infinity", "0x7fc00001", "0xff", "AAAA", "AAAAAAAAAAA="};

void to_written_form(CodecChain& codecs) {
  for (Codec& codec : codecs) {
    if (auto* bytes = std::get_if<Bytes>(&codec.value)) bytes->big_endian = false;
    if (auto* shards = std::get_if<Sharding>(&codec.value)) {
      to_written_form(shards->codecs);
      to_written_form(shards->index_codecs);
    }
    // Without shuffling the size of an element is not written, as it has no effect.
    auto* blosc = std::get_if<Blosc>(&codec.value);
    if (blosc != nullptr && blosc->shuffle == blosc::Shuffle::none) blosc->typesize = 1;
  }
}

// Makes the crc32c of the last codec true, or that of a shard's index.
void repair(const ArrayMetadata& metadata, std::string& stored) {
  const auto seal = [&](std::size_t begin, std::size_t end) {
    if (end - begin < kChecksumBytes) return;
    const auto covered = bytes_of(stored).subspan(begin, end - begin - kChecksumBytes);
    const auto crc = crc32c(covered);
    std::memcpy(stored.data() + end - kChecksumBytes, &crc, sizeof(crc));
  };
  if (is_sharded(metadata)) {
    const auto& sharding = std::get<Sharding>(metadata.codecs.front().value);
    if (!std::holds_alternative<Crc32c>(sharding.index_codecs.back().value)) return;
    try {
      const auto range = shard_index_range(metadata, stored.size());
      seal(static_cast<std::size_t>(range.offset),
           static_cast<std::size_t>(range.offset + range.length));
    } catch (const FormatError&) {  // too short for an index
    }
  } else if (std::holds_alternative<Crc32c>(metadata.codecs.back().value)) {
    seal(0, stored.size());
  }
}

// The elements of a chunk, or bytes made of the input where they do not decode.
std::string elements_of(const ArrayMetadata& metadata, std::size_t bytes, std::string_view stored) {
  std::string elements(bytes, '\0');
  try {
    decode_chunk(metadata, bytes_of(stored), writable_bytes_of(elements));
  } catch (const FormatError&) {
    for (std::size_t i = 0; i < bytes && !stored.empty(); ++i) {
      elements[i] = stored[i % stored.size()];
    }
  }
  return elements;
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
  }
  return bytes;
}

}  // namespace

std::span<const std::string_view> zarr_words() {
  return kWords;
}

std::optional<ArrayMetadata> decoded_metadata(std::string_view text) {
  try {
    return decode_metadata(text);
  } catch (const FormatError&) {
  }
  try {
    return decode_v2_metadata(text);
  } catch (const FormatError&) {
    return std::nullopt;
  }
}

ArrayMetadata written_form(ArrayMetadata metadata) {
  to_written_form(metadata.codecs);
  return metadata;
}

std::optional<std::size_t> chunk_bytes(const ArrayMetadata& metadata) {
  const auto bytes = byte_count(metadata.dtype, metadata.chunk_shape);
  if (bytes > kChunkBytesMax) return std::nullopt;
  return bytes;
}

std::size_t chunk_memory(const ArrayMetadata& metadata, std::size_t stored) {
  // An index takes 24 bytes for each inner chunk, which has one element or more, at each level; two
  // buffers between compressors may be several times the chunk.
  constexpr std::size_t kBuffers = 64;
  return 4 * kFreeMemory + kBuffers * (chunk_bytes(metadata).value_or(0) + stored);
}

std::string encoded_chunk(const ArrayMetadata& metadata, std::string_view elements) {
  std::string stored(chunk_size_bound(metadata), '\0');
  const auto size = encode_chunk(metadata, bytes_of(elements), writable_bytes_of(stored));
  require(size <= stored.size(), "a chunk keeps to its bound");
  stored.resize(size);
  return stored;
}

ChunkInput split(std::string_view input) {
  const auto end = input.find('\0');
  if (end == input.npos) return {std::string(input), {}};
  return {std::string(input.substr(0, end)), std::string(input.substr(end + 1))};
}

std::string joined(const ChunkInput& input) {
  return input.text + '\0' + input.stored;
}

std::string mutate_chunk(std::string_view input, Mutation& mutation) {
  auto chunk = split(input);
  const auto before = decoded_metadata(chunk.text);
  const auto what = mutation.below(8);
  if (what < 3) chunk.text = mutate_json(chunk.text, kWords, mutation);
  if (what >= 5) chunk.stored = mutation.of_bytes(chunk.stored);
  const auto metadata = decoded_metadata(chunk.text);
  if (!metadata) return joined(chunk);
  if (what < 5) {
    const auto bytes = chunk_bytes(*metadata);
    if (!bytes || !chunk_bytes(before.value_or(*metadata))) return joined(chunk);
    auto elements = elements_of(before.value_or(*metadata),
                                *chunk_bytes(before.value_or(*metadata)), chunk.stored);
    if (what >= 3) elements = mutation.of_bytes(elements);
    elements.resize(*bytes);
    // TensorStore writes no big-endian arrays, and neither do we: byte order is for the decoder.
    chunk.stored = encoded_chunk(*metadata, elements);
  } else if (!mutation.one_in(4)) {
    repair(*metadata, chunk.stored);
  }
  return joined(chunk);
}

namespace {

// Chains that the peers' files do not have: checksums behind each compressor, and several of them.
Seeds our_chunks() {
  constexpr Index kExtent = 40;
  const std::string elements(kExtent * sizeof(float), '\x3f');
  Blosc blosc;
  blosc.typesize = sizeof(float);
  const CodecChain chains[] = {{Bytes(), blosc, Crc32c()},
                               {Bytes(), Zstd(), Crc32c()},
                               {Bytes(), Gzip(), Crc32c(), Crc32c()},
                               {Bytes(), Crc32c(), Zstd(), Gzip()},
                               {Transpose{{0}}, Bytes(), blosc, Zstd()}};
  Seeds found;
  for (const auto& chain : chains) {
    ArrayMetadata metadata;
    metadata.shape = metadata.chunk_shape = {kExtent};
    metadata.codecs = chain;
    found.push_back(joined({encode_metadata(metadata), encoded_chunk(metadata, elements)}));
  }
  return found;
}

}  // namespace

Seeds golden_chunks(const TestData& data) {
  Seeds found = our_chunks();
  std::istringstream lines(data.read("zarr/chunks.txt"));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream row(line);
    std::string name, text, elements, key, stored;
    std::getline(row, name, '\t');
    std::getline(row, text, '\t');
    std::getline(row, elements, '\t');
    if (std::getline(row, key, '\t') && std::getline(row, stored, '\t')) {
      found.push_back(joined({text, from_hex(stored)}));
    }
  }
  return found;
}

}  // namespace cairn::fuzz
