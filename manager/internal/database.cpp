#include <cairn/codecs/format_error.h>
#include <cairn/manager/internal/database.h>

#include <algorithm>
#include <set>
#include <unordered_map>

namespace cairn::internal {
namespace {

/// Orbax's are a few hundred bytes; with a full version list and long paths some megabytes.
constexpr std::uint64_t kManifestBytesMax = 64u << 20;

/// Walks the tree, children in the order of their keys.
class DatabaseReader {
 public:
  explicit DatabaseReader(FolderPtr item) : item_(std::move(item)) {}

  Task<ItemDatabase> read() {
    result_.manifest = co_await read_file(item_, "manifest.ocdbt", kManifestBytesMax);
    const ocdbt::Manifest manifest =
        decode_here<ocdbt::Manifest>(join_path(item_->path, "manifest.ocdbt"), 0,
                                     [this] { return ocdbt::decode_manifest(result_.manifest); });
    if (manifest.config.numbered) {
      ErrorContext context;
      context.path = join_path(item_->path, "manifest.ocdbt");
      throw Error(ErrorCode::not_supported,
                  "this release does not read databases with numbered manifests", context);
    }
    node_bytes_max_ = manifest.config.max_decoded_node_bytes;
    const ocdbt::Version& version = manifest.versions.back();
    if (version.root) {
      const ocdbt::DataFile& file = manifest.files.at(version.root->file);
      co_await read_node(file.path(), file.base, *version.root, version.root_height, std::string());
    }
    const auto unsorted = std::ranges::adjacent_find(
        result_.entries,
        [](const DatabaseEntry& a, const DatabaseEntry& b) { return a.key >= b.key; });
    if (unsorted != result_.entries.end()) {
      throw damage(join_path(item_->path, "manifest.ocdbt"), 0,
                   "keys of neighbouring nodes overlap at '" + unsorted->key + "'");
    }
    co_return std::move(result_);
  }

 private:
  static Error damage(const std::string& path, std::uint64_t offset, std::string reason) {
    ErrorContext context;
    context.operation = "read database";
    context.path = path;
    context.offset = offset;
    return Error(ErrorCode::data_loss, std::move(reason), context);
  }

  /// Runs a decoder and puts file and offset into what it throws.
  template <class T, class Decode>
  static T decode_here(const std::string& path, std::uint64_t offset, Decode decode) {
    try {
      return decode();
    } catch (const FormatError& error) {
      throw damage(path, offset + error.offset().value_or(0), error.what());
    }
  }

  /// `transitive`: what the paths in this node's own table are relative to.
  Task<void> read_node(std::string path, std::string transitive, ocdbt::Reference where,
                       unsigned height, std::string prefix) {
    // In a tree no node has two parents: one that comes again would make a small file a huge
    // database.
    if (!visited_.emplace(path, where.offset).second) {
      throw damage(join_path(item_->path, path), where.offset,
                   "the tree refers to this node twice");
    }
    const std::string bytes = co_await read_range(path, where);
    const std::string full = join_path(item_->path, path);
    const ocdbt::Node node = decode_here<ocdbt::Node>(
        full, where.offset, [&] { return ocdbt::decode_node(bytes, node_bytes_max_); });
    if (node.height != height) {
      throw damage(full, where.offset,
                   "the node's height is " + std::to_string(node.height) + ", its parent says " +
                       std::to_string(height));
    }
    if (const auto* entries = std::get_if<std::vector<ocdbt::Entry>>(&node.entries)) {
      for (const ocdbt::Entry& entry : *entries) add_entry(entry, node.files, transitive, prefix);
      co_return;
    }
    for (const ocdbt::Child& child : std::get<std::vector<ocdbt::Child>>(node.entries)) {
      const ocdbt::DataFile& file = node.files.at(child.location.file);
      const std::string child_path = transitive + file.path();
      decode_here<int>(full, where.offset, [&] { return ocdbt::check_data_path(child_path), 0; });
      co_await read_node(child_path, transitive + file.base, child.location, height - 1,
                         prefix + child.key.substr(0, child.common_prefix));
    }
  }

  void add_entry(const ocdbt::Entry& entry, const ocdbt::FileTable& files,
                 const std::string& transitive, const std::string& prefix) {
    DatabaseEntry added;
    added.key = prefix + entry.key;
    if (const auto* value = std::get_if<std::string>(&entry.value)) {
      added.inlined = true;
      added.value = *value;
    } else {
      const auto& reference = std::get<ocdbt::Reference>(entry.value);
      const std::string path = transitive + files.at(reference.file).path();
      added.file = file_index(path);
      added.offset = reference.offset;
      added.length = reference.length;
    }
    result_.entries.push_back(std::move(added));
  }

  std::uint32_t file_index(const std::string& path) {
    const auto [found, fresh] =
        file_indices_.try_emplace(path, static_cast<std::uint32_t>(result_.files.size()));
    if (fresh) {
      decode_here<int>(join_path(item_->path, path), 0,
                       [&] { return ocdbt::check_data_path(path), 0; });
      result_.files.push_back(path);
    }
    return found->second;
  }

  Task<std::string> read_range(std::string path, ocdbt::Reference where) {
    if (path != open_path_) {
      open_file_ = co_await open_file(item_, path, engine::OpenMode::read, engine::DirectIo::off);
      auto [error, status] = co_await open_file_->file.async_stat(kAsTuple);
      if (error) raise_failure(error, "look at", open_file_->path);
      open_size_ = status.size;
      open_path_ = path;
    }
    // Bounded by the file before anything is allocated.
    if (where.offset > open_size_ || where.length > open_size_ - where.offset) {
      throw damage(open_file_->path, where.offset,
                   "a node of " + std::to_string(where.length) +
                       " bytes is said to be here, but the file has " + std::to_string(open_size_));
    }
    std::string bytes(where.length, '\0');
    co_await read_at(open_file_, where.offset, std::as_writable_bytes(std::span(bytes)));
    co_return bytes;
  }

  FolderPtr item_;
  ItemDatabase result_;
  std::unordered_map<std::string, std::uint32_t> file_indices_;
  std::uint64_t node_bytes_max_ = 0;
  std::set<std::pair<std::string, std::uint64_t>> visited_;
  FilePtr open_file_;  ///< nodes mostly share one file
  std::string open_path_;
  std::uint64_t open_size_ = 0;
};

}  // namespace

const DatabaseEntry* ItemDatabase::find(std::string_view key) const {
  const auto found = std::ranges::lower_bound(entries, key, {}, &DatabaseEntry::key);
  return found != entries.end() && found->key == key ? &*found : nullptr;
}

Task<ItemDatabase> read_database(FolderPtr item) {
  DatabaseReader reader(item);
  co_return co_await reader.read();
}

}  // namespace cairn::internal
