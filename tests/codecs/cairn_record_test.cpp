#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/format_error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <span>

#include "format_error_matcher.h"

namespace cairn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

CairnRecord sample() {
  CairnRecord record;
  record.writer_version = "0.1.0";
  record.tuples = {"opt.state", ""};
  record.unsigned_scalars = {"step"};
  record.manifest_hash = content_hash("manifest");
  record.unknown = {{"later", std::string("\0\1\2", 3)}, {"empty", ""}};
  return record;
}

void expect_equal(const CairnRecord& a, const CairnRecord& b) {
  EXPECT_EQ(a.writer_version, b.writer_version);
  EXPECT_EQ(a.tuples, b.tuples);
  EXPECT_EQ(a.unsigned_scalars, b.unsigned_scalars);
  EXPECT_EQ(a.manifest_hash, b.manifest_hash);
  EXPECT_EQ(a.unknown, b.unknown);
}

std::string with_checksum(std::string bytes) {
  const auto crc = crc32c(std::as_bytes(std::span(bytes)));
  return bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
}

/// A record with so many parts, spelled out.
std::string record(char count, std::string_view parts, char version = 1) {
  return with_checksum("CAIRNREC" + std::string(1, version) + count + std::string(parts));
}

void refuses(const std::string& bytes, const std::string& why) {
  try {
    static_cast<void>(decode_record(bytes));
    ADD_FAILURE() << "no error: " << why;
  } catch (const FormatError& error) {
    EXPECT_THAT(error.what(), HasSubstr(why));
  }
}

TEST(CairnRecord, RoundTrips) {
  expect_equal(decode_record(encode(sample())), sample());
  expect_equal(decode_record(encode(CairnRecord())), CairnRecord());
}

// The example of codecs/cairn_record_format.md.
TEST(CairnRecord, IsEncodedAsDocumented) {
  CairnRecord one;
  one.writer_version = "0.1.0";
  one.tuples = {"a.b", "c"};
  EXPECT_EQ(encode(one), record(2, std::string("\x0ewriter_version\0\5"
                                               "0.1.0"
                                               "\6tuples\0\7\2\3a.b\1c",
                                               38)));
}

TEST(CairnRecord, UnknownPartsAreKeptUnlessTheyMustBeUnderstood) {
  EXPECT_THAT(decode_record(record(1, std::string("\3new\0\2hi", 8))).unknown,
              ElementsAre(Pair("new", "hi")));
  // Flags that this version does not know say nothing about understanding.
  EXPECT_THAT(decode_record(record(1, "\3new\x02\2hi")).unknown, ElementsAre(Pair("new", "hi")));
  refuses(record(1, "\3new\1\2hi"), "part \"new\" at byte");
  refuses(record(1, "\3new\1\2hi"), "read the item with a newer version");
  expect_kind([] { static_cast<void>(decode_record(record(1, "\3new\1\2hi"))); },
              FormatError::Kind::unsupported);
  // A known part may be flagged.
  EXPECT_EQ(decode_record(record(1, "\x0ewriter_version\1\2v1")).writer_version, "v1");
}

TEST(CairnRecord, DamageIsRefused) {
  const auto good = encode(sample());
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_THROW(static_cast<void>(decode_record(good.substr(0, size))), FormatError) << size;
  }
  for (std::size_t bit = 0; bit < 8 * good.size(); ++bit) {
    auto bytes = good;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ 1 << bit % 8);
    EXPECT_THROW(static_cast<void>(decode_record(bytes)), FormatError) << "bit " << bit;
  }
  refuses(good + "x", "checksum");
}

TEST(CairnRecord, ChangedBytesBehindTheChecksumAreRefusedOrRead) {
  const auto good = encode(sample());
  for (std::size_t i = 0; i + 4 < good.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      auto bytes = good.substr(0, good.size() - 4);
      bytes[i] = static_cast<char>(value);
      try {
        const auto decoded = decode_record(with_checksum(bytes));
        expect_equal(decode_record(encode(decoded)), decoded);
      } catch (const FormatError&) {
      }
    }
  }
}

TEST(CairnRecord, EveryRuleHasItsError) {
  refuses("PNG", "magic");
  refuses(with_checksum("CAIRNREX\1\1"), "magic");
  refuses(record(0, "", 2), "version at byte 8: found 2; allowed: 1 to 1");
  refuses(record(0, "", 0), "version");
  refuses(record(100, std::string("\1a\0\0", 4)), "num_parts");
  refuses(record(1, std::string("\0\0\0\0", 4)), "part 0: name");
  refuses(record(1, std::string("\1a\0\1", 4)),
          "part 0: bytes at byte 14: found 0 bytes before the end");
  refuses(record(2, std::string("\1a\0\0\1a\0\0", 8)), "part 1: name");
  refuses(record(0, "x"), "1 bytes after the last field");
  refuses(record(1, std::string("\x0dmanifest_hash\0\2ab", 18)), "32 lower-case hexadecimal");
  refuses(record(1, std::string("\6tuples\0\3\1\3a", 12)), "part tuples: string 0: length");
  refuses(record(1, std::string("\6tuples\0\1\x7f", 10)), "part tuples: count");
  refuses(record(1, std::string("\6tuples\0\4\1\1ax", 13)), "1 bytes after the last field");
}

TEST(CairnRecord, EncoderRefusesWhatTheDecoderWould) {
  auto bad = sample();
  bad.manifest_hash = "ABC";
  EXPECT_THROW(static_cast<void>(encode(bad)), std::invalid_argument);
  bad = sample();
  bad.unknown = {{"", "x"}};
  EXPECT_THROW(static_cast<void>(encode(bad)), std::invalid_argument);
  bad.unknown = {{"tuples", "x"}};
  EXPECT_THROW(static_cast<void>(encode(bad)), std::invalid_argument);
  bad.unknown = {{std::string(256, 'n'), "x"}};
  EXPECT_THROW(static_cast<void>(encode(bad)), std::invalid_argument);
}

// Values of XXH3's reference implementation (xxhsum -H2).
TEST(ContentHash, IsXxh3Of128Bits) {
  EXPECT_EQ(content_hash(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(content_hash("abc"), "06b05ab6733a618578af5f94892f3950");
}

}  // namespace
}  // namespace cairn
