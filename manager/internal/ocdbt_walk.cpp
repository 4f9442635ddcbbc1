// ItemDatabase over an OCDBT database: its B+tree, level by level, nodes of a level at once.

#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/item_database.h>

#include <algorithm>
#include <set>

namespace cairn::internal {
namespace {

/// Nodes that are read at once: few, and of few bytes as they are stored, but at least one.
constexpr std::size_t kNodesInFlight = 16;
constexpr std::uint64_t kNodeBytesInFlight = 256u << 20;
/// Beside twice what it may decode to, what a stored node may have: a writer may miss its limit.
constexpr std::uint64_t kNodeSlackBytes = 16u << 20;

}  // namespace

struct ItemDatabase::Pending {
  Pending() = default;
  std::string path;                ///< of the file that has it, below the item
  std::string transitive;          ///< what the paths in its own table are relative to
  ocdbt::Reference where;          ///< `file` does not count: `path` is
  std::uint8_t height = 0;         ///< what its parent calls for
  std::string prefix;              ///< what its keys omit
  std::string min_key;             ///< without the prefix
  std::optional<std::string> end;  ///< first key behind it, whole
  [[nodiscard]] std::string first_key() const { return prefix + min_key; }
  /// The path counts twice: the walk remembers where it was.
  [[nodiscard]] std::uint64_t bytes_held() const {
    return sizeof(Pending) + 2 * path.size() + transitive.size() + prefix.size() + min_key.size() +
           (end ? end->size() : 0);
  }
};

Task<void> ItemDatabase::load_ocdbt(KeySet keys) {
  std::vector<Pending> level;
  if (!manifest_->versions.empty() && manifest_->versions.back().root) {
    const ocdbt::Version& version = manifest_->versions.back();
    const ocdbt::DataFile& file = manifest_->files.at(version.root->file);
    Pending root;
    try {
      root.path = ocdbt::data_path("", file);
    } catch (const FormatError& damage) {
      throw database_error(manifest_path_, std::nullopt, damage.what());
    }
    root.transitive = file.base;
    root.where = *version.root;
    root.height = version.root_height;
    level.push_back(std::move(root));
  }
  // In a tree no node has two parents: one that comes again would make a small file a huge
  // database. Heights fall by one with each level, so that the walk ends.
  std::set<std::pair<std::string, std::uint64_t>> seen;
  while (!level.empty()) {
    for (const Pending& node : level) {
      if (seen.emplace(node.path, node.where.offset).second) continue;
      throw node_error(node, "references to this node",
                       "a second one, for keys from \"" + node.first_key() + "\"", "one");
    }
    std::vector<Pending> next;
    // Decoded in portions, which bounds what is held beside the entries themselves.
    for (std::size_t begin = 0; begin < level.size();) {
      const std::size_t count = portion_of(std::span<const Pending>(level).subspan(begin));
      std::vector<ocdbt::Node> nodes(count);
      const std::span<const Pending> portion(level.data() + begin, count);
      // More is given for each node that is in its file: what is said of it may be anything.
      ocdbt::NodeBudget budget(held_bytes_max() - held_bytes_);
      co_await engine::with_nursery(item_->engine->executor(), &ItemDatabase::read_nodes, this,
                                    portion, std::span(nodes), &budget);
      for (std::size_t i = 0; i < count; ++i) {
        if (nodes[i].height == 0) {
          take_entries(level[begin + i], nodes[i], keys);
        } else {
          add_children(level[begin + i], nodes[i], keys, next);
        }
      }
      begin += count;
    }
    level = std::move(next);
  }
}

std::size_t ItemDatabase::portion_of(std::span<const Pending> level) {
  std::uint64_t bytes = 0;
  std::size_t count = 0;
  while (count < std::min(kNodesInFlight, level.size())) {
    // No sum of what is below the limit wraps.
    const std::uint64_t next = std::min(level[count].where.length, kNodeBytesInFlight);
    if (count > 0 && bytes + next > kNodeBytesInFlight) break;
    bytes += next;
    ++count;
  }
  return count;
}

Task<void> ItemDatabase::read_nodes(engine::Nursery& nursery, ItemDatabase* self,
                                    std::span<const Pending> pending, std::span<ocdbt::Node> nodes,
                                    ocdbt::NodeBudget* budget) {
  FilePtr file;
  std::string open_path;
  for (std::size_t i = 0; i < pending.size(); ++i) {
    // Mostly all nodes share a file.
    if (pending[i].path != open_path) {
      open_path = pending[i].path;
      file = co_await self->open_node_file(open_path);
    }
    if (file) nursery.spawn(self->read_node_or_none(&pending[i], file, &nodes[i], budget));
  }
}

Task<FilePtr> ItemDatabase::open_node_file(std::string path) {
  std::exception_ptr failure;
  try {
    co_return co_await open_file(item_, path, engine::OpenMode::read, engine::DirectIo::off);
  } catch (...) {
    failure = std::current_exception();
  }
  lose(failure);
  co_return nullptr;
}

Task<void> ItemDatabase::read_node_or_none(const Pending* pending, FilePtr file, ocdbt::Node* node,
                                           ocdbt::NodeBudget* budget) {
  std::exception_ptr failure;
  try {
    co_await read_node(pending, file, node, budget);
  } catch (...) {
    failure = std::current_exception();
  }
  if (!failure) co_return;
  *node = ocdbt::Node();  // a leaf without entries
  lose(failure);
}

Task<std::string> ItemDatabase::read_node_bytes(FilePtr file, ocdbt::Reference where,
                                                ocdbt::NodeBudget* budget) {
  auto [error, status] = co_await file->file.async_stat(kAsTuple);
  if (error) raise_failure(error, "look at", file->path);
  // Bounded by the file before anything is allocated.
  if (where.offset > status.size || where.length > status.size - where.offset) {
    throw database_error(file->path, where.offset,
                         "a node of " + std::to_string(where.length) +
                             " bytes is said to be here, but the file has " +
                             std::to_string(status.size));
  }
  const std::uint64_t most = manifest_->config.max_decoded_node_bytes;
  if (where.length > 2 * most + kNodeSlackBytes) {
    throw database_error(file->path, where.offset,
                         "a node of " + std::to_string(where.length) +
                             " bytes is said to be here; at most " +
                             std::to_string(2 * most + kNodeSlackBytes) +
                             " are allowed where nodes decode to " + std::to_string(most));
  }
  const std::uint64_t before = held_bytes_max();
  read_bytes_ += where.length;
  budget->give(held_bytes_max() - before);
  std::string bytes(where.length, '\0');
  co_await read_at(file, where.offset, std::as_writable_bytes(std::span(bytes)));
  co_return bytes;
}

Task<void> ItemDatabase::read_node(const Pending* pending, FilePtr file, ocdbt::Node* node,
                                   ocdbt::NodeBudget* budget) {
  const std::string bytes = co_await read_node_bytes(file, pending->where, budget);
  const std::uint64_t most = manifest_->config.max_decoded_node_bytes;
  auto decode = [&bytes, most, pending, node, budget, path = file->path] {
    try {
      *node = ocdbt::decode_node(bytes, most, budget);
      ocdbt::check_child(*node, pending->height, pending->min_key);
    } catch (const FormatError& damage) {
      throw format_failure(damage, path, pending->where.offset);
    }
  };
  co_await engine::async_run(item_->engine->cpu(), std::move(decode), asio::use_awaitable);
}

void ItemDatabase::take_entries(const Pending& from, ocdbt::Node& node, const KeySet& keys) {
  const bool everything = keys.is_all();
  const std::uint32_t node_file = file_index(from.path);
  for (ocdbt::Entry& entry : std::get<std::vector<ocdbt::Entry>>(node.entries)) {
    check_key_length(from, entry.key);
    std::string key = from.prefix + entry.key;
    check_end(from, key);
    if (!everything && !keys.contains(key)) continue;
    DatabaseEntry added;
    added.key = std::move(key);
    if (auto* value = std::get_if<std::string>(&entry.value)) {
      added.value = std::move(*value);
      added.in_node = true;
      added.file = node_file;
      added.offset = from.where.offset;
    } else {
      const auto& reference = std::get<ocdbt::Reference>(entry.value);
      added.place = ValuePlace::range;
      try {
        added.file = file_index(ocdbt::data_path(from.transitive, node.files.at(reference.file)));
      } catch (const FormatError& damage) {
        throw database_error(join_path(item_->path, from.path), from.where.offset, damage.what());
      }
      added.offset = reference.offset;
      added.length = reference.length;
    }
    add_entry(std::move(added));
  }
}

void ItemDatabase::add_children(const Pending& from, const ocdbt::Node& node, const KeySet& keys,
                                std::vector<Pending>& level) {
  const auto& children = std::get<std::vector<ocdbt::Child>>(node.entries);
  for (std::size_t i = 0; i < children.size(); ++i) {
    const ocdbt::Child& child = children[i];
    check_key_length(from, child.key);
    Pending next;
    next.prefix = from.prefix + child.key.substr(0, child.common_prefix);
    next.min_key = child.key.substr(child.common_prefix);
    next.end = from.end;
    if (i + 1 < children.size()) next.end = from.prefix + children[i + 1].key;
    check_end(from, next.first_key());
    if (!keys.meets(next.first_key(), next.end)) continue;
    const ocdbt::DataFile& file = node.files.at(child.location.file);
    try {
      next.path = ocdbt::data_path(from.transitive, file);
    } catch (const FormatError& damage) {
      throw database_error(join_path(item_->path, from.path), from.where.offset, damage.what());
    }
    next.transitive = from.transitive + file.base;
    next.where = child.location;
    next.height = static_cast<std::uint8_t>(node.height - 1);
    hold(next.bytes_held());
    level.push_back(std::move(next));
  }
}

void ItemDatabase::check_key_length(const Pending& from, const std::string& key) const {
  const std::size_t size = from.prefix.size() + key.size();
  if (size <= ocdbt::kMaxKeyBytes) return;
  throw node_error(
      from, "key",
      "a key of " + std::to_string(size) + " bytes, the prefix from the nodes above included",
      "at most " + std::to_string(ocdbt::kMaxKeyBytes));
}

/// With check_child() this keeps the keys of all nodes in order: each has a range of its own.
void ItemDatabase::check_end(const Pending& from, const std::string& key) const {
  if (!from.end || key < *from.end) return;
  throw node_error(from, "key", '"' + key + '"',
                   "keys before \"" + *from.end + "\", where the next node begins");
}

Error ItemDatabase::node_error(const Pending& node, std::string field, std::string found,
                               std::string allowed) const {
  const FormatError error("OCDBT B+tree node", std::move(field), std::move(found),
                          std::move(allowed));
  return database_error(join_path(item_->path, node.path), node.where.offset, error.what());
}

}  // namespace cairn::internal
