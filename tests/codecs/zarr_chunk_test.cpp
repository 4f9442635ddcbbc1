// Chains of every kind, from our encoder to our decoder.

#include <cairn/codecs/zarr.h>
#include <codecs/zarr_arrays.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <random>

namespace cairn::zarr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr unsigned kSeed = 20240602;

ArrayMetadata array_of(CodecChain codecs, DType dtype = DType::float32, Shape chunk = {4, 6}) {
  ArrayMetadata metadata;
  metadata.dtype = dtype;
  metadata.shape = chunk;
  metadata.chunk_shape = std::move(chunk);
  metadata.codecs = std::move(codecs);
  return metadata;
}

Bytestring elements_of(const ArrayMetadata& metadata, std::mt19937& random) {
  Bytestring elements(byte_count(metadata.dtype, metadata.chunk_shape));
  // From one value to all: what a compressor makes much of, and what it makes nothing of.
  const unsigned values = 1u << (random() % 9);
  for (std::byte& byte : elements) byte = static_cast<std::byte>(random() % values);
  return elements;
}

/// What decoding makes of the bits above an int2 or int4.
Bytestring with_signs(DType dtype, Bytestring elements) {
  if (dtype != DType::int2 && dtype != DType::int4) return elements;
  const int bits = dtype == DType::int2 ? 2 : 4;
  for (std::byte& element : elements) {
    const auto shifted = static_cast<std::int8_t>(std::to_integer<unsigned>(element) << (8 - bits));
    element = static_cast<std::byte>(shifted >> (8 - bits));
  }
  return elements;
}

std::vector<std::size_t> random_order(std::size_t rank, std::mt19937& random) {
  std::vector<std::size_t> order(rank);
  for (std::size_t i = 0; i < rank; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  return order;
}

Codec random_byte_codec(std::mt19937& random) {
  switch (random() % 5) {
    case 0:
      return Zstd{static_cast<int>(random() % 8) - 4, random() % 2 == 0};
    case 1:
      return Gzip{static_cast<int>(random() % 10), false};
    case 2:
      return Blosc{blosc::Compressor::lz4, static_cast<int>(random() % 10),
                   static_cast<blosc::Shuffle>(random() % 3), 1 + random() % 16, 0};
    default:
      return Crc32c{};
  }
}

CodecChain random_chain(Shape shape, int shards, std::mt19937& random) {
  CodecChain chain;
  for (auto n = random() % 3; n > 0; --n) {
    const auto order = random_order(shape.size(), random);
    Shape next;
    for (const std::size_t axis : order) next.push_back(shape[axis]);
    shape = next;
    chain.push_back(Transpose{order});
  }
  if (shards > 0 && random() % 2 == 0) {
    Sharding sharding;
    for (const Index extent : shape) {
      Index part = 1 + static_cast<Index>(random()) % extent;
      while (extent % part != 0) --part;
      sharding.chunk_shape.push_back(part);
    }
    sharding.codecs = random_chain(sharding.chunk_shape, shards - 1, random);
    sharding.index_codecs = {Bytes{random() % 2 == 0}};
    for (auto n = random() % 3; n > 0; --n) sharding.index_codecs.push_back(Crc32c{});
    sharding.index_at_start = random() % 2 == 0;
    chain.push_back(std::move(sharding));
    return chain;
  }
  chain.push_back(Bytes{random() % 2 == 0});
  for (auto n = random() % 4; n > 0; --n) chain.push_back(random_byte_codec(random));
  return chain;
}

TEST(Chunk, OfAnyChainComesBack) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937 random(kSeed);
  for (int round = 0; round < 3000; ++round) {
    Shape shape(random() % 4);
    for (Index& extent : shape) extent = 1 + static_cast<Index>(random() % 6) * 2;
    const ArrayMetadata metadata =
        array_of(random_chain(shape, 2, random), static_cast<DType>(random() % kDTypeCount), shape);
    const Bytestring given = elements_of(metadata, random);
    const Bytestring stored = encode(metadata, given);
    const Bytestring elements = decode(metadata, stored);
    ASSERT_EQ(elements, with_signs(metadata.dtype, given)) << "round " << round;
    ASSERT_EQ(decode(metadata, encode(metadata, elements)), elements) << "round " << round;
    ASSERT_NO_THROW(check_chunk(metadata, stored)) << "round " << round;
    if (const auto size = fixed_chunk_size(metadata)) {
      ASSERT_EQ(stored.size(), *size);
    }
  }
}

// JAX and ml_dtypes leave zeros above an int2 or int4, and TensorStore stores them.
TEST(Chunk, OfIntegersBelowAByteHasTheirSigns) {
  const auto decoded = [](DType dtype, std::initializer_list<unsigned> bytes) {
    Bytestring stored;
    for (const unsigned byte : bytes) stored.push_back(static_cast<std::byte>(byte));
    std::vector<int> values;
    const auto shape = static_cast<Index>(stored.size());
    for (const std::byte byte : decode(array_of({Bytes{}}, dtype, {shape}), stored))
      values.push_back(static_cast<std::int8_t>(byte));
    return values;
  };
  EXPECT_THAT(decoded(DType::int4, {0x0f, 0xff, 0x08, 0xf8, 0x07, 0x37, 0x00}),
              ElementsAre(-1, -1, -8, -8, 7, 7, 0));
  EXPECT_THAT(decoded(DType::int2, {0x03, 0xff, 0x02, 0xfe, 0x01, 0xf1, 0x00}),
              ElementsAre(-1, -1, -2, -2, 1, 1, 0));
  EXPECT_THAT(decoded(DType::int8, {0x0f, 0x03}), ElementsAre(15, 3));
}

TEST(Chunk, OfEveryCompressorStaysWithinItsBound) {
  std::mt19937 random(kSeed);
  const Codec compressors[] = {Zstd{1}, Zstd{19}, Zstd{-100}, Gzip{0}, Gzip{9}, Blosc{}};
  for (const Index size : {1, 2, 3, 255, 65535, 70000, 1 << 20}) {
    for (const Codec& compressor : compressors) {
      const ArrayMetadata metadata =
          array_of({Bytes{}, compressor, Crc32c{}}, DType::uint8, {size});
      Bytestring elements(static_cast<std::size_t>(size));
      for (std::byte& byte : elements) byte = static_cast<std::byte>(random());
      EXPECT_EQ(decode(metadata, encode(metadata, elements)), elements)
          << name_of(compressor) << " of " << size;
    }
  }
  for (const Codec& compressor : {Codec(Gzip{5, true}), Codec(Bz2{9})}) {
    ArrayMetadata metadata = array_of({Bytes{}, compressor}, DType::uint8, {1 << 20});
    metadata.format = Format::v2;
    Bytestring elements(1 << 20);
    for (std::byte& byte : elements) byte = static_cast<std::byte>(random());
    EXPECT_EQ(decode(metadata, encode(metadata, elements)), elements) << name_of(compressor);
  }
}

TEST(Chunk, BytesAreAsTheyLieInMemoryWithTheirChecksum) {
  const ArrayMetadata metadata = array_of({Bytes{}, Crc32c{}}, DType::uint8, {9});
  Bytestring digits;
  for (const char c : std::string("123456789")) digits.push_back(static_cast<std::byte>(c));
  Bytestring expected = digits;
  for (const int byte : {0x83, 0x92, 0x06, 0xE3}) expected.push_back(static_cast<std::byte>(byte));
  EXPECT_EQ(encode(metadata, digits), expected);
}

TEST(Chunk, IsRefusedWithTheWrongSizes) {
  const ArrayMetadata metadata = array_of({Bytes{}, Crc32c{}});
  Bytestring elements(96);
  Bytestring room(100);
  EXPECT_THAT([&] { (void)encode_chunk(metadata, std::span(elements).first(95), room); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("95 bytes")));
  EXPECT_THAT([&] { (void)encode_chunk(metadata, elements, std::span(room).first(99)); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("may take 100")));
  EXPECT_THAT([&] { decode_chunk(metadata, room, std::span(elements).first(95)); },
              ThrowsMessage<std::invalid_argument>(HasSubstr("95 bytes")));
}

TEST(Chunk, IsRefusedWithAChainThatIsNone) {
  for (const CodecChain& codecs :
       {CodecChain{}, CodecChain{Crc32c{}}, CodecChain{Zstd{}, Bytes{}},
        CodecChain{Bytes{}, Bytes{}}, CodecChain{Bytes{}, Transpose{{1, 0}}},
        CodecChain{Transpose{{0, 0}}, Bytes{}}, CodecChain{Transpose{{0}}, Bytes{}},
        CodecChain{Bytes{}, Bz2{}}, CodecChain{Bytes{}, Gzip{1, true}},
        CodecChain{Bytes{}, Gzip{10}}, CodecChain(17, Codec(Crc32c{}))}) {
    const ArrayMetadata metadata = array_of(codecs);
    Bytestring elements(96);
    EXPECT_THROW((void)chunk_size_bound(metadata), std::invalid_argument);
    EXPECT_THROW((void)encode_chunk(metadata, elements, elements), std::invalid_argument);
    EXPECT_THROW(decode_chunk(metadata, elements, elements), std::invalid_argument);
    EXPECT_THROW((void)encode_metadata(metadata), std::invalid_argument);
  }
}

TEST(Chunk, SaysWhetherAChecksumCoversIt) {
  const Sharding checked{{2, 3}, {Bytes{}, Crc32c{}}, {Bytes{}, Crc32c{}}, false};
  EXPECT_TRUE(has_checksum(array_of({Bytes{}, Crc32c{}})));
  EXPECT_TRUE(has_checksum(array_of({Bytes{}, Zstd{}, Crc32c{}})));
  EXPECT_TRUE(has_checksum(array_of({checked})));
  EXPECT_TRUE(has_checksum(array_of({Transpose{{1, 0}}, checked})));
  EXPECT_FALSE(has_checksum(array_of({Bytes{}})));
  EXPECT_FALSE(has_checksum(array_of({Bytes{}, Crc32c{}, Zstd{}})));
  Sharding open_index = checked;
  open_index.index_codecs = {Bytes{}};
  EXPECT_FALSE(has_checksum(array_of({open_index})));
  Sharding open_cells = checked;
  open_cells.codecs = {Bytes{}};
  EXPECT_FALSE(has_checksum(array_of({open_cells})));
}

TEST(Chunk, HasAFixedSizeWithoutCompressorsAndShards) {
  EXPECT_EQ(fixed_chunk_size(array_of({Bytes{}, Crc32c{}, Crc32c{}})), 104u);
  EXPECT_EQ(fixed_chunk_size(array_of({Transpose{{1, 0}}, Bytes{}})), 96u);
  EXPECT_EQ(fixed_chunk_size(array_of({Bytes{}, Zstd{}})), std::nullopt);
  EXPECT_EQ(fixed_chunk_size(array_of({Sharding{{2, 3}, {Bytes{}}, {Bytes{}}, false}})),
            std::nullopt);
}

TEST(Chunk, ExpandsAsMuchAsItsCompressorsCan) {
  EXPECT_EQ(max_expansion(array_of({Bytes{}, Crc32c{}})), 1u);
  EXPECT_EQ(max_expansion(array_of({Bytes{}, Gzip{}, Crc32c{}})), 1032u);
  EXPECT_EQ(max_expansion(array_of({Bytes{}, Zstd{}, Gzip{}})), 1032u * 32768u);
  EXPECT_EQ(max_expansion(array_of(CodecChain{Bytes{}, Zstd{}, Zstd{}, Zstd{}, Zstd{}, Zstd{}})),
            std::numeric_limits<std::uint64_t>::max());
  EXPECT_EQ(max_expansion(array_of({Sharding{{2, 3}, {Bytes{}}, {Bytes{}}, false}})), std::nullopt);
}

TEST(Chunk, OfZerosStaysWithinTheExpansionOfItsCompressor) {
  constexpr Index kSize = Index{16} << 20;
  const Bytestring zeros(kSize);
  for (const Codec& compressor :
       {Codec(Zstd{19}), Codec(Gzip{9}), Codec(Gzip{9, true}), Codec(Bz2{9}), Codec(Blosc{})}) {
    ArrayMetadata metadata = array_of({Bytes{}, compressor}, DType::uint8, {kSize});
    metadata.format = Format::v2;
    const std::size_t stored = encode(metadata, zeros).size();
    EXPECT_GE(stored * max_expansion(metadata).value(), static_cast<std::uint64_t>(kSize))
        << name_of(compressor) << ": " << stored;
  }
}

TEST(Shard, WritesEveryCell) {
  // All of them equal the fill value, and readers such as Orbax's would take a missing one for
  // damage.
  const ArrayMetadata metadata =
      array_of({Sharding{{2, 3}, {Bytes{}}, {Bytes{}, Crc32c{}}, false}});
  const Bytestring stored = encode(metadata, Bytestring(96));
  const ByteRange range = shard_index_range(metadata, stored.size());
  EXPECT_EQ(range, (ByteRange{96, 68}));
  const ShardIndex index =
      decode_shard_index(metadata, std::span(stored).subspan(range.offset), stored.size());
  EXPECT_THAT(index.cells, ::testing::ElementsAre(ByteRange{0, 24}, ByteRange{24, 24},
                                                  ByteRange{48, 24}, ByteRange{72, 24}));
}

TEST(Shard, OfAnotherKindOfArrayIsNone) {
  const ArrayMetadata metadata = array_of({Bytes{}});
  EXPECT_FALSE(is_sharded(metadata));
  EXPECT_THROW((void)inner_array(metadata), std::invalid_argument);
  EXPECT_THROW((void)shard_index_range(metadata, 100), std::invalid_argument);
  EXPECT_THROW((void)decode_shard_index(metadata, {}, 100), std::invalid_argument);
}

TEST(Keys, AreThoseOfTheFormatAndEncoding) {
  ArrayMetadata metadata = array_of({Bytes{}}, DType::int8, {1, 1});
  const Shape index{10, 2};
  EXPECT_EQ(chunk_key(metadata, index), "c/10/2");
  metadata.key_separator = '.';
  EXPECT_EQ(chunk_key(metadata, index), "c.10.2");
  metadata.v2_keys = true;
  EXPECT_EQ(chunk_key(metadata, index), "10.2");
  metadata.key_separator = '/';
  EXPECT_EQ(chunk_key(metadata, index), "10/2");
  EXPECT_EQ(metadata_file(Format::v3), "zarr.json");
  EXPECT_EQ(metadata_file(Format::v2), ".zarray");
}

}  // namespace
}  // namespace cairn::zarr
