// The bytes of a file are cut into blocks, whatever tensors lie in them; each block is gathered in
// staging memory and written by one large aligned write, or written straight out of an array where
// that is aligned. Where a block does not end at a unit of direct I/O, the next one writes the
// rest. Elements that share bytes in the file (F4) are packed on the way: those of a leaf arrive in
// the block's own buffer, unpacked and so beyond their place, and are packed there.

#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/future.h>
#include <cairn/manager/internal/safetensors_blocks.h>
#include <cairn/manager/internal/safetensors_writer.h>
#include <cairn/manager/internal/source_reader.h>

#include <algorithm>
#include <cassert>
#include <cstring>

namespace cairn::internal {
namespace {

static_assert(kBlockBytes % engine::kBufferAlignment == 0);
/// Enough to keep a disk busy, few enough that a failing write drains quickly.
constexpr std::size_t kWritesInFlight = 8;
/// Of an array whose elements are not in order, so many at a time are brought in order to be
/// packed.
constexpr std::uint64_t kPackedAtOnce = 64u << 10;

std::uint64_t round_down(std::uint64_t bytes, std::uint64_t unit) {
  return bytes / unit * unit;
}
std::uint64_t round_up(std::uint64_t bytes, std::uint64_t unit) {
  return round_down(bytes + unit - 1, unit);
}

/// What of a block is behind its last whole unit of direct I/O.
struct Rest {
  Rest() = default;
  std::shared_ptr<impl::SharedState<void>> ready = std::make_shared<impl::SharedState<void>>();
  std::vector<std::byte> bytes;
};

/// Bytes [begin, end) of the file, and the rests between it and its neighbours; none where it
/// begins or ends with a unit.
struct Block {
  Block(std::uint64_t b, std::uint64_t e) : begin(b), end(e) {}
  std::uint64_t begin;
  std::uint64_t end;
  std::shared_ptr<Rest> before;
  std::shared_ptr<Rest> after;
};

/// The memory of a block that can be written from where it is.
std::span<const std::byte> straight_source(const PlannedFile& plan, std::uint64_t begin,
                                           std::uint64_t end, std::uint64_t alignment) {
  if (begin < plan.start.size() || begin % alignment != 0) return {};
  const std::vector<PlannedPiece> pieces = pieces_of(plan, begin, end);
  if (pieces.size() != 1 || pieces[0].last - pieces[0].first != end - begin) return {};
  const auto& memory = pieces[0].tensor->memory;
  if (!memory || !memory->contiguous() || pieces[0].tensor->packing != 1) return {};
  const std::byte* const data = memory->data() + pieces[0].first;
  const bool aligned =
      (end - begin) % alignment == 0 && reinterpret_cast<std::uintptr_t>(data) % alignment == 0;
  return aligned ? std::span(data, end - begin) : std::span<const std::byte>();
}

/// The whole elements around bytes [first, last) of a tensor: a block may begin within one. Where
/// elements share bytes, these are whole.
struct Elements {
  Elements(const PlannedPiece& piece)  // NOLINT(google-explicit-constructor)
      : width(size_of(piece.tensor->dtype)),
        begin(piece.first * piece.tensor->packing / width),
        end(round_up(piece.last * piece.tensor->packing, width) / width),
        head(piece.first * piece.tensor->packing - begin * width),
        whole(head == 0 && piece.last * piece.tensor->packing % width == 0) {}
  std::uint64_t width;
  std::uint64_t begin;
  std::uint64_t end;
  std::uint64_t head;  ///< bytes of the first one that are not wanted
  bool whole;
};

/// Packs `elements`, the tensor's from number `first` on.
void pack(const PlannedTensor& tensor, std::uint64_t first, std::span<const std::byte> elements,
          std::byte* to) {
  assert(tensor.dtype == DType::float4_e2m1fn);
  const auto bad = safetensors::pack_float4(elements, to);
  if (!bad) return;
  ErrorContext context;
  context.key_path = tensor.name;
  context.remedy = "Clear the upper four bits, or unpack what was packed";
  throw Error(ErrorCode::invalid_argument,
              "element " + std::to_string(first + *bad) + " is byte " +
                  std::to_string(std::to_integer<unsigned>(elements[*bad])) +
                  ": float4_e2m1fn has one element in a byte, 0 to 15",
              context);
}

/// Copies a piece of an array in memory whose elements share bytes in the file.
void pack_piece(const PlannedPiece& piece, std::byte* to) {
  const ArrayView& view = *piece.tensor->memory;
  const Elements elements(piece);
  if (view.contiguous()) {
    const std::span all(view.data() + elements.begin, elements.end - elements.begin);
    return pack(*piece.tensor, elements.begin, all, to);
  }
  std::vector<std::byte> dense;
  for (std::uint64_t first = elements.begin; first < elements.end; first += kPackedAtOnce) {
    const std::uint64_t last = std::min(elements.end, first + kPackedAtOnce);
    dense.resize(last - first);
    std::byte* target = dense.data();
    for (const IndexRange& box : boxes_of(view.shape(), first, last)) {
      copy_region(view, box.origin, box.shape, target);
      target += byte_count(view.dtype(), box.shape);
    }
    pack(*piece.tensor, first, dense, to);
    to += dense.size() / piece.tensor->packing;
  }
}

/// Copies a piece of an array in memory.
void copy_piece(const PlannedPiece& piece, std::byte* to) {
  if (piece.tensor->packing != 1) return pack_piece(piece, to);
  const ArrayView& view = *piece.tensor->memory;
  const std::size_t bytes = piece.last - piece.first;
  if (view.contiguous()) {
    std::memcpy(to, view.data() + piece.first, bytes);
    return;
  }
  const Elements elements(piece);
  std::vector<std::byte> around;
  std::byte* target = to;
  if (!elements.whole) {
    around.resize((elements.end - elements.begin) * elements.width);
    target = around.data();
  }
  for (const IndexRange& box : boxes_of(view.shape(), elements.begin, elements.end)) {
    copy_region(view, box.origin, box.shape, target);
    target += byte_count(view.dtype(), box.shape);
  }
  if (!elements.whole) std::memcpy(to, around.data() + elements.head, bytes);
}

/// The same for a leaf, whose sources take their time. Behind the piece there is room for what of
/// its elements is packed.
Task<void> read_piece(EnginePtr engine, PlannedPiece piece, std::byte* to) {
  const Leaf& leaf = *piece.tensor->leaf;
  const Elements elements(piece);
  std::vector<std::byte> around;
  std::byte* target = to;
  if (!elements.whole) {
    around.resize((elements.end - elements.begin) * elements.width);
    target = around.data();
  }
  const std::vector<IndexRange> boxes = boxes_of(leaf.shape(), elements.begin, elements.end);
  for (const IndexRange& box : boxes) {
    co_await read_leaf_box(&leaf, box, target);
    target += byte_count(leaf.dtype(), box.shape);
  }
  if (!elements.whole) std::memcpy(to, around.data() + elements.head, piece.last - piece.first);
  if (piece.tensor->packing == 1) co_return;
  auto pack_here = [&piece, &elements, to] {
    pack(*piece.tensor, elements.begin, std::span(to, elements.end - elements.begin), to);
  };
  co_await engine::async_run(engine->cpu(), std::move(pack_here), asio::use_awaitable);
}

/// Gathers the bytes [begin, end) at `data`, and scribbles over room_beyond() bytes behind them.
/// Leaves come first, in file order: one that is packed needs the place of what follows it.
Task<void> gather(EnginePtr engine, const PlannedFile* plan, std::uint64_t begin, std::uint64_t end,
                  std::byte* data) {
  const std::vector<PlannedPiece> pieces = pieces_of(*plan, begin, end);
  for (const PlannedPiece& piece : pieces) {
    if (piece.tensor->leaf != nullptr) co_await read_piece(engine, piece, data + piece.at);
  }
  auto copy = [plan, begin, end, data, &pieces] {
    if (begin < plan->start.size()) {
      const std::size_t count = std::min<std::uint64_t>(end, plan->start.size()) - begin;
      std::memcpy(data, plan->start.data() + begin, count);
    }
    for (const PlannedPiece& piece : pieces) {
      if (piece.tensor->memory) copy_piece(piece, data + piece.at);
    }
  };
  co_await engine::async_run(engine->cpu(), std::move(copy), asio::use_awaitable);
}

/// Bytes behind the block [begin, end) that packing the elements of its leaves takes.
std::uint64_t room_beyond(const PlannedFile& plan, std::uint64_t begin, std::uint64_t end) {
  std::uint64_t most = end - begin;
  for (const PlannedPiece& piece : pieces_of(plan, begin, end)) {
    if (piece.tensor->leaf == nullptr) continue;
    most = std::max(most, piece.at + (piece.last - piece.first) * piece.tensor->packing);
  }
  return most - (end - begin);
}

/// Gathers a block in `buffer` and writes it; the file's last one, with direct I/O, padded with
/// zeros.
Task<void> write_block(EnginePtr engine, FilePtr file, const PlannedFile* plan, Block block,
                       engine::Buffer buffer) {
  const std::uint64_t unit = file->file.alignment();
  const std::uint64_t first = round_down(block.begin, unit);
  std::byte* const data = buffer.data();
  co_await gather(engine, plan, block.begin, block.end, data + (block.begin - first));
  if (block.before) {
    const Future<void> ready(block.before->ready);
    co_await ready.result(asio::use_awaitable);
    assert(block.before->bytes.size() == block.begin - first);
    std::ranges::copy(block.before->bytes, data);
  }
  std::uint64_t last = round_up(block.end, unit);
  if (block.after) {
    last = std::max(first, round_down(block.end, unit));
    block.after->bytes.assign(data + (last - first), data + (block.end - first));
    block.after->ready->set(nullptr, impl::Unit());
  } else {
    std::memset(data + (block.end - first), 0, last - block.end);
  }
  if (last > first) co_await write_at(file, first, std::span<const std::byte>(data, last - first));
}

/// As large as chunks want it, but so that two blocks can be under way, with their room_beyond().
std::uint64_t largest_block(engine::Engine& engine, const PlannedFile& plan) {
  const std::uint64_t half = round_down(engine.staging().capacity() / 2, engine::kBufferAlignment);
  // A block may begin and end within a unit.
  constexpr std::uint64_t kSlack = 2 * engine::kBufferAlignment;
  std::uint64_t packing = 1;
  for (const PlannedTensor& tensor : plan.tensors) packing = std::max(packing, tensor.packing);
  return std::max(kBlockBytes, half > kSlack ? (half - kSlack) / packing : 0);
}

Task<void> spawn_writes(engine::Nursery& nursery, EnginePtr engine, FilePtr file,
                        const PlannedFile* plan) {
  const std::uint64_t unit = file->file.alignment();
  BlockCutter cutter(*plan, largest_block(*engine, *plan));
  std::shared_ptr<Rest> rest;
  while (cutter.next()) {
    if (!co_await nursery.wait_below(kWritesInFlight)) break;
    Block block(cutter.begin(), cutter.end());
    const auto memory = straight_source(*plan, block.begin, block.end, unit);
    if (!memory.empty()) {
      nursery.spawn(write_at(file, block.begin, memory));
      continue;
    }
    block.before = block.begin % unit == 0 ? nullptr : rest;
    if (block.end % unit != 0 && block.end != plan->size) block.after = std::make_shared<Rest>();
    rest = block.after;
    // Staging and not the window: a leaf's source may need the window while this is held.
    const std::uint64_t room = room_beyond(*plan, block.begin, block.end);
    const std::uint64_t size = round_up(block.end + room, unit) - round_down(block.begin, unit);
    auto [error, buffer] = co_await engine->staging().async_acquire(size, kAsTuple);
    if (error) raise_failure(error, "wait for staging memory", file->path);
    nursery.spawn(write_block(engine, file, plan, std::move(block), std::move(buffer)));
  }
}

}  // namespace

Task<void> write_planned(EnginePtr engine, FilePtr file, const PlannedFile* plan) {
  const std::uint64_t padded = round_up(plan->size, file->file.alignment());
  auto [no_space] = co_await file->file.async_allocate(padded, kAsTuple);
  if (no_space) raise_failure(no_space, "reserve " + std::to_string(padded) + " bytes", file->path);
  co_await engine::with_nursery(engine->executor(), &spawn_writes, engine, file, plan);
  if (padded != plan->size) {
    auto [error] = co_await file->file.async_truncate(plan->size, kAsTuple);
    if (error) raise_failure(error, "truncate", file->path);
  }
  co_await sync_and_close(file);
}

}  // namespace cairn::internal
