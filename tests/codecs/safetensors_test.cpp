#include <cairn/codecs/format_error.h>
#include <cairn/codecs/safetensors.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "support/sanitized.h"

namespace cairn::safetensors {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

TensorInfo tensor(std::string name, DType dtype, Shape shape, std::uint64_t begin = 0,
                  std::uint64_t end = 0) {
  TensorInfo info;
  info.name = std::move(name);
  info.dtype = dtype;
  info.shape = std::move(shape);
  info.begin = begin;
  info.end = end;
  return info;
}

/// `json` with so many bytes of data behind it.
Header decode(std::string_view json, std::uint64_t data_bytes) {
  return decode_header(json, 8 + json.size() + data_bytes);
}

void refuses(std::string_view json, std::uint64_t data_bytes, const std::string& why) {
  try {
    static_cast<void>(decode(json, data_bytes));
    ADD_FAILURE() << "no error for " << json;
  } catch (const FormatError& error) {
    ASSERT_TRUE(error.offset()) << error.what();
    EXPECT_LE(*error.offset(), json.size()) << error.what();
    const FormatError words(error.structure(), error.field(), error.found(), error.allowed());
    EXPECT_THAT(words.what(), HasSubstr(why)) << json;
  }
}

std::string one(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return R"({"a":{"dtype":")" + std::string(dtype) + R"(","shape":)" + std::string(shape) +
         R"(,"data_offsets":)" + std::string(offsets) + "}}";
}

TEST(Safetensors, DecodesTensorsInTheOrderOfTheirOffsets) {
  const auto json = R"({"b":{"dtype":"F32","shape":[2,3],"data_offsets":[2,26]},)"
                    R"("__metadata__":{"format":"pt","note":"caf\u00e9"},)"
                    R"("empty":{"dtype":"I64","shape":[0,7],"data_offsets":[26,26]},)"
                    R"("a":{"data_offsets":[0,2],"shape":[],"dtype":"BF16"}}   )";
  const auto header = decode(json, 26);
  EXPECT_THAT(header.tensors, ElementsAre(tensor("a", DType::bfloat16, {}, 0, 2),
                                          tensor("b", DType::float32, {2, 3}, 2, 26),
                                          tensor("empty", DType::int64, {0, 7}, 26, 26)));
  EXPECT_THAT(header.metadata, ElementsAre(Pair("format", "pt"), Pair("note", "caf\xc3\xa9")));
  EXPECT_EQ(header.data_offset, 8 + std::string_view(json).size());
}

TEST(Safetensors, DecodesAFileWithoutTensors) {
  EXPECT_THAT(decode("{}", 0).tensors, IsEmpty());
  EXPECT_THAT(decode(R"({"__metadata__":null})", 0).metadata, IsEmpty());
  refuses("{}", 1, "data section: found 1 bytes; allowed: 0");
}

TEST(Safetensors, EncodesWhatItDecodes) {
  for (const std::size_t alignment : {1u, 8u, 64u, 4096u}) {
    Header header;
    header.metadata = {{"z", "1"}, {"a", "quote \" and \\ and \n"}};
    std::uint64_t end = 0;
    for (std::size_t i = 0; i < kDTypeCount; ++i) {
      const auto dtype = static_cast<DType>(i);
      if (!safetensors_name(dtype)) continue;
      header.tensors.push_back(tensor("tensor/" + std::to_string(i) + "\"\xc3\xa9", dtype, {2, 3}));
      end += dtype == DType::float4_e2m1fn ? 3 : 6 * size_of(dtype);
    }
    const auto bytes = encode_header(header, alignment);
    EXPECT_EQ(bytes.size() % alignment, 0u);
    EXPECT_EQ(header.data_offset, bytes.size());
    EXPECT_EQ(header.tensors.back().end, end);
    const auto file_bytes = bytes.size() + end;
    EXPECT_EQ(decode_header_length(bytes.substr(0, 8), file_bytes), bytes.size() - 8);
    const auto decoded = decode_header(std::string_view(bytes).substr(8), file_bytes);
    EXPECT_EQ(decoded.tensors, header.tensors);
    EXPECT_EQ(decoded.metadata, header.metadata);
    EXPECT_EQ(decoded.data_offset, header.data_offset);
  }
}

TEST(Safetensors, HeaderIsTheReferencesText) {
  Header header;
  header.metadata = {{"k", "v"}};
  header.tensors = {tensor("w", DType::float16, {2, 2}), tensor("s", DType::boolean, {})};
  const auto bytes = encode_header(header, 1);
  EXPECT_EQ(bytes.substr(8),
            R"({"__metadata__":{"k":"v"},"w":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},)"
            R"("s":{"dtype":"BOOL","shape":[],"data_offsets":[8,9]}})");
  EXPECT_EQ(bytes[0], static_cast<char>(bytes.size() - 8));
}

TEST(Safetensors, NamesOfTypesAreUniqueAndGoBothWays) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    const auto name = safetensors_name(dtype);
    if (!name) continue;
    EXPECT_TRUE(names.insert(*name).second);
    EXPECT_EQ(dtype_from_safetensors(*name), dtype);
  }
  EXPECT_EQ(names.size(), 20u);
  EXPECT_FALSE(safetensors_name(DType::complex128));
  EXPECT_FALSE(dtype_from_safetensors("f32"));
}

TEST(Safetensors, EncoderRefusesWhatTheFormatCannotHold) {
  const auto refused = [](Header header, const std::string& why, std::size_t alignment = 64) {
    try {
      static_cast<void>(encode_header(header, alignment));
      ADD_FAILURE() << "no error: " << why;
    } catch (const std::invalid_argument& error) {
      EXPECT_THAT(error.what(), HasSubstr(why));
    }
  };
  const auto of = [](std::vector<TensorInfo> tensors) {
    Header header;
    header.tensors = std::move(tensors);
    return header;
  };
  const auto plain = tensor("a", DType::float32, {1});
  refused(of({plain, plain}), "\"a\" at byte 54: found the name twice");
  refused(of({tensor("__metadata__", DType::float32, {1})}), "reserved");
  refused(of({tensor("a", DType::complex128, {1})}), "safetensors cannot hold complex128");
  refused(of({tensor("a", DType::float4_e2m1fn, {3, 5})}), "found 15 elements; allowed: an even");
  refused(of({tensor("a", DType::float4_e2m1fn, {})}), "found 1 elements; allowed: an even");
  refused(of({tensor("a", DType::float4_e2m1fn, {Index{1} << 62, 2})}), "2^63 - 1");
  refused(of({tensor("a", DType::float32, {-1})}), "2^63 - 1");
  refused(of({tensor("a", DType::float32, {Index{1} << 40, Index{1} << 40})}), "2^63 - 1");
  refused(of({tensor("a\xff", DType::float32, {1})}), "JSON");
  refused(of({tensor("a", DType::float32, Shape(kMaxRank + 1, 1))}), "32 dimensions");
  refused(of({plain}), "alignment", 0);
  Header twice = of({plain});
  twice.metadata = {{"k", "1"}, {"k", "2"}};
  refused(twice, "the key twice");
}

TEST(Safetensors, LengthIsCheckedAgainstTheLimitAndTheFile) {
  const auto length = [](std::uint64_t value) {
    std::string bytes(8, '\0');
    std::memcpy(bytes.data(), &value, sizeof(value));
    return bytes;
  };
  EXPECT_EQ(decode_header_length(length(92), 100), 92u);
  EXPECT_THROW(static_cast<void>(decode_header_length(length(93), 100)), FormatError);
  EXPECT_THROW(static_cast<void>(decode_header_length(length(2), 4)), FormatError);
  EXPECT_THROW(static_cast<void>(decode_header_length(length(~0ull), ~0ull)), FormatError);
  EXPECT_EQ(decode_header_length(length(kMaxHeaderBytes), 1ull << 40), kMaxHeaderBytes);
  EXPECT_THROW(static_cast<void>(decode_header_length(length(kMaxHeaderBytes + 1), 1ull << 40)),
               FormatError);
  EXPECT_THROW(static_cast<void>(decode_header_length("1234567", 100)), FormatError);
  EXPECT_THROW(static_cast<void>(decode_header("{}", 9)), FormatError);
}

TEST(Safetensors, DuplicatesAreRefused) {
  const auto a = std::string(R"("a":{"dtype":"U8","shape":[],"data_offsets":[0,1]})");
  refuses("{" + a + "," + a + "}", 1, "tensor \"a\": found the name twice");
  refuses(R"({"a":{"dtype":"U8","dtype":"U8","shape":[],"data_offsets":[0,1]}})", 1,
          "tensor \"a\": dtype: found the field twice");
  refuses(R"({"__metadata__":{"k":"1","k":"2"}})", 0, "__metadata__ \"k\": found the key twice");
  refuses(R"({"__metadata__":{},"__metadata__":{}})", 0, "the name twice");
  // The same name, spelled differently.
  refuses(R"({"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},)"
          R"("\u0061":{"dtype":"U8","shape":[],"data_offsets":[1,2]}})",
          2, "the name twice");
}

TEST(Safetensors, TypesThatZarrHasNoneForAreNotSupported) {
  for (const std::string name : {"F6_E2M3", "F6_E3M2"}) {
    refuses(
        one(name, "[4]", "[0,3]"), 3,
        "dtype: found " + name + ", whose six bits Cairn has no type for; allowed: not supported");
  }
  refuses(one("F4_E2M1", "[4]", "[0,2]"), 2, "found \"F4_E2M1\"; allowed: BOOL, U8");
  refuses(one("F128", "[4]", "[0,2]"), 2, "found \"F128\"; allowed: BOOL, U8");
}

// What safetensors 0.8 takes and refuses; see tests/interop/check.py.
TEST(Safetensors, TwoElementsOfF4ShareAByte) {
  const auto f4 = [](Shape shape, std::uint64_t end) {
    return ElementsAre(tensor("a", DType::float4_e2m1fn, std::move(shape), 0, end));
  };
  EXPECT_THAT(decode(one("F4", "[2,4]", "[0,4]"), 4).tensors, f4({2, 4}, 4));
  EXPECT_THAT(decode(one("F4", "[2,3]", "[0,3]"), 3).tensors, f4({2, 3}, 3));
  EXPECT_THAT(decode(one("F4", "[0,3]", "[0,0]"), 0).tensors, f4({0, 3}, 0));
  const std::string even = "allowed: an even number of elements: F4 has two in a byte";
  for (const char* end : {"[0,1]", "[0,2]", "[0,3]"}) {
    refuses(one("F4", "[3]", end), 3, "tensor \"a\": shape: found [3]; " + even);
  }
  refuses(one("F4", "[]", "[0,1]"), 1, "shape: found []; " + even);
  refuses(one("F4", "[3,9223372036854775807]", "[0,1]"), 1, "2^63 - 1");
  refuses(one("F4", "[9223372036854775807]", "[0,1]"), 1, even);
  refuses(one("F4", "[9223372036854775806]", "[0,1]"), 1, "4611686018427387903 bytes");
  refuses(one("F4", "[4611686018427387904,2]", "[0,1]"), 1, "2^63 - 1");
  refuses(one("F4", "[4]", "[0,4]"), 4, "found [0, 4]; allowed: 2 bytes, by dtype and shape");
  refuses(one("F4", "[4]", "[0,1]"), 1, "2 bytes");
  refuses(one("F4", "[4]", "[0,2]"), 1, "at most 1, where the file ends");
}

TEST(Safetensors, OffsetsMustCoverTheDataOnceAndAgreeWithTheShape) {
  refuses(one("F32", "[2]", "[0,4]"), 4, "found [0, 4]; allowed: 8 bytes, by dtype and shape");
  refuses(one("F32", "[2]", "[8,0]"), 8, "8 bytes");
  refuses(one("F32", "[2]", "[4,12]"), 12, "0 for begin");
  refuses(one("F32", "[2]", "[0,8]"), 7, "at most 7, where the file ends");
  refuses(one("F32", "[2]", "[0,8]"), 9, "found 9 bytes; allowed: 8");
  refuses(one("U8", "[9223372036854775807,9223372036854775807]", "[0,1]"), 1, "2^63 - 1");
  refuses(one("U8", "[1]", "[9223372036854775807,9223372036854775807]"), 1, "data_offsets");
  refuses(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
          R"("b":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})",
          3, "tensor \"b\": data_offsets: found [1, 3]; allowed: 2 for begin");
  refuses(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},)"
          R"("b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
          5, "without holes");
}

TEST(Safetensors, WrongKindsOfValuesAreNamed) {
  refuses("", 0, "found no bytes; allowed: '{' first");
  refuses(" {}", 0, "found byte 0x20; allowed: '{' first");
  refuses("[]", 0, "'{' first");
  refuses("{", 0, "JSON");
  refuses("{}x", 0, "text after the object");
  refuses("{}{}", 0, "text after the object");
  refuses("{\"\xff\":1}", 0, "JSON");
  refuses(R"({"a":1})", 0, "\"a\": found 1; allowed: an object");
  refuses(R"({"a":[]})", 0, "found an array");
  refuses(R"({"a":null})", 0, "found null");
  refuses(R"({"a":{}})", 0, "tensor \"a\": dtype: found nothing");
  refuses(R"({"a":{"dtype":"U8","shape":[]}})", 0, "data_offsets: found nothing");
  refuses(R"({"a":{"dtype":1}})", 0, "dtype: found 1; allowed: a string");
  refuses(R"({"a":{"dtype":["U8"]}})", 0, "dtype: found an array; allowed: a string");
  refuses(R"({"a":{"strides":[1]}})", 0, "strides: found an unknown field");
  refuses(R"({"a":{"shape":{}}})", 0, "shape: found an object");
  refuses(R"({"a":{"shape":[[1]]}})", 0, "shape: found an array");
  refuses(R"({"a":{"shape":[true]}})", 0, "shape: found true");
  refuses(R"({"__metadata__":{"k":1}})", 0, "__metadata__ \"k\": found 1; allowed: a string");
  refuses(R"({"__metadata__":"x"})", 0, "\"__metadata__\": found the string \"x\"");
  refuses(one("U8", "[-1]", "[0,1]"), 1, "shape: found -1");
  refuses(one("U8", "[1.5]", "[0,1]"), 1, "shape: found 1.5");
  refuses(one("U8", "[9223372036854775808]", "[0,1]"), 1, "shape: found 9223372036854775808");
  refuses(one("U8", "[1]", "[0]"), 1, "data_offsets: found 1 numbers; allowed: 2");
  refuses(one("U8", "[1]", "[0,1,2]"), 1, "data_offsets: found 3 numbers");
}

TEST(Safetensors, EveryTruncationIsAFormatError) {
  Header header;
  header.metadata = {{"key", "value"}};
  header.tensors = {tensor("w\xc3\xa9", DType::float16, {2, 2}), tensor("s", DType::boolean, {})};
  const auto json = encode_header(header, 1).substr(8);
  for (std::size_t size = 0; size < json.size(); ++size) {
    EXPECT_THROW(static_cast<void>(decode(json.substr(0, size), 9)), FormatError) << size;
  }
}

TEST(Safetensors, EveryChangedByteIsRefusedOrGivesACompleteHeader) {
  Header header;
  header.metadata = {{"key", "value"}};
  header.tensors = {tensor("w", DType::float16, {2, 2}), tensor("s", DType::boolean, {})};
  const auto json = encode_header(header, 1).substr(8);
  std::size_t refused = 0;
  for (std::size_t i = 0; i < json.size(); ++i) {
    for (std::size_t value = i % test::kOneCaseIn; value < 256; value += test::kOneCaseIn) {
      auto changed = json;
      changed[i] = static_cast<char>(value);
      try {
        EXPECT_EQ(decode(changed, 9).tensors.back().end, 9u);
      } catch (const FormatError&) {
        ++refused;
      }
    }
  }
  EXPECT_GT(refused, json.size() * 100 / test::kOneCaseIn);
}

}  // namespace
}  // namespace cairn::safetensors
