// ItemDatabase over a plain directory: a file is a key and its value. Sizes are asked for when a
// value is read: most reads need only some.

#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/item_database.h>

#include <algorithm>

namespace cairn::internal {
namespace {

/// Deeper than any tree of groups, so that a walk ends.
constexpr std::size_t kDepthMax = 256;
constexpr std::size_t kLookUpsInFlight = 64;
/// Bytes of nodes that a file stands for in the account of what keys may take: with many files,
/// paths of 1 KiB.
constexpr std::uint64_t kBytesPerFile = 16;

/// The directory part of `key`, without the slash.
std::string parent_of(const std::string& key) {
  const auto slash = key.rfind('/');
  return slash == std::string::npos ? "" : key.substr(0, slash);
}

/// Names that cannot be a key below the directory.
bool leaves_root(std::string_view key) {
  for (std::size_t begin = 0; begin <= key.size();) {
    const auto end = std::min(key.find('/', begin), key.size());
    const std::string_view part = key.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return true;
    begin = end + 1;
  }
  return false;
}

/// Whether a key may end with `name`, that of a chunk or of an array's metadata. Of a directory it
/// shows with the key alone, and others are walked through without a word.
bool may_name_a_file(std::string_view name) {
  const bool number = name[0] >= '0' && name[0] <= '9';
  return number || name == "c" || name.starts_with("c.") || name == "zarr.json" ||
         name == ".zarray";
}

/// Whether a look found something. Throws what is neither that nor its absence.
bool is_there(const StatusResult& found, const std::string& path) {
  if (!found.error) return true;
  const auto kind = engine::classify(found.error);
  // ENOTDIR is among the invalid arguments: a key below a file is not there either.
  if (kind == engine::ErrorKind::not_found || kind == engine::ErrorKind::invalid_argument)
    return false;
  raise_failure(found.error, "look at", path);
}

}  // namespace

Task<void> ItemDatabase::load_directory(KeySetPtr keys) {
  co_await engine::with_nursery(item_->engine->executor(), &ItemDatabase::look_around, this,
                                std::move(keys));
}

Task<void> ItemDatabase::look_around(engine::Nursery& nursery, ItemDatabase* self, KeySetPtr keys) {
  for (const KeyRange& range : keys->ranges()) {
    if (!co_await nursery.wait_below(kLookUpsInFlight)) break;
    // A single key needs no list of its neighbours.
    if (range.end && *range.end == range.begin + '\0') {
      nursery.spawn(self->look_up(range.begin));
      continue;
    }
    const std::string directory = parent_of(range.begin);
    if (directory.empty()) {
      nursery.spawn(self->walk(self->item_, "", "", keys, 0));
    } else if (!leaves_root(directory)) {
      const bool there = co_await self->has_directory(directory);
      if (!there) continue;
      nursery.spawn(self->walk(self->item_, directory, directory + "/", keys, 0));
    }
  }
}

Task<void> ItemDatabase::walk(FolderPtr parent, std::string name, std::string prefix,
                              KeySetPtr keys, std::size_t depth) {
  if (depth > kDepthMax) {
    throw database_error(join_path(parent->path, name), std::nullopt,
                         "directories are nested more than " + std::to_string(kDepthMax) + " deep");
  }
  FolderPtr folder = parent;
  std::vector<engine::DirectoryEntry> entries;
  std::exception_ptr failure;
  try {
    if (!name.empty()) folder = co_await open_subfolder(parent, name);
    entries = co_await list_folder(folder);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) lose(failure);
  for (const engine::DirectoryEntry& entry : entries) {
    std::string key = prefix + entry.name;
    if (entry.type == engine::FileType::symlink && keys->meets(key + '/', prefix_end(key + '/')))
      links_.insert(key);
    if (entry.type == engine::FileType::directory) {
      if (may_name_a_file(entry.name) && keys->contains(key)) add_file_entry(key);
      key += '/';
      if (!keys->meets(key, prefix_end(key))) continue;
      co_await walk(folder, entry.name, std::move(key), keys, depth + 1);
    } else if (keys->contains(key)) {
      // What is no file is there, and refused when it is opened.
      add_file_entry(std::move(key));
    }
  }
}

Task<void> ItemDatabase::look_up(std::string key) {
  if (leaves_root(key)) co_return;
  const bool reachable = co_await has_directory(parent_of(key));
  if (!reachable) co_return;
  const StatusResult found = co_await status_below(item_, key);
  // What is no file is there, and refused when it is opened.
  if (is_there(found, join_path(item_->path, key))) add_file_entry(std::move(key));
}

/// Component by component: a link that stays below the item would be followed otherwise.
Task<bool> ItemDatabase::has_directory(std::string directory) {
  for (std::size_t end = 0; end < directory.size(); ++end) {
    end = std::min(directory.find('/', end), directory.size());
    const std::string part = directory.substr(0, end);
    if (directories_.contains(part)) continue;
    const std::string path = join_path(item_->path, part);
    const StatusResult found = co_await status_below(item_, part);
    if (!is_there(found, path)) co_return false;
    if (found.status.type == engine::FileType::symlink) {
      // Said once, of all that is below.
      if (links_.insert(part).second) lose(std::make_exception_ptr(link_error("open", path)));
      co_return false;
    }
    if (found.status.type != engine::FileType::directory) co_return false;
    directories_.insert(part);
  }
  co_return true;
}

bool ItemDatabase::may_hold(std::string_view key) const {
  return manifest_ || !leaves_root(key);
}

const std::string* ItemDatabase::link_above(std::string_view key) const {
  if (links_.empty()) return nullptr;
  for (std::size_t slash = key.find('/'); slash != std::string_view::npos;
       slash = key.find('/', slash + 1)) {
    const auto found = links_.find(std::string(key.substr(0, slash)));
    if (found != links_.end()) return &*found;
  }
  return nullptr;
}

void ItemDatabase::add_file_entry(std::string key) {
  read_bytes_ += kBytesPerFile;
  DatabaseEntry entry;
  entry.place = ValuePlace::whole_file;
  entry.file = file_index(key);
  entry.key = std::move(key);
  add_entry(std::move(entry));
}

}  // namespace cairn::internal
