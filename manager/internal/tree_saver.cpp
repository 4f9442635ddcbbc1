#include <cairn/codecs/crc32c.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_copy.h>
#include <cairn/manager/internal/random.h>
#include <cairn/manager/internal/tree_saver.h>

#include <cassert>
#include <cstring>

namespace cairn::internal {
namespace {

/// Extents handed to the kernel at once: enough to keep a disk busy, few enough that a failing save
/// drains quickly.
constexpr std::size_t kWritesInFlight = 8;

/// Waits for Source::read, whose callback may come from any thread. The source owns `to` until it
/// calls back, so a cancelled save waits for that too; its children stay cancellable.
Task<void> read_source(std::shared_ptr<Source> source, IndexRange range, std::span<std::byte> to) {
  const bool throws = co_await asio::this_coro::throw_if_cancelled();
  co_await asio::this_coro::throw_if_cancelled(false);
  auto state = std::make_shared<impl::SharedState<void>>();
  std::function<void(std::exception_ptr)> done = [state](std::exception_ptr error) {
    state->set(std::move(error), impl::Unit());
  };
  source->read(range, to, std::move(done));
  const Future<void> future(state);
  auto [failure] =
      co_await future.result(asio::bind_cancellation_slot(asio::cancellation_slot(), kAsTuple));
  co_await asio::this_coro::throw_if_cancelled(throws);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

TreeSaver::TreeSaver(std::string item, args::StandardSave args, Capture capture,
                     std::shared_ptr<SaveState> state)
    : item_(std::move(item)),
      args_(std::move(args)),
      capture_(capture),
      state_(std::move(state)),
      engine_(state_->engine),
      write_slots_(kWritesInFlight) {}

std::shared_ptr<ItemSaver> make_tree_saver(std::string item, args::StandardSave args,
                                           Capture capture, std::shared_ptr<SaveState> state) {
  return std::make_shared<TreeSaver>(std::move(item), std::move(args), capture, std::move(state));
}

void TreeSaver::plan() {
  try {
    layout_ = plan_item(args_);
  } catch (const Error& error) {
    ErrorContext context = error.context();
    context.item = item_;
    throw Error(error.code(), error.reason(), context);
  }
  uncaptured_ = layout_.extents.size();
  inline_values_.resize(layout_.inlined.size());
  state_->total += layout_.element_bytes;
}

std::span<const ChunkPlace> TreeSaver::places(const Extent& extent) const {
  return std::span(layout_.placed).subspan(extent.first, extent.count);
}

const ArrayLayout& TreeSaver::array_of(const ChunkPlace& place) const {
  return layout_.arrays[layout_.leaves[place.leaf].layout];
}

const Tree& TreeSaver::node_of(const ChunkPlace& place) const {
  return *layout_.leaves[place.leaf].node;
}

std::uint64_t TreeSaver::element_bytes_of(const Extent& extent) const {
  std::uint64_t bytes = 0;
  for (const ChunkPlace& place : places(extent)) {
    const ArrayLayout& array = array_of(place);
    const IndexRange range = chunk_range(array.metadata, array.grid, place.chunk);
    bytes += byte_count(array.metadata.dtype, range.shape);
  }
  return bytes;
}

void TreeSaver::capture_inlined() {
  for (const ChunkPlace& place : layout_.inlined) {
    if (node_of(place).is<Leaf>()) continue;  // asked for on the strand
    const ArrayLayout& array = array_of(place);
    std::string& value = inline_values_[place.offset];
    value.resize(array.stored_bytes);
    std::byte scalar[sizeof(std::uint64_t)];
    store_chunk(view_of(node_of(place), scalar),
                chunk_range(array.metadata, array.grid, place.chunk), array.metadata.chunk_shape,
                reinterpret_cast<std::byte*>(value.data()));
  }
}

Task<void> TreeSaver::capture(engine::Nursery& nursery) {
  auto inlined = [this] { capture_inlined(); };
  co_await engine::async_run(engine_->cpu(), std::move(inlined), asio::use_awaitable);
  for (const ChunkPlace& place : layout_.inlined) {
    if (!node_of(place).is<Leaf>()) continue;
    std::string& value = inline_values_[place.offset];
    value.resize(array_of(place).stored_bytes);
    co_await fill_from_leaf(place, reinterpret_cast<std::byte*>(value.data()));
  }
  for (std::size_t i = 0; i < layout_.extents.size(); ++i) {
    const Extent& extent = layout_.extents[i];
    if (capture_ == Capture::borrow) {
      if (auto memory = borrowable(extent)) {
        nursery.spawn(borrow_and_write(i, *memory));
        continue;
      }
    }
    auto [error, buffer] = co_await engine_->staging().async_acquire(extent.size, kAsTuple);
    if (error) raise_failure(error, "wait for staging memory", "");
    nursery.spawn(capture_and_write(i, std::move(buffer)));
  }
  if (uncaptured_ != 0) {
    const Future<void> captured(all_captured_);
    co_await captured.result(asio::use_awaitable);
  }
  std::uint64_t bytes = 0;
  for (const ChunkPlace& place : layout_.inlined) bytes += array_of(place).chunk_bytes;
  state_->staged += bytes;
  state_->encoded += bytes;
  state_->written += bytes;
}

void TreeSaver::extent_captured(std::size_t index) {
  state_->staged += element_bytes_of(layout_.extents[index]);
  assert(uncaptured_ > 0);
  if (--uncaptured_ == 0) all_captured_->set(nullptr, impl::Unit());
}

void TreeSaver::store_views(const Extent& extent, std::byte* to) const {
  std::size_t end = 0;
  for (const ChunkPlace& place : places(extent)) {
    const ArrayLayout& array = array_of(place);
    const std::size_t begin = place.offset - extent.offset;
    std::memset(to + end, 0, begin - end);  // the gap to the next aligned place
    end = begin + array.stored_bytes;
    if (node_of(place).is<Leaf>()) {
      append_checksum(to + begin, array.chunk_bytes);
      continue;
    }
    std::byte scalar[sizeof(std::uint64_t)];
    store_chunk(view_of(node_of(place), scalar),
                chunk_range(array.metadata, array.grid, place.chunk), array.metadata.chunk_shape,
                to + begin);
  }
  std::memset(to + end, 0, extent.size - end);
}

Task<void> TreeSaver::fill_from_leaf(const ChunkPlace& place, std::byte* to) {
  const ArrayLayout& array = array_of(place);
  const Leaf& leaf = node_of(place).as<Leaf>();
  const IndexRange chunk = chunk_range(array.metadata, array.grid, place.chunk);
  const std::vector<Index> strides = c_strides(array.metadata.dtype, array.metadata.chunk_shape);
  std::memset(to, 0, array.chunk_bytes);
  for (const LeafPart& part : leaf.parts()) {
    // The overlap, in indices of the array, of the part and of the chunk.
    const std::size_t rank = chunk.origin.size();
    IndexRange in_part{Shape(rank), Shape(rank)};
    std::ptrdiff_t offset = 0;
    bool empty = false;
    for (std::size_t d = 0; d < rank; ++d) {
      const Index begin = std::max(chunk.origin[d], part.range.origin[d]);
      const Index end =
          std::min(chunk.origin[d] + chunk.shape[d], part.range.origin[d] + part.range.shape[d]);
      empty = empty || begin >= end;
      in_part.origin[d] = begin - part.range.origin[d];
      in_part.shape[d] = end - begin;
      offset += (begin - chunk.origin[d]) * strides[d];
    }
    if (empty) continue;
    std::vector<std::byte> dense(byte_count(array.metadata.dtype, in_part.shape));
    if (const auto* view = std::get_if<ArrayView>(&part.source)) {
      copy_region(*view, in_part.origin, in_part.shape, dense.data());
    } else {
      co_await read_source(std::get<std::shared_ptr<Source>>(part.source), in_part,
                           std::span(dense));
    }
    scatter_region(dense.data(), array.metadata.dtype, in_part.shape, to + offset, strides);
  }
  append_checksum(to, array.chunk_bytes);
}

Task<void> TreeSaver::fill_extent(std::size_t index, std::byte* to) {
  const Extent& extent = layout_.extents[index];
  for (const ChunkPlace& place : places(extent)) {
    if (node_of(place).is<Leaf>())
      co_await fill_from_leaf(place, to + (place.offset - extent.offset));
  }
  auto views = [this, &extent, to] { store_views(extent, to); };
  co_await engine::async_run(engine_->cpu(), std::move(views), asio::use_awaitable);
}

Task<void> TreeSaver::capture_and_write(std::size_t index, engine::Buffer buffer) {
  const Extent& extent = layout_.extents[index];
  co_await fill_extent(index, buffer.data());
  const std::uint64_t bytes = element_bytes_of(extent);
  state_->encoded += bytes;
  if (capture_ == Capture::copy) extent_captured(index);
  co_await write_extent(extent.offset, buffer.span().first(extent.size));
  state_->written += bytes;
  if (capture_ == Capture::borrow) extent_captured(index);
}

Task<void> TreeSaver::write_extent(std::uint64_t offset, std::span<const std::byte> bytes) {
  const Future<void> opened(opened_);
  co_await opened.result(asio::use_awaitable);
  auto [error, permit] = co_await write_slots_.async_acquire(1, kAsTuple);
  if (error) raise_failure(error, "wait for a write", item_);
  co_await write_at(data_file_, offset, bytes);
}

std::optional<TreeSaver::Borrowed> TreeSaver::borrowable(const Extent& extent) const {
  if (extent.count != 1) return std::nullopt;
  const ChunkPlace& place = layout_.placed[extent.first];
  if (node_of(place).is<Leaf>()) return std::nullopt;
  const ArrayLayout& array = array_of(place);
  const IndexRange range = chunk_range(array.metadata, array.grid, place.chunk);
  if (range.shape != array.metadata.chunk_shape) return std::nullopt;  // padded
  std::byte scalar[sizeof(std::uint64_t)];
  const auto run = dense_run(view_of(node_of(place), scalar), range);
  if (!run || reinterpret_cast<std::uintptr_t>(run->data()) % kFileAlignment != 0)
    return std::nullopt;
  const std::size_t body = run->size() / kFileAlignment * kFileAlignment;
  Borrowed memory;
  memory.body = run->first(body);
  memory.rest = run->subspan(body);
  return memory;
}

Task<void> TreeSaver::borrow_and_write(std::size_t index, Borrowed memory) {
  const Extent& extent = layout_.extents[index];
  auto [error, tail] =
      co_await engine_->staging().async_acquire(extent.size - memory.body.size(), kAsTuple);
  if (error) raise_failure(error, "wait for staging memory", "");
  std::byte* const block = tail.data();
  auto checksum = [memory] { return crc32c(memory.rest, crc32c(memory.body)); };
  auto first = checksum;
  const std::uint32_t crc =
      co_await engine::async_run(engine_->cpu(), std::move(first), asio::use_awaitable);
  std::memset(block, 0, tail.size());
  std::memcpy(block, memory.rest.data(), memory.rest.size());
  std::memcpy(block + memory.rest.size(), &crc, kChecksumBytes);
  state_->encoded += memory.body.size() + memory.rest.size();
  co_await write_extent(extent.offset, memory.body);
  co_await write_extent(extent.offset + memory.body.size(), tail.span());
#ifndef NDEBUG
  const std::uint32_t again =
      co_await engine::async_run(engine_->cpu(), std::move(checksum), asio::use_awaitable);
  if (again != crc) {
    ErrorContext context;
    context.item = item_;
    context.key_path = layout_.leaves[layout_.placed[extent.first].leaf].name;
    context.remedy = "Do not write to borrowed arrays before staged(), or save with Capture::copy";
    throw Error(ErrorCode::invalid_argument, "the array changed while it was borrowed", context);
  }
#endif
  state_->written += memory.body.size() + memory.rest.size();
  extent_captured(index);
}

Task<void> TreeSaver::open(FolderPtr step) {
  folder_ = co_await make_subfolder(step, item_);
  data_folder_ = co_await make_subfolder(folder_, "d");
  constexpr std::size_t kNameBytes = 16;  // as TensorStore's own names
  if (layout_.file_bytes > 0) {
    const std::string name = random_hex(kNameBytes);
    data_name_ = "d/" + name;
    data_file_ =
        co_await open_file(data_folder_, name, engine::OpenMode::create, engine_->direct_io());
    auto [error] = co_await data_file_->file.async_allocate(layout_.file_bytes, kAsTuple);
    if (error)
      raise_failure(error, "reserve " + std::to_string(layout_.file_bytes) + " bytes",
                    data_file_->path);
  }
  nodes_name_ = "d/" + random_hex(kNameBytes);
  opened_->set(nullptr, impl::Unit());
}

}  // namespace cairn::internal
