// Arrays that are written from where the caller has them (Capture::borrow): raw chunks in aligned,
// dense memory that are not cast. All others are copied.

#include <cairn/codecs/crc32c.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/chunk_copy.h>
#include <cairn/manager/internal/tree_saver.h>

#include <cstring>

namespace cairn::internal {

std::optional<TreeSaver::Borrowed> TreeSaver::borrowable(const Extent& extent) const {
  if (!extent.fixed || extent.count != 1) return std::nullopt;
  const ChunkPlace& place = layout_.placed[extent.first];
  if (layout_.node_of(place).is<Leaf>()) return std::nullopt;
  const ArrayLayout& array = layout_.array_of(place);
  const IndexRange range = chunk_range(array, place.chunk);
  if (range.shape != array.metadata.chunk_shape) return std::nullopt;  // padded
  std::byte scalar[sizeof(std::uint64_t)];
  const ArrayView view = elements_of(layout_.node_of(place), scalar);
  if (view.dtype() != array.metadata.dtype) return std::nullopt;  // cast
  const auto run = dense_run(view, range);
  if (!run || reinterpret_cast<std::uintptr_t>(run->data()) % kFileAlignment != 0)
    return std::nullopt;
  const std::size_t body = run->size() / kFileAlignment * kFileAlignment;
  Borrowed memory;
  memory.body = run->first(body);
  memory.rest = run->subspan(body);
  return memory;
}

Task<void> TreeSaver::write_borrowed(std::uint64_t offset, std::span<const std::byte> bytes) {
  gate_.expect_write(bytes.size());
  co_await ocdbt_->write_fixed(offset, bytes);
  gate_.written(bytes.size());
}

Task<void> TreeSaver::borrow_and_write(std::size_t index, Borrowed memory) {
  const Extent& extent = layout_.extents[index];
  auto [error, tail] = co_await engine_->staging().async_acquire(
      extent.staging_bytes - memory.body.size(), kAsTuple);
  if (error) raise_failure(error, "wait for staging memory", "");
  const CallerMemory::Use use = state_->memory.use();
  std::byte* const block = tail.data();
  auto checksum = [memory] { return crc32c(memory.rest, crc32c(memory.body)); };
  auto first = checksum;
  const std::uint32_t crc =
      co_await engine::async_run(engine_->cpu(), std::move(first), asio::use_awaitable);
  std::memset(block, 0, tail.size());
  std::memcpy(block, memory.rest.data(), memory.rest.size());
  std::memcpy(block + memory.rest.size(), &crc, kChecksumBytes);
  state_->encoded += memory.body.size() + memory.rest.size();
  const Future<void> opened(opened_);
  co_await opened.result(asio::use_awaitable);
  co_await write_borrowed(extent.offset, memory.body);
  co_await write_borrowed(extent.offset + memory.body.size(), tail.span());
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
  ocdbt_->note_checksum(extent.first, crc);
  state_->written += memory.body.size() + memory.rest.size();
  extent_captured(index);
}

}  // namespace cairn::internal
