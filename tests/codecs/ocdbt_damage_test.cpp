// Bytes that are not what they should be: every truncation, every flipped bit, before and behind
// the checksum, and structures that claim more than they hold.

#include <cairn/codecs/format_error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zstd.h>

#include <functional>

#include "codecs/ocdbt_samples.h"
#include "support/sanitized.h"

namespace cairn::ocdbt {
namespace {

using namespace testing;  // NOLINT(google-build-using-namespace): samples
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint64_t kMaxDecoded = 8 << 20;

/// One structure: its bytes, and a decoder that checks that what it gives survives another round.
struct Structure {
  std::string name;
  std::string bytes;
  std::function<void(std::string_view)> decode;
};

Config arity_2() {
  auto config = raw_config();
  config.version_tree_arity_log2 = 2;
  return config;
}

void decode_a_node(std::string_view bytes) {
  const auto node = decode_node(bytes, kMaxDecoded);
  EXPECT_EQ(decode_node(encode(node, raw_config()), kMaxDecoded), node);
}
void decode_a_manifest(std::string_view bytes) {
  const auto manifest = decode_manifest(bytes);
  if (manifest.config.numbered) return;
  auto again = decode_manifest(encode(manifest));
  // An empty version needs a file with an empty path, which the encoder adds.
  if (again.files.size() > manifest.files.size()) again.files.pop_back();
  EXPECT_EQ(again, manifest);
}
void decode_a_version_node(std::string_view bytes) {
  const auto node = decode_version_node(bytes, arity_2());
  EXPECT_EQ(decode_version_node(encode(node, arity_2()), arity_2()), node);
}

std::vector<Structure> structures() {
  auto zstd = raw_config();
  zstd.compression = Compression::zstd;
  return {
      {"leaf", encode(sample_leaf(), raw_config()), decode_a_node},
      {"compressed leaf", encode(sample_leaf(), zstd), decode_a_node},
      {"interior node", encode(sample_interior(), raw_config()), decode_a_node},
      {"manifest", encode(sample_manifest()), decode_a_manifest},
      {"version leaf", encode(sample_version_leaf(), arity_2()), decode_a_version_node},
      {"version interior", encode(sample_version_interior(), arity_2()), decode_a_version_node},
  };
}

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const FormatError& error) {
    return error.what();
  }
  return "no error";
}

TEST(OcdbtDamage, SamplesDecode) {
  for (const auto& structure : structures()) {
    EXPECT_NO_THROW(structure.decode(structure.bytes)) << structure.name;
  }
}

TEST(OcdbtDamage, EveryTruncationIsAFormatError) {
  for (const auto& structure : structures()) {
    for (std::size_t size = 0; size < structure.bytes.size(); ++size) {
      EXPECT_THROW(structure.decode(std::string_view(structure.bytes).substr(0, size)), FormatError)
          << structure.name << " of " << size << " bytes";
    }
  }
}

TEST(OcdbtDamage, EveryTruncationBehindTheChecksumIsAFormatError) {
  for (const auto& structure : structures()) {
    for (auto size = kBodyOffset + kChecksumBytes; size < structure.bytes.size(); ++size) {
      EXPECT_THROW(structure.decode(resealed(structure.bytes.substr(0, size))), FormatError)
          << structure.name << " of " << size << " bytes";
    }
  }
}

TEST(OcdbtDamage, EveryFlippedBitIsAFormatError) {
  for (const auto& structure : structures()) {
    for (std::size_t bit = 0; bit < 8 * structure.bytes.size(); ++bit) {
      auto bytes = structure.bytes;
      bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
      EXPECT_THROW(structure.decode(bytes), FormatError) << structure.name << ", bit " << bit;
    }
  }
}

// The checksum of a hostile writer is right. Such bytes are refused, or they mean something that
// can be written again: structure.decode() fails the test otherwise.
TEST(OcdbtDamage, ChangedBytesBehindTheChecksumAreRefusedOrMeanSomething) {
  std::size_t refused = 0;
  for (const auto& structure : structures()) {
    for (auto at = kBodyOffset - 2; at < structure.bytes.size() - kChecksumBytes; ++at) {
      for (std::size_t value = at % test::kOneCaseIn; value < 256; value += test::kOneCaseIn) {
        auto bytes = structure.bytes;
        bytes[at] = static_cast<char>(value);
        SCOPED_TRACE(structure.name + ", byte " + std::to_string(at) + " = " +
                     std::to_string(value));
        try {
          structure.decode(resealed(bytes));
        } catch (const FormatError&) {
          ++refused;
        }
      }
    }
  }
  EXPECT_GT(refused, 10000u / test::kOneCaseIn);
}

TEST(OcdbtDamage, RandomBodiesAreRefusedOrMeanSomething) {
  const std::uint64_t seed = 20240611;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (int round = 0; round < 20000; ++round) {
    std::string body(random() % 80, '\0');
    // Small numbers get further into the decoder.
    for (auto& byte : body) byte = static_cast<char>(random() % 4 == 0 ? random() : random() % 4);
    try {
      decode_a_node(sealed(kBtreeMagic, body));
    } catch (const FormatError&) {
    }
    try {
      decode_a_version_node(sealed(kVersionTreeMagic, "\x02" + body));
    } catch (const FormatError&) {
    }
  }
}

TEST(OcdbtDamage, ErrorsNameFieldFoundAllowedAndOffset) {
  const auto bytes = encode(sample_leaf(), raw_config());
  auto damaged = bytes;
  damaged[0] = 'X';
  EXPECT_EQ(error_of([&] { decode_a_node(damaged); }),
            "OCDBT B+tree node: magic at byte 0: found 58db20de; allowed: 0cdb20de");
  EXPECT_THAT(error_of([&] { decode_a_node(bytes + "x"); }),
              AllOf(HasSubstr("length at byte 4"), HasSubstr("the bytes there are")));
  damaged = bytes;
  damaged[kBodyOffset - 2] = 1;
  EXPECT_THAT(error_of([&] { decode_a_node(resealed(damaged)); }),
              HasSubstr("version at byte 12: found 1; allowed: 0"));
  damaged = bytes;
  damaged[damaged.size() - 1] ^= 1;
  EXPECT_THAT(error_of([&] { decode_a_node(damaged); }), HasSubstr("the crc32c of the bytes"));
  // Two keys "b", "a": height, no files, two entries, prefix, suffixes, keys.
  EXPECT_THAT(
      error_of(
          [] { decode_a_node(sealed(kBtreeMagic, std::string("\0\0\2\0\1\1ba\0\0\0\0", 12))); }),
      HasSubstr("entry 1: key at byte 21: found a key that is not after the one before it"));
  EXPECT_THAT(
      error_of([] { decode_a_node(sealed(kBtreeMagic, std::string("\0\0\1\1k\0\0more", 11))); }),
      HasSubstr("end at byte 21: found 4 bytes after the last field"));
}

TEST(OcdbtDamage, CountsThatTheBytesCannotHoldAreRefusedBeforeMemoryIsTaken) {
  const auto million = varint(1 << 20);
  EXPECT_THAT(error_of([&] { decode_a_node(sealed(kBtreeMagic, std::string(2, '\0') + million)); }),
              HasSubstr("num_entries"));
  EXPECT_THAT(
      error_of([&] { decode_a_node(sealed(kBtreeMagic, std::string("\1\0", 2) + million)); }),
      HasSubstr("num_entries"));
  const auto files = varint(std::uint64_t{1} << 62);
  EXPECT_THAT(error_of([&] { decode_a_node(sealed(kBtreeMagic, std::string(1, '\0') + files)); }),
              HasSubstr("num_files"));
  EXPECT_THAT(error_of([&] {
                decode_a_node(sealed(kBtreeMagic, std::string(2, '\0') + varint((1 << 20) + 1) +
                                                      std::string(8 << 20, '\0')));
              }),
              HasSubstr("found 1048577; allowed: at most 1048576"));
}

TEST(OcdbtDamage, InlineValuesAboveOneMebibyteAreRefused) {
  const auto leaf = [](std::size_t length) {
    return sealed(kBtreeMagic,
                  std::string("\0\0\1\1k", 5) + varint(length) + '\0' + std::string(length, 'v'));
  };
  EXPECT_NO_THROW(static_cast<void>(decode_node(leaf(1 << 20), kMaxDecoded)));
  EXPECT_THAT(error_of([&] { decode_a_node(leaf((1 << 20) + 1)); }),
              HasSubstr("value_length: found 1048577; allowed: at most 1048576 inline"));
}

// A node of one file and one entry, which is at `offset` and of `length`.
std::string leaf_at(std::uint64_t offset, std::uint64_t length) {
  return sealed(kBtreeMagic, std::string("\0\1\1\0f\1\1k", 8) + varint(length) +
                                 std::string("\1\0", 2) + varint(offset));
}
std::string interior_at(std::uint64_t offset, std::uint64_t length) {
  return sealed(kBtreeMagic, std::string("\1\1\1\0f\1\1\0k\0", 10) + varint(offset) +
                                 varint(length) + std::string("\1\1\1", 3));
}

TEST(OcdbtDamage, RangesThatEndBeyondTheLargestFileAreRefused) {
  constexpr std::uint64_t kHalf = std::uint64_t{1} << 63;
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  const std::pair<std::uint64_t, std::uint64_t> within[] = {
      {0, kHalf - 1}, {kHalf - 2, 1}, {kHalf / 2, kHalf / 2 - 1}};
  for (const auto& [offset, length] : within) {
    EXPECT_NO_THROW(decode_a_node(leaf_at(offset, length))) << offset << " " << length;
    EXPECT_NO_THROW(decode_a_node(interior_at(offset, length))) << offset << " " << length;
  }
  // The sum of some passes 2^64, and is small again.
  const std::pair<std::uint64_t, std::uint64_t> beyond[] = {
      {kHalf - 1, 1}, {1, kHalf - 1}, {kHalf / 2, kHalf / 2}, {kHalf, 1},
      {0, kHalf},     {kHalf, kHalf}, {kHalf - 1, kHalf + 1}, {kMax, 1},
      {1, kMax},      {0, kMax},      {2, kMax - 1},          {kMax, kMax},
      {kHalf, kMax}};
  for (const auto& [offset, length] : beyond) {
    const auto why = "found offset " + std::to_string(offset) + " and length " +
                     std::to_string(length) + "; allowed: an end of at most 2^63 - 1";
    EXPECT_THAT(error_of([&, at = offset, size = length] { decode_a_node(leaf_at(at, size)); }),
                AllOf(HasSubstr("entry 0: data_file_offset at byte "), HasSubstr(why)));
    EXPECT_THAT(error_of([&, at = offset, size = length] { decode_a_node(interior_at(at, size)); }),
                AllOf(HasSubstr("entry 0: length at byte "), HasSubstr(why)));
  }
}

TEST(OcdbtDamage, LengthsOfAllBitsAreRefusedWhateverTheyAreOf) {
  const std::string most = varint(~std::uint64_t{0});
  const auto error = [](const std::string& body) {
    return error_of([&] { decode_a_node(sealed(kBtreeMagic, body)); });
  };
  EXPECT_THAT(error(std::string("\0\0\1\1k", 5) + most + std::string(9, '\0')),
              HasSubstr("entry 0: value_length: found 18446744073709551615; allowed: at most "
                        "1048576 inline"));
  EXPECT_THAT(error(std::string("\0\0\1", 3) + most + std::string(9, '\0')),
              AllOf(HasSubstr("entry 0: key_suffix_length at byte "),
                    HasSubstr("found 18446744073709551615; allowed: at most 65535")));
  EXPECT_THAT(error(std::string("\1\0\1\1", 4) + most + std::string(9, '\0')),
              AllOf(HasSubstr("entry 0: subtree_common_prefix_length at byte "),
                    HasSubstr("found 18446744073709551615; allowed: at most 1")));
}

// The second path claims to share more with the first than there is of it, or more than its base.
TEST(OcdbtDamage, PathPrefixesThatReachTooFarAreRefused) {
  const auto table = [](const std::string& bytes) {
    return sealed(kBtreeMagic, std::string(1, '\0') + bytes + std::string("\1\1k\0\0", 5));
  };
  const std::string two(1, '\2');
  EXPECT_NO_THROW(decode_a_node(table(two + std::string("\2\2\1\0\0abc", 8))));
  EXPECT_THAT(error_of([&] { decode_a_node(table(two + std::string("\3\2\1\0\0abc", 8))); }),
              HasSubstr("file 1: path_prefix_length: found 3; allowed: at most 2"));
  EXPECT_THAT(error_of([&] { decode_a_node(table(two + std::string("\2\2\1\1\2abc", 8))); }),
              HasSubstr("file 1: path_prefix_length: found 2; allowed: at most 1"));
  EXPECT_THAT(error_of([&] { decode_a_node(table(std::string("\1\2\3ab", 5))); }),
              HasSubstr("file 0: base_path_length: found 3; allowed: at most 2"));
}

// 50,000 keys of 60 KB in a body of 300 KB.
TEST(OcdbtDamage, PrefixesThatExpandBeyondReasonAreRefused) {
  const std::uint32_t count = 50000;
  const std::uint64_t length = 60000;
  std::string body(2, '\0');
  body += varint(count);
  for (std::uint32_t i = 1; i < count; ++i) body += varint(length - 3);
  body += varint(length);
  for (std::uint32_t i = 1; i < count; ++i) body += '\3';
  body += std::string(length, 'k');
  for (std::uint32_t i = 1; i < count; ++i) {
    body += "l";
    body += static_cast<char>(i >> 8);
    body += static_cast<char>(i);
  }
  body += std::string(2 * std::size_t{count}, '\0');
  EXPECT_THAT(error_of([&] { decode_a_node(sealed(kBtreeMagic, body)); }),
              HasSubstr("bytes of keys, paths and values so far"));
}

TEST(OcdbtDamage, NodesThatShareABudgetMayNotTakeMoreThanItHasTogether) {
  Node node;
  node.entries = std::vector<Entry>{{std::string(600, 'a'), std::string("1")},
                                    {std::string(600, 'b'), std::string("2")}};
  const std::string bytes = encode(node, raw_config());
  NodeBudget budget(3 * 1202);  // a value has one byte
  for (int i = 0; i < 3; ++i) EXPECT_EQ(decode_node(bytes, kMaxDecoded, &budget), node);
  EXPECT_THAT(error_of([&] { static_cast<void>(decode_node(bytes, kMaxDecoded, &budget)); }),
              AllOf(HasSubstr("entry 0: key"), HasSubstr("less, given the size of all nodes")));
  EXPECT_EQ(decode_node(bytes, kMaxDecoded), node);
}

TEST(OcdbtDamage, ValuesAndDecompressedBodiesCountInTheBudgetOfTheirNodes) {
  Node node;
  node.entries = std::vector<Entry>{{"a", std::string(100'000, 'x')}};
  // Raw: the key and the value, which stay.
  const std::string raw = encode(node, raw_config());
  NodeBudget budget(2 * 100'001);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(decode_node(raw, kMaxDecoded, &budget), node);
  EXPECT_FALSE(budget.take(1));
  budget.give(100'000);
  EXPECT_THAT(error_of([&] { static_cast<void>(decode_node(raw, kMaxDecoded, &budget)); }),
              AllOf(HasSubstr("entry 0: value"), HasSubstr("less, given the size of all nodes")));
  // Compressed: the body too, as long as it is there.
  const std::string packed = encode(node, Config());
  ASSERT_LT(packed.size(), 1000u);
  NodeBudget little(100'000);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(error_of([&] { static_cast<void>(decode_node(packed, kMaxDecoded, &little)); }),
                AllOf(HasSubstr("compressed body"), HasSubstr("bytes or more when decoded"),
                      HasSubstr("less, given the size of all nodes")));
  }
  EXPECT_TRUE(little.take(100'000)) << "what was refused takes nothing";
  NodeBudget enough(100'001 + 100'100);
  EXPECT_EQ(decode_node(packed, kMaxDecoded, &enough), node);
  EXPECT_TRUE(enough.take(100'100)) << "the body is gone";
  EXPECT_FALSE(enough.take(1));
}

std::string zstd_frame(std::string_view content) {
  std::string frame(ZSTD_compressBound(content.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), content.data(), content.size(), 3));
  return frame;
}

TEST(OcdbtDamage, BodyThatDecodesToMoreThanAllowedIsRefused) {
  const auto frame = zstd_frame(std::string(64 << 20, '\0'));
  EXPECT_LT(frame.size(), 10000u);
  EXPECT_THAT(error_of([&] { decode_a_node(sealed(kBtreeMagic, frame, 1)); }),
              HasSubstr("bytes when decoded"));
}

TEST(OcdbtDamage, BodyIsExactlyOneZstdFrame) {
  const auto frame = zstd_frame(std::string("\0\0\1\1k\0\0", 7));
  EXPECT_NO_THROW(decode_a_node(sealed(kBtreeMagic, frame, 1)));
  EXPECT_THAT(error_of([&] { decode_a_node(sealed(kBtreeMagic, frame + "x", 1)); }),
              HasSubstr("found 1 bytes after the zstd frame"));
  EXPECT_THAT(error_of([&] { decode_a_node(sealed(kBtreeMagic, frame + frame, 1)); }),
              HasSubstr("bytes after the zstd frame"));
  EXPECT_THAT(error_of([&] { decode_a_node(sealed(kBtreeMagic, "", 1)); }),
              HasSubstr("the end within a zstd frame"));
}

TEST(OcdbtDamage, OverlongVarintsAreRefused) {
  EXPECT_THAT(
      error_of([] { decode_a_node(sealed(kBtreeMagic, std::string("\0\x80\0\1\1k\0\0", 8))); }),
      HasSubstr("the shortest form of a varint"));
  EXPECT_THAT(error_of([] {
                decode_a_node(sealed(kBtreeMagic, std::string(1, '\0') + std::string(10, '\xff')));
              }),
              HasSubstr("more than 64 bits"));
}

}  // namespace
}  // namespace cairn::ocdbt
