#pragma once
// Where the chunks of an item go: into the data files of an OCDBT database, or into a file each.
// Called on the strand, in the order of the members; write() and write_fixed() of different extents
// may be under way at once.

#include <cairn/manager/internal/chunk_encoder.h>
#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/save_state.h>
#include <cairn/manager/internal/storage.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

/// What became of one chunk of ItemLayout::placed.
struct StoredChunk {
  StoredChunk() = default;
  std::uint64_t offset = 0;  ///< in its file
  std::uint64_t length = 0;  ///< stored bytes
  std::uint32_t file = 0;    ///< the store's number
  std::uint32_t crc32c = 0;  ///< of them, where the array's chain has no checksum
  bool linked = false;       ///< shared with the step before
  bool inlined = false;      ///< in the database instead
  std::string value;         ///< the bytes, until they are there
  [[nodiscard]] bool in_file() const noexcept { return !inlined; }
};

/// One chunk of ItemLayout::inlined; its bytes lie among those of all, from its place's offset on.
struct InlinedChunk {
  InlinedChunk() = default;
  std::uint32_t length = 0;
  std::uint32_t crc32c = 0;  ///< where the array's chain has no checksum
};

/// An item's chunks, as far as they are stored.
struct ItemContent {
  explicit ItemContent(const ItemLayout& l)
      : layout(l),
        placed(l.placed.size()),
        inlined(l.inlined.size()),
        inlined_bytes(std::make_unique_for_overwrite<std::byte[]>(l.inlined_bytes)) {}
  [[nodiscard]] std::string_view inlined_value(std::size_t i) const {
    const std::byte* const bytes = inlined_bytes.get() + layout.inlined[i].offset;
    return {reinterpret_cast<const char*>(bytes), inlined[i].length};
  }
  const ItemLayout& layout;
  std::vector<StoredChunk> placed;    ///< parallel to ItemLayout::placed
  std::vector<InlinedChunk> inlined;  ///< parallel to ItemLayout::inlined
  std::unique_ptr<std::byte[]> inlined_bytes;
};

/// Chunks that change often are kept apart from those that do not.
enum class FileClass : std::uint8_t { cold, hot };
inline constexpr std::size_t kFileClasses = 2;

class ChunkStore {
 public:
  virtual ~ChunkStore() = default;
  /// Makes what the item's directory needs before the first chunk.
  virtual Task<void> open(FolderPtr item) = 0;
  /// Stores the pieces of a buffer; `bytes` stays valid until it returns.
  virtual Task<void> write(PieceList list, std::span<const std::byte> bytes, FileClass kind) = 0;
  /// Everything is written: data durable, and the text that says where it is (which the next
  /// function writes).
  virtual Task<void> finish_data() = 0;
  /// Metadata durable, its directories not yet.
  virtual Task<void> finish_metadata() = 0;
  /// Directories below the item's own durable.
  virtual Task<void> sync_folders() = 0;
  /// content_hash() of the manifest, after finish_data(); empty where there is none.
  [[nodiscard]] virtual std::string manifest_hash() const = 0;
};

}  // namespace cairn::internal
