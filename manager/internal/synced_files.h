#pragma once
// Which data files are durable because this manager made them so: those that it wrote, and those
// that it synced when it first linked them. Others may have been put there by anybody: what `cp` or
// `rsync` copied is in the page cache, perhaps for minutes, and a step that links it must not be
// lost with it.

#include <cairn/engine/io_backend.h>

#include <compare>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

namespace cairn::internal {

/// A file, whatever its names, as long as nobody writes to it: the number of one that is gone may
/// be given to another, as to the one that a backup brings back.
struct FileId {
  FileId() = default;
  explicit FileId(const engine::FileStatus& status)
      : device(status.device), inode(status.inode), modified_ns(status.modified_ns) {}
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t modified_ns = 0;
  friend auto operator<=>(const FileId&, const FileId&) = default;
};

/// Strand only.
class SyncedFiles {
 public:
  [[nodiscard]] bool contains(const std::string& item, const FileId& file) const {
    const auto found = items_.find(item);
    return found != items_.end() && found->second.contains(file);
  }
  /// The files of the item's newest step, instead of those of the one before: no others are linked.
  void set(const std::string& item, std::set<FileId> files) { items_[item] = std::move(files); }

 private:
  std::map<std::string, std::set<FileId>> items_;
};

}  // namespace cairn::internal
