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
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace cairn::internal {

/// Called with what is wrong with a part of an item; throws to stop reading, or returns to go on
/// without that part.
using DamageSink = std::function<void(const Error&)>;
/// The sink that stops.
[[nodiscard]] DamageSink throw_damage();

/// Orbax's are a few hundred bytes; with a full version list and long paths some megabytes.
inline constexpr std::uint64_t kManifestBytesMax = 64u << 20;

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
  bool in_node = false;    ///< inlined: a node has it, and its body may be compressed
  std::string value;       ///< inlined
  std::uint32_t file = 0;  ///< index into ItemDatabase::files(): of the value's file, or the node's
  std::uint64_t offset = 0;  ///< in that file, bytes: of the value, or of the node that has it
  std::uint64_t length = 0;  ///< bytes; 0 for whole_file and in a node
};

class ItemDatabase {
 public:
  /// `damage` gets nodes, directories and values that cannot be read.
  ItemDatabase(FolderPtr item, DamageSink damage)
      : item_(std::move(item)), damage_(std::move(damage)) {}

  /// Reads the manifest where there is one. Errors here and below: data_loss naming file, offset
  /// and field; not_found for a file that the database refers to.
  Task<void> open();
  [[nodiscard]] bool is_ocdbt() const noexcept { return manifest_.has_value(); }
  /// manifest.ocdbt as stored; empty for a directory.
  [[nodiscard]] const std::string& manifest_text() const noexcept { return manifest_text_; }

  /// Adds the entries of `keys`, walking only nodes or directories that may have some.
  Task<void> load(KeySet keys);
  /// False once a node or directory could not be read: keys that are not here may be there.
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  /// Ascending by key, of what has been loaded.
  [[nodiscard]] const std::vector<DatabaseEntry>& entries() const noexcept { return entries_; }
  [[nodiscard]] const DatabaseEntry* find(std::string_view key) const;
  /// Entries whose keys begin with `prefix`.
  [[nodiscard]] std::span<const DatabaseEntry> below(std::string_view prefix) const;
  /// Paths relative to the item.
  [[nodiscard]] const std::vector<std::string>& files() const noexcept { return files_; }
  /// Keys at which a symbolic link was passed over that may lead to keys wanted: what is below
  /// them, nobody has looked at. Of a directory; ascending.
  [[nodiscard]] const std::set<std::string>& links() const noexcept { return links_; }
  /// The link that is in the way to `key`; null where there is none.
  [[nodiscard]] const std::string* link_above(std::string_view key) const;
  /// The path for messages: of the file that holds the value, or the node with it.
  [[nodiscard]] std::string path_of(const DatabaseEntry& entry) const;
  /// Whether such a key may be there: a database has any, a directory those that stay below it.
  [[nodiscard]] bool may_hold(std::string_view key) const;
  /// Where a key would be, for messages about one that is missing.
  [[nodiscard]] std::string path_of_missing(const std::string& key) const;
  /// Bytes of the value; asks the file system for a whole file's.
  Task<std::uint64_t> size_of(DatabaseEntry entry);
  /// Reads the values of these keys and keeps them as inlined ones, as far as all together are in
  /// proportion to the keys. `most`: bytes that one may have. Keys that are not there are passed
  /// over; what cannot be read stays out of line.
  Task<void> fetch(std::vector<std::string> keys, std::uint64_t most);
  /// Reads every node of the version tree, which has where older versions are: no read of the
  /// newest needs them. What is wrong goes to the sink, and says nothing of the entries.
  Task<void> check_version_tree();

 private:
  /// A node still to be read, and what the walk knows of it.
  struct Pending;
  Task<void> load_ocdbt(KeySet keys);
  /// How many of the first nodes are read at once.
  [[nodiscard]] static std::size_t portion_of(std::span<const Pending> level);
  static Task<void> read_nodes(engine::Nursery& nursery, ItemDatabase* self,
                               std::span<const Pending> pending, std::span<ocdbt::Node> nodes,
                               ocdbt::NodeBudget* budget);
  /// None where it cannot be opened.
  Task<FilePtr> open_node_file(std::string path);
  Task<void> read_node(const Pending* pending, FilePtr file, ocdbt::Node* node,
                       ocdbt::NodeBudget* budget);
  /// A node's bytes, which must lie in the file; gives the budget what they justify.
  Task<std::string> read_node_bytes(FilePtr file, ocdbt::Reference where,
                                    ocdbt::NodeBudget* budget);
  /// Likewise of the version tree, in ocdbt_version_walk.cpp.
  struct PendingVersions;
  struct VersionWalk;
  Task<void> check_version_node(PendingVersions pending, VersionWalk* walk);
  void add_version_nodes(const std::string& transitive, const ocdbt::FileTable& files,
                         const std::vector<ocdbt::VersionNodeReference>& nodes, VersionWalk* walk);
  Task<void> read_node_or_none(const Pending* pending, FilePtr file, ocdbt::Node* node,
                               ocdbt::NodeBudget* budget);
  /// Takes the values out of the node.
  void take_entries(const Pending& from, ocdbt::Node& node, const KeySet& keys);
  void add_children(const Pending& from, const ocdbt::Node& node, const KeySet& keys,
                    std::vector<Pending>& level);
  /// Shared: a walk has one coroutine for each directory, and a set may be large.
  using KeySetPtr = std::shared_ptr<const KeySet>;
  void check_key_length(const Pending& from, const std::string& key) const;
  /// `key`: whole, of an entry or a child of the node.
  void check_end(const Pending& from, const std::string& key) const;
  [[nodiscard]] Error node_error(const Pending& node, std::string field, std::string found,
                                 std::string allowed) const;
  Task<void> load_directory(KeySetPtr keys);
  static Task<void> look_around(engine::Nursery& nursery, ItemDatabase* self, KeySetPtr keys);
  /// `name`: of a directory in `parent`; empty: `parent` itself.
  Task<void> walk(FolderPtr parent, std::string name, std::string prefix, KeySetPtr keys,
                  std::size_t depth);
  Task<void> look_up(std::string key);
  /// Whether the directory is there. A link on the way is reported, and keys are lost with it.
  Task<bool> has_directory(std::string directory);
  Task<void> fetch_one(std::size_t index, std::uint64_t most);
  Task<void> fetch_value(std::size_t index, std::uint64_t most);
  void add_entry(DatabaseEntry entry);
  void add_file_entry(std::string key);
  std::uint32_t file_index(const std::string& path);
  void merge(std::size_t old_entries);
  /// Gives an Error to the sink; throws anything else.
  void pass_on(const std::exception_ptr& failure) const;
  /// Likewise; some keys are lost with it.
  void lose(const std::exception_ptr& failure);
  /// Counts memory that keys and values take, and throws where what was read does not justify so
  /// much: a prefix that is stored once may be part of any number of keys, and a few bytes of zstd
  /// may become any value.
  void hold(std::uint64_t bytes);
  [[nodiscard]] std::uint64_t held_bytes_max() const;

  FolderPtr item_;
  DamageSink damage_;
  bool complete_ = true;
  std::uint64_t held_bytes_ = 0;         ///< by keys and values
  std::uint64_t fetched_bytes_max_ = 0;  ///< what a single value may have is always justified
  std::uint64_t read_bytes_ = 0;         ///< of nodes, or what stands for them in a directory
  std::string manifest_text_;
  std::string manifest_path_;  ///< of the manifest that has the versions
  std::optional<ocdbt::Manifest> manifest_;
  std::vector<DatabaseEntry> entries_;
  std::vector<std::string> files_;
  std::unordered_map<std::string, std::uint32_t> file_indices_;
  std::set<std::string> links_;
  std::unordered_set<std::string> directories_;  ///< that were looked at, and are no links
};

/// The manifest that has the versions, numbered or not, and its name.
Task<std::pair<std::string, ocdbt::Manifest>> read_manifest(FolderPtr item, std::string text);
/// A data_loss error of a database's file.
[[nodiscard]] Error database_error(const std::string& path, std::optional<std::uint64_t> offset,
                                   std::string reason);

}  // namespace cairn::internal
