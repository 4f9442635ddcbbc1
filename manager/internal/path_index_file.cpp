#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/path_identity.h>
#include <cairn/manager/internal/path_index_file.h>

#include <algorithm>
#include <set>
#include <unordered_set>
#include <utility>

namespace cairn::internal {
namespace {

/// The first read: header, root and more of an index of a million leaves.
constexpr std::size_t kHeadBytes = 128u << 10;
// Beyond these `_METADATA` tells as fast.
constexpr std::size_t kSelectionsMax = 1024;
constexpr std::size_t kElementsMax = 4096;  ///< of lists, which are looked up one by one
constexpr std::size_t kBlocksMax = 1024;    ///< that are read
constexpr std::uint64_t kShareMax = 4;      ///< of all leaves, one of so many

// ---- making -------------------------------------------------------------------------------------

/// Entries by the order of their names: those of arrays have it already.
std::vector<std::uint32_t> by_name(const ItemLayout& layout,
                                   const std::vector<orbax::TreeEntry>& entries) {
  std::vector<std::uint32_t> order;
  order.reserve(entries.size());
  std::vector<bool> is_array(entries.size());
  for (const std::uint32_t leaf : layout.by_name) {
    order.push_back(layout.leaves[leaf].entry);
    is_array[layout.leaves[leaf].entry] = true;
  }
  const auto arrays = static_cast<std::ptrdiff_t>(order.size());
  for (std::uint32_t i = 0; i < entries.size(); ++i) {
    if (!is_array[i]) order.push_back(i);
  }
  const auto before = [&entries](std::uint32_t a, std::uint32_t b) {
    return index_key(entries[a].path) < index_key(entries[b].path);
  };
  std::stable_sort(order.begin() + arrays, order.end(), before);
  std::inplace_merge(order.begin(), order.begin() + arrays, order.end(), before);
  return order;
}

class TuplePaths {
 public:
  explicit TuplePaths(const std::vector<KeyNames>& tuples) {
    for (const KeyNames& path : tuples) {
      std::string text;
      for (const std::string& name : path) append_identity(text, name);
      paths_.insert(std::move(text));
    }
  }
  /// The places of a path's keys whose containers are tuples.
  [[nodiscard]] std::vector<std::size_t> keys_in(const KeyPath& path) const {
    std::vector<std::size_t> keys;
    if (paths_.empty()) return keys;
    std::string above;
    for (std::size_t i = 0; i < path.size(); ++i) {
      if (path[i].kind == Key::Kind::sequence && paths_.contains(above)) keys.push_back(i);
      append_identity(above, path[i].name);
    }
    return keys;
  }

 private:
  std::unordered_set<std::string> paths_;
};

// ---- looking up ---------------------------------------------------------------------------------

bool is_at_or_below(const KeyPath& leaf, const KeyPath& path) {
  return leaf.size() >= path.size() && std::equal(path.begin(), path.end(), leaf.begin());
}

/// The first of a block's leaves whose key is not before `key`.
std::vector<IndexedLeaf>::const_iterator first_from(const std::vector<IndexedLeaf>& leaves,
                                                    const std::string& key) {
  return std::ranges::lower_bound(leaves, key, {},
                                  [](const IndexedLeaf& leaf) { return index_key(leaf.path); });
}

std::string name_of(const args::Selection& selection) {
  if (const auto* keys = std::get_if<KeyPath>(&selection.path)) return dotted_name(*keys);
  return name_of_text(std::get<std::string>(selection.path));
}

ContentHash hash_of_text(std::string_view text) {
  return hash_of(std::as_bytes(std::span(text.data(), text.size())));
}

/// Whether the item's metadata is what the index was made of, as far as its size and its end tell.
Task<bool> is_of_metadata(FolderPtr item, std::uint64_t bytes, ContentHash tail_hash) {
  FilePtr file = co_await open_file(item, std::string(orbax::kTreeMetadataFile),
                                    engine::OpenMode::read, engine::DirectIo::off);
  auto [error, status] = co_await file->file.async_stat(kAsTuple);
  if (error) raise_failure(error, "look at", file->path);
  if (status.size != bytes) co_return false;
  std::string tail(std::min<std::uint64_t>(bytes, kPathIndexTailBytes), '\0');
  co_await read_at(file, bytes - tail.size(), std::as_writable_bytes(std::span(tail)));
  co_return hash_of_text(tail) == tail_hash;
}

/// Compares an index's leaves, one after the other, with the metadata that it was made of.
class IndexCheck {
 public:
  IndexCheck(const std::vector<orbax::TreeEntry>& entries, const std::vector<KeyNames>& tuples)
      : entries_(entries), tuples_(tuples), seen_(entries.size()) {}

  void add(const IndexedLeaf& leaf) {
    std::string key = index_key(leaf.path);
    const bool sound = leaf.place < entries_.size() && !seen_[leaf.place] && key >= last_ &&
                       entries_[leaf.place].path == leaf.path &&
                       entries_[leaf.place].type == leaf.type &&
                       tuples_.keys_in(leaf.path) == leaf.in_tuples;
    alike_ = alike_ && sound;
    if (!sound) return;
    seen_[leaf.place] = true;
    ++count_;
    last_ = std::move(key);
  }
  /// Every entry was there once, and nothing else.
  [[nodiscard]] bool is_whole() const { return alike_ && count_ == entries_.size(); }

 private:
  const std::vector<orbax::TreeEntry>& entries_;
  TuplePaths tuples_;
  std::vector<bool> seen_;
  std::size_t count_ = 0;
  std::string last_;
  bool alike_ = true;
};

/// Gathers what selections need.
class IndexedSearch {
 public:
  IndexedSearch(PathIndexFile& index, const Selections& selections)
      : index_(index), selections_(selections) {}

  /// False where the index is not enough.
  Task<bool> run() {
    for (const args::Selection& selection : selections_) {
      std::vector<IndexedLeaf> found = co_await index_.at_or_below(name_of(selection));
      for (IndexedLeaf& leaf : found) {
        // Their file has a checksum in `_CAIRN` alone.
        if (leaf.type == orbax::ValueType::string) co_return false;
        add(std::move(leaf));
      }
      if (leaves_.size() > index_.root().leaves / kShareMax) co_return false;
    }
    try {
      static_cast<void>(choose(selections_, paths()));
    } catch (const Error&) {
      co_return false;  // with all leaves at hand the error says more
    }
    co_return co_await add_elements();
  }

  [[nodiscard]] IndexedPart take() && {
    IndexedPart part;
    std::set<KeyNames> tuples;
    for (auto& [place, leaf] : leaves_) {
      for (const std::size_t key : leaf.in_tuples) {
        KeyNames names;
        for (std::size_t i = 0; i < key; ++i) names.push_back(leaf.path[i].name);
        tuples.insert(std::move(names));
      }
      orbax::TreeEntry& entry = part.entries.emplace_back();
      entry.path = std::move(leaf.path);
      entry.type = leaf.type;
    }
    part.tuples.assign(tuples.begin(), tuples.end());
    return part;
  }

 private:
  void add(IndexedLeaf leaf) {
    const std::uint64_t place = leaf.place;
    leaves_.try_emplace(place, std::move(leaf));
  }
  [[nodiscard]] std::vector<KeyPath> paths() const {
    std::vector<KeyPath> paths;
    for (const auto& [place, leaf] : leaves_) paths.push_back(leaf.path);
    return paths;
  }

  /// Of each list on the way to a leaf, something of every element: nulls stand for those of which
  /// nothing is wanted.
  Task<bool> add_elements() {
    std::set<std::string> done;
    std::size_t elements = 0;
    for (const KeyPath& path : paths()) {
      for (std::size_t depth = 0; depth < path.size(); ++depth) {
        if (path[depth].kind != Key::Kind::sequence) continue;
        if (!done.insert(identity(path, depth)).second) continue;
        KeyPath list(path.begin(), path.begin() + static_cast<std::ptrdiff_t>(depth));
        bool more = true;
        for (std::size_t i = 0; more; ++i) {
          if (++elements > kElementsMax) co_return false;
          KeyPath element = list;
          element.emplace_back(std::to_string(i), Key::Kind::sequence);
          std::optional<IndexedLeaf> leaf = co_await index_.any_below(std::move(element));
          more = leaf.has_value();
          if (leaf) add(std::move(*leaf));
        }
      }
    }
    co_return true;
  }

  PathIndexFile& index_;
  const Selections& selections_;
  std::map<std::uint64_t, IndexedLeaf> leaves_;  ///< by their places
};

}  // namespace

std::optional<PathIndexWriter> index_paths(const ItemLayout& layout,
                                           const std::vector<orbax::TreeEntry>& entries) {
  if (layout.layout != Layout::ocdbt_zarr3 || entries.size() < kIndexedLeavesMin)
    return std::nullopt;
  const auto indexable = [](const orbax::TreeEntry& entry) { return is_indexable(entry.path); };
  if (!std::ranges::all_of(entries, indexable)) return std::nullopt;
  const TuplePaths tuples(layout.tuples);
  PathIndexWriter writer;
  IndexedLeaf leaf;
  for (const std::uint32_t place : by_name(layout, entries)) {
    leaf.path = entries[place].path;
    leaf.in_tuples = tuples.keys_in(leaf.path);
    leaf.type = entries[place].type;
    leaf.place = place;
    writer.add(leaf);
  }
  return writer;
}

Task<std::unique_ptr<PathIndexFile>> PathIndexFile::open(FolderPtr item) {
  const std::string name(kPathIndexFile);
  std::string path = join_path(item->path, name);
  auto [error, handle] = co_await item->handle.async_open_file(name, engine::OpenMode::read,
                                                               engine::DirectIo::off, kAsTuple);
  beat(item);
  if (error) {
    if (engine::classify(error) == engine::ErrorKind::not_found) co_return nullptr;
    raise_open_failure(error, "open", path);
  }
  auto file = std::make_shared<OpenFile>(std::move(handle), path, item->heart);
  auto [stat_error, status] = co_await file->file.async_stat(kAsTuple);
  if (stat_error) raise_failure(stat_error, "look at", path);
  std::string head(std::min<std::uint64_t>(status.size, kHeadBytes), '\0');
  co_await read_at(file, 0, std::as_writable_bytes(std::span(head)));
  PathIndexRoot root;
  try {
    const std::size_t read = head.size();
    const std::size_t end = path_index_root_end(head);
    if (end > status.size) {
      throw FormatError("_CAIRN_INDEX", "the root", std::to_string(end) + " bytes",
                        "a file of as many", std::nullopt);
    }
    head.resize(end);
    if (end > read)
      co_await read_at(file, read, std::as_writable_bytes(std::span(head)).subspan(read));
    root = decode_path_index_root(head, status.size);
  } catch (const FormatError& fault) {
    throw format_failure(fault, path);
  }
  const bool own = co_await is_of_metadata(item, root.metadata_bytes, root.metadata_tail);
  if (!own) co_return nullptr;
  co_return std::make_unique<PathIndexFile>(std::move(file), item->engine, std::move(root));
}

Task<std::vector<IndexedLeaf>> PathIndexFile::read_block(std::size_t number) {
  const PathIndexBlock& place = root_.blocks[number];
  std::string bytes(place.length, '\0');
  co_await read_at(file_, place.offset, std::as_writable_bytes(std::span(bytes)));
  auto decode = [this, &place, &bytes] {
    try {
      return decode_path_index_block(place, bytes);
    } catch (const FormatError& fault) {
      throw format_failure(fault, file_->path);
    }
  };
  co_return co_await engine::async_run(engine_->cpu(), std::move(decode), asio::use_awaitable);
}

Task<PathIndexFile::Leaves> PathIndexFile::block(std::size_t number) {
  const auto found = blocks_.find(number);
  if (found != blocks_.end()) co_return found->second;
  if (blocks_.size() >= kBlocksMax) {
    ErrorContext context;
    context.path = file_->path;
    throw Error(ErrorCode::resource_exhausted, "too much of the index is needed", context);
  }
  std::vector<IndexedLeaf> leaves = co_await read_block(number);
  auto shared = std::make_shared<const std::vector<IndexedLeaf>>(std::move(leaves));
  blocks_.emplace(number, shared);
  co_return shared;
}

std::size_t PathIndexFile::first_block(const std::string& name) const {
  const std::string below = name + '.';
  const auto after = std::ranges::upper_bound(root_.blocks, below, {}, &PathIndexBlock::first);
  return after == root_.blocks.begin() ? 0
                                       : static_cast<std::size_t>(after - root_.blocks.begin()) - 1;
}

Task<std::vector<IndexedLeaf>> PathIndexFile::at_or_below(std::string name) {
  const std::string below = name + '.';
  const std::string itself = name + '/';
  std::vector<IndexedLeaf> found;
  for (std::size_t i = first_block(name);
       i < root_.blocks.size() && root_.blocks[i].first <= itself; ++i) {
    const Leaves leaves = co_await block(i);
    for (auto leaf = first_from(*leaves, below); leaf != leaves->end(); ++leaf) {
      const std::string key = index_key(leaf->path);
      if (key != itself && !key.starts_with(below)) break;
      found.push_back(*leaf);
    }
  }
  co_return found;
}

Task<std::optional<IndexedLeaf>> PathIndexFile::any_below(KeyPath path) {
  const std::string itself = index_key(path);
  const std::string name = dotted_name(path);
  const std::string below = name + '.';
  for (std::size_t i = first_block(name);
       i < root_.blocks.size() && root_.blocks[i].first <= itself; ++i) {
    const Leaves leaves = co_await block(i);
    for (auto leaf = first_from(*leaves, below);
         leaf != leaves->end() && index_key(leaf->path) <= itself; ++leaf) {
      if (is_at_or_below(leaf->path, path)) co_return *leaf;
    }
  }
  co_return std::nullopt;
}

Task<std::optional<IndexedPart>> find_indexed(FolderPtr item, Selections selections) {
  const auto is_everything = [](const args::Selection& one) { return name_of(one).empty(); };
  if (selections.empty() || selections.size() > kSelectionsMax ||
      std::ranges::any_of(selections, is_everything)) {
    co_return std::nullopt;
  }
  try {
    // Who changes an item on purpose removes that, as an error says.
    const auto record = co_await find_status(item, std::string(kRecordFile));
    if (!record) co_return std::nullopt;
    const std::unique_ptr<PathIndexFile> index = co_await PathIndexFile::open(item);
    if (!index) co_return std::nullopt;
    IndexedSearch search(*index, selections);
    const bool enough = co_await search.run();
    if (!enough) co_return std::nullopt;
    co_return std::move(search).take();
  } catch (const Error&) {
    // verify() tells of it; `_METADATA` has the same.
  }
  co_return std::nullopt;
}

Task<std::optional<Error>> path_index_fault(FolderPtr item,
                                            const std::vector<orbax::TreeEntry>* entries,
                                            const std::vector<KeyNames>* tuples) {
  try {
    const std::unique_ptr<PathIndexFile> index = co_await PathIndexFile::open(item);
    if (!index) co_return std::nullopt;
    IndexCheck check(*entries, *tuples);
    for (std::size_t i = 0; i < index->root().blocks.size(); ++i) {
      const std::vector<IndexedLeaf> block = co_await index->read_block(i);
      for (const IndexedLeaf& leaf : block) check.add(leaf);
    }
    if (check.is_whole() && index->root().leaves == entries->size()) co_return std::nullopt;
  } catch (const Error& error) {
    co_return error;
  }
  ErrorContext context;
  context.operation = "verify";
  context.path = join_path(item->path, std::string(kPathIndexFile));
  co_return Error(ErrorCode::data_loss, "the index of paths does not say what _METADATA says",
                  context);
}

}  // namespace cairn::internal
