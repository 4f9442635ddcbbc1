#include <cairn/codecs/ocdbt.h>
#include <cairn/manager/internal/database_builder.h>
#include <cairn/manager/internal/random.h>

#include <algorithm>
#include <numeric>

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

/// Whether the keys "<a>/..." come before the keys "<b>/...".
bool keys_before(std::string_view a, std::string_view b) {
  const std::size_t shared = std::min(a.size(), b.size());
  const int order = a.substr(0, shared).compare(b.substr(0, shared));
  if (order != 0) return order < 0;
  const auto next = [shared](std::string_view name) {
    return static_cast<unsigned char>(name.size() > shared ? name[shared] : '/');
  };
  return next(a) < next(b);
}

/// Entries in the order of their keys: by leaf, and in a leaf its chunks in the order of the grid
/// beside the metadata, which is what sorting by key gives while no index has two digits.
class EntryList {
 public:
  EntryList(ItemContent& content, std::uint64_t first_file)
      : content_(content), first_file_(first_file), first_of_(content.layout.leaves.size()) {
    const ItemLayout& layout = content_.layout;
    std::vector<std::uint32_t> order(layout.leaves.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return keys_before(layout.leaves[a].name, layout.leaves[b].name);
    });
    std::size_t size = 0;
    for (const std::uint32_t leaf : order) {
      first_of_[leaf] = size;
      size += layout.arrays[layout.leaves[leaf].layout].chunks + 1;
    }
    entries_.resize(size);
  }

  std::vector<ocdbt::Entry> take() {
    const ItemLayout& layout = content_.layout;
    for (std::size_t leaf = 0; leaf < layout.leaves.size(); ++leaf) {
      const PlannedLeaf& planned = layout.leaves[leaf];
      const ArrayLayout& array = layout.arrays[planned.layout];
      const std::size_t at = first_of_[leaf] + (zarr3() ? array.chunks : 0);
      entries_[at] = ocdbt::Entry(metadata_key(planned.name, layout.layout), array.text);
    }
    for (std::size_t i = 0; i < layout.inlined.size(); ++i) {
      put(layout.inlined[i], std::move(content_.inlined[i]));
    }
    for (std::size_t i = 0; i < layout.placed.size(); ++i) {
      StoredChunk& stored = content_.placed[i];
      if (stored.inlined) {
        put(layout.placed[i], std::move(stored.value));
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

  void put(const ChunkPlace& place, std::variant<std::string, ocdbt::Reference> value) {
    const PlannedLeaf& leaf = content_.layout.leaves[place.leaf];
    const ArrayLayout& array = content_.layout.array_of(place);
    const std::size_t at = first_of_[place.leaf] + (zarr3() ? 0 : 1) + place.chunk;
    entries_[at] = ocdbt::Entry(chunk_entry_key(leaf.name, array, place.chunk), std::move(value));
  }

  void sort_long_grids() {
    constexpr Index kOneDigit = 10;
    for (std::size_t leaf = 0; leaf < first_of_.size(); ++leaf) {
      const ArrayLayout& array = content_.layout.arrays[content_.layout.leaves[leaf].layout];
      if (std::ranges::all_of(array.grid, [](Index n) { return n <= kOneDigit; })) continue;
      const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(first_of_[leaf]);
      const auto end = begin + static_cast<std::ptrdiff_t>(array.chunks) + 1;
      std::ranges::sort(begin, end, {}, &ocdbt::Entry::key);
    }
  }

  ItemContent& content_;
  const std::uint64_t first_file_;
  std::vector<std::size_t> first_of_;  ///< of each leaf's entries
  std::vector<ocdbt::Entry> entries_;
};

}  // namespace

EncodedDatabase build_database(ItemContent& content, const std::vector<DataFileState>& files,
                               const std::string& nodes_path, std::int64_t now_ns) {
  constexpr std::uint64_t kNodesFile = 0;
  ocdbt::FileTable table{ocdbt::DataFile("", nodes_path)};
  for (const DataFileState& file : files) table.emplace_back("", file.path);
  ocdbt::Manifest manifest;
  manifest.config.uuid = random_uuid();
  ocdbt::EncodedTree tree = ocdbt::encode_tree(EntryList(content, kNodesFile + 1).take(), table,
                                               kNodesFile, 0, manifest.config);
  tree.version.commit_time_ns = static_cast<std::uint64_t>(now_ns);
  // The manifest's table holds only what its root refers to.
  manifest.files = {table[kNodesFile]};
  if (tree.version.root) tree.version.root->file = 0;
  manifest.versions.push_back(tree.version);
  EncodedDatabase database;
  database.nodes = std::move(tree.bytes);
  database.manifest = ocdbt::encode(manifest);
  return database;
}

}  // namespace cairn::internal
