// A whole B+tree from its entries, bottom up: cut the sorted entries into leaves, then the leaves'
// references into nodes above, until one node is left, which is the root. Each level is one pass.

#include <cairn/codecs/internal/ocdbt_node_codec.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

namespace cairn::ocdbt {
namespace {

using namespace internal;  // NOLINT(google-build-using-namespace): this file implements them

using cairn::internal::varint_size;

/// Bytes of a node that are there without any entry: height and counts.
constexpr std::size_t kNodeOverhead = 16;
/// Bytes of a file table entry besides its path: three lengths of up to three bytes.
constexpr std::size_t kFileOverhead = 9;
/// Interior nodes take less than this share of the leaves' bytes, as a rule.
constexpr std::size_t kInteriorShare = 64;
/// An interior node with one child would add a level and divide nothing.
constexpr std::size_t kMinChildren = 2;

/// Half-open range of entries that make one node.
struct Group {
  std::size_t begin;
  std::size_t end;
  [[nodiscard]] std::size_t size() const { return end - begin; }
};

/// `file` as nodes name it that are found through a file with the base `base`.
DataFile rebased(const DataFile& file, const std::string& base) {
  if (file.base.starts_with(base)) return {file.base.substr(base.size()), file.relative};
  auto path = file.path();
  if (path.starts_with(base)) return {"", path.substr(base.size())};
  throw std::invalid_argument(fmt::format(
      "encode_tree: data file \"{}\" is outside \"{}\", where the nodes' file may refer to", path,
      base));
}

[[noreturn]] void refuse(std::string_view what, std::string_view key) {
  throw std::invalid_argument(fmt::format("encode_tree: {} \"{}\"", what, key));
}

/// The eight bytes of `key` from `from` on as a number that orders as they do; zeros stand for the
/// missing.
std::uint64_t leading_bytes(std::string_view key, std::size_t from) {
  std::uint64_t bytes = 0;
  const auto count = std::min(key.size() - from, sizeof(bytes));
  std::memcpy(&bytes, key.data() + from, count);
  return __builtin_bswap64(bytes);
}

/// Sorts numbers instead of entries: comparing the bytes behind the prefix that all keys share
/// decides nearly always, and moves 16 bytes instead of 48.
void sort_by_key(std::vector<EntryView>& entries) {
  const auto before = [](const EntryView& a, const EntryView& b) { return a.key < b.key; };
  if (std::is_sorted(entries.begin(), entries.end(), before)) return;
  std::size_t shared = entries.front().key.size();
  for (const auto& entry : entries) {
    shared = std::min(shared, shared_prefix(entries.front().key, entry.key));
  }
  struct Item {
    std::uint64_t leading;
    std::size_t index;
  };
  std::vector<Item> items;
  items.reserve(entries.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    items.push_back({leading_bytes(entries[i].key, shared), i});
  }
  std::sort(items.begin(), items.end(), [&](const Item& a, const Item& b) {
    if (a.leading != b.leading) return a.leading < b.leading;
    return before(entries[a.index], entries[b.index]);
  });
  std::vector<EntryView> sorted;
  sorted.reserve(entries.size());
  for (const auto& item : items) sorted.push_back(entries[item.index]);
  entries = std::move(sorted);
}

/// Refuses keys that a directory tree could not hold: twice the same, or below another key. The
/// stack holds the earlier keys that begin the current one; it is as deep as a key is long, so the
/// pass is linear.
void check_keys(const std::vector<EntryView>& entries) {
  std::vector<std::size_t> lengths;  // of the keys on the stack, all prefixes of the previous key
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const std::string_view key = entries[i].key;
    if (key.size() > kMaxKeyBytes) refuse("longer than 65535 bytes: key", key.substr(0, 100));
    if (i != 0) {
      const std::string_view previous = entries[i - 1].key;
      if (key == previous) refuse("two entries have the key", key);
      const auto shared = shared_prefix(previous, key);
      while (!lengths.empty() && lengths.back() > shared) lengths.pop_back();
    }
    for (const auto length : lengths) {
      if (key[length] == '/') refuse("a value has entries below it:", key.substr(0, length));
    }
    lengths.push_back(key.size());
  }
}

/// Entries are cut where the bytes of a node's body would pass the target, keys counted after
/// prefix compression. `cost(i, in_node)` gives the other bytes of entry i, `in_node` entries being
/// there already.
template <class Records, class Cost>
std::vector<Group> cut(const Records& records, std::size_t target, std::size_t min_entries,
                       Cost cost) {
  std::vector<Group> groups;
  std::size_t begin = 0;
  std::size_t bytes = kNodeOverhead;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto shared = i == begin ? 0 : shared_prefix(records[i - 1].key, records[i].key);
    const auto suffix = records[i].key.size() - shared;
    bytes += varint_size(shared) + varint_size(suffix) + suffix + cost(i, i - begin);
    const bool full = bytes > target || i - begin == kMaxNodeEntries;
    if (full && i - begin >= min_entries) {
      groups.push_back({begin, i});
      begin = i;
      bytes = kNodeOverhead + varint_size(0) + varint_size(records[i].key.size()) +
              records[i].key.size() + cost(i, 0);
    }
  }
  groups.push_back({begin, records.size()});
  if (groups.size() > 1 && groups.back().size() < min_entries) {
    // Too few are left over: the node before gives up what is missing, or takes them in.
    auto& last = groups.back();
    auto& before = groups[groups.size() - 2];
    const auto missing = min_entries - last.size();
    if (before.size() >= min_entries + missing) {
      last.begin -= missing;
      before.end -= missing;
    } else {
      before.end = last.end;
      groups.pop_back();
    }
  }
  return groups;
}

}  // namespace

EntryView::EntryView(const Entry& entry) : key(entry.key) {
  if (const auto* text = std::get_if<std::string>(&entry.value)) {
    value = std::string_view(*text);
  } else {
    value = std::get<Reference>(entry.value);
  }
}

class TreeBuilder::Impl {
 public:
  Impl(std::vector<EntryView> entries, const FileTable& files, std::uint64_t node_file,
       std::uint64_t node_offset, const Config& config, std::size_t target)
      : entries_(std::move(entries)),
        node_file_(node_file),
        node_offset_(node_offset),
        config_(config) {
    sort_by_key(entries_);
    check_keys(entries_);
    if (node_file >= files.size()) {
      throw std::invalid_argument(fmt::format(
          "encode_tree: node_file is {}, and there are {} files", node_file, files.size()));
    }
    target_ = std::min<std::size_t>(target, config.max_decoded_node_bytes);
    const auto& base = files[static_cast<std::size_t>(node_file)].base;
    files_.reserve(files.size());
    for (const auto& file : files) files_.push_back(rebased(file, base));
    if (!entries_.empty()) cut_leaves();
  }

  [[nodiscard]] std::size_t leaves() const noexcept { return leaves_.size(); }

  // A tree of one leaf has nothing above it to hold a common prefix: its keys stay whole. So do the
  // root's.
  void encode_leaf(std::size_t number, std::string& scratch) {
    Leaf& leaf = leaves_[number];
    const auto part = entries_of(leaf.group);
    leaf.stripped = leaves_.size() == 1 ? 0 : shared_prefix(part.front().key, part.back().key);
    const LeafFiles files = files_of(part);
    leaf.encoded =
        internal::encode_leaf(part, leaf.stripped, {files.table, files.index_of}, config_, scratch);
  }

  EncodedTree finish() {
    EncodedTree tree;
    tree.version.generation = 1;
    if (entries_.empty()) return tree;
    auto level = append_leaves();
    while (level.size() > 1) level = encode_above(level);
    tree.bytes = std::move(bytes_);
    tree.version.root_height = height_;
    tree.version.root = level.front().location;
    tree.version.statistics = level.front().statistics;
    return tree;
  }

 private:
  static constexpr std::size_t kNever = static_cast<std::size_t>(-1);

  struct Leaf {
    Group group;
    std::size_t stripped = 0;
    std::string encoded;
  };
  /// The table of the files that a leaf refers to, in the order of the caller's.
  struct LeafFiles {
    FileTable table;
    std::vector<std::uint64_t> index_of;
  };

  [[nodiscard]] std::span<const EntryView> entries_of(const Group& group) const {
    return std::span(entries_).subspan(group.begin, group.size());
  }

  void cut_leaves() {
    std::vector<std::size_t> last_node(files_.size(), kNever);  // by file: the last that names it
    std::size_t node = 0;
    const auto groups = cut(entries_, target_, 1, [&](std::size_t i, std::size_t in_node) {
      if (in_node == 0) ++node;
      return value_cost(entries_[i].value, node, last_node);
    });
    leaves_.reserve(groups.size());
    for (const auto& group : groups) leaves_.push_back({group, 0, std::string()});
  }

  std::vector<Child> append_leaves() {
    std::size_t bytes = 0;
    for (const auto& leaf : leaves_) bytes += leaf.encoded.size();
    bytes_.reserve(bytes + bytes / kInteriorShare);
    std::vector<Child> children;
    children.reserve(leaves_.size());
    for (auto& leaf : leaves_) {
      const auto part = entries_of(leaf.group);
      Statistics totals{part.size(), 0, 0};
      for (const auto& entry : part) {
        if (const auto* at = std::get_if<Reference>(&entry.value)) {
          totals.num_indirect_value_bytes += at->length;
        }
      }
      children.push_back(append(part.front().key, leaf.stripped, leaf.encoded, totals));
      leaf.encoded = std::string();
    }
    return children;
  }

  std::vector<Child> encode_above(const std::vector<Child>& level) {
    if (height_ == 0xff) throw std::invalid_argument("encode_tree: more than 255 levels");
    ++height_;
    const auto groups = cut(level, target_, kMinChildren, [&](std::size_t i, std::size_t in_node) {
      const auto& child = level[i];
      return (in_node == 0 ? path_cost(node_file_) : 0) + varint_size(child.common_prefix) + 1 +
             varint_size(child.location.offset) + varint_size(child.location.length) +
             varint_size(child.statistics.num_keys) + varint_size(child.statistics.num_tree_bytes) +
             varint_size(child.statistics.num_indirect_value_bytes);
    });
    // All nodes are in one file, so the table of an interior node has one entry.
    const FileTable table{files_[static_cast<std::size_t>(node_file_)]};
    const std::vector<std::uint64_t> index_of(files_.size(), 0);
    std::string body;
    std::vector<Child> parents;
    parents.reserve(groups.size());
    for (const auto& group : groups) {
      const auto part = std::span(level).subspan(group.begin, group.size());
      const auto stripped = groups.size() == 1 ? 0 : common_to_all(part);
      const auto encoded =
          encode_interior(part, stripped, height_, {table, index_of}, config_, body);
      Statistics totals;
      for (const auto& child : part) {
        totals.num_keys += child.statistics.num_keys;
        totals.num_tree_bytes += child.statistics.num_tree_bytes;
        totals.num_indirect_value_bytes += child.statistics.num_indirect_value_bytes;
      }
      parents.push_back(append(part.front().key, stripped, encoded, totals));
    }
    return parents;
  }

  /// What all keys below these children begin with: every key of a child begins with its common
  /// prefix, and between the first and the last child lie the others.
  static std::size_t common_to_all(std::span<const Child> children) {
    auto shared = shared_prefix(children.front().key, children.back().key);
    for (const auto& child : children) shared = std::min<std::size_t>(shared, child.common_prefix);
    return shared;
  }

  Child append(std::string_view key, std::size_t stripped, std::string_view encoded,
               const Statistics& totals) {
    Child child;
    child.key = key;
    child.common_prefix = static_cast<std::uint32_t>(stripped);
    child.location = {node_file_, node_offset_ + bytes_.size(), encoded.size()};
    if (child.location.offset > kMaxFileEnd ||
        encoded.size() > kMaxFileEnd - child.location.offset) {
      throw std::invalid_argument("encode_tree: nodes would end behind 2^63 - 1");
    }
    child.statistics = totals;
    child.statistics.num_tree_bytes += encoded.size();
    bytes_ += encoded;
    return child;
  }

  [[nodiscard]] std::size_t path_cost(std::uint64_t file) const {
    const auto& data_file = files_[static_cast<std::size_t>(file)];
    return data_file.base.size() + data_file.relative.size() + kFileOverhead;
  }

  /// Bytes of a value's columns, and of its file's path where `node` has not named it yet.
  std::size_t value_cost(const std::variant<std::string_view, Reference>& value, std::size_t node,
                         std::vector<std::size_t>& last_node) const {
    if (const auto* text = std::get_if<std::string_view>(&value)) {
      return varint_size(text->size()) + 1 + text->size();
    }
    const auto& at = std::get<Reference>(value);
    if (at.file >= files_.size()) {
      throw std::invalid_argument(fmt::format(
          "encode_tree: a value is in file {}, and there are {} files", at.file, files_.size()));
    }
    auto& last = last_node[static_cast<std::size_t>(at.file)];
    const auto path = last == node ? 0 : path_cost(at.file);
    last = node;
    return varint_size(at.length) + 1 + varint_size(at.file) + varint_size(at.offset) + path;
  }

  [[nodiscard]] LeafFiles files_of(std::span<const EntryView> part) const {
    LeafFiles files;
    files.index_of.assign(files_.size(), kNever);
    std::vector<std::size_t> used;
    for (const auto& entry : part) {
      const auto* at = std::get_if<Reference>(&entry.value);
      if (at == nullptr || files.index_of[static_cast<std::size_t>(at->file)] != kNever) continue;
      files.index_of[static_cast<std::size_t>(at->file)] = 0;
      used.push_back(static_cast<std::size_t>(at->file));
    }
    std::sort(used.begin(), used.end());
    for (const auto file : used) {
      files.index_of[file] = files.table.size();
      files.table.push_back(files_[file]);
    }
    return files;
  }

  std::vector<EntryView> entries_;
  std::uint64_t node_file_;
  std::uint64_t node_offset_;
  const Config config_;
  std::size_t target_ = 0;
  FileTable files_;  // the caller's, as nodes name them
  std::vector<Leaf> leaves_;
  std::string bytes_;
  std::uint8_t height_ = 0;
};

TreeBuilder::TreeBuilder(std::vector<EntryView> entries, const FileTable& files,
                         std::uint64_t node_file, std::uint64_t node_offset, const Config& config,
                         std::size_t target_node_bytes)
    : impl_(std::make_unique<Impl>(std::move(entries), files, node_file, node_offset, config,
                                   target_node_bytes)) {}

TreeBuilder::~TreeBuilder() = default;

std::size_t TreeBuilder::leaves() const noexcept {
  return impl_->leaves();
}

void TreeBuilder::encode_leaf(std::size_t leaf, std::string& scratch) {
  impl_->encode_leaf(leaf, scratch);
}

EncodedTree TreeBuilder::finish() {
  return impl_->finish();
}

EncodedTree encode_tree(std::vector<Entry> entries, const FileTable& files, std::uint64_t node_file,
                        std::uint64_t node_offset, const Config& config,
                        std::size_t target_node_bytes) {
  TreeBuilder builder(std::vector<EntryView>(entries.begin(), entries.end()), files, node_file,
                      node_offset, config, target_node_bytes);
  std::string scratch;
  for (std::size_t leaf = 0; leaf < builder.leaves(); ++leaf) builder.encode_leaf(leaf, scratch);
  return builder.finish();
}

}  // namespace cairn::ocdbt
