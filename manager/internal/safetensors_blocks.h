#pragma once
// Where the bytes of a safetensors file are cut into blocks, each gathered and written as one.
// Pure.
//
// A block ends at a multiple of kBlockBytes in the file, or, within a leaf whose source reads whole
// chunks, at the next end of chunks: a chunk is then read for one block alone. (Where two chunks
// have a part each in a byte, the block's last element is of the second.)

#include <cairn/manager/internal/safetensors_plan.h>

#include <cstdint>

namespace cairn::internal {

inline constexpr std::uint64_t kBlockBytes = 4u << 20;

class BlockCutter {
 public:
  /// `most`: bytes of a block, at least kBlockBytes. Chunks that span more are read for several.
  BlockCutter(const PlannedFile& file, std::uint64_t most) : file_(file), most_(most) {}
  /// The next block, [begin(), end()) in the file; false when there is none.
  bool next();
  [[nodiscard]] std::uint64_t begin() const noexcept { return begin_; }
  [[nodiscard]] std::uint64_t end() const noexcept { return end_; }

 private:
  [[nodiscard]] std::uint64_t cut_near(std::uint64_t ideal) const;
  const PlannedFile& file_;
  std::uint64_t most_;
  std::uint64_t begin_ = 0;
  std::uint64_t end_ = 0;
};

/// The bytes of a tensor's elements, as in memory and in C order, that whole boxes of its source
/// make: in each `row` of bytes, runs of `band` and what is left at the row's end.
struct Bands {
  std::uint64_t band = 0;  ///< 0: the source does not care
  std::uint64_t row = 0;
};
[[nodiscard]] Bands bands_of(const PlannedTensor& tensor);

}  // namespace cairn::internal
