#pragma once
// Where each byte of a tree goes: which chunks are copied together, and which of them have their
// place in a file before they are encoded. Pure; runs on the CPU pool.
//
// A chunk's stored form is what its array's codecs make of its elements (dense C order,
// little-endian, padded to the full chunk shape). By its size it goes
//   <= kInlineBytes  into the database itself (OCDBT layouts),
//   <  kPackBytes    into an extent shared with others,
//   otherwise        into an extent of its own.
// Extents are what is captured and released as one. In staging a chunk's elements lie with room for
// their crc32c behind them, so that raw chunks are written from where they were copied to; one that
// auto may leave as it is has room for a Blosc header before them as well.

#include <cairn/codecs/array.h>
#include <cairn/codecs/blosc.h>
#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/orbax.h>
#include <cairn/codecs/tree.h>
#include <cairn/codecs/zarr.h>
#include <cairn/manager/args.h>
#include <cairn/manager/internal/codec_choice.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::internal {

inline constexpr std::size_t kFileAlignment = 4096;
inline constexpr std::size_t kInlineBytes = 1024;  ///< Orbax's max_inline_value_bytes
inline constexpr std::size_t kPackBytes = 256u << 10;
inline constexpr std::size_t kPackedExtentBytes = 4u << 20;
inline constexpr std::size_t kChunkBytes = 16u << 20;  ///< of elements; formats allow 8-32 MiB
inline constexpr std::size_t kPackAlignment = 64;
static_assert(kInlineBytes < kPackBytes && kPackBytes < kPackedExtentBytes &&
              kPackedExtentBytes < kChunkBytes);
static_assert(kPackedExtentBytes % kFileAlignment == 0 && kFileAlignment % kPackAlignment == 0);

/// Chunks of incremental saves: an array's bytes over kChunksPerArray, within these bounds. Where 1
/// % of an array's rows change that lie together, at most 4 % of its chunks' bytes are touched,
/// from 8 MiB on; of a smaller array two chunks at most. Finer chunks would make each of them, and
/// every read, cost more than they save.
inline constexpr std::size_t kChunksPerArray = 128;
inline constexpr std::size_t kFineChunkBytesMin = 128u << 10;
inline constexpr std::size_t kFineChunkBytesMax = 4u << 20;
static_assert(kFineChunkBytesMin < kPackBytes && kFineChunkBytesMax <= kPackedExtentBytes);

/// `value` rounded up to a multiple of `alignment`.
[[nodiscard]] constexpr std::size_t align_up(std::size_t value, std::size_t alignment) noexcept {
  return (value + alignment - 1) / alignment * alignment;
}

class SharePlan;

/// A plan that says what the leaves are and places no chunk; this process need not have all of a
/// leaf.
enum class Survey : std::uint8_t {
  none,    ///< no such plan
  shapes,  ///< with the codecs that were asked for
  choices  ///< with what auto makes of the elements
};

struct PlanSettings {
  PlanSettings() = default;
  Layout layout = Layout::ocdbt_zarr3;
  Codec codec = Codec::raw();
  bool incremental = false;
  bool strings = false;  ///< may be leaves
  AutoSettings automatic;
  Survey survey = Survey::none;
  /// Chunks of other processes are left out; none: there are none.
  std::shared_ptr<const SharePlan> shares;
};

/// A leaf that is stored as an array.
struct PlannedLeaf {
  PlannedLeaf() = default;
  std::string name;            ///< Orbax's parameter name
  const Tree* node = nullptr;  ///< borrowed from the tree being saved
  std::uint32_t entry = 0;     ///< index into ItemLayout::entries
  std::uint32_t layout = 0;    ///< index into ItemLayout::arrays
  CodecChoice choice;
};

/// What leaves of one dtype, shape and codec share.
struct ArrayLayout {
  ArrayLayout() = default;
  zarr::ArrayMetadata metadata;
  std::string text;  ///< zarr.json or .zarray
  Encoding encoding = Encoding::raw;
  Shape grid;
  std::uint64_t chunks = 0;
  std::size_t chunk_bytes = 0;   ///< elements of one chunk
  std::size_t stored_bytes = 0;  ///< at most; exactly, when raw
};

struct ChunkPlace {
  std::uint32_t leaf = 0;
  std::uint64_t chunk = 0;   ///< linear index in the grid, C order
  std::uint64_t offset = 0;  ///< of its elements in the extent's staging, bytes; of an inline
                             ///< chunk: among the bytes of all
};

/// Chunks of arrays with one encoding: raw ones are stored as they lie in staging, others encoded
/// into another buffer, gated ones either of the two.
struct Extent {
  Extent() = default;
  Encoding encoding = Encoding::raw;
  std::size_t staging_bytes = 0;  ///< a multiple of kFileAlignment
  std::size_t encoded_bytes = 0;  ///< what encoding all its chunks takes at most, likewise
  std::uint64_t element_bytes = 0;
  std::size_t first = 0;  ///< its chunks: [first, first + count) of ItemLayout::placed
  std::size_t count = 0;
  std::uint64_t offset = 0;  ///< in the data file of known size, where `fixed`
  bool fixed = false;        ///< its place is known before it is captured
};

struct ItemLayout {
  ItemLayout() = default;
  Layout layout = Layout::ocdbt_zarr3;
  std::vector<ArrayLayout> arrays;
  std::vector<PlannedLeaf> leaves;
  std::vector<std::uint32_t> by_name;  ///< leaves, in the order of the keys "<name>/..."
  std::vector<ChunkPlace> placed;      ///< in extents, in their order
  std::vector<ChunkPlace> inlined;
  std::vector<Extent> extents;
  std::vector<orbax::TreeEntry> entries;  ///< for _METADATA, empty containers included
  std::string strings;                    ///< _strings.json; empty where no leaf is one
  std::vector<KeyNames> tuples;           ///< see CairnRecord
  std::vector<std::string> unsigned_scalars;
  std::uint64_t inlined_bytes = 0;  ///< what `inlined` take, each with room for a crc32c
  std::uint64_t staging_bytes = 0;  ///< of all extents
  std::uint64_t fixed_bytes = 0;    ///< of the data file of known size
  std::uint64_t open_bytes = 0;     ///< at most, of what has no place yet
  std::uint64_t element_bytes = 0;  ///< of all leaves, as far as they are written here

  [[nodiscard]] const ArrayLayout& array_of(const ChunkPlace& place) const {
    return arrays[leaves[place.leaf].layout];
  }
  [[nodiscard]] const Tree& node_of(const ChunkPlace& place) const {
    return *leaves[place.leaf].node;
  }
};

/// Plans the tree of `args`, which the result points into. Throws Error(invalid_argument) naming
/// the key path: a string leaf where they are not allowed, or that Orbax could not read; an empty
/// tree, two leaves of one name, a name that cannot be a directory's, a leaf that this process
/// covers only in part.
[[nodiscard]] ItemLayout plan_item(const args::TreeSave& args, const PlanSettings& settings);

/// For ItemLayout::by_name.
[[nodiscard]] std::vector<std::uint32_t> sorted_by_name(const std::vector<PlannedLeaf>& leaves);
/// Throws as plan_item() does, for names; by_name is there.
void check_names(const ItemLayout& layout);

/// The elements of a leaf that are in memory; scalars are viewed through `scalar`, 8 bytes.
[[nodiscard]] ArrayView elements_of(const Tree& node, std::byte* scalar);
/// Index box of a chunk, clipped to the array.
[[nodiscard]] IndexRange chunk_range(const zarr::ArrayMetadata& metadata, const Shape& grid,
                                     std::uint64_t chunk);
[[nodiscard]] inline IndexRange chunk_range(const ArrayLayout& array, std::uint64_t chunk) {
  return chunk_range(array.metadata, array.grid, chunk);
}
/// Bytes of the elements of that box: without the padding.
[[nodiscard]] std::uint64_t element_bytes_of(const ItemLayout& layout, const ChunkPlace& place);
/// "w/zarr.json", "w/c/0/1"; a bare leaf has no prefix.
[[nodiscard]] std::string metadata_key(const std::string& name,
                                       Layout layout = Layout::ocdbt_zarr3);
[[nodiscard]] std::string chunk_entry_key(const std::string& name, const ArrayLayout& array,
                                          std::uint64_t chunk);
/// Grid index of a linear chunk number.
[[nodiscard]] Shape grid_index(const Shape& grid, std::uint64_t chunk);

}  // namespace cairn::internal
