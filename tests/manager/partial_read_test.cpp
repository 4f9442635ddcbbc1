// Reads of some leaves, or of a part of one: the right elements, and no more of the disk than they
// need.

#include <cairn/codecs/zarr.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

#include "manager/expected_tree.h"
#include "support/manager_fixture.h"
#include "support/seed.h"

namespace cairn {
namespace {

using args::Selection;
using test::checkpoint;
using ::testing::HasSubstr;

/// The elements of `range`, one by one.
Array slice(const Array& array, const IndexRange& range) {
  Array out(array.dtype(), range.shape);
  const std::size_t width = size_of(array.dtype());
  const std::vector<Index> strides = c_strides(array.dtype(), array.shape());
  Shape index(range.shape.size(), 0);
  for (Index i = 0; i < out.size(); ++i) {
    Index at = 0;
    for (std::size_t d = 0; d < index.size(); ++d) at += (range.origin[d] + index[d]) * strides[d];
    std::memcpy(out.bytes().data() + static_cast<std::size_t>(i) * width, array.bytes().data() + at,
                width);
    for (std::size_t d = index.size(); d-- > 0;) {
      if (++index[d] < range.shape[d]) break;
      index[d] = 0;
    }
  }
  return out;
}

class PartialRead : public test::ManagerTest {
 protected:
  std::shared_ptr<engine::Engine> engine_ = test::make_engine(GetParam());

  Tree read(const std::string& path, std::vector<Selection> selection) {
    return read_tree(engine_, path, ReadOptions(std::move(selection))).get();
  }
  /// Bytes that `work` reads from the disk.
  template <class Work>
  std::uint64_t bytes_read(Work work) {
    const std::uint64_t before = engine_->stats().bytes_read;
    work();
    return engine_->stats().bytes_read - before;
  }
  static void expect_error(ErrorCode code, const std::string& text,
                           const std::function<void()>& f) {
    try {
      f();
      ADD_FAILURE() << "no error with " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), code) << error.what();
      EXPECT_THAT(error.what(), HasSubstr(text));
    }
  }
};
CAIRN_ON_EVERY_BACKEND(PartialRead);

TEST_P(PartialRead, AnyRangeOfAnyForeignArrayHasTheElementsOfTheWhole) {
  std::mt19937_64 random(test::make_seed());
  for (const std::string name : {"ts_files", "ts_ocdbt", "zarr2_python", "zarr3_python"}) {
    const Tree whole = read_tree(engine_, checkpoint(name)).get();
    for (const FlatEntry& entry : flatten(whole)) {
      const auto* array = std::get_if<Array>(&entry.node->value());
      if (array == nullptr) continue;
      for (int round = 0; round < 6; ++round) {
        IndexRange range;
        for (const Index extent : array->shape()) {
          const auto begin = static_cast<Index>(random() % static_cast<std::uint64_t>(extent));
          range.origin.push_back(begin);
          range.shape.push_back(
              1 + static_cast<Index>(random() % static_cast<std::uint64_t>(extent - begin)));
        }
        SCOPED_TRACE(name + " " + to_string(entry.path));
        const Tree part = read(checkpoint(name), {Selection(entry.path, range)});
        const std::vector<FlatEntry> flat = flatten(part);
        ASSERT_EQ(flat.size(), 1u);
        EXPECT_EQ(to_string(flat[0].path), to_string(entry.path));
        EXPECT_EQ(flat[0].node->as<Array>(), slice(*array, range));
      }
    }
  }
}

TEST_P(PartialRead, ALeafOrAPrefixComesInItsPlace) {
  const Tree model = read(checkpoint("ocdbt_zarr2"), {Selection("layers[1]"), Selection("text")});
  const boost::json::object all = test::expected("ocdbt_zarr2");
  test::expect_tree(
      model,
      {{"layers[0]", "null"}, {"layers[1]/b", all.at("layers[1]/b")}, {"text", all.at("text")}});
  const Tree named = read(checkpoint("ts_files"), {Selection("nested")});
  EXPECT_EQ(named.as<Dict>().size(), 1u);
  EXPECT_EQ(named.at("nested").as<Dict>().size(), 2u);
  const Tree bare = read(checkpoint("ts_bare"), {Selection(KeyPath(), IndexRange{{1}, {2}})});
  EXPECT_EQ(bare.as<Array>(), Array::from(std::span<const std::int32_t>({3, 2}), {2}));
}

TEST_P(PartialRead, ARangeWithoutElementsIsAnEmptyArray) {
  const Tree part =
      read(checkpoint("ts_files"), {Selection("raw", IndexRange{{5, 0, 0}, {0, 7, 3}})});
  EXPECT_EQ(part.at("raw").as<Array>().shape(), (Shape{0, 7, 3}));
}

TEST_P(PartialRead, WhatIsNotThereIsNamedWithItsLikes) {
  const std::string path = checkpoint("ocdbt_zarr2");
  const auto expect = [&](ErrorCode code, const std::string& text, Selection selection) {
    expect_error(code, text, [&] { read(path, {selection}); });
  };
  expect(ErrorCode::not_found, "did you mean scalars[0]", Selection("scalar[0]"));
  expect(ErrorCode::not_found, "layers[7]", Selection("layers[7]"));
  expect(ErrorCode::invalid_argument, "axis 0", Selection("w", IndexRange{{3, 0}, {2, 2}}));
  expect(ErrorCode::invalid_argument, "axis 1", Selection("w", IndexRange{{0, -1}, {1, 1}}));
  expect(ErrorCode::invalid_argument, "axis 0", Selection("w", IndexRange{{1, 0}, {INT64_MAX, 2}}));
  expect(ErrorCode::invalid_argument, "the array has 2", Selection("w", IndexRange{{0}, {1}}));
  expect(ErrorCode::invalid_argument, "2 leaves", Selection("layers", IndexRange{{0}, {1}}));
  expect(ErrorCode::invalid_argument, "no array", Selection("text", IndexRange{{0}, {1}}));
  expect_error(ErrorCode::invalid_argument, "asked for twice", [&] {
    read(path, {Selection("w"), Selection("w", IndexRange{{0, 0}, {1, 1}})});
  });
  expect_error(ErrorCode::not_found, "there are",
               [&] { read(checkpoint("ts_files"), {Selection("nowhere")}); });
}

TEST_P(PartialRead, OnlyTheChunksThatAreNeededAreRead) {
  CheckpointManager manager(root(), options());
  constexpr Index kRows = 4096;
  constexpr Index kColumns = 4096;
  Array big = Array::uninitialized(DType::float32, {kRows, kColumns});  // 64 MiB: several chunks
  auto values = big.values<float>();
  std::iota(values.begin(), values.end(), 0.0F);
  Array other = Array::uninitialized(DType::float32, {1 << 22});
  std::ranges::fill(other.values<float>(), 1.0F);
  ASSERT_TRUE(
      manager.save(0, Dict{{"big", Tree(big)}, {"other", Tree(std::move(other))}, {"n", Tree(3)}})
          .get());
  const std::string item = root() + "/0/default";
  const IndexRange corner{{10, 20}, {3, 5}};
  Tree part;
  const std::uint64_t bytes = bytes_read([&] { part = read(item, {Selection("big", corner)}); });
  EXPECT_EQ(part.at("big").as<Array>(), slice(big, corner));
  // One chunk, not the array, and nothing of the other one.
  EXPECT_LT(bytes, 33u << 20);
  EXPECT_LT(bytes_read([&] { part = read(item, {Selection("n")}); }), 1u << 20);
  EXPECT_EQ(part.at("n"), Tree(3));
  args::StandardRestore some(std::vector<Selection>{Selection("n")});
  EXPECT_EQ(manager.restore(0, some).get().tree().as<Dict>().size(), 1u);
}

TEST_P(PartialRead, OnlyTheNodesThatAreNeededAreRead) {
  // 22 nodes of some hundred bytes at three heights.
  const std::string path = checkpoint("ts_ocdbt");
  const std::uint64_t all = bytes_read([&] { static_cast<void>(read_tree(engine_, path).get()); });
  const std::uint64_t one = bytes_read([&] {
    static_cast<void>(read(path, {Selection("plain", IndexRange{{0, 0, 0}, {1, 1, 1}})}));
  });
  EXPECT_LT(one * 2, all);
}

TEST_P(PartialRead, OfAShardOnlyItsIndexAndTheInnerChunksAreRead) {
  // One shard of 64 inner chunks of 64 KiB.
  zarr::ArrayMetadata metadata;
  metadata.dtype = DType::uint32;
  metadata.shape = {1024, 1024};
  metadata.chunk_shape = metadata.shape;
  zarr::Sharding sharding;
  sharding.chunk_shape = {128, 128};
  sharding.codecs = {zarr::Bytes{}, zarr::Crc32c{}};
  sharding.index_codecs = {zarr::Bytes{}, zarr::Crc32c{}};
  metadata.codecs = {sharding};
  Array array = Array::uninitialized(metadata.dtype, metadata.shape);
  auto values = array.values<std::uint32_t>();
  std::iota(values.begin(), values.end(), 1u);
  std::vector<std::byte> shard(zarr::chunk_size_bound(metadata));
  shard.resize(zarr::encode_chunk(metadata, array.bytes(), shard));
  const std::filesystem::path item = root();
  std::filesystem::create_directories(item / "c/0");
  std::ofstream(item / "zarr.json") << zarr::encode_metadata(metadata);
  std::ofstream(item / "c/0/0", std::ios::binary)
      .write(reinterpret_cast<const char*>(shard.data()),
             static_cast<std::streamsize>(shard.size()));
  const IndexRange box{{100, 130}, {50, 3}};  // of two inner chunks
  Tree part;
  const std::uint64_t bytes = bytes_read([&] { part = read(root(), {Selection(KeyPath(), box)}); });
  EXPECT_EQ(part.as<Array>(), slice(array, box));
  EXPECT_LT(bytes, 3u * (64u << 10) + (16u << 10));
  EXPECT_EQ(read_tree(engine_, root()).get().as<Array>(), array);
}

TEST_P(PartialRead, ValuesOfOneLeafReadThatLeafAlone) {
  const std::string path = checkpoint("ts_files");
  std::vector<LeafValues> values;
  const std::uint64_t bytes =
      bytes_read([&] { values = inspect_values(engine_, path, "", {Selection("nested")}).get(); });
  ASSERT_EQ(values.size(), 2u);
  std::uint64_t below = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path + "/nested")) {
    if (entry.is_regular_file()) below += entry.file_size();
  }
  EXPECT_EQ(bytes, below) << "each file once, and none of another leaf's";
  EXPECT_EQ(values[0].key_path, "nested/blosc");
  EXPECT_EQ(values[1].statistics.count, 105u);
}

}  // namespace
}  // namespace cairn
