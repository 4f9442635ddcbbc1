// Metadata that breaks the rules of codecs and of zarr v2.

#include <cairn/codecs/zarr.h>
#include <codecs/format_error_matcher.h>
#include <codecs/zarr_arrays.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cairn::zarr {
namespace {

using ::testing::HasSubstr;
using ::testing::ThrowsMessage;

constexpr const char* kBytes = R"({"name":"bytes","configuration":{"endian":"little"}})";

std::string v3_text(const std::string& codecs, const std::string& chunk = "4,6") {
  return R"({"zarr_format":3,"node_type":"array","data_type":"int16","shape":[)" + chunk +
         R"(],"chunk_grid":{"name":"regular","configuration":{"chunk_shape":[)" + chunk +
         R"(]}},"chunk_key_encoding":{"name":"default"},"fill_value":0,"codecs":[)" + codecs + "]}";
}

std::string codec(const std::string& name, const std::string& configuration) {
  return R"({"name":")" + name + R"(","configuration":{)" + configuration + "}}";
}

std::string shards(const std::string& chunk, const std::string& codecs,
                   const std::string& index = kBytes, const std::string& more = "") {
  return codec("sharding_indexed", R"("chunk_shape":[)" + chunk + R"(],"codecs":[)" + codecs +
                                       R"(],"index_codecs":[)" + index + "]" + more);
}

struct Refused {
  std::string name, codecs, field, found, allowed;
};
class CodecsRefuse : public ::testing::TestWithParam<Refused> {};

TEST_P(CodecsRefuse, NamingTheMember) {
  const Refused& r = GetParam();
  expect_document_error(v3_text(r.codecs), decode_metadata, r.field, r.found, r.allowed);
}

const std::string kB = std::string(kBytes) + ",";
const std::string kBlosc =
    R"("cname":"lz4","clevel":5,"shuffle":"shuffle","typesize":2,"blocksize":0)";
std::string blosc_with(const std::string& from, const std::string& to) {
  std::string text = kBlosc;
  return kB + codec("blosc", text.replace(text.find(from), from.size(), to));
}
std::string seventeen() {
  std::string text = kBytes;
  for (int i = 0; i < 16; ++i) text += R"(,{"name":"crc32c"})";
  return text;
}
std::string nested(int levels) {
  return levels == 0 ? std::string(kBytes) : shards("4,6", nested(levels - 1));
}

INSTANTIATE_TEST_SUITE_P(
    Rules, CodecsRefuse,
    ::testing::Values(
        Refused{"None", "", "codecs", "an array of 0", "1 to 16"},
        Refused{"TooMany", seventeen(), "codecs", "an array of 17", "1 to 16"},
        Refused{"NoSerializer", codec("transpose", R"("order":[1,0])"), "codecs", "no codec",
                "`bytes` or `sharding_indexed`"},
        Refused{"TwoSerializers", kB + kBytes, "codecs[1]/name", "\"bytes\"",
                "any transposes, then"},
        Refused{"LateTranspose", kB + codec("transpose", R"("order":[1,0])"), "codecs[1]/name",
                "\"transpose\"", "any transposes, then"},
        Refused{"EarlyCompressor", codec("gzip", R"("level":1)") + "," + kBytes, "codecs[0]/name",
                "\"gzip\"", "any transposes, then"},
        Refused{"Bz2", kB + codec("bz2", R"("level":1)"), "codecs[1]/name", "\"bz2\"", "\"zstd\""},
        Refused{"AfterShards", shards("2,3", kBytes) + R"(,{"name":"crc32c"})", "codecs[1]/name",
                "\"crc32c\"", "nothing may follow"},
        Refused{"TransposeTwice", codec("transpose", R"("order":[1,1])") + "," + kBytes,
                "codecs[0]/configuration/order", "[1,1]", "each of the 2 axes once"},
        Refused{"TransposeAxis", codec("transpose", R"("order":[0,2])") + "," + kBytes,
                "codecs[0]/configuration/order", "[0,2]", "each of the 2 axes once"},
        Refused{"TransposeRank", codec("transpose", R"("order":[0])") + "," + kBytes,
                "codecs[0]/configuration/order", "an array of 1", "each of the 2 axes once"},
        Refused{"TransposeKind", codec("transpose", R"("order":["0",1])") + "," + kBytes,
                "codecs[0]/configuration/order", "\"0\"", "each of the 2 axes once"},
        Refused{"TransposeNothing", R"({"name":"transpose"},)" + std::string(kBytes),
                "codecs[0]/configuration", "nothing", "object"},
        Refused{"ZstdLevel", kB + codec("zstd", R"("level":23)"), "codecs[1]/configuration/level",
                "23", "to 22"},
        Refused{"ZstdNoLevel", kB + codec("zstd", ""), "codecs[1]/configuration/level", "nothing",
                "to 22"},
        Refused{"ZstdChecksum", kB + codec("zstd", R"("level":1,"checksum":1)"),
                "codecs[1]/configuration/checksum", "1", "true or false"},
        Refused{"GzipLevel", kB + codec("gzip", R"("level":10)"), "codecs[1]/configuration/level",
                "10", "0 to 9"},
        Refused{"GzipLevelHuge", kB + codec("gzip", R"("level":9223372036854775808)"),
                "codecs[1]/configuration/level", "9223372036854775808", "0 to 9"},
        Refused{"GzipLevelKind", kB + codec("gzip", R"("level":1.5)"),
                "codecs[1]/configuration/level", "1.5", "0 to 9"},
        Refused{"GzipMember", kB + codec("gzip", R"("level":1,"x":2)"), "codecs[1]/configuration/x",
                "2", "only level"},
        Refused{"BloscName", blosc_with("\"lz4\"", "\"lz5\""), "codecs[1]/configuration/cname",
                "\"lz5\"", "\"zstd\""},
        Refused{"BloscLevel", blosc_with("5", "-1"), "codecs[1]/configuration/clevel", "-1",
                "0 to 9"},
        Refused{"BloscShuffle", blosc_with("\"shuffle\":\"shuffle\"", "\"shuffle\":1"),
                "codecs[1]/configuration/shuffle", "1", "a string"},
        Refused{"BloscShuffleName", blosc_with(":\"shuffle\"", ":\"auto\""),
                "codecs[1]/configuration/shuffle", "\"auto\"", "\"bitshuffle\""},
        Refused{"BloscTypesize", blosc_with("\"typesize\":2", "\"typesize\":256"),
                "codecs[1]/configuration/typesize", "256", "1 to 255"},
        Refused{"BloscNoTypesize", blosc_with(",\"typesize\":2", ""),
                "codecs[1]/configuration/typesize", "nothing", "1 to 255"},
        Refused{"BloscBlocksize", blosc_with("\"blocksize\":0", "\"blocksize\":2147483648"),
                "codecs[1]/configuration/blocksize", "2147483648", "0 to"},
        Refused{"ShardsDivide", shards("3,3", kBytes), "codecs[0]/configuration/chunk_shape",
                "[3,3]", "[4,6]"},
        Refused{"ShardsRank", shards("4", kBytes), "codecs[0]/configuration/chunk_shape", "[4]",
                "[4,6]"},
        Refused{"ShardsZero", shards("0,6", kBytes), "codecs[0]/configuration/chunk_shape", "0",
                "1 or more"},
        Refused{"ShardsLarger", shards("8,6", kBytes), "codecs[0]/configuration/chunk_shape",
                "[8,6]", "[4,6]"},
        Refused{"ShardsIndex", shards("2,3", kBytes, kB + codec("zstd", R"("level":1)")),
                "codecs[0]/configuration/index_codecs", "[bytes,zstd]", "`crc32c`"},
        Refused{"ShardsNoIndex", shards("2,3", kBytes, ""), "codecs[0]/configuration/index_codecs",
                "an array of 0", "1 to 16"},
        Refused{"ShardsNoCodecs", shards("2,3", ""), "codecs[0]/configuration/codecs",
                "an array of 0", "1 to 16"},
        Refused{"ShardsCodecs", shards("2,3", kB + kBytes),
                "codecs[0]/configuration/codecs[1]/name", "\"bytes\"", "any transposes, then"},
        Refused{"ShardsLocation", shards("2,3", kBytes, kBytes, R"(,"index_location":"middle")"),
                "codecs[0]/configuration/index_location", "\"middle\"", "\"start\""},
        Refused{"ShardsMember", shards("2,3", kBytes, kBytes, R"(,"x":1)"),
                "codecs[0]/configuration/x", "1", "only chunk_shape"},
        Refused{"ShardsTwice", shards("2,3", kBytes, kBytes, R"(,"codecs":[])"),
                "codecs[0]/configuration/codecs", "twice", "once"},
        Refused{"ShardsTooDeep", nested(5), "codecs[0]/name", "a shard in", "4 levels"}),
    [](const auto& test) { return test.param.name; });

TEST(CodecsRefuse, MoreCellsThanAShardMayHave) {
  const auto text = [](const std::string& extent) {
    return v3_text(shards("1,1", kBytes), extent + ",1024");
  };
  EXPECT_NO_THROW((void)decode_metadata(text("1048576")));
  expect_document_error(text("1048577"), decode_metadata, "codecs[0]/configuration/chunk_shape",
                        "[1,1]", "at most 1073741824");
  expect_document_error(v3_text(shards("1,1", kBytes), "1,4611686018427387903"), decode_metadata,
                        "codecs[0]/configuration/chunk_shape", "[1,1]", "at most 1073741824");
}

TEST(Codecs, AreReadAsTheyAreMeant) {
  const auto codecs = [](const std::string& text) { return decode_metadata(v3_text(text)).codecs; };
  EXPECT_EQ(codecs(codec("transpose", R"("order":"F")") + "," + kBytes),
            (CodecChain{Transpose{{1, 0}}, Bytes{}}));
  EXPECT_EQ(codecs(codec("transpose", R"("order":"C")") + "," + kBytes),
            (CodecChain{Transpose{{0, 1}}, Bytes{}}));
  EXPECT_EQ(
      codecs(blosc_with("\"shuffle\":\"shuffle\",\"typesize\":2", "\"shuffle\":\"noshuffle\"")),
      (CodecChain{Bytes{}, Blosc{blosc::Compressor::lz4, 5, blosc::Shuffle::none, 1, 0}}));
  EXPECT_EQ(codecs(shards("2,3", kBytes, kBytes, R"(,"index_location":"end")")),
            (CodecChain{Sharding{{2, 3}, {Bytes{}}, {Bytes{}}, false}}));
  EXPECT_NO_THROW((void)codecs(nested(4)));
}

// ---- zarr v2 ----

std::string v2_text(const std::string& from = "", const std::string& to = "") {
  std::string text =
      R"({"chunks":[2,3],"compressor":null,"dimension_separator":".","dtype":"<i4","fill_value":0,)"
      R"("filters":null,"order":"C","shape":[4,6],"zarr_format":2})";
  if (from.empty()) return text;
  const std::size_t at = text.find(from);
  EXPECT_NE(at, text.npos) << from;
  return text.replace(at, from.size(), to);
}

std::string compressed(const std::string& members) {
  return v2_text("\"compressor\":null", "\"compressor\":{" + members + "}");
}

struct RefusedV2 {
  std::string name, text, field, found, allowed;
};
class MetadataV2Refuses : public ::testing::TestWithParam<RefusedV2> {};

TEST_P(MetadataV2Refuses, NamingTheMember) {
  const RefusedV2& r = GetParam();
  expect_document_error(r.text, decode_v2_metadata, r.field, r.found, r.allowed);
}

INSTANTIATE_TEST_SUITE_P(
    Damage, MetadataV2Refuses,
    ::testing::Values(
        RefusedV2{"Text", "[]", "", "an array", "an object"},
        RefusedV2{"Format", v2_text(":2}", ":3}"), "zarr_format", "3", "2"},
        RefusedV2{"Duplicate", v2_text("\"order\"", "\"chunks\":[2,3],\"order\""), "chunks",
                  "twice", "once"},
        RefusedV2{"Order", v2_text("\"C\"", "\"A\""), "order", "\"A\"", "\"C\" or \"F\""},
        RefusedV2{"NoOrder", v2_text("\"order\":\"C\",", ""), "order", "nothing", "\"C\" or \"F\""},
        RefusedV2{"Filters", v2_text("\"filters\":null", "\"filters\":[{\"id\":\"delta\"}]"),
                  "filters", "an array of 1", "empty array"},
        RefusedV2{"Separator", v2_text("\".\"", "\"-\""), "dimension_separator", "\"-\"",
                  "\"/\" or \".\""},
        RefusedV2{"Chunks", v2_text("[2,3]", "[2]"), "chunks", "1 extents", "2, as shape has"},
        RefusedV2{"ZeroChunk", v2_text("[2,3]", "[2,0]"), "chunks", "0", "1 or more"},
        RefusedV2{"HugeChunk", v2_text("[2,3]", "[4611686018427387904,4]"), "chunks",
                  "4611686018427387904", "2^63 bytes"},
        RefusedV2{"HugeShape", v2_text("[4,6]", "[9223372036854775807,1]"), "shape",
                  "9223372036854775807", "2^63 bytes"},
        RefusedV2{"NegativeShape", v2_text("[4,6]", "[4,-6]"), "shape", "-6", "0 or more"},
        RefusedV2{"Type", v2_text("<i4", "<i3"), "dtype", "\"<i3\"", "<f8"},
        RefusedV2{"TypeOrder", v2_text("<i4", "|i4"), "dtype", "\"|i4\"", "<f8"},
        RefusedV2{"TypeName", v2_text("<i4", "int32"), "dtype", "\"int32\"", "<f8"},
        RefusedV2{"TypeEmpty", v2_text("<i4", ""), "dtype", "\"\"", "<f8"},
        RefusedV2{"TypeText", v2_text("<i4", "<U4"), "dtype", "\"<U4\"", "<f8"},
        RefusedV2{"TypeFields", v2_text("\"<i4\"", "[[\"x\",\"<i4\"]]"), "dtype", "an array of 1",
                  "<f8"},
        RefusedV2{"Compressor", compressed("\"id\":\"lzma\""), "compressor/id", "\"lzma\"",
                  "\"blosc\""},
        RefusedV2{"CompressorKind", v2_text("\"compressor\":null", "\"compressor\":\"zstd\""),
                  "compressor", "\"zstd\"", "an object"},
        RefusedV2{"CompressorMember", compressed("\"id\":\"gzip\",\"x\":1"), "compressor/x", "1",
                  "only id, level"},
        RefusedV2{"Level", compressed("\"id\":\"bz2\",\"level\":0"), "compressor/level", "0",
                  "1 to 9"},
        RefusedV2{"Shuffle", compressed("\"id\":\"blosc\",\"shuffle\":3"), "compressor/shuffle",
                  "3", "-1 to 2"},
        RefusedV2{"FillKind", v2_text(":0,", ":\"NaN\","), "fill_value", "\"NaN\"", "an integer"},
        RefusedV2{"FillRange", v2_text(":0,", ":2147483648,"), "fill_value", "2147483648",
                  "2147483647"},
        RefusedV2{"FillWord", v2_text(":0,", ":NaN,"), "fill_value", "NaN", "an integer"},
        RefusedV2{"NoFill", v2_text("\"fill_value\":0,", ""), "fill_value", "nothing", "null"}),
    [](const auto& test) { return test.param.name; });

TEST(MetadataV2, TakesWhatPeersMayLeaveOutOrAdd) {
  const ArrayMetadata usual = decode_v2_metadata(v2_text());
  EXPECT_EQ(decode_v2_metadata(v2_text("\"dimension_separator\":\".\",", "")), usual);
  EXPECT_EQ(decode_v2_metadata(v2_text("\"filters\":null,", "")), usual);
  EXPECT_EQ(decode_v2_metadata(v2_text("\"filters\":null", "\"filters\":[]")), usual);
  EXPECT_EQ(decode_v2_metadata(v2_text("\"compressor\":null,", "")), usual);
  EXPECT_EQ(decode_v2_metadata(v2_text("\"order\"", "\"later\":[1],\"order\"")), usual);
  EXPECT_EQ(
      decode_v2_metadata(compressed(R"("id":"zstd","level":0,"checksum":true)")).codecs.back(),
      Zstd{0});
  EXPECT_EQ(decode_v2_metadata(compressed(R"("id":"blosc","typesize":null)")).codecs.back(),
            (Blosc{blosc::Compressor::lz4, 5, blosc::Shuffle::byte, 4, 0}));
}

TEST(MetadataV2, ShufflesBitsOfSingleBytesWhereItMayChoose) {
  std::string text = compressed(R"("id":"blosc","shuffle":-1)");
  text.replace(text.find("<i4"), 3, "|u1");
  EXPECT_EQ(decode_v2_metadata(text).codecs.back(),
            (Blosc{blosc::Compressor::lz4, 5, blosc::Shuffle::bit, 1, 0}));
}

TEST(MetadataV2, OfBigEndianTypesIsRead) {
  EXPECT_EQ(decode_v2_metadata(v2_text("<i4", ">i4")).codecs, (CodecChain{Bytes{true}}));
  EXPECT_EQ(decode_v2_metadata(v2_text("<i4", ">i1")).codecs, (CodecChain{Bytes{false}}));
  std::string text = v2_text("<i4", ">c8");
  text.replace(text.find(":0,"), 3, ":\"P8AAAMAAAAA=\",");
  EXPECT_EQ(decode_v2_metadata(text).fill_value, bytes_from_hex("0000c03f000000c0"));
}

TEST(MetadataV2, RefusesBase64OfAnotherSizeOrAlphabet) {
  for (const std::string fill : {"\"AA\"", "\"AAAA\"", "\"AAAAAAAAAA*=\"", "\"AAAAAAAAAAAA\""}) {
    std::string text = v2_text("<i4", "<c8");
    text.replace(text.find(":0,"), 3, ":" + fill + ",");
    expect_document_error(text, decode_v2_metadata, "fill_value", fill, "8 bytes in base64");
  }
}

TEST(MetadataV2, ReadsPartsOfComplexNumbersAsItReadsFloats) {
  const auto with_fill = [](const std::string& fill) {
    std::string text = v2_text("<i4", "<c8");
    return text.replace(text.find(":0,"), 3, ":" + fill + ",");
  };
  EXPECT_EQ(decode_v2_metadata(with_fill(R"(["1.5","-Infinity"])")).fill_value,
            bytes_from_hex("0000c03f000080ff"));
  expect_document_error(with_fill(R"([0.0,"0x7fc00001"])"), decode_v2_metadata, "fill_value[1]",
                        "\"0x7fc00001\"", "a number, \"NaN\", \"Infinity\" or \"-Infinity\"");
  expect_document_error(with_fill("[0.0,1.0,2.0]"), decode_v2_metadata, "fill_value",
                        "an array of 3", "null, [real, imaginary], or 8 bytes in base64");
}

TEST(MetadataV2, OfANanWithBitsOfItsOwnInAComplexNumberIsBase64) {
  ArrayMetadata metadata = decode_v2_metadata(v2_text("<i4", "<i4"));
  metadata.dtype = DType::complex64;
  metadata.fill_value = bytes_from_hex("000000000100c07f");
  const std::string text = encode_metadata(metadata);
  EXPECT_THAT(text, HasSubstr(R"("fill_value":"AAAAAAEAwH8=")"));
  EXPECT_EQ(decode_v2_metadata(text).fill_value, metadata.fill_value);
  metadata.fill_value = bytes_from_hex("000000000000c07f");
  EXPECT_THAT(encode_metadata(metadata), HasSubstr(R"("fill_value":[0.0,"NaN"])"));
}

TEST(MetadataV2, EncoderRefusesWhatTheFormatCannotExpress) {
  const auto refused = [](const auto& change, const std::string& why) {
    ArrayMetadata metadata = decode_v2_metadata(v2_text("<i4", "<f4"));
    change(metadata);
    EXPECT_THAT([&] { (void)encode_metadata(metadata); },
                ThrowsMessage<std::invalid_argument>(HasSubstr(why)));
  };
  refused([](auto& m) { m.codecs.push_back(Crc32c{}); }, "crc32c");
  refused([](auto& m) { m.codecs = {Bytes{}, Zstd{1}, Gzip{1}}; }, "two compressors");
  refused([](auto& m) { m.codecs = {Bytes{}, Zstd{1, true}}; }, "checksum");
  refused([](auto& m) { m.codecs = {Transpose{{0, 1}}, Bytes{}}; }, "order F");
  refused(
      [](auto& m) {
        m.codecs = {Transpose{{1, 0}}, Transpose{{1, 0}}, Bytes{}};
      },
      "two orders");
  refused(
      [](auto& m) {
        m.codecs = {Sharding{{2, 3}, {Bytes{}}, {Bytes{}}, false}};
      },
      "sharding_indexed");
  refused([](auto& m) { m.codecs = {Bytes{true}}; }, "little-endian");
  refused([](auto& m) { m.fill_value = bytes_from_hex("0100c07f"); }, "no text for \"0x7fc00001\"");
}

TEST(V2Metadata, KeepsTheNanThatMinusInfinityIsWhereATypeHasNoInfinity) {
  std::string text = v2_text("<i4", "float8_e4m3fn");
  const std::size_t fill = text.find(":0,");
  ASSERT_NE(fill, text.npos);
  text.replace(fill, 3, ":\"-Infinity\",");
  const ArrayMetadata metadata = decode_v2_metadata(text);
  EXPECT_EQ(metadata.fill_value, bytes_from_hex("ff"));
  EXPECT_EQ(decode_v2_metadata(encode_metadata(metadata)).fill_value, metadata.fill_value);
}

}  // namespace
}  // namespace cairn::zarr
