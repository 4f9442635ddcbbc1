#pragma once
// An item's keys and where their values are: the one view of an OCDBT database and of a plain
// directory, whose keys are the relative paths of its files.
//
//   ItemDatabase database(folder);
//   co_await database.open();
//   co_await database.load(KeySet::all());   // or some keys, as often as needed
//   database.find("w/zarr.json")
//
// Used on the engine's strand; while no load() is under way, other threads may read it.

#include <cairn/codecs/ocdbt.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/key_set.h>
#include <cairn/manager/internal/storage.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace cairn::internal {

/// Where a value is.
enum class ValuePlace : std::uint8_t {
  inlined,     ///< in the database itself
  range,       ///< a range of a data file
  whole_file,  ///< all of a file, of a size that nobody has asked for yet
};

struct DatabaseEntry {
  DatabaseEntry() = default;
  std::string key;
  ValuePlace place = ValuePlace::inlined;
  std::string value;         ///< inlined
  std::uint32_t file = 0;    ///< index into ItemDatabase::files()
  std::uint64_t offset = 0;  ///< bytes
  std::uint64_t length = 0;  ///< bytes; 0 for whole_file
};

class ItemDatabase {
 public:
  explicit ItemDatabase(FolderPtr item) : item_(std::move(item)) {}

  /// Reads the manifest where there is one. Errors here and below: data_loss naming file, offset
  /// and field; not_found for a file that the database refers to.
  Task<void> open();
  [[nodiscard]] bool is_ocdbt() const noexcept { return manifest_.has_value(); }
  /// manifest.ocdbt as stored; empty for a directory.
  [[nodiscard]] const std::string& manifest_text() const noexcept { return manifest_text_; }

  /// Adds the entries of `keys`, walking only nodes or directories that may have some.
  Task<void> load(KeySet keys);
  /// Ascending by key, of what has been loaded.
  [[nodiscard]] const std::vector<DatabaseEntry>& entries() const noexcept { return entries_; }
  [[nodiscard]] const DatabaseEntry* find(std::string_view key) const;
  /// Entries whose keys begin with `prefix`.
  [[nodiscard]] std::span<const DatabaseEntry> below(std::string_view prefix) const;
  /// Paths relative to the item.
  [[nodiscard]] const std::vector<std::string>& files() const noexcept { return files_; }
  /// The path for messages: of the file that holds the value, or the manifest's.
  [[nodiscard]] std::string path_of(const DatabaseEntry& entry) const;
  /// Where a key would be, for messages about one that is missing.
  [[nodiscard]] std::string path_of_missing(const std::string& key) const;
  /// Bytes of the value; asks the file system for a whole file's.
  Task<std::uint64_t> size_of(DatabaseEntry entry);
  /// Reads the values of these keys and keeps them as inlined ones. `most`: bytes that one may
  /// have. Keys that are not there are passed over.
  Task<void> fetch(std::vector<std::string> keys, std::uint64_t most);

 private:
  /// A node still to be read, and what the walk knows of it.
  struct Pending;
  Task<void> load_ocdbt(KeySet keys);
  static Task<void> read_nodes(engine::Nursery& nursery, ItemDatabase* self,
                               std::span<const Pending> pending, std::span<ocdbt::Node> nodes);
  Task<void> read_node(const Pending* pending, FilePtr file, ocdbt::Node* node);
  void take_entries(const Pending& from, const ocdbt::Node& node, const KeySet& keys);
  void add_children(const Pending& from, const ocdbt::Node& node, const KeySet& keys,
                    std::vector<Pending>& level);
  Task<void> load_directory(KeySet keys);
  static Task<void> look_around(engine::Nursery& nursery, ItemDatabase* self, KeySet keys);
  Task<void> walk(FolderPtr folder, std::string prefix, KeySet keys, std::size_t depth);
  Task<void> look_up(std::string key);
  Task<void> fetch_one(std::size_t index, std::uint64_t most);
  void add_file_entry(std::string key);
  std::uint32_t file_index(const std::string& path);
  void merge(std::size_t old_entries);

  FolderPtr item_;
  std::string manifest_text_;
  std::string manifest_path_;  ///< of the manifest that has the versions
  std::optional<ocdbt::Manifest> manifest_;
  std::vector<DatabaseEntry> entries_;
  std::vector<std::string> files_;
  std::unordered_map<std::string, std::uint32_t> file_indices_;
};

/// The manifest that has the versions, numbered or not, and its name.
Task<std::pair<std::string, ocdbt::Manifest>> read_manifest(FolderPtr item, std::string text);
/// Opens a file that an item refers to. A symbolic link in its place, or one on the way that leads
/// out of the item, is data_loss.
Task<FilePtr> open_item_file(FolderPtr item, std::string path, engine::DirectIo direct);
/// A data_loss error of a database's file.
[[nodiscard]] Error database_error(const std::string& path, std::optional<std::uint64_t> offset,
                                   std::string reason);

}  // namespace cairn::internal
