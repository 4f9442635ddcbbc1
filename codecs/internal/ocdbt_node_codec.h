#pragma once
// The body of a node from parts that the caller owns, so that a whole tree is encoded without
// copying its entries into nodes first.

#include <cairn/codecs/internal/ocdbt_columns.h>
#include <cairn/codecs/ocdbt.h>

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace cairn::ocdbt::internal {

/// Where a node's references point: the node's own table and, for each file index of an entry, the
/// index in that table (empty: the same).
struct NodeFiles {
  const FileTable& table;
  std::span<const std::uint64_t> index_of = {};
  [[nodiscard]] std::uint64_t operator()(std::uint64_t file) const {
    return index_of.empty() ? file : index_of[static_cast<std::size_t>(file)];
  }
};

/// A sealed node. The first `stripped` bytes of each key are left out; `entries` must share them.
/// `scratch` holds the body meanwhile; a caller with many nodes keeps it, and its memory.
[[nodiscard]] std::string encode_leaf(std::span<const EntryView> entries, std::size_t stripped,
                                      const NodeFiles& files, const Config& config,
                                      std::string& scratch);
[[nodiscard]] std::string encode_interior(std::span<const Child> children, std::size_t stripped,
                                          std::uint8_t height, const NodeFiles& files,
                                          const Config& config, std::string& scratch);

/// Length of the prefix that `a` and `b` share.
[[nodiscard]] std::size_t shared_prefix(std::string_view a, std::string_view b) noexcept;

}  // namespace cairn::ocdbt::internal
