#pragma once
// `_CAIRN_INDEX`: what `_METADATA` says of an item's leaves, in the order of their names and in
// blocks, so that who wants a few of very many reads no more than it needs. Optional, redundant,
// and unknown to Orbax and TensorStore. Grammar in codecs/path_index_format.md.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/orbax.h>
#include <cairn/export.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {

/// Its name in the item's directory.
inline constexpr std::string_view kPathIndexFile = "_CAIRN_INDEX";
/// Of its first bytes, which tell how long its root is.
inline constexpr std::size_t kPathIndexHeaderBytes = 24;
/// Of the root: what is longer is damage. Enough for some hundred million leaves.
inline constexpr std::size_t kPathIndexRootBytesMax = std::size_t{1} << 24;
/// Of a block, and of its paths once decoded, each key counted with 32 bytes beside its name.
inline constexpr std::size_t kPathIndexBlockBytesMax = std::size_t{1} << 20;
/// Of one path, counted likewise.
inline constexpr std::size_t kPathIndexPathBytesMax = std::size_t{1} << 16;
/// Of `_METADATA`, at its end: by their hash and the file's size an index knows its own.
inline constexpr std::size_t kPathIndexTailBytes = 4096;

/// What an index says of an entry of `_METADATA`. Types are any but foreign ones.
struct IndexedLeaf {
  IndexedLeaf() = default;
  KeyPath path;
  /// Which keys of the path are indices of tuples, by their places in it, ascending: Orbax's
  /// metadata cannot tell these from lists.
  std::vector<std::size_t> in_tuples;
  orbax::ValueType type = orbax::ValueType::np_ndarray;
  std::uint64_t place = 0;  ///< among the entries of _METADATA
  friend bool operator==(const IndexedLeaf&, const IndexedLeaf&) = default;
};

/// Entries are in the order of their names with a slash behind them, as the keys "<name>/..." of a
/// database are: so what is at and below "a.b" lies together.
[[nodiscard]] CAIRN_EXPORT std::string index_key(const KeyPath& path);
/// Whether a path's text leads to its name: no key is empty or has '/' or '[' in it; and it is no
/// longer than kPathIndexPathBytesMax. An index has only such paths.
[[nodiscard]] CAIRN_EXPORT bool is_indexable(const KeyPath& path) noexcept;
/// The name that the text of such a path leads to: "a.b.3" for "a/b[3]". Texts that no such path
/// has lead to names that none has, or to any.
[[nodiscard]] CAIRN_EXPORT std::string name_of_text(std::string_view text);

/// A block of an index: leaves that follow each other, from a key on.
struct PathIndexBlock {
  PathIndexBlock() = default;
  std::string first;         ///< index_key() of its first leaf
  std::uint64_t offset = 0;  ///< in the file, bytes
  std::uint64_t length = 0;  ///< bytes
};
struct PathIndexRoot {
  PathIndexRoot() = default;
  std::uint64_t metadata_bytes = 0;  ///< of `_METADATA`
  ContentHash metadata_tail{};       ///< of its last kPathIndexTailBytes, or of all of it
  std::uint64_t leaves = 0;          ///< of all blocks
  std::vector<PathIndexBlock> blocks;
};

/// Makes an index of leaves that come in order.
class CAIRN_EXPORT PathIndexWriter {
 public:
  /// `leaf` is not before the one that was added last. Throws std::invalid_argument where it is, is
  /// not indexable or foreign.
  void add(const IndexedLeaf& leaf);
  /// The file; `metadata` is the text of _METADATA. Empty where the root would be too long. Once.
  [[nodiscard]] std::string finish(std::string_view metadata);

 private:
  void close_block();

  std::string blocks_;  ///< closed ones
  std::vector<PathIndexBlock> closed_;
  std::string block_;
  std::size_t first_bytes_ = 0;    ///< of its first leaf
  std::size_t decoded_bytes_ = 0;  ///< of all of it
  std::string first_;              ///< key of the first leaf of block_
  std::string last_;               ///< of the last of all
  IndexedLeaf before_;
  std::uint64_t leaves_in_block_ = 0;
  std::uint64_t leaves_ = 0;  ///< of closed blocks
};

/// Of header and root together, from the header. Throws FormatError.
[[nodiscard]] CAIRN_EXPORT std::size_t path_index_root_end(std::string_view header);
/// `head` is header and root; `file_bytes` of all of the file, which ends with its last block.
/// Throws FormatError.
[[nodiscard]] CAIRN_EXPORT PathIndexRoot decode_path_index_root(std::string_view head,
                                                                std::uint64_t file_bytes);
/// The leaves of a block, from its bytes. Throws FormatError.
[[nodiscard]] CAIRN_EXPORT std::vector<IndexedLeaf> decode_path_index_block(
    const PathIndexBlock& block, std::string_view bytes);

}  // namespace cairn
