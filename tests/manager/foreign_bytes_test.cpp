// Chunks of other programs whose checksums are right, over bytes that are not.

#include <cairn/codecs/crc32c.h>
#include <gmock/gmock.h>

#include <cstring>

#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

using test::write_file;
using ::testing::AllOf;
using ::testing::HasSubstr;

zarr::ArrayMetadata compressed_array(Index elements, zarr::Codec codec) {
  zarr::ArrayMetadata metadata = test::raw_array(DType::int32, {elements}, {elements});
  metadata.codecs = {zarr::Bytes{}, std::move(codec), zarr::Crc32c{}};
  return metadata;
}

std::string zeros_of(const zarr::ArrayMetadata& metadata) {
  const std::vector<std::byte> elements(byte_count(metadata.dtype, metadata.chunk_shape));
  return test::encoded_chunk(metadata, elements);
}

std::string sealed(std::string bytes) {
  const std::uint32_t checksum = crc32c(std::as_bytes(std::span(bytes)));
  char text[sizeof(checksum)];
  std::memcpy(text, &checksum, sizeof(checksum));
  return bytes.append(text, sizeof(text));
}

class ForeignBytes : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());

  VerifyReport verified(const zarr::ArrayMetadata& metadata, const std::string& chunk) {
    write_file(root() + "/w/zarr.json", zarr::encode_metadata(metadata));
    write_file(chunk_file(), chunk);
    return verify_item(engine_, root()).get();
  }
  [[nodiscard]] std::string chunk_file() const { return root() + "/w/c/0"; }
};
CAIRN_ON_EVERY_BACKEND(ForeignBytes);

TEST_P(ForeignBytes, WhatARightChecksumIsOverMustDecodeToTheChunk) {
  for (const zarr::Codec& codec : {zarr::Codec{zarr::Zstd{}}, zarr::Codec{zarr::Gzip{}}}) {
    const zarr::ArrayMetadata metadata = compressed_array(1000, codec);
    const VerifyReport sound = verified(metadata, zeros_of(metadata));
    EXPECT_TRUE(sound.ok());
    EXPECT_EQ(sound.chunks, 1u);
    for (const std::string& chunk :
         {sealed("no frame at all"), zeros_of(compressed_array(4, codec))}) {
      const VerifyReport report = verified(metadata, chunk);
      EXPECT_EQ(report.chunks, 0u);
      ASSERT_EQ(report.damages.size(), 1u);
      EXPECT_EQ(report.damages[0].key_path, "w");
      EXPECT_EQ(report.damages[0].file, chunk_file());
      EXPECT_THAT(report.damages[0].message, HasSubstr("codecs[1]"));
    }
  }
}

TEST_P(ForeignBytes, ABoolIsAByteOf0Or1) {
  // The chunk has a row that the array has not.
  zarr::ArrayMetadata metadata = test::raw_array(DType::boolean, {2, 3}, {3, 3});
  for (const bool compressed : {false, true}) {
    if (compressed) metadata.codecs = {zarr::Bytes{}, zarr::Zstd{}, zarr::Crc32c{}};
    const auto verified_with = [&](std::size_t at, unsigned value) {
      std::vector<std::byte> elements(9, std::byte{1});
      elements[at] = static_cast<std::byte>(value);
      write_file(root() + "/w/zarr.json", zarr::encode_metadata(metadata));
      write_file(root() + "/w/c/0/0", test::encoded_chunk(metadata, elements));
      return verify_item(engine_, root()).get();
    };
    EXPECT_TRUE(verified_with(4, 0).ok());
    EXPECT_TRUE(verified_with(8, 255).ok());
    for (const unsigned value : {2u, 255u}) {
      const VerifyReport report = verified_with(4, value);
      ASSERT_EQ(report.damages.size(), 1u);
      EXPECT_EQ(report.damages[0].key_path, "w");
      EXPECT_THAT(report.damages[0].message,
                  AllOf(HasSubstr("chunk c/0/0"),
                        HasSubstr("element [1, 1]: found " + std::to_string(value) + "; allowed")));
    }
  }
}

}  // namespace
}  // namespace cairn
