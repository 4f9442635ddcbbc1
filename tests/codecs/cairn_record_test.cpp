#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/format_error.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <span>

#include "format_error_matcher.h"
#include "support/sanitized.h"

namespace cairn {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

ChunkChecksums sums(std::string array, std::vector<std::uint32_t> crc32c) {
  ChunkChecksums checksums;
  checksums.array = std::move(array);
  checksums.crc32c = std::move(crc32c);
  return checksums;
}

CodecRecord codec(std::string array, std::string name, std::string reason, std::uint32_t permille) {
  CodecRecord record;
  record.array = std::move(array);
  record.codec = std::move(name);
  record.reason = std::move(reason);
  record.expected_permille = permille;
  record.bytes = 1u << 20;
  record.stored_bytes = 700'000;
  record.chunks = 3;
  record.chunks_stored = 1;
  return record;
}

ChunkTrace trace(std::uint64_t file, std::uint64_t length) {
  ChunkTrace chunk;
  chunk.hash = hash_of({});
  chunk.file = file;
  chunk.offset = 4096 * length;
  chunk.length = length;
  chunk.heat = 64;
  return chunk;
}

ChunkTraces traces() {
  ChunkTraces traces;
  for (const char* path : {"d/00ff", "d/11"}) {
    DataFileRecord file;
    file.path = path;
    file.bytes = 1u << 28;
    file.age = 3;
    traces.files.push_back(file);
  }
  ArrayTrace array;
  array.array = "w";
  array.metadata = hash_of({});
  array.chunks = {trace(0, 100), trace(1, 7), trace(0, 0)};
  traces.arrays = {array};
  return traces;
}

ArrayMetadataHash metadata_hash(std::string array) {
  ArrayMetadataHash metadata;
  metadata.hash = hash_of(std::as_bytes(std::span(array)));
  metadata.array = std::move(array);
  return metadata;
}

FileHash file_hash(std::string name, std::string_view bytes) {
  FileHash file;
  file.name = std::move(name);
  file.bytes = bytes.size();
  file.hash = hash_of(std::as_bytes(std::span(bytes)));
  return file;
}

CairnRecord sample() {
  CairnRecord record;
  record.writer_version = "0.1.0";
  record.tuples = {{"opt", "state"}, {"opt.state"}, {"layers", "0"}, {}};
  record.unsigned_scalars = {"step"};
  record.manifest_hash = content_hash("manifest");
  record.strings_hash = content_hash("strings");
  record.metadata_hash = content_hash("metadata");
  record.files = {file_hash("data.json", "{}"), file_hash("metadata", std::string(300, 'x'))};
  record.array_metadata = {metadata_hash("a"), metadata_hash("")};
  record.chunk_checksums = {sums("a", {1, 0xdeadbeef}), sums("b", {})};
  record.codecs = {codec("a", "blosc planes", "by the sample", 1493), codec("b", "raw", "no", 1000),
                   codec("c", "blosc planes", "by the sample", 1200)};
  record.chunks = traces();
  record.unknown = {{"later", std::string("\0\1\2", 3)}, {"empty", ""}};
  return record;
}

void expect_equal(const CairnRecord& a, const CairnRecord& b) {
  EXPECT_EQ(a.writer_version, b.writer_version);
  EXPECT_EQ(a.tuples, b.tuples);
  EXPECT_EQ(a.unsigned_scalars, b.unsigned_scalars);
  EXPECT_EQ(a.manifest_hash, b.manifest_hash);
  EXPECT_EQ(a.strings_hash, b.strings_hash);
  EXPECT_EQ(a.metadata_hash, b.metadata_hash);
  EXPECT_EQ(a.files, b.files);
  EXPECT_EQ(a.array_metadata, b.array_metadata);
  EXPECT_EQ(a.chunk_checksums, b.chunk_checksums);
  EXPECT_EQ(a.codecs, b.codecs);
  EXPECT_EQ(a.chunks, b.chunks);
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
  one.tuples = {{"a", "b"}, {"c"}};
  EXPECT_EQ(encode(one), record(2, std::string("\x0ewriter_version\0\5"
                                               "0.1.0"
                                               "\6tuples\0\x09\2\2\1a\1b\1\1c",
                                               40)));
  EXPECT_EQ(encode(one).substr(encode(one).size() - 4), "\x80\xf5\x45\xbb");
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
    for (std::size_t value = i % test::kOneCaseIn; value < 256; value += test::kOneCaseIn) {
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
  refuses(record(1, std::string("\x0cstrings_hash\0\2ab", 17)), "strings_hash");
  refuses(record(1, std::string("\x0dmetadata_hash\0\2ab", 18)), "metadata_hash");
  refuses(record(1, std::string("\6tuples\0\4\1\1\3a", 13)), "part tuples: path 0: key");
  refuses(record(1, std::string("\6tuples\0\1\x7f", 10)), "part tuples: num_paths");
  refuses(record(1, std::string("\6tuples\0\2\1\x7f", 11)), "part tuples: path 0: num_keys");
  refuses(record(1, std::string("\6tuples\0\5\1\1\1ax", 14)), "1 bytes after the last field");
  const std::string scalars("\x10unsigned_scalars\0", 18);
  refuses(record(1, scalars + "\3\1\3a"), "part unsigned_scalars: string 0: length");
  refuses(record(1, scalars + "\1\x7f"), "part unsigned_scalars: count");
  refuses(record(1, scalars + "\4\1\1ax"), "1 bytes after the last field");
}

TEST(CairnRecord, LeavesOutWhatCanBeDoneWithoutWhereItWouldBeTooLong) {
  const auto whole = sample();
  const std::size_t bytes = encode(whole).size();
  EXPECT_THAT(encode_within(whole, bytes).left_out, IsEmpty());
  EXPECT_EQ(encode_within(whole, bytes).bytes, encode(whole));
  auto less = whole;
  less.chunks.reset();
  const LimitedRecord without_chunks = encode_within(whole, bytes - 1);
  EXPECT_THAT(without_chunks.left_out, ElementsAre("chunks"));
  expect_equal(decode_record(without_chunks.bytes), less);
  less.codecs.clear();
  EXPECT_EQ(encode_within(whole, without_chunks.bytes.size() - 1).bytes, encode(less));
  less.chunk_checksums.clear();
  EXPECT_THAT(encode_within(whole, encode(less).size()).left_out,
              ElementsAre("chunks", "codecs", "chunk_checksums"));
  less.array_metadata.clear();
  const LimitedRecord least = encode_within(whole, encode(less).size());
  EXPECT_THAT(least.left_out, ElementsAre("chunks", "codecs", "chunk_checksums", "array_metadata"));
  expect_equal(decode_record(least.bytes), less);
  EXPECT_THROW(static_cast<void>(encode_within(whole, least.bytes.size() - 1)),
               std::invalid_argument);
  EXPECT_THAT(encode_within(less, least.bytes.size()).left_out, IsEmpty());
}

TEST(CairnRecord, PartsAboutChunksHaveTheirErrors) {
  const auto part = [](std::string_view name, std::string_view bytes) {
    std::string text(1, static_cast<char>(name.size()));
    text.append(name).append(1, '\0').append(1, static_cast<char>(bytes.size())).append(bytes);
    return record(1, text);
  };
  refuses(part("array_metadata", "\x7f"), "part array_metadata: num_arrays");
  // As long as an array without a name.
  refuses(part("array_metadata", "\1\1w" + std::string(15, 'h')), "array 0: hash");
  refuses(part("array_metadata", "\1\1w" + std::string(17, 'h')), "after the last field");
  refuses(part("chunk_checksums", "\x7f"), "part chunk_checksums: num_arrays");
  refuses(part("chunk_checksums", "\1\1a\5"), "array 0: num_chunks");
  refuses(part("chunk_checksums", std::string("\1\1a\1\0\0\0\0x", 9)), "after the last field");
  refuses(part("codecs", std::string("\0\1", 2)), "part codecs: num_arrays");
  refuses(part("codecs", "\1\1a\1b\1\1w\1\1\1\1\1\1"), "array 0: kind");
  // Each array would hold them.
  refuses(part("codecs", "\1\x80\2" + std::string(100, 'a')), "kind 0: codec");
  refuses(part("chunks", "\1\7d/x"), "part chunks: file 0: path");
  const std::string hash(16, 'h');
  refuses(part("chunks", "\1\1d\1\1\1\1w" + hash + "\1" + hash + "\1\1\1\1"),
          "array 0: chunk file");
  refuses(part("chunks", std::string("\0\1\1w", 4) + hash + "\x7f"), "array 0: num_chunks");
}

TEST(CairnRecord, FilesAreAsDocumented) {
  CairnRecord one;
  one.files = {file_hash("metadata", "abc")};
  EXPECT_EQ(encode(one), record(1, std::string("\5files\0\x1b\1\x08metadata\3", 19) +
                                       "\x06\xb0\x5a\xb6\x73\x3a\x61\x85"
                                       "\x78\xaf\x5f\x94\x89\x2f\x39\x50"));
}

TEST(CairnRecord, FilesHaveTheirErrors) {
  const auto files = [](std::string_view bytes) {
    const char length = static_cast<char>(bytes.size());
    return record(1, std::string("\5files\0", 7) + length + std::string(bytes));
  };
  const std::string rest = "\7" + std::string(16, 'h');  // bytes and hash
  EXPECT_EQ(decode_record(files("\2\1a" + rest + "\1b" + rest)).files.size(), 2u);
  refuses(files("\x7f"), "part files: num_files");
  // As long as a file without a name, which there cannot be.
  refuses(files("\1\1a\7" + std::string(15, 'h')), "num_files");
  refuses(files("\1\2ab\7" + std::string(15, 'h')), "file 0: hash");
  refuses(files("\1\1a" + rest + "x"), "1 bytes after the last field");
  refuses(files(std::string("\1\0", 2) + rest + "x"), "file 0: name");
  refuses(files("\1\3a/b" + rest), "file 0: name");
  refuses(files(std::string("\1\3a\0b", 5) + rest), "file 0: name");
  refuses(files("\1\x80\2" + rest), "file 0: name");
  refuses(files("\2\1b" + rest + "\1a" + rest), "file 1: name");
  refuses(files("\2\1a" + rest + "\1a" + rest), "ascending names");
}

// XXH3-128 of nothing, from xxHash's own test vectors.
TEST(CairnRecord, HashesAreXxh3InItsCanonicalForm) {
  const ContentHash hash = hash_of({});
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(hash.data()), hash.size()),
            "\x99\xaa\x06\xd3\x01\x47\x98\xd8\x60\x01\xc3\x24\x46\x8d\x49\x7f");
}

TEST(CairnRecord, EncoderRefusesWhatTheDecoderWould) {
  auto bad = sample();
  bad.manifest_hash = "ABC";
  EXPECT_THROW(static_cast<void>(encode(bad)), std::invalid_argument);
  bad = sample();
  bad.strings_hash = "0";
  EXPECT_THROW(static_cast<void>(encode(bad)), std::invalid_argument);
  bad = sample();
  bad.metadata_hash = "0";
  EXPECT_THROW(static_cast<void>(encode(bad)), std::invalid_argument);
  for (const std::string& name : {std::string(), std::string("a/b"), std::string("z\0", 2),
                                  std::string(256, 'z'), bad.files[0].name}) {
    bad = sample();
    bad.files[1].name = name;
    EXPECT_THROW(static_cast<void>(encode(bad)), std::invalid_argument) << name;
  }
  bad = sample();
  bad.codecs[0].reason = std::string(256, 'r');
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
  EXPECT_EQ(to_hex(hash_of(std::as_bytes(std::span("abc", 3)))), content_hash("abc"));
}

}  // namespace
}  // namespace cairn
