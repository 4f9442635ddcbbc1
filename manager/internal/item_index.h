#pragma once
// What a tree item holds, before any array is read: its leaves, where they are, and what each array
// looks like.

#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/orbax.h>
#include <cairn/manager/internal/item_database.h>
#include <cairn/manager/internal/selection.h>
#include <cairn/manager/internal/stored_array.h>

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace cairn::internal {

/// What an item's files mean, where its handler says more than they do.
enum class ItemForm : std::uint8_t {
  tree,
  /// Orbax's ArrayCheckpointHandler: the one array, which its metadata calls `checkpoint`, is the
  /// item.
  single_array,
};

/// What becomes of leaves of types that a program registered with Orbax, whose data only it knows.
enum class ForeignLeaves : std::uint8_t {
  reported,  ///< each is a fault of the item, for the DamageSink
  listed,    ///< they are leaves without an array; who reads one refuses it by foreign_error()
};

struct StoredLeaf {
  StoredLeaf() = default;
  KeyPath path;
  orbax::ValueType type = orbax::ValueType::np_ndarray;
  std::string name;                 ///< its keys in the database begin with this and a slash
  StoredArrayPtr array;             ///< none where the leaf is no array
  std::string text;                 ///< of a string; of a foreign leaf, what its type is called
  std::optional<IndexRange> range;  ///< what is wanted of the array; none: all
  [[nodiscard]] IndexRange wanted() const { return range ? *range : array->whole(); }
  /// Where in the array's grid its wanted chunks are; none where it has no elements to read.
  [[nodiscard]] std::optional<IndexRange> wanted_chunks() const;
  [[nodiscard]] std::string chunk_key(std::uint64_t chunk) const;
  /// Of all elements of the array, whatever is wanted.
  [[nodiscard]] std::uint64_t array_bytes() const {
    return byte_count(array->metadata.dtype, array->metadata.shape);
  }
};

/// Throws Error(invalid_argument) unless what is wanted of the leaf lies in it.
void check_range(const StoredLeaf& leaf);

/// Which leaves are wanted, of those there are: by their paths and types, parallel. In ascending
/// order, each once. Called on a worker.
using LeafChooser = std::function<std::vector<Chosen>(const std::vector<KeyPath>& paths,
                                                      const std::vector<orbax::ValueType>& types)>;

class ItemIndex {
 public:
  /// `name`: the item's, for messages. `damage` gets what is wrong with single arrays and files;
  /// where it returns, the leaves at fault have no array.
  ItemIndex(FolderPtr item, std::string name, ItemForm form, DamageSink damage,
            ForeignLeaves foreign = ForeignLeaves::reported)
      : item_(std::move(item)),
        name_(std::move(name)),
        form_(form),
        foreign_(foreign),
        damage_(std::move(damage)),
        database_(item_, damage_) {}

  /// Reads metadata and the parts of the database that the leaves of `selections` need; all of it
  /// where that is empty. Errors: those of the files, and of args::TreeRestore::selection.
  Task<void> open(Selections selections);
  /// The same for the leaves that `choose` chooses; what it throws comes through.
  Task<void> open(LeafChooser choose);

  /// Compares the index of paths, where there is one, with the item's metadata. After an open() of
  /// everything.
  Task<void> check_path_index() const;

  [[nodiscard]] const FolderPtr& folder() const noexcept { return item_; }
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] const std::vector<StoredLeaf>& leaves() const noexcept { return leaves_; }
  /// Paths of nulls in partly read lists.
  [[nodiscard]] const std::vector<KeyPath>& gaps() const noexcept { return gaps_; }
  [[nodiscard]] const ItemDatabase& database() const noexcept { return database_; }
  [[nodiscard]] ItemDatabase& database() noexcept { return database_; }
  [[nodiscard]] const std::optional<CairnRecord>& record() const noexcept { return record_; }
  /// Whether the item's manifest is what the record was written with. What another program has
  /// rewritten since, the record knows nothing of. Plain layouts have no manifest: their records
  /// hold.
  [[nodiscard]] bool record_matches() const;
  /// Orbax's metadata; none for bare zarr arrays and groups. Where parts of a large item are
  /// wanted, as much of it as they need.
  [[nodiscard]] const std::optional<orbax::TreeMetadata>& metadata() const noexcept {
    return metadata_;
  }
  /// Whether a chunk that is not there is damage, and not the fill value or in a part of the
  /// database that has been reported as lost.
  [[nodiscard]] bool missing_is_damage() const noexcept {
    return metadata_ && metadata_->store_array_data_equal_to_fill_value && database_.complete();
  }
  /// The crc32c of a chunk's stored bytes that Cairn's record has; none where it has none, or is of
  /// another database.
  [[nodiscard]] std::optional<std::uint32_t> recorded_checksum(const StoredLeaf& leaf,
                                                               std::uint64_t chunk) const;
  /// An error about a leaf. `path`: the file at fault.
  [[nodiscard]] Error leaf_error(const StoredLeaf& leaf, ErrorCode code, std::string reason,
                                 std::string path,
                                 std::optional<std::uint64_t> offset = std::nullopt) const;
  /// Why a leaf of ValueType::foreign cannot be read, and how to leave it out.
  [[nodiscard]] Error foreign_error(const StoredLeaf& leaf) const;

 private:
  /// Of a link in the leaf's way.
  [[nodiscard]] Error linked_error(const StoredLeaf& leaf, const std::string& link) const;
  void refuse_linked_chunks();
  void refuse_linked_nodes(const std::set<std::string>& arrays) const;
  Task<void> read_metadata();
  /// What `selections` need of it from the index of paths, where there is one.
  Task<bool> read_indexed(Selections selections);
  Task<void> open_tree(LeafChooser choose, Selections names);
  Task<void> refuse_lost_metadata();
  Task<void> index_tree(LeafChooser choose);
  [[nodiscard]] KeySet array_keys() const;
  [[nodiscard]] std::vector<std::string> metadata_out_of_line() const;
  Task<void> read_strings();
  void check_metadata() const;
  void check_strings(std::string_view text, const std::string& path) const;
  [[nodiscard]] Error not_as_committed(std::string path) const;
  Task<void> index_names(LeafChooser choose, Selections selections);
  [[nodiscard]] std::vector<std::string> list_nodes(std::vector<std::string>& fetched) const;
  void take_named(const std::vector<std::string>& names, const LeafChooser& choose, bool partial);
  void index_record();
  void set_arrays();
  void set_array(StoredLeaf& leaf);
  void set_array_or_none(StoredLeaf& leaf);
  /// Of a name in _METADATA that is none of a directory below the item.
  [[nodiscard]] Error name_error(const StoredLeaf& leaf) const;
  /// An error about the value of a key of the leaf. `at`: the byte in it that the reason names.
  [[nodiscard]] Error value_error(const StoredLeaf& leaf, const DatabaseEntry& entry,
                                  ErrorCode code, std::string reason,
                                  std::optional<std::uint64_t> at = std::nullopt) const;
  void check_array_metadata(const StoredLeaf& leaf, const DatabaseEntry& entry) const;
  [[nodiscard]] const DatabaseEntry* find_array(const StoredLeaf& leaf, zarr::Format* format) const;
  /// What text says, decoded once for all leaves that have the same.
  [[nodiscard]] StoredArrayPtr decoded(const StoredLeaf& leaf, const DatabaseEntry& entry,
                                       zarr::Format format);
  Task<void> load_chunk_entries();

  FolderPtr item_;
  std::string name_;
  ItemForm form_;
  ForeignLeaves foreign_;
  DamageSink damage_;
  ItemDatabase database_;
  std::optional<orbax::TreeMetadata> metadata_;
  std::optional<CairnRecord> record_;
  std::string metadata_hash_;  ///< of _METADATA, where there is a record
  bool indexed_ = false;       ///< metadata_ and record_ are of the index of paths, and not whole
  std::vector<StoredLeaf> leaves_;
  std::vector<KeyPath> gaps_;
  // By array, of record_; empty where that does not count.
  std::unordered_map<std::string_view, const ChunkChecksums*> checksums_;
  std::unordered_map<std::string_view, const ContentHash*> array_metadata_;
  std::unordered_map<std::string, StoredArrayPtr> known_;  ///< by format and text
};

/// The key of an array's metadata: "w/zarr.json"; a bare array's has no prefix.
[[nodiscard]] std::string array_key(const std::string& name, zarr::Format format);

}  // namespace cairn::internal
