#include <cairn/codecs/zarr.h>
#include <codecs/format_error_matcher.h>
#include <codecs/test_data.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

namespace cairn::zarr {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::ThrowsMessage;

ArrayMetadata example() {
  ArrayMetadata metadata;
  metadata.dtype = DType::float32;
  metadata.shape = {5, 3};
  metadata.chunk_shape = {2, 3};
  metadata.codecs = {Bytes{}, Crc32c{}};
  metadata.fill_value.resize(4);
  return metadata;
}

// The text of example(), with the first `from` replaced by `to`.
std::string with(const std::string& from, const std::string& to) {
  std::string text = encode_metadata(example());
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from << " in " << text;
  return text.replace(at, from.size(), to);
}

std::vector<std::byte> element(const std::string& hex) {
  const std::string bytes = from_hex(hex);
  std::vector<std::byte> result(bytes.size());
  std::memcpy(result.data(), bytes.data(), bytes.size());
  return result;
}

std::vector<std::byte> decoded_fill(const std::string& dtype, const std::string& fill) {
  std::string text =
      with("\"float32\",\"fill_value\":0.0", "\"" + dtype + "\",\"fill_value\":" + fill);
  return decode_metadata(text).fill_value;
}

TEST(Metadata, OfTensorStoreIsReadAndWrittenBackUnchanged) {
  int ties = 0;
  for (const auto& row : read_test_table("zarr/tensorstore.txt")) {
    SCOPED_TRACE(row.at(2));
    const ArrayMetadata metadata = decode_metadata(row.at(2));
    EXPECT_EQ(name_of(metadata.dtype), row.at(0));
    EXPECT_EQ(metadata.fill_value, element(row.at(1)));
    const std::string text = encode_metadata(metadata);
    if (text == row[2]) continue;
    // Two shortest decimals may be equally near to a double, and then TensorStore takes the odd
    // one.
    EXPECT_EQ(text.size(), row[2].size()) << text;
    EXPECT_EQ(decode_metadata(text), metadata);
    ++ties;
  }
  EXPECT_EQ(ties, 2);
}

TEST(Metadata, ComesBackAsItWas) {
  ArrayMetadata metadata = example();
  EXPECT_EQ(decode_metadata(encode_metadata(metadata)), metadata);
  metadata.key_separator = '.';
  metadata.codecs = {Bytes{}};
  metadata.shape = {};
  metadata.chunk_shape = {};
  EXPECT_EQ(decode_metadata(encode_metadata(metadata)), metadata);
}

TEST(Metadata, WithoutAFillValueWritesZeroOfEveryType) {
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    ArrayMetadata metadata = example();
    metadata.dtype = static_cast<DType>(i);
    metadata.fill_value.clear();
    const ArrayMetadata back = decode_metadata(encode_metadata(metadata));
    EXPECT_EQ(back.dtype, metadata.dtype);
    EXPECT_EQ(back.fill_value, std::vector<std::byte>(size_of(metadata.dtype)));
  }
}

TEST(Metadata, KeepsEveryBitPatternOfAnEightBitFillValue) {
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    ArrayMetadata metadata = example();
    metadata.dtype = static_cast<DType>(i);
    const std::string_view name = name_of(metadata.dtype);
    if (!name.starts_with("float8") && name != "int8" && name != "uint8") continue;
    for (int bits = 0; bits < 256; ++bits) {
      metadata.fill_value = {static_cast<std::byte>(bits)};
      EXPECT_EQ(decode_metadata(encode_metadata(metadata)), metadata) << name << " " << bits;
    }
  }
}

TEST(Metadata, KeepsEveryBitPatternOfASixteenBitFillValue) {
  for (const DType dtype : {DType::float16, DType::bfloat16}) {
    ArrayMetadata metadata = example();
    metadata.dtype = dtype;
    metadata.fill_value.resize(2);
    for (unsigned bits = 0; bits < 0x10000; bits += 7) {
      metadata.fill_value = {static_cast<std::byte>(bits), static_cast<std::byte>(bits >> 8)};
      ASSERT_EQ(decode_metadata(encode_metadata(metadata)), metadata) << bits;
    }
  }
}

TEST(Metadata, EncoderRefusesWhatBreaksTheFormat) {
  const auto refused = [](const auto& change, const std::string& why) {
    ArrayMetadata metadata = example();
    change(metadata);
    EXPECT_THAT([&] { (void)encode_metadata(metadata); },
                ThrowsMessage<std::invalid_argument>(HasSubstr(why)));
  };
  refused([](auto& m) { m.chunk_shape = {2}; }, "not of the rank of shape [5,3]");
  refused([](auto& m) { m.chunk_shape = {2, 0}; }, "extent below 1");
  refused([](auto& m) { m.shape = {-1, 3}; }, "negative");
  refused([](auto& m) { m.codecs = {}; }, "`bytes`");
  refused([](auto& m) { m.codecs = {Crc32c{}}; }, "`bytes`");
  refused([](auto& m) { m.codecs = {Bytes{}, Bytes{}}; }, "`bytes`");
  refused([](auto& m) { m.codecs = {Bytes{true}}; }, "little-endian");
  refused([](auto& m) { m.fill_value.resize(3); }, "3 bytes, an element of float32 has 4");
  refused([](auto& m) { m.key_separator = '-'; }, "'-'");
}

TEST(Metadata, ReadsForeignBigEndianArrays) {
  EXPECT_EQ(decode_metadata(with("\"little\"", "\"big\"")).codecs.front(), Bytes{true});
}

TEST(Metadata, ReadsWhatOthersAddThatAReaderMayIgnore) {
  const std::string text =
      with("\"node_type\"",
           R"("attributes":{"a":1},"dimension_names":["x",null],"storage_transformers":[],)"
           R"("later":{"must_understand":false},"node_type")");
  EXPECT_EQ(decode_metadata(text), example());
  EXPECT_EQ(decode_metadata(with("\"name\":\"crc32c\"", R"("name":"crc32c","configuration":{})")),
            example());
}

struct Damage {
  std::string name, from, to, field, found, allowed;
};
class MetadataRefuses : public ::testing::TestWithParam<Damage> {};

TEST_P(MetadataRefuses, NamingTheMember) {
  const Damage& d = GetParam();
  const std::string text = with(d.from, d.to);
  expect_document_error(text, decode_metadata, d.field, d.found, d.allowed);
}

INSTANTIATE_TEST_SUITE_P(
    Damage, MetadataRefuses,
    ::testing::Values(
        Damage{"Text", "{\"chunk_grid\"", "[\"chunk_grid\"", "line 1", "", "JSON"},
        Damage{"Duplicate", "\"zarr_format\":3", "\"zarr_format\":3,\"shape\":[5,3]", "shape",
               "twice", "once"},
        Damage{"Format2", "\"zarr_format\":3", "\"zarr_format\":2", "zarr_format", "2", "3"},
        Damage{"NoFormat", ",\"zarr_format\":3", "", "zarr_format", "nothing", "3"},
        Damage{"Group", "\"array\"", "\"group\"", "node_type", "\"group\"", "\"array\""},
        Damage{"DataType", "\"float32\"", "\"float33\"", "data_type", "\"float33\"", "float64"},
        Damage{"DataTypeKind", "\"float32\"", "7", "data_type", "7", "a string"},
        Damage{"UnknownMember", "\"shape\"", "\"extra\":{\"a\":1},\"shape\"", "extra",
               "an object with 1 members", "must_understand"},
        Damage{"ShapeKind", "\"shape\":[5,3]", "\"shape\":5", "shape", "5",
               "an array of at most 32"},
        Damage{"NegativeShape", "\"shape\":[5,3]", "\"shape\":[5,-3]", "shape", "-3", "0 or more"},
        Damage{"HugeShape", "\"shape\":[5,3]", "\"shape\":[4611686018427387904,3]", "shape",
               "[4611686018427387904,3]", "2^63 bytes"},
        Damage{"ChunkRank", "[2,3]", "[2]", "chunk_shape", "1 extents", "2, as shape has"},
        Damage{"ZeroChunk", "[2,3]", "[2,0]", "chunk_shape", "0", "1 or more"},
        Damage{"HugeChunk", "[2,3]", "[2305843009213693952,2]", "chunk_shape",
               "[2305843009213693952,2]", "2^63 bytes"},
        Damage{"Grid", "\"regular\"", "\"rectangular\"", "chunk_grid/name", "\"rectangular\"",
               "\"regular\""},
        Damage{"GridMember", "\"chunk_shape\":[2,3]", "\"chunk_shape\":[2,3],\"x\":1",
               "chunk_grid/configuration/x", "1", "only chunk_shape"},
        Damage{"KeyEncoding", "{\"name\":\"default\"}", "{\"name\":\"v3\"}",
               "chunk_key_encoding/name", "\"v3\"", "\"default\" or \"v2\""},
        Damage{"Separator", "{\"name\":\"default\"}",
               R"({"name":"default","configuration":{"separator":"-"}})",
               "chunk_key_encoding/configuration/separator", "\"-\"", "\"/\" or \".\""},
        Damage{"UnknownCodec", "\"crc32c\"", "\"lz5\"", "codecs[1]/name", "\"lz5\"", "\"zstd\""},
        Damage{"CodecOrder", "\"crc32c\"", "\"bytes\"", "codecs[1]/configuration/endian", "nothing",
               "\"little\""},
        Damage{"CodecKind", "{\"name\":\"crc32c\"}", "\"crc32c\"", "codecs[1]", "\"crc32c\"",
               "an object"},
        Damage{"CodecMember", "{\"name\":\"crc32c\"}", R"({"name":"crc32c","x":1})", "codecs[1]/x",
               "1", "name, configuration"},
        Damage{"CodecSetting", "{\"name\":\"crc32c\"}",
               R"({"name":"crc32c","configuration":{"seed":1}})", "codecs[1]/configuration/seed",
               "1", "only"},
        Damage{"Endian", "\"little\"", "\"middle\"", "codecs[0]/configuration/endian", "\"middle\"",
               "\"big\""},
        Damage{"NoEndian", "{\"configuration\":{\"endian\":\"little\"},", "{",
               "codecs[0]/configuration/endian", "nothing", "\"little\""},
        Damage{"NoFill", "\"fill_value\":0.0,", "", "fill_value", "nothing", "array's type"},
        Damage{"Attributes", "\"shape\"", "\"attributes\":1,\"shape\"", "attributes", "1",
               "an object"},
        Damage{"DimensionNames", "\"shape\"", "\"dimension_names\":[\"x\"],\"shape\"",
               "dimension_names", "an array of 1", "2 strings"},
        Damage{"Transformers", "\"shape\"", "\"storage_transformers\":[{}],\"shape\"",
               "storage_transformers", "an array of 1", "empty"}),
    [](const auto& test) { return test.param.name; });

TEST(FillValue, TakesNumbersAsTensorStoreDoes) {
  EXPECT_EQ(decoded_fill("float32", "1"), element("0000803f"));
  EXPECT_EQ(decoded_fill("int32", "5.0"), element("05000000"));
  EXPECT_EQ(decoded_fill("uint64", "1e19"), element("0000e8890423c78a"));
  EXPECT_EQ(decoded_fill("float16", "\"0x7E01\""), element("017e"));
  EXPECT_EQ(decoded_fill("float8_e4m3fn", "-1000"), element("ff"));
  EXPECT_EQ(decoded_fill("float8_e4m3fn", "\"Infinity\""), element("7f"));
  EXPECT_EQ(decoded_fill("float8_e4m3fnuz", "-0.0"), element("00"));
  EXPECT_EQ(decoded_fill("float8_e3m4", "1000"), element("70"));
  EXPECT_EQ(decoded_fill("float4_e2m1fn", "-100"), element("0f"));
  EXPECT_EQ(decoded_fill("float4_e2m1fn", "\"NaN\""), element("08"));
  EXPECT_EQ(decoded_fill("float4_e2m1fn", "\"0xff\""), element("0f"));
}

TEST(FillValue, RefusesWhatTheTypeCannotHold) {
  const auto refused = [](const std::string& dtype, const std::string& fill,
                          const std::string& allowed) {
    SCOPED_TRACE(dtype + " " + fill);
    expect_format_error([&] { (void)decoded_fill(dtype, fill); }, "fill_value", "", allowed);
  };
  refused("bool", "1", "true or false");
  refused("int8", "200", "-128 to 127");
  refused("int8", "1.5", "-128 to 127");
  refused("int2", "2", "-2 to 1");
  refused("int4", "-9", "-8 to 7");
  refused("uint8", "-1", "0 to 255");
  refused("int64", "9223372036854775808", "-9223372036854775808 to 9223372036854775807");
  refused("uint64", "-1", "0 to 18446744073709551615");
  refused("uint64", "1.9e19", "0 to 18446744073709551615");
  refused("int32", "\"5\"", "an integer");
  refused("int32", "true", "an integer");
  refused("float32", "true", "a number");
  refused("float32", "null", "a number");
  refused("float32", "NaN", "a number");
  refused("float32", "\"nan\"", "\"NaN\"");
  refused("float16", "\"0x\"", "bits in hex");
  refused("float16", "\"0x00001\"", "bits in hex");
  refused("float16", "\"0x-1\"", "bits in hex");
  refused("float8_e8m0fnu", "1.0", "0.0, \"NaN\" or");
  refused("complex64", "1", "[real, imaginary]");
  refused("complex64", "[1]", "[real, imaginary]");
  refused("complex64", "[1,\"x\"]", "a number");
}

TEST(Grid, CountsChunksWithThePartialOnes) {
  ArrayMetadata metadata = example();
  EXPECT_THAT(grid_shape(metadata), ElementsAre(3, 1));
  metadata.shape = {0, 4};
  EXPECT_THAT(grid_shape(metadata), ElementsAre(0, 2));
  metadata.shape = {};
  metadata.chunk_shape = {};
  EXPECT_THAT(grid_shape(metadata), IsEmpty());
}

TEST(ChunkKey, IsTheIndexBehindAC) {
  ArrayMetadata metadata = example();
  EXPECT_EQ(chunk_key(metadata, Shape{0, 12}), "c/0/12");
  metadata.key_separator = '.';
  EXPECT_EQ(chunk_key(metadata, Shape{0, 12}), "c.0.12");
  metadata.shape = {};
  EXPECT_EQ(chunk_key(metadata, Shape{}), "c");
}

TEST(StoredChunkSize, IsThatOfAFullChunkAndItsChecksums) {
  ArrayMetadata metadata = example();
  EXPECT_EQ(fixed_chunk_size(metadata), 2u * 3u * 4u + 4u);
  metadata.codecs = {Bytes{}};
  EXPECT_EQ(fixed_chunk_size(metadata), 24u);
}

}  // namespace
}  // namespace cairn::zarr
