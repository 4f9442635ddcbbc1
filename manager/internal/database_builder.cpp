#include <cairn/manager/internal/database_builder.h>
#include <cairn/manager/internal/random.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace cairn::internal {
namespace {

/// A random database identifier.
std::array<std::byte, 16> random_uuid() {
  std::array<std::byte, 16> uuid{};
  const std::string hex = random_hex(uuid.size());
  for (std::size_t i = 0; i < uuid.size(); ++i) {
    uuid[i] = static_cast<std::byte>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  }
  return uuid;
}

/// Entries in the order of their keys: by leaf, and in a leaf its chunks in the order of the grid
/// beside the metadata, which is what sorting by key gives while no index has two digits.
class EntryList {
 public:
  /// The keys are put into `keys`.
  EntryList(const ItemContent& content, std::uint64_t first_file, std::pmr::memory_resource& keys)
      : content_(content),
        keys_(keys),
        first_file_(first_file),
        first_of_(content.layout.leaves.size()) {
    const ItemLayout& layout = content_.layout;
    std::size_t size = 0;
    for (const std::uint32_t leaf : layout.by_name) {
      first_of_[leaf] = size;
      size += layout.arrays[layout.leaves[leaf].layout].chunks + 1;
    }
    entries_.resize(size);
  }

  std::vector<ocdbt::EntryView> take() {
    const ItemLayout& layout = content_.layout;
    const std::string metadata = metadata_key("", layout.layout);
    for (std::size_t leaf = 0; leaf < layout.leaves.size(); ++leaf) {
      const PlannedLeaf& planned = layout.leaves[leaf];
      const ArrayLayout& array = layout.arrays[planned.layout];
      const std::size_t at = first_of_[leaf] + (zarr3() ? array.chunks : 0);
      entries_[at] = ocdbt::EntryView(key_of(planned, metadata), std::string_view(array.text));
    }
    for (std::size_t i = 0; i < layout.inlined.size(); ++i) {
      put(layout.inlined[i], content_.inlined_value(i));
    }
    for (std::size_t i = 0; i < layout.placed.size(); ++i) {
      const StoredChunk& stored = content_.placed[i];
      if (stored.inlined) {
        put(layout.placed[i], std::string_view(stored.value));
        continue;
      }
      ocdbt::Reference reference;
      reference.file = first_file_ + stored.file;
      reference.offset = stored.offset;
      reference.length = stored.length;
      put(layout.placed[i], reference);
    }
    sort_long_grids();
    return std::move(entries_);
  }

 private:
  [[nodiscard]] bool zarr3() const { return uses_zarr3(content_.layout.layout); }

  /// "c/0/1". Until the next call.
  std::string_view chunk_key(const ArrayLayout& array, std::uint64_t chunk) {
    if (array.chunks > 1) return long_key_ = chunk_entry_key("", array, chunk);
    std::string& key = only_chunk_.at(array.grid.size());
    if (key.empty()) key = chunk_entry_key("", array, chunk);
    return key;
  }

  /// "<name>/<file>", or the file alone where there is no name.
  std::string_view key_of(const PlannedLeaf& leaf, std::string_view file) {
    const std::size_t size = leaf.name.size() + file.size() + (leaf.name.empty() ? 0 : 1);
    char* const key = static_cast<char*>(keys_.allocate(size, 1));
    char* const end = std::ranges::copy(leaf.name, key).out;
    if (!leaf.name.empty()) *end = '/';
    std::ranges::copy(file, key + size - file.size());
    return {key, size};
  }

  void put(const ChunkPlace& place, std::variant<std::string_view, ocdbt::Reference> value) {
    const PlannedLeaf& leaf = content_.layout.leaves[place.leaf];
    const ArrayLayout& array = content_.layout.array_of(place);
    const std::size_t at = first_of_[place.leaf] + (zarr3() ? 0 : 1) + place.chunk;
    entries_[at] = ocdbt::EntryView(key_of(leaf, chunk_key(array, place.chunk)), value);
  }

  void sort_long_grids() {
    constexpr Index kOneDigit = 10;
    for (std::size_t leaf = 0; leaf < first_of_.size(); ++leaf) {
      const ArrayLayout& array = content_.layout.arrays[content_.layout.leaves[leaf].layout];
      if (array.chunks <= static_cast<std::uint64_t>(kOneDigit)) continue;
      if (std::ranges::all_of(array.grid, [](Index n) { return n <= kOneDigit; })) continue;
      const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(first_of_[leaf]);
      const auto end = begin + static_cast<std::ptrdiff_t>(array.chunks) + 1;
      std::ranges::sort(begin, end, {}, &ocdbt::EntryView::key);
    }
  }

  const ItemContent& content_;
  std::pmr::memory_resource& keys_;
  const std::uint64_t first_file_;
  std::array<std::string, kMaxRank + 1> only_chunk_;  ///< by rank: keys of arrays of one chunk
  std::string long_key_;
  std::vector<std::size_t> first_of_;  ///< of each leaf's entries
  std::vector<ocdbt::EntryView> entries_;
};

constexpr std::uint64_t kNodesFile = 0;

ocdbt::FileTable table_of(const std::vector<DataFileState>& files, const std::string& nodes_path) {
  ocdbt::FileTable table{ocdbt::DataFile("", nodes_path)};
  for (const DataFileState& file : files) table.emplace_back("", file.path);
  return table;
}

ocdbt::Config random_config() {
  ocdbt::Config config;
  config.uuid = random_uuid();
  return config;
}

}  // namespace

DatabaseBuilder::DatabaseBuilder(const ItemContent& content,
                                 const std::vector<DataFileState>& files,
                                 const std::string& nodes_path)
    : table_(table_of(files, nodes_path)),
      config_(random_config()),
      tree_(EntryList(content, kNodesFile + 1, keys_).take(), table_, kNodesFile, 0, config_) {}

EncodedDatabase DatabaseBuilder::finish(std::int64_t now_ns) {
  ocdbt::EncodedTree tree = tree_.finish();
  tree.version.commit_time_ns = static_cast<std::uint64_t>(now_ns);
  ocdbt::Manifest manifest;
  manifest.config = config_;
  // The manifest's table holds only what its root refers to.
  manifest.files = {table_[kNodesFile]};
  if (tree.version.root) tree.version.root->file = 0;
  manifest.versions.push_back(tree.version);
  EncodedDatabase database;
  database.nodes = std::move(tree.bytes);
  database.manifest = ocdbt::encode(manifest);
  return database;
}

}  // namespace cairn::internal
