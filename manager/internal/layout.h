#pragma once
// Where each byte of a tree goes: which chunk of which leaf at which offset of the item's data
// file. Pure; runs on the CPU pool.
//
// A chunk's stored form is its elements (dense C order, little-endian, padded to the full chunk
// shape) and their crc32c. By its size it goes
//   <= kInlineBytes  into the database itself,
//   <  kPackBytes    into an extent shared with others,
//   otherwise        into an extent of its own, at a multiple of 4096 of the data file.
// Extents are what is captured, written and released as one, and tile the file without gaps.

#include <cairn/codecs/array.h>
#include <cairn/codecs/orbax.h>
#include <cairn/codecs/tree.h>
#include <cairn/codecs/zarr.h>
#include <cairn/manager/args.h>

#include <cstdint>
#include <string>
#include <variant>
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

/// A leaf that is stored as an array.
struct PlannedLeaf {
  PlannedLeaf() = default;
  std::string name;            ///< Orbax's parameter name
  const Tree* node = nullptr;  ///< borrowed from the tree being saved
  std::uint32_t layout = 0;    ///< index into ItemLayout::arrays
};

/// What leaves of one dtype and shape share.
struct ArrayLayout {
  ArrayLayout() = default;
  zarr::ArrayMetadata metadata;
  std::string text;  ///< zarr.json
  Shape grid;
  std::uint64_t chunks = 0;
  std::size_t chunk_bytes = 0;   ///< elements of one chunk
  std::size_t stored_bytes = 0;  ///< the same with its crc32c
};

struct ChunkPlace {
  std::uint32_t leaf = 0;
  std::uint64_t chunk = 0;   ///< linear index in the grid, C order
  std::uint64_t offset = 0;  ///< in the data file; index into the inline values for an inline chunk
};

struct Extent {
  std::uint64_t offset = 0;  ///< in the data file, bytes
  std::size_t size = 0;      ///< a multiple of kFileAlignment
  std::size_t first = 0;     ///< its chunks: [first, first + count) of ItemLayout::placed
  std::size_t count = 0;
};

struct ItemLayout {
  ItemLayout() = default;
  std::vector<ArrayLayout> arrays;
  std::vector<PlannedLeaf> leaves;
  std::vector<ChunkPlace> placed;  ///< in extents, in file order
  std::vector<ChunkPlace> inlined;
  std::vector<Extent> extents;
  std::vector<orbax::TreeEntry> entries;  ///< for _METADATA, empty containers included
  std::vector<std::string> tuples;        ///< see CairnRecord
  std::vector<std::string> unsigned_scalars;
  std::uint64_t file_bytes = 0;     ///< of the data file
  std::uint64_t element_bytes = 0;  ///< of all leaves
  std::uint64_t largest_extent = 0;
};

/// Plans `tree`, which the result points into. Throws Error(invalid_argument) naming the key path:
/// a string leaf, an empty tree, two leaves of one name, a leaf that this process covers only in
/// part.
[[nodiscard]] ItemLayout plan_item(const args::StandardSave& args);

/// The elements of a leaf that are in memory; scalars are viewed through `scalar`, 8 bytes.
[[nodiscard]] ArrayView view_of(const Tree& node, std::byte* scalar);
/// Index box of a chunk, clipped to the array.
[[nodiscard]] IndexRange chunk_range(const zarr::ArrayMetadata& metadata, const Shape& grid,
                                     std::uint64_t chunk);
/// "w/zarr.json", "w/c/0/1"; a bare leaf has no prefix.
[[nodiscard]] std::string metadata_key(const std::string& name);
[[nodiscard]] std::string chunk_entry_key(const std::string& name, const ArrayLayout& array,
                                          std::uint64_t chunk);
/// Grid index of a linear chunk number.
[[nodiscard]] Shape grid_index(const Shape& grid, std::uint64_t chunk);

}  // namespace cairn::internal
