// What is said of a database's nodes and of the values in them: where in which file, and once.

#include <cairn/codecs/orbax.h>
#include <gmock/gmock.h>

#include "codecs/ocdbt_samples.h"
#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

using ocdbt::testing::kBodyOffset;
using ocdbt::testing::kChecksumBytes;
using ::testing::HasSubstr;

/// A byte in front of the root, so that its offset is not just 0.
constexpr std::uint64_t kNodeOffset = 1;

/// A value is missing where the brace is.
constexpr std::string_view kBadMetadata = R"({"zarr_format": })";
constexpr std::uint64_t kBadByte = kBadMetadata.size() - 1;

/// One frame of one block that holds `bytes` as they are, at most 255 (RFC 8878, 3.1.1).
std::string stored_zstd_frame(const std::string& bytes) {
  const auto block = static_cast<unsigned>(bytes.size()) << 3 | 1;  // raw, the last
  std::string frame("\x28\xb5\x2f\xfd\x20", 5);
  frame += static_cast<char>(bytes.size());
  for (const int shift : {0, 8, 16}) frame += static_cast<char>(block >> shift);
  return frame + bytes;
}

class DatabaseErrors : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());

  /// Of a node that has a byte too many at its end.
  static std::string faulty_body() {
    ocdbt::Node leaf;
    leaf.entries = std::vector<ocdbt::Entry>{{"a", std::string("1")}};
    const std::string node = ocdbt::encode(leaf, ocdbt::testing::raw_config());
    return node.substr(kBodyOffset, node.size() - kBodyOffset - kChecksumBytes) + 'x';
  }
  Error error_with(const std::string& root_node) {
    test::write_nodes(root(), 0, {std::string(kNodeOffset, 'x'), root_node});
    const Error error = error_of(read_tree(engine_, root()));
    EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
    EXPECT_EQ(error.context().path, path_of("d/nodes"));
    return error;
  }

  [[nodiscard]] std::string path_of(const std::string& file) const { return root() + "/" + file; }
  static std::string text_of(const zarr::ArrayMetadata& metadata) {
    return zarr::encode_metadata(metadata);
  }
  /// A database with a sound array "a", in a node of its own, and these entries in the node behind
  /// it, which is compressed and in another file.
  void write_values(std::vector<ocdbt::Entry> entries) {
    const std::string sound = text_of(test::raw_array(DType::uint8, {1}, {1}));
    ocdbt::Node first;
    first.entries = std::vector<ocdbt::Entry>{{"a/c/0", std::string("x")}, {"a/zarr.json", sound}};
    ocdbt::Node second;
    second.files = {ocdbt::DataFile("", "d/values")};
    second.entries = std::move(entries);
    const std::string first_bytes = ocdbt::encode(first, ocdbt::Config());
    const std::string second_bytes = ocdbt::encode(second, ocdbt::Config());
    ocdbt::Node top;
    top.height = 1;
    top.files = {ocdbt::DataFile("", "d/nodes"), ocdbt::DataFile("", "d/second")};
    top.entries = std::vector<ocdbt::Child>{
        ocdbt::testing::child("a", 0, {0, 0, first_bytes.size()}, {}),
        ocdbt::testing::child("b", 0, {1, kNodeOffset, second_bytes.size()}, {})};
    test::write_nodes(root(), 1, {first_bytes, ocdbt::encode(top, ocdbt::Config())});
    test::write_file(path_of("d/second"), std::string(kNodeOffset, 'x') + second_bytes);
  }
  Error error_with_values(std::vector<ocdbt::Entry> entries) {
    write_values(std::move(entries));
    const Error error = error_of(read_tree(engine_, root()));
    EXPECT_EQ(error.code(), ErrorCode::data_loss) << error.what();
    return error;
  }
  /// In d/values, behind others' bytes.
  ocdbt::Reference write_outside(const std::string& value) {
    const std::string others(7, 'x');
    test::write_file(path_of("d/values"), others + value);
    return {0, others.size(), value.size()};
  }
};
CAIRN_ON_EVERY_BACKEND(DatabaseErrors);

TEST_P(DatabaseErrors, AFieldOfAStoredBodyHasItsOffsetInTheFile) {
  const std::string body = faulty_body();
  const Error error = error_with(ocdbt::testing::sealed(ocdbt::kBtreeMagic, body));
  EXPECT_THAT(error.what(), HasSubstr("1 bytes after the last field"));
  EXPECT_EQ(error.context().offset, kNodeOffset + kBodyOffset + body.size() - 1);
}

TEST_P(DatabaseErrors, AFieldOfACompressedBodyHasItsOffsetThereAndThatOfTheNodeInTheFile) {
  const std::string body = faulty_body();
  const Error error =
      error_with(ocdbt::testing::sealed(ocdbt::kBtreeMagic, stored_zstd_frame(body), 1));
  EXPECT_THAT(error.what(), HasSubstr("decompressed body: end at byte " +
                                      std::to_string(body.size() - 1) + ": found 1 bytes"));
  EXPECT_EQ(error.context().offset, kNodeOffset);
}

TEST_P(DatabaseErrors, WhatIsOfNoSingleFieldHasTheOffsetOfTheNode) {
  std::string node = ocdbt::testing::sealed(ocdbt::kBtreeMagic, faulty_body());
  node.back() = static_cast<char>(node.back() ^ 1);
  const Error error = error_with(node);
  EXPECT_THAT(error.what(), HasSubstr("checksum"));
  EXPECT_EQ(error.context().offset, kNodeOffset);
}

TEST_P(DatabaseErrors, AnInlineChunkIsAtTheNodeThatHasIt) {
  // Found by its size, and by its checksum.
  for (const std::string chunk : {"abc", "abcdefgh"}) {
    SCOPED_TRACE(chunk);
    zarr::ArrayMetadata form = test::raw_array(DType::uint8, {4}, {4});
    form.codecs.emplace_back(zarr::Crc32c{});
    const Error error = error_with_values({{"w/c/0", chunk}, {"w/zarr.json", text_of(form)}});
    EXPECT_EQ(error.context().path, path_of("d/second"));
    EXPECT_EQ(error.context().offset, kNodeOffset);
    EXPECT_EQ(error.context().key_path, "w");
    EXPECT_THAT(error.reason(), HasSubstr("chunk c/0: "));
  }
}

TEST_P(DatabaseErrors, AnInnerChunkOfAnInlineShardIsAtTheNodeThatHasIt) {
  const zarr::ArrayMetadata form = test::sharded_array(DType::uint8, {4}, {4}, {2});
  const std::string shard =
      test::encoded_chunk(form, std::as_bytes(std::span<const char>("abcd", 4)));
  // A bit of the last inner chunk, and of the index.
  for (const std::size_t at : {std::size_t{7}, shard.size() - 1}) {
    SCOPED_TRACE(at);
    std::string flipped = shard;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    write_values({{"w/c/0", flipped}, {"w/zarr.json", text_of(form)}});
    for (const bool whole : {true, false}) {
      // A part of the array makes its shards be read by inner chunks.
      ReadOptions wanted;
      if (!whole) wanted.selection.emplace_back("w", IndexRange{{3}, {1}});
      const Error error = error_of(read_tree(engine_, root(), wanted));
      EXPECT_EQ(error.context().path, path_of("d/second"));
      EXPECT_EQ(error.context().offset, kNodeOffset) << error.what();
      EXPECT_THAT(error.what(), HasSubstr("crc32c"));
    }
  }
}

TEST_P(DatabaseErrors, ArrayMetadataInANodeHasTheOffsetOfTheNodeAndItsKey) {
  const Error error = error_with_values({{"w/zarr.json", std::string(kBadMetadata)}});
  EXPECT_EQ(error.context().path, path_of("d/second"));
  EXPECT_EQ(error.context().offset, kNodeOffset);
  EXPECT_EQ(error.context().key_path, "w");
  EXPECT_THAT(error.reason(), HasSubstr("value of the key 'w/zarr.json', bytes counted from its "
                                        "start: zarr.json: "));
  EXPECT_THAT(error.reason(), HasSubstr("at byte " + std::to_string(kBadByte) + ": found"));
  const VerifyReport report = verify_item(engine_, root()).get();
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].file, path_of("d/second"));
  EXPECT_EQ(report.damages[0].offset, kNodeOffset);
}

TEST_P(DatabaseErrors, ArrayMetadataOutOfLineHasItsOffsetInItsFile) {
  const ocdbt::Reference place = write_outside(std::string(kBadMetadata));
  const Error error = error_with_values({{"w/zarr.json", place}});
  EXPECT_EQ(error.context().path, path_of("d/values"));
  EXPECT_EQ(error.context().offset, place.offset + kBadByte);
  EXPECT_THAT(error.reason(), HasSubstr("value of the key 'w/zarr.json'"));
}

TEST_P(DatabaseErrors, AChunkOutOfLineHasItsOffsetInItsFile) {
  const std::string metadata = text_of(test::raw_array(DType::uint8, {4}, {4}));
  const ocdbt::Reference place = write_outside("abc");
  const Error error = error_with_values({{"w/c/0", place}, {"w/zarr.json", metadata}});
  EXPECT_EQ(error.context().path, path_of("d/values"));
  EXPECT_EQ(error.context().offset, place.offset);
  EXPECT_THAT(error.reason(), HasSubstr("chunk c/0: it has 3 bytes, its metadata asks for 4"));
}

TEST_P(DatabaseErrors, ArrayMetadataThatIsNotInTheDatabaseIsMissingFromItsManifest) {
  orbax::TreeMetadata metadata;
  orbax::TreeEntry entry;
  entry.path = {Key("w", Key::Kind::dict)};
  metadata.entries = {entry};
  metadata.use_zarr3 = true;
  write_values({{"w/c/0", std::string("abcd")}});
  test::write_file(path_of("_METADATA"), orbax::encode(metadata));
  const Error error = error_of(read_tree(engine_, root()));
  EXPECT_EQ(error.context().path, path_of("manifest.ocdbt"));
  EXPECT_THAT(error.reason(), HasSubstr("there is no 'w/zarr.json'"));
}

TEST_P(DatabaseErrors, ARootThatCannotBeReadIsOneFault) {
  test::write_nodes(root(), 0, {ocdbt::testing::sealed(ocdbt::kBtreeMagic, faulty_body())});
  const VerifyReport report = verify_item(engine_, root()).get();
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_EQ(report.damages[0].file, root() + "/d/nodes");
}

}  // namespace
}  // namespace cairn
