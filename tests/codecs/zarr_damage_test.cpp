// Chunks that are not what their metadata says: always a FormatError, never more memory or bytes
// than the chunk has.

#include <bzlib.h>
#include <cairn/codecs/format_error.h>
#include <cairn/codecs/zarr.h>
#include <codecs/format_error_matcher.h>
#include <codecs/zarr_arrays.h>
#include <gtest/gtest.h>
#include <support/sanitized.h>
#include <zlib.h>
#include <zstd.h>

namespace cairn::zarr {
namespace {

ArrayMetadata array_of(CodecChain codecs, DType dtype = DType::uint8, Shape chunk = {24}) {
  ArrayMetadata metadata;
  metadata.dtype = dtype;
  metadata.shape = chunk;
  metadata.chunk_shape = std::move(chunk);
  metadata.codecs = std::move(codecs);
  return metadata;
}

ArrayMetadata v2_array_of(Codec compressor) {
  ArrayMetadata metadata = array_of({Bytes{}, std::move(compressor)});
  metadata.format = Format::v2;
  return metadata;
}

// True when the chunk was refused; anything but a FormatError fails the test.
bool refuses(const ArrayMetadata& metadata, std::span<const std::byte> stored) {
  // A copy of its own size: a read beyond the end is one beyond the memory.
  const Bytestring exact(stored.begin(), stored.end());
  bool checked = true;
  try {
    check_chunk(metadata, exact);
  } catch (const FormatError&) {
    checked = false;
  }
  try {
    (void)decode(metadata, exact);
  } catch (const FormatError&) {
    return true;
  }
  EXPECT_TRUE(checked) << "the check refuses what can be decoded";
  return false;
}

TEST(DamagedChunk, CutAtAnyByteIsRefused) {
  std::size_t arrays = 0;
  for (const StoredArray& array : stored_arrays()) {
    SCOPED_TRACE(array.name);
    const Bytestring& stored = array.chunks.empty() ? Bytestring() : array.chunks.begin()->second;
    // Of a sample, each array starts at another size.
    for (std::size_t size = arrays++ % test::kOneCaseIn; size < stored.size();
         size += test::kOneCaseIn) {
      ASSERT_TRUE(refuses(array.metadata, std::span(stored).first(size)))
          << size << " of " << stored.size() << " bytes";
    }
  }
}

TEST(DamagedChunk, WithMoreBytesBehindItIsRefused) {
  for (const StoredArray& array : stored_arrays()) {
    if (array.chunks.empty()) continue;
    SCOPED_TRACE(array.name);
    Bytestring stored = array.chunks.begin()->second;
    stored.push_back(std::byte{'x'});
    const auto* shards = std::get_if<Sharding>(&array.metadata.codecs.back().value);
    // After an index at the start, anything may lie between and behind the cells.
    EXPECT_EQ(refuses(array.metadata, stored), shards == nullptr || !shards->index_at_start);
  }
}

TEST(DamagedChunk, WithFlippedBitsIsRefusedOrDecoded) {
  std::size_t arrays = 0;
  for (const StoredArray& array : stored_arrays()) {
    if (array.chunks.empty()) continue;
    SCOPED_TRACE(array.name);
    Bytestring stored = array.chunks.begin()->second;
    // An odd stride: each bit of a byte comes in turn.
    for (std::size_t i = arrays++ % test::kOneCaseIn; i < stored.size();
         i += test::kOneCaseIn | 1) {
      const auto bit = static_cast<std::byte>(1u << (i % 8));
      stored[i] ^= bit;
      const bool refused = refuses(array.metadata, stored);
      if (has_checksum(array.metadata)) {
        ASSERT_TRUE(refused) << "byte " << i;
      }
      stored[i] ^= bit;
    }
  }
}

// ---- content larger than the chunk ----

constexpr std::size_t kBombBytes = std::size_t{16} << 20;

template <class Compress>
Bytestring bomb(const Compress& compress) {
  const Bytestring zeros(kBombBytes);
  Bytestring stream(kBombBytes / 16);
  stream.resize(compress(zeros, stream));
  return stream;
}

void expect_too_large(const ArrayMetadata& metadata, const Bytestring& stored,
                      const std::string& place, const std::string& found,
                      const std::string& allowed = "24 bytes") {
  expect_format_error([&] { (void)decode(metadata, stored); }, place, found, allowed);
  expect_format_error([&] { check_chunk(metadata, stored); }, place, found, allowed);
}

TEST(Bomb, OfZstdIsRefusedWithWhatItDeclares) {
  const Bytestring stream = bomb([](const Bytestring& from, Bytestring& to) {
    return ZSTD_compress(to.data(), to.size(), from.data(), from.size(), 1);
  });
  expect_too_large(array_of({Bytes{}, Zstd{}}), stream, "codecs[1] zstd: content",
                   "16777216 bytes");
}

TEST(Bomb, OfZstdIsRefusedWithoutADeclaration) {
  const Bytestring stream = bomb([](const Bytestring& from, Bytestring& to) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    const std::size_t size =
        ZSTD_compress2(context, to.data(), to.size(), from.data(), from.size());
    ZSTD_freeCCtx(context);
    return size;
  });
  expect_too_large(array_of({Bytes{}, Zstd{}}), stream, "codecs[1] zstd: content",
                   "more than 24 bytes");
}

Bytestring gzip_bomb(int window_bits) {
  return bomb([&](const Bytestring& from, Bytestring& to) {
    z_stream z{};
    EXPECT_EQ(deflateInit2(&z, 9, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(from.data()));
    z.avail_in = static_cast<uInt>(from.size());
    z.next_out = reinterpret_cast<Bytef*>(to.data());
    z.avail_out = static_cast<uInt>(to.size());
    EXPECT_EQ(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return static_cast<std::size_t>(z.total_out);
  });
}

TEST(Bomb, OfGzipIsRefused) {
  expect_too_large(array_of({Bytes{}, Gzip{}}), gzip_bomb(15 + 16), "codecs[1] gzip: content",
                   "more than 24 bytes");
  expect_too_large(v2_array_of(Gzip{1, true}), gzip_bomb(15), "codecs[1] zlib: content",
                   "more than 24 bytes");
}

TEST(Bomb, OfBz2IsRefused) {
  const Bytestring stream = bomb([](const Bytestring& from, Bytestring& to) {
    auto size = static_cast<unsigned>(to.size());
    EXPECT_EQ(BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(to.data()), &size,
                                       reinterpret_cast<char*>(const_cast<std::byte*>(from.data())),
                                       static_cast<unsigned>(from.size()), 9, 0, 0),
              BZ_OK);
    return std::size_t{size};
  });
  expect_too_large(v2_array_of(Bz2{1}), stream, "codecs[1] bz2: content", "more than 24 bytes");
}

TEST(Bomb, OfBloscIsRefusedWithWhatItDeclares) {
  const Bytestring stream = bomb([](const Bytestring& from, Bytestring& to) {
    Bytestring frame(blosc::frame_bound(from.size()));
    const std::size_t size = blosc::encode(from, {}, frame);
    std::copy_n(frame.begin(), std::min(size, to.size()), to.begin());
    return size;
  });
  expect_too_large(array_of({Bytes{}, Blosc{}}), stream, "codecs[1] blosc: content",
                   "16777216 bytes");
  // Checked before the checksum of the frame would matter.
  Bytestring checked = stream;
  const ArrayMetadata one =
      array_of({Bytes{}, Crc32c{}}, DType::uint8, {static_cast<Index>(stream.size())});
  checked = encode(one, stream);
  expect_too_large(array_of({Bytes{}, Blosc{}, Crc32c{}}), checked, "codecs[1] blosc: content",
                   "16777216 bytes");
}

TEST(Bomb, BetweenTwoCompressorsIsRefused) {
  // What zstd may make of 24 bytes is bounded too: 2 x 24 + 64 KiB.
  expect_too_large(array_of({Bytes{}, Zstd{}, Gzip{}}), gzip_bomb(15 + 16),
                   "codecs[2] gzip: content", "more than 65584 bytes", "65584 bytes");
  expect_too_large(array_of({Bytes{}, Crc32c{}, Gzip{}}), gzip_bomb(15 + 16),
                   "codecs[2] gzip: content", "more than 28 bytes", "28 bytes");
}

TEST(Bomb, OfAWindowCostsNothing) {
  // A raw block of 24 bytes in a frame whose window is 2 GiB.
  Bytestring frame = bytes_from_hex(
      "28b52ffd"
      "00"
      "a8"
      "c10000");
  for (int i = 0; i < 24; ++i) frame.push_back(static_cast<std::byte>(i));
  const ArrayMetadata metadata = array_of({Bytes{}, Zstd{}});
  EXPECT_EQ(decode(metadata, frame), Bytestring(frame.end() - 24, frame.end()));
}

// ---- content of another size ----

TEST(DamagedChunk, OfAnotherSizeSaysBothSizes) {
  for (const Codec& compressor : {Codec(Zstd{}), Codec(Gzip{}), Codec(Blosc{})}) {
    const ArrayMetadata shorter = array_of({Bytes{}, compressor}, DType::uint8, {23});
    const ArrayMetadata longer = array_of({Bytes{}, compressor}, DType::uint8, {25});
    const ArrayMetadata metadata = array_of({Bytes{}, compressor});
    const std::string field = std::string(name_of(compressor)) + ": content";
    expect_format_error([&] { (void)decode(metadata, encode(shorter, Bytestring(23))); }, field,
                        "23 bytes", "24 bytes");
    expect_format_error([&] { (void)decode(metadata, encode(longer, Bytestring(25))); }, field,
                        "bytes", "24 bytes");
  }
  expect_format_error([&] { (void)decode(array_of({Bytes{}}), Bytestring(25)); }, "codecs[0] bytes",
                      "25 bytes", "24 bytes");
}

Bytestring concatenated(const Codec& compressor, const Bytestring& elements) {
  Bytestring stored;
  for (std::size_t i = 0; i < 24; i += 8) {
    ArrayMetadata part = v2_array_of(compressor);
    part.chunk_shape = part.shape = {8};
    const Bytestring stream = encode(part, std::span(elements).subspan(i, 8));
    stored.insert(stored.end(), stream.begin(), stream.end());
  }
  return stored;
}

TEST(Chunk, OfSeveralStreamsIsReadAsNumcodecsReadsIt) {
  Bytestring elements;
  for (int i = 0; i < 24; ++i) elements.push_back(static_cast<std::byte>(i));
  for (const Codec& compressor : {Codec(Zstd{}), Codec(Gzip{}), Codec(Bz2{})}) {
    EXPECT_EQ(decode(v2_array_of(compressor), concatenated(compressor, elements)), elements)
        << name_of(compressor);
  }
  const Codec zlib = Gzip{1, true};
  expect_format_error([&] { (void)decode(v2_array_of(zlib), concatenated(zlib, elements)); },
                      "codecs[1] zlib: stream", "bytes after the stream", "none");
}

// ---- shards ----

using Entry = std::pair<std::uint64_t, std::uint64_t>;
constexpr std::uint64_t kAbsent = ~std::uint64_t{0};

// Elements 0 to 23, and an index of those entries behind them.
Bytestring shard_of(const std::vector<Entry>& entries) {
  Bytestring stored;
  for (int i = 0; i < 24; ++i) stored.push_back(static_cast<std::byte>(i));
  for (const auto& [offset, length] : entries) {
    for (const std::uint64_t number : {offset, length}) {
      for (int i = 0; i < 64; i += 8) stored.push_back(static_cast<std::byte>(number >> i & 0xff));
    }
  }
  return stored;
}

TEST(DamagedShard, CellsMustLieWithinIt) {
  const ArrayMetadata metadata = array_of({Sharding{{12}, {Bytes{}}, {Bytes{}}, false}});
  const auto refused = [&](Entry entry, const std::string& found) {
    expect_format_error(
        [&] {
          (void)decode(metadata, shard_of({{0, 12}, entry}));
        },
        "shard index: cell 1", found, "within the shard's 56 bytes");
    expect_format_error(
        [&] {
          check_chunk(metadata, shard_of({{0, 12}, entry}));
        },
        "shard index: cell 1", found, "within the shard's 56 bytes");
  };
  refused({45, 12}, "12 bytes at offset 45");
  refused({57, 0}, "0 bytes at offset 57");
  refused({std::uint64_t{1} << 63, 12}, "12 bytes at offset 9223372036854775808");
  refused({12, (std::uint64_t{1} << 63) - 1}, "9223372036854775807 bytes at offset 12");
  refused({kAbsent - 4, 12}, "at offset 18446744073709551611");
  refused({kAbsent, 12}, "12 bytes at offset 18446744073709551615");
  refused({12, kAbsent}, "18446744073709551615 bytes at offset 12");
  refused({kAbsent, 0}, "0 bytes at offset 18446744073709551615");
}

TEST(DamagedShard, ErrorsSayWhichCell) {
  const ArrayMetadata metadata = array_of(
      {Sharding{{12}, {Sharding{{6}, {Bytes{}}, {Bytes{}}, true}}, {Bytes{}, Crc32c{}}, false}});
  Bytestring stored = encode(metadata, Bytestring(24));
  // Length of the second cell of the second shard: 32 bytes of index, 12 of cells, 24 within.
  ArrayMetadata unchecked = metadata;
  std::get<Sharding>(unchecked.codecs[0].value).index_codecs = {Bytes{}};
  stored = encode(unchecked, Bytestring(24));
  stored[44 + 24] = std::byte{5};
  expect_format_error([&] { (void)decode(unchecked, stored); }, "cell 1: cell 1: codecs[0] bytes",
                      "5 bytes", "6 bytes");
}

TEST(DamagedShard, IsRefusedWithoutRoomForItsIndex) {
  const ArrayMetadata metadata = array_of({Sharding{{12}, {Bytes{}}, {Bytes{}, Crc32c{}}, false}});
  expect_format_error([&] { (void)decode(metadata, Bytestring(35)); }, "shard index", "35 bytes",
                      "at least 36");
  expect_format_error([&] { (void)shard_index_range(metadata, 35); }, "shard index", "35 bytes",
                      "at least 36");
  expect_format_error([&] { (void)decode_shard_index(metadata, Bytestring(35), 100); },
                      "shard index", "35 bytes", "36 for 2");
  expect_format_error([&] { (void)decode_shard_index(metadata, Bytestring(36), 100); },
                      "shard index: crc32c", "over the 32 bytes", "as stored");
}

TEST(Shard, MayHaveCellsInAnyOrderWithGapsAndSharedBytes) {
  ArrayMetadata metadata = array_of({Sharding{{6}, {Bytes{}}, {Bytes{}}, false}});
  metadata.fill_value = {std::byte{9}};
  const Bytestring elements =
      decode(metadata, shard_of({{18, 6}, {kAbsent, kAbsent}, {0, 6}, {3, 6}}));
  EXPECT_EQ(elements, bytes_from_hex("121314151617"
                                     "090909090909"
                                     "000102030405"
                                     "030405060708"));
}

}  // namespace
}  // namespace cairn::zarr
