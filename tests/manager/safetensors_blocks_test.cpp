// Where a safetensors file is cut into blocks.

#include <cairn/manager/internal/safetensors_blocks.h>
#include <gmock/gmock.h>

#include <random>

#include "support/seed.h"

namespace cairn::internal {
namespace {

/// Never read: says which boxes it likes.
class BoxedSource final : public Source {
 public:
  explicit BoxedSource(Shape box) : box_(std::move(box)) {}
  void read(const IndexRange&, std::span<std::byte>,
            std::function<void(std::exception_ptr)>) override {
    ADD_FAILURE();
  }
  [[nodiscard]] Shape natural_box() const override { return box_; }

 private:
  Shape box_;
};

Tree leaf(DType dtype, Shape shape, Shape box) {
  return Tree(Leaf(dtype, std::move(shape), std::make_shared<BoxedSource>(std::move(box))));
}

Bands bands(DType dtype, Shape shape, Shape box) {
  const Tree tree = Dict{{"a", leaf(dtype, std::move(shape), std::move(box))}};
  return bands_of(plan_safetensors(tree, {}).at(0).tensors.at(0));
}

TEST(Blocks, BandsAreWhatWholeChunksMakeOfTheTensorsBytes) {
  const auto expect = [](const Bands& found, std::uint64_t band, std::uint64_t row) {
    EXPECT_EQ(found.band, band);
    EXPECT_EQ(found.row, row);
  };
  expect(bands(DType::int16, {10, 6}, {4, 6}), 48, 120);       // rows of chunks
  expect(bands(DType::int16, {10, 6}, {4, 2}), 48, 120);       // each of three chunks
  expect(bands(DType::int16, {10, 6}, {1, 4}), 8, 12);         // chunks within rows
  expect(bands(DType::int8, {3, 7, 5}, {1, 2, 5}), 10, 35);    // the axis in the middle
  expect(bands(DType::int8, {3, 7, 5}, {1, 1, 1}), 1, 5);      // elements
  expect(bands(DType::int8, {3, 7, 5}, {8, 8, 8}), 105, 105);  // one chunk
  expect(bands(DType::int8, {1, 7}, {4, 2}), 2, 7);            // an axis of one
  expect(bands(DType::float4_e2m1fn, {3, 8}, {1, 2}), 2, 8);   // as in memory
  expect(bands(DType::int8, {3, 7}, {}), 0, 0);
  expect(bands(DType::int8, {3, 0}, {1, 1}), 0, 0);
}

TEST(Blocks, CoverTheFileAndEndWithChunks) {
  std::mt19937_64 random(test::make_seed());
  for (int round = 0; round < 50; ++round) {
    Dict dict;
    for (int i = 0; i < 6; ++i) {
      Shape shape = {2 + 2 * static_cast<Index>(random() % 20),
                     1 + static_cast<Index>(random() % 50),
                     1 + static_cast<Index>(random() % 20'000)};
      Shape box;
      for (const Index extent : shape)
        box.push_back(1 + static_cast<Index>(random() % static_cast<std::uint64_t>(extent)));
      const Shape none;
      dict["w" + std::to_string(i)] = leaf(i % 2 == 0 ? DType::float32 : DType::float4_e2m1fn,
                                           std::move(shape), random() % 3 == 0 ? none : box);
    }
    const Tree tree(std::move(dict));
    const std::vector<PlannedFile> files = plan_safetensors(tree, {});
    const PlannedFile& file = files.at(0);
    const std::uint64_t most = kBlockBytes + random() % (64u << 20);
    BlockCutter cutter(file, most);
    std::uint64_t done = 0;
    while (cutter.next()) {
      ASSERT_EQ(cutter.begin(), done);
      ASSERT_GT(cutter.end(), done);
      ASSERT_LE(cutter.end() - done, most);
      done = cutter.end();
      for (const PlannedTensor& tensor : file.tensors) {
        if (done <= tensor.begin || done >= tensor.begin + tensor.bytes) continue;
        const Bands bands = bands_of(tensor);
        const std::uint64_t within = (done - tensor.begin) * tensor.packing;
        // Within chunks only where those are larger than a block may be, or share a byte.
        if (bands.band != 0 && bands.band <= (most - kBlockBytes) * tensor.packing) {
          const std::uint64_t beyond = within % bands.row % bands.band;
          EXPECT_LT(beyond, tensor.packing);
        }
      }
    }
    EXPECT_EQ(done, file.size);
  }
}

}  // namespace
}  // namespace cairn::internal
