// Shards that are larger than what a reader should hold: they are read by inner chunks, with the
// same values.

#include <gmock/gmock.h>

#include <numeric>

#include "manager/stored_samples.h"
#include "support/manager_fixture.h"

namespace cairn {
namespace {

namespace fs = std::filesystem;
using args::Selection;
using test::peak_growth;
using test::write_file;
using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr std::uint64_t kMiB = 1u << 20;

class Shards : public test::ManagerTest {
 protected:
  static constexpr std::size_t kWindowBytes = 8 * kMiB;
  /// What does not fit into its window gets memory of its own, which the window's peak shows.
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam(), small_window());

  static test::EngineSettings small_window() {
    test::EngineSettings settings;
    settings.io_window_bytes = kWindowBytes;
    return settings;
  }
  static Array counting(Shape shape) {
    Array array = Array::uninitialized(DType::uint32, std::move(shape));
    auto values = array.values<std::uint32_t>();
    std::iota(values.begin(), values.end(), 7u);
    return array;
  }
  /// 3000 x 2040 elements in one shard of 4096 x 2048 (32 MiB), of inner chunks of 64 KiB: its rows
  /// are longer than the array's, so nothing decodes into its place.
  Array write_large() {
    const zarr::ArrayMetadata metadata =
        test::sharded_array(DType::uint32, {3000, 2040}, {4096, 2048}, {128, 128});
    Array array = counting({3000, 2040});
    Array padded(DType::uint32, metadata.chunk_shape);
    const auto from = array.values<std::uint32_t>();
    const auto to = padded.values<std::uint32_t>();
    for (std::size_t row = 0; row < 3000; ++row)
      std::ranges::copy(from.subspan(row * 2040, 2040), to.subspan(row * 2048).begin());
    write_file(fs::path(root()) / "zarr.json", zarr::encode_metadata(metadata));
    write_file(fs::path(root()) / "c/0/0", test::encoded_chunk(metadata, padded.bytes()));
    return array;
  }
  std::uint64_t window_peak() { return engine_->stats().window.peak_bytes; }
};
CAIRN_ON_EVERY_BACKEND(Shards);

TEST_P(Shards, AReadOfALargeOneTakesTheMemoryOfSomeInnerChunks) {
  const Array array = write_large();
  EXPECT_EQ(read_tree(engine_, root()).get().as<Array>(), array);
  EXPECT_LE(window_peak(), kWindowBytes);
}

TEST_P(Shards, ValuesAndChecksOfALargeOneDoToo) {
  const Array array = write_large();
  const auto values = inspect_values(engine_, root()).get();
  ASSERT_EQ(values.size(), 1u);
  EXPECT_EQ(values[0].statistics.count, 3000u * 2040u);
  EXPECT_EQ(values[0].statistics.min, 7);
  EXPECT_EQ(values[0].statistics.max, 3000 * 2040 + 6);
  const VerifyReport report = verify_item(engine_, root()).get();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.chunks, 24u * 16u);  // the inner chunks that the array reaches into
  EXPECT_LE(window_peak(), kWindowBytes);
}

TEST_P(Shards, ADamagedInnerChunkIsNamedAndTheOthersAreChecked) {
  write_large();
  std::string shard = test::read_file(fs::path(root()) / "c/0/0");
  shard[5 * (128 * 128 * 4 + 4) + 17] ^= 1;  // the sixth inner chunk of the first row
  write_file(fs::path(root()) / "c/0/0", shard);
  const VerifyReport report = verify_item(engine_, root()).get();
  ASSERT_EQ(report.damages.size(), 1u);
  EXPECT_THAT(report.damages[0].message,
              AllOf(HasSubstr("chunk c/0/0, inner chunk c/0/5"), HasSubstr("crc32c")));
  EXPECT_EQ(report.chunks, 24u * 16u - 1);
  EXPECT_THROW(static_cast<void>(read_tree(engine_, root()).get()), Error);
}

TEST_P(Shards, OneInADatabaseThatClaimsAGigabyteIsReadByInnerChunks) {
  // 2^28 elements, of which one inner chunk is there.
  zarr::ArrayMetadata metadata =
      test::sharded_array(DType::uint32, {1000}, {Index{1} << 28}, {Index{1} << 14});
  metadata.fill_value = std::vector<std::byte>(4, std::byte{1});
  const zarr::ArrayMetadata inner = zarr::inner_array(metadata);
  const Array array = counting({Index{1} << 14});
  std::string shard = test::encoded_chunk(inner, array.bytes());
  // The index: where each inner chunk lies, then its crc32c. Taken from an encoded small shard.
  zarr::ArrayMetadata small = metadata;
  small.shape = small.chunk_shape = {Index{1} << 14};
  const std::string one = test::encoded_chunk(small, array.bytes());
  ASSERT_EQ(one.substr(0, shard.size()), shard);
  std::vector<std::byte> index((std::size_t{1} << 14) * 16, std::byte{0xff});
  std::memcpy(index.data(), one.data() + shard.size(), 16);
  shard += test::text_of(index);
  zarr::ArrayMetadata checksum = test::raw_array(DType::uint8, {Index{1} << 18}, {Index{1} << 18});
  checksum.codecs.emplace_back(zarr::Crc32c{});
  shard += test::encoded_chunk(checksum, index).substr(index.size());
  test::write_database(root(), {{"zarr.json", zarr::encode_metadata(metadata)}, {"c/0", shard}});
  Tree tree;
  const std::uint64_t grown = peak_growth([&] { tree = read_tree(engine_, root()).get(); });
  Array wanted = Array::uninitialized(DType::uint32, {1000});
  std::copy_n(array.values<std::uint32_t>().begin(), 1000, wanted.values<std::uint32_t>().begin());
  EXPECT_EQ(tree.as<Array>(), wanted);
  EXPECT_LT(grown, 256 * kMiB);
  EXPECT_EQ(inspect_values(engine_, root()).get()[0].statistics.max, 1006);
}

TEST_P(Shards, InnerChunksThatALargeOneLeavesOutAreTheFillValue) {
  zarr::ArrayMetadata metadata =
      test::sharded_array(DType::uint32, {2048, 2048}, {2048, 2048}, {512, 512});
  metadata.fill_value = {std::byte{9}, std::byte{0}, std::byte{0}, std::byte{0}};
  const Array array = counting({2048, 2048});
  std::string shard = test::encoded_chunk(metadata, array.bytes());
  const std::size_t index_at = shard.size() - 16 * 16 - 4;
  std::memset(shard.data() + index_at + 5 * 16, 0xff, 16);  // row 1, column 1
  std::vector<std::byte> index(16 * 16);
  std::memcpy(index.data(), shard.data() + index_at, index.size());
  zarr::ArrayMetadata checksum = test::raw_array(DType::uint8, {256}, {256});
  checksum.codecs.emplace_back(zarr::Crc32c{});
  shard.replace(shard.size() - 4, 4, test::encoded_chunk(checksum, index).substr(256));
  write_file(fs::path(root()) / "zarr.json", zarr::encode_metadata(metadata));
  write_file(fs::path(root()) / "c/0/0", shard);
  Array wanted = array;
  auto values = wanted.values<std::uint32_t>();
  for (std::size_t row = 512; row < 1024; ++row)
    std::ranges::fill(values.subspan(row * 2048 + 512, 512), 9u);
  EXPECT_EQ(read_tree(engine_, root()).get().as<Array>(), wanted);
}

}  // namespace
}  // namespace cairn
