#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/safetensors_reader.h>

#include <boost/asio/co_spawn.hpp>

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>
#include <new>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kBlockBytes = 4u << 20;
/// Wanted bytes no further apart than this are read in one go.
constexpr std::uint64_t kGapBytes = 64u << 10;
/// Bounds what is under way without a buffer of the window's: reads straight into arrays.
constexpr std::size_t kReadsInFlight = 32;

enum class Scratch : std::uint8_t {
  wait,        ///< the window's turn comes
  never_wait,  ///< whoever asks may hold memory that others in the window's queue wait for
};

/// Aligned memory, of the window or, where that would mean to wait, of its own.
class ScratchBuffer {
 public:
  explicit ScratchBuffer(engine::Buffer buffer) : buffer_(std::move(buffer)) {}
  explicit ScratchBuffer(std::size_t bytes)
      : own_(static_cast<std::byte*>(std::aligned_alloc(engine::kBufferAlignment, bytes))) {
    if (own_ == nullptr) throw std::bad_alloc();
  }
  [[nodiscard]] std::byte* data() const noexcept { return own_ ? own_.get() : buffer_.data(); }

 private:
  struct Free {
    void operator()(std::byte* p) const noexcept { std::free(p); }
  };
  engine::Buffer buffer_;
  std::unique_ptr<std::byte, Free> own_;
};

Task<ScratchBuffer> acquire(SafetensorsInputPtr input, std::size_t bytes, Scratch how) {
  engine::BufferArena& window = input->engine->window();
  if (how == Scratch::never_wait) {
    engine::Buffer buffer = window.try_acquire(bytes, engine::ArenaUse::read);
    if (buffer) co_return ScratchBuffer(std::move(buffer));
    constexpr std::size_t kUnit = engine::kBufferAlignment;
    co_return ScratchBuffer((bytes + kUnit - 1) / kUnit * kUnit);
  }
  auto [error, buffer] = co_await window.async_acquire(bytes, engine::ArenaUse::read, kAsTuple);
  if (error) raise_failure(error, "wait for memory", input->file->path);
  co_return ScratchBuffer(std::move(buffer));
}

/// Copies the wanted bytes out of a block whose bytes from `begin` on lie at `data`.
void scatter(const ReadBlock& block, const TensorReads& reads, std::uint64_t begin,
             const std::byte* data) {
  for (const ReadBlock::Piece& piece : block.pieces) {
    const TensorRead& read = reads[piece.read];
    const std::uint64_t run_bytes = read.runs.run_bytes();
    for (std::uint64_t at = piece.first; at < piece.last;) {
      const std::uint64_t within = at % run_bytes;
      const std::uint64_t count = std::min(run_bytes - within, piece.last - at);
      const std::uint64_t from = read.runs.offset(at / run_bytes) + within;
      const std::byte* const stored = data + (read.place(from) - begin);
      if (read.packing == 1) {
        std::memcpy(read.to + at, stored, count);
      } else {
        safetensors::unpack_float4(stored, from % read.packing, std::span(read.to + at, count));
      }
      at += count;
    }
  }
}

/// Where the block can be read straight to: its bytes are wanted as they are, without a gap, by one
/// array, and everything is aligned.
std::byte* straight_target(const ReadBlock& block, const TensorReads& reads,
                           std::uint64_t alignment) {
  if (block.pieces.size() != 1) return nullptr;
  const ReadBlock::Piece& piece = block.pieces[0];
  if (reads[piece.read].packing != 1) return nullptr;
  if (piece.last - piece.first != block.end - block.begin) return nullptr;
  std::byte* const to = reads[piece.read].to + piece.first;
  const bool aligned = block.begin % alignment == 0 && block.end % alignment == 0 &&
                       reinterpret_cast<std::uintptr_t>(to) % alignment == 0;
  return aligned ? to : nullptr;
}

Task<void> read_block(SafetensorsInputPtr input, std::shared_ptr<const TensorReads> reads,
                      ReadBlock block, Scratch how) {
  const std::uint64_t alignment = input->file->file.alignment();
  if (std::byte* const to = straight_target(block, *reads, alignment)) {
    co_await read_at(input->file, block.begin, std::span(to, block.end - block.begin));
    co_return;
  }
  const std::uint64_t begin = block.begin / alignment * alignment;
  const std::uint64_t end = (block.end + alignment - 1) / alignment * alignment;
  const ScratchBuffer buffer = co_await acquire(input, end - begin, how);
  std::byte* const data = buffer.data();
  const std::size_t count = co_await read_some_at(input->file, begin, std::span(data, end - begin));
  if (begin + count < block.end) {
    ErrorContext context;
    context.operation = "read";
    context.path = input->file->path;
    context.offset = begin + count;
    throw Error(ErrorCode::data_loss, "the file was shortened while it was read", context);
  }
  auto copy = [&block, &reads, begin, data] { scatter(block, *reads, begin, data); };
  co_await engine::async_run(input->engine->cpu(), std::move(copy), asio::use_awaitable);
}

Task<void> spawn_reads(engine::Nursery& nursery, SafetensorsInputPtr input,
                       std::shared_ptr<const TensorReads> reads) {
  BlockPlanner planner(*reads);
  ReadBlock block;
  while (planner.next(block)) {
    if (!co_await nursery.wait_below(kReadsInFlight)) break;
    nursery.spawn(read_block(input, reads, std::move(block), Scratch::wait));
  }
}

/// One after the other: many sources are asked at once.
Task<void> read_in_turn(SafetensorsInputPtr input, std::shared_ptr<const TensorReads> reads) {
  BlockPlanner planner(*reads);
  ReadBlock block;
  while (planner.next(block)) {
    co_await read_block(input, reads, std::move(block), Scratch::never_wait);
  }
}

class TensorSource final : public Source {
 public:
  TensorSource(SafetensorsInputPtr input, std::size_t tensor, IndexRange box)
      : input_(std::move(input)), tensor_(tensor), box_(std::move(box)) {}

  void read(const IndexRange& range, std::span<std::byte> to,
            std::function<void(std::exception_ptr)> done) override {
    assert(to.size() == byte_count(input_->header.tensors[tensor_].dtype, range.shape));
    IndexRange box = range;
    for (std::size_t d = 0; d < box.origin.size(); ++d) box.origin[d] += box_.origin[d];
    auto reads = std::make_shared<TensorReads>();
    reads->emplace_back(input_->header, tensor_, std::move(box), to.data());
    asio::co_spawn(input_->engine->executor(), read_in_turn(input_, std::move(reads)),
                   std::move(done));
  }

 private:
  SafetensorsInputPtr input_;
  std::size_t tensor_;
  IndexRange box_;
};

}  // namespace

TensorRead::TensorRead(const safetensors::Header& header, std::size_t tensor, IndexRange box,
                       std::byte* t)
    : begin(header.data_offset + header.tensors[tensor].begin),
      packing(safetensors::packing_of(header.tensors[tensor].dtype)),
      runs(header.tensors[tensor].dtype, header.tensors[tensor].shape, std::move(box)),
      to(t) {}

BoxRuns::BoxRuns(DType dtype, const Shape& shape, IndexRange box)
    : box_(std::move(box)), strides_(c_strides(dtype, shape)), run_bytes_(size_of(dtype)) {
  bytes_ = byte_count(dtype, box_.shape);
  if (bytes_ == 0) return;
  // The innermost axes up to the first one that is cut make one run.
  outer_ = shape.size();
  while (outer_ > 0) {
    --outer_;
    run_bytes_ *= static_cast<std::uint64_t>(box_.shape[outer_]);
    if (box_.shape[outer_] != shape[outer_]) break;
  }
  for (std::size_t d = 0; d < shape.size(); ++d) {
    base_ += static_cast<std::uint64_t>(box_.origin[d] * strides_[d]);
  }
}

std::uint64_t BoxRuns::offset(std::uint64_t run) const {
  std::uint64_t bytes = base_;
  for (std::size_t d = outer_; d-- > 0;) {
    const auto extent = static_cast<std::uint64_t>(box_.shape[d]);
    bytes += run % extent * static_cast<std::uint64_t>(strides_[d]);
    run /= extent;
  }
  return bytes;
}

bool BlockPlanner::next(ReadBlock& block) {
  block = ReadBlock();
  std::uint64_t limit = 0;
  while (read_ < reads_.size()) {
    const TensorRead& read = reads_[read_];
    if (done_ == read.runs.bytes()) {
      ++read_;
      done_ = 0;
      continue;
    }
    const std::uint64_t run_bytes = read.runs.run_bytes();
    const std::uint64_t within = done_ % run_bytes;
    const std::uint64_t from = read.runs.offset(done_ / run_bytes) + within;
    const std::uint64_t at = read.place(from);
    if (block.pieces.empty()) {
      block.begin = at;
      // Cut at multiples: of a long run, all blocks but the first begin aligned.
      limit = at / kBlockBytes * kBlockBytes + kBlockBytes;
    } else if (at >= limit || at > block.end + kGapBytes) {
      return true;
    }
    // Runs of packed elements may meet within a byte.
    assert(block.pieces.empty() || at >= block.end - (read.packing - 1));
    const std::uint64_t count =
        std::min(run_bytes - within, (limit - read.begin) * read.packing - from);
    block.end = read.place(from + count - 1) + 1;
    if (block.pieces.empty() || block.pieces.back().read != read_) {
      block.pieces.push_back({read_, done_, done_});
    }
    done_ += count;
    block.pieces.back().last = done_;
  }
  return !block.pieces.empty();
}

Task<void> read_tensors(SafetensorsInputPtr input, std::shared_ptr<const TensorReads> reads) {
  co_await engine::with_nursery(input->engine->executor(), &spawn_reads, input, reads);
}

std::shared_ptr<Source> make_tensor_source(SafetensorsInputPtr input, std::size_t tensor,
                                           IndexRange box) {
  return std::make_shared<TensorSource>(std::move(input), tensor, std::move(box));
}

}  // namespace cairn::internal
