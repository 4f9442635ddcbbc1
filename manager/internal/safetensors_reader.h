#pragma once
// Reading boxes of tensors: in file order, in blocks of a few MiB, straight into their arrays where
// the alignment of direct I/O allows that.

#include <cairn/codecs/leaf.h>
#include <cairn/manager/internal/safetensors_input.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace cairn::internal {

/// A box of a dense C-order array as equally long runs of bytes, in the array's order.
class BoxRuns {
 public:
  BoxRuns(DType dtype, const Shape& shape, IndexRange box);
  [[nodiscard]] std::uint64_t run_bytes() const noexcept { return run_bytes_; }
  [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }  ///< of all runs
  /// Bytes from the array's start to run `run`.
  [[nodiscard]] std::uint64_t offset(std::uint64_t run) const;

 private:
  IndexRange box_;
  std::vector<Index> strides_;
  std::size_t outer_ = 0;  ///< axes that number the runs; the ones behind lie within a run
  std::uint64_t base_ = 0;
  std::uint64_t run_bytes_ = 0;
  std::uint64_t bytes_ = 0;
};

/// A box of a tensor, and where its elements go in dense C order.
struct TensorRead {
  TensorRead(const safetensors::Header& header, std::size_t tensor, IndexRange box, std::byte* t);
  /// Where in the file the byte is that has the elements' byte `at`, counted as in memory.
  [[nodiscard]] std::uint64_t place(std::uint64_t at) const { return begin + at / packing; }
  std::uint64_t begin;    ///< of the tensor, bytes from the start of the file
  std::uint64_t packing;  ///< elements that share a byte of the file
  BoxRuns runs;           ///< of bytes as in memory
  std::byte* to;
};
using TensorReads = std::vector<TensorRead>;

/// Bytes of a file that are read as one, and which of them are wanted.
struct ReadBlock {
  ReadBlock() = default;
  struct Piece {
    std::size_t read = 0;     ///< index into the TensorReads
    std::uint64_t first = 0;  ///< bytes from TensorRead::to: [first, last)
    std::uint64_t last = 0;
  };
  std::uint64_t begin = 0;  ///< in the file, bytes
  std::uint64_t end = 0;
  std::vector<Piece> pieces;
};

/// Cuts reads into blocks, one after the other: what is wanted may be more runs than fit into
/// memory.
class BlockPlanner {
 public:
  /// `reads`: in file order, without overlap but for a byte that elements share; kept by the
  /// caller.
  explicit BlockPlanner(const TensorReads& reads) : reads_(reads) {}
  /// The next block; false when there is none.
  bool next(ReadBlock& block);

 private:
  const TensorReads& reads_;
  std::size_t read_ = 0;
  std::uint64_t done_ = 0;  ///< bytes of reads_[read_]
};

/// Carries out `reads`, many blocks at once. Needs no memory but the window's.
Task<void> read_tensors(SafetensorsInputPtr input, std::shared_ptr<const TensorReads> reads);

/// A source that reads `box` of the tensor of `input->header` with this index.
[[nodiscard]] std::shared_ptr<Source> make_tensor_source(SafetensorsInputPtr input,
                                                         std::size_t tensor, IndexRange box);

}  // namespace cairn::internal
