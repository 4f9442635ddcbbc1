// The version tree of an OCDBT database, which has its older versions. Only a check looks at it,
// one node after the other: there are few.

#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/item_database.h>

#include <set>

namespace cairn::internal {

/// A node still to be read.
struct ItemDatabase::PendingVersions {
  PendingVersions() = default;
  std::string path;                       ///< of the file that has it, below the item
  std::string transitive;                 ///< what the paths in its own table are relative to
  ocdbt::VersionNodeReference reference;  ///< `location.file` does not count: `path` is
  [[nodiscard]] std::uint64_t bytes_held() const {
    return sizeof(PendingVersions) + 2 * path.size() + transitive.size();
  }
};

struct ItemDatabase::VersionWalk {
  VersionWalk() = default;
  std::vector<PendingVersions> pending;
  std::set<std::pair<std::string, std::uint64_t>> seen;  ///< file and offset
  FilePtr file;                                          ///< the last, which mostly has the next
  std::string open_path;
};

Task<void> ItemDatabase::check_version_tree() {
  if (!manifest_) co_return;
  VersionWalk walk;
  try {
    add_version_nodes("", manifest_->files, manifest_->version_nodes, &walk);
  } catch (const FormatError& damage) {
    damage_(database_error(manifest_path_, std::nullopt, damage.what()));
  }
  while (!walk.pending.empty()) {
    PendingVersions next = std::move(walk.pending.back());
    walk.pending.pop_back();
    std::exception_ptr failure;
    try {
      co_await check_version_node(std::move(next), &walk);
    } catch (...) {
      failure = std::current_exception();
    }
    if (failure) pass_on(failure);
  }
}

/// Heights fall by one with each level, and no node is read twice, so that the walk ends.
Task<void> ItemDatabase::check_version_node(PendingVersions pending, VersionWalk* walk) {
  const ocdbt::Reference where = pending.reference.location;
  const std::string path = join_path(item_->path, pending.path);
  if (!walk->seen.emplace(pending.path, where.offset).second)
    throw database_error(path, where.offset, "the version tree refers to this node twice");
  if (!walk->file || pending.path != walk->open_path) {
    walk->file =
        co_await open_file(item_, pending.path, engine::OpenMode::read, engine::DirectIo::off);
    walk->open_path = pending.path;
  }
  ocdbt::NodeBudget budget(held_bytes_max() - held_bytes_);
  const std::string bytes = co_await read_node_bytes(walk->file, where, &budget);
  ocdbt::VersionNode node;
  auto decode = [this, &bytes, &node, &budget, &pending, &path, where] {
    try {
      node = ocdbt::decode_version_node(bytes, manifest_->config, &budget);
      ocdbt::check_child(node, pending.reference);
    } catch (const FormatError& damage) {
      throw format_failure(damage, path, where.offset);
    }
  };
  co_await engine::async_run(item_->engine->cpu(), std::move(decode), asio::use_awaitable);
  const auto* children = std::get_if<std::vector<ocdbt::VersionNodeReference>>(&node.entries);
  if (children == nullptr) co_return;
  try {
    add_version_nodes(pending.transitive, node.files, *children, walk);
  } catch (const FormatError& damage) {
    throw database_error(path, where.offset, damage.what());
  }
}

/// `transitive`: what the paths in `files` are relative to. Throws FormatError on one that leaves
/// the item.
void ItemDatabase::add_version_nodes(const std::string& transitive, const ocdbt::FileTable& files,
                                     const std::vector<ocdbt::VersionNodeReference>& nodes,
                                     VersionWalk* walk) {
  for (const ocdbt::VersionNodeReference& node : nodes) {
    const ocdbt::DataFile& file = files.at(node.location.file);
    PendingVersions next;
    next.path = ocdbt::data_path(transitive, file);
    next.transitive = transitive + file.base;
    next.reference = node;
    hold(next.bytes_held());
    walk->pending.push_back(std::move(next));
  }
}

}  // namespace cairn::internal
