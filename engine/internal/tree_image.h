#pragma once
// A directory tree in memory: inodes, and entries that name them. Files with several names appear
// once.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::engine::internal {

using InodeId = std::uint32_t;
inline constexpr InodeId kRootInode = 0;

struct ImageInode {
  bool directory = false;
  std::uint32_t mode = 0;  // permission bits
  std::string content;     // of a file
  std::map<std::string, InodeId> entries;
};

struct TreeImage {
  std::vector<ImageInode> inodes;

  InodeId add(bool directory, std::uint32_t mode);
  /// The inode behind `path`, which is relative to `from`; none when there is no such entry. ".."
  /// is not understood: nothing that is opened beneath a directory uses it.
  [[nodiscard]] std::optional<InodeId> find(InodeId from, std::string_view path) const;
};

/// Where a path's last component stands.
struct Place {
  InodeId directory = kRootInode;
  std::string name;
};
[[nodiscard]] std::optional<Place> find_place(const TreeImage& image, InodeId from,
                                              std::string_view path);

/// Reads the tree below `root`; symlinks and special files are left out. Throws std::system_error.
[[nodiscard]] TreeImage read_tree(const std::string& root);
/// Writes what can be reached from the image's root into `target`. Throws std::system_error.
void write_tree(const TreeImage& image, const std::string& target);

}  // namespace cairn::engine::internal
