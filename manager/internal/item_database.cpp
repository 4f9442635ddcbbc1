#include <cairn/codecs/cairn_record.h>
#include <cairn/codecs/format_error.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/item_database.h>

#include <algorithm>
#include <cassert>
#include <charconv>

namespace cairn::internal {
namespace {

constexpr std::string_view kManifestName = "manifest.ocdbt";
/// Small values that are read at once.
constexpr std::size_t kFetchesInFlight = 64;

/// What keys, values and nodes that are being decoded may take in memory for each byte of the nodes
/// that they were read from. 100,000 scalars that are equal have nodes of 54 KB: their keys take 66
/// times that for short names, 780 times for names of 200 bytes, and their metadata of 600 bytes
/// 1100 times as values and again as bodies. So the first multiple is generous (it is that of a
/// single node, codecs/ocdbt_format.md), and a lower one holds where much memory is at stake.
constexpr std::uint64_t kHeldBytesFree = 64u << 20;
constexpr std::uint64_t kHeldBytesPerByte = 4096;
constexpr std::uint64_t kManyHeldBytes = std::uint64_t{2} << 30;
constexpr std::uint64_t kManyHeldBytesPerByte = 256;
static_assert(kHeldBytesFree < kManyHeldBytes && kHeldBytesPerByte > kManyHeldBytesPerByte);

ocdbt::Manifest decode_manifest(const std::string& path, const std::string& text) {
  try {
    return ocdbt::decode_manifest(text);
  } catch (const FormatError& error) {
    // A later version, or another compression, is no damage.
    if (error.kind() == FormatError::Kind::unsupported) throw format_failure(error, path);
    throw database_error(path, error.offset(), error.what());
  }
}

/// The number in "manifest.<16 lower-case hexadecimal digits>".
std::optional<std::uint64_t> numbered_manifest(std::string_view name) {
  constexpr std::string_view kPrefix = "manifest.";
  constexpr std::size_t kDigits = 16;
  if (name.size() != kPrefix.size() + kDigits || !name.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = name.substr(kPrefix.size());
  if (digits.find_first_not_of("0123456789abcdef") != std::string_view::npos) return std::nullopt;
  std::uint64_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number, 16);
  return number;
}

/// Of a numbered manifest, which repeats the configuration but for its own kind.
void check_config(const std::string& path, const ocdbt::Config& found,
                  const ocdbt::Config& expected) {
  const auto check = [&path](std::string_view field, const std::string& here,
                             const std::string& there) {
    if (here == there) return;
    const FormatError error("OCDBT manifest", std::string(field), here,
                            there + ", as in manifest.ocdbt: both have one configuration");
    throw database_error(path, std::nullopt, error.what());
  };
  const auto number = [&check](std::string_view field, std::int64_t here, std::int64_t there) {
    check(field, std::to_string(here), std::to_string(there));
  };
  if (found.numbered) {
    const FormatError error("OCDBT manifest", "manifest_kind", "1", "0 in a numbered manifest");
    throw database_error(path, std::nullopt, error.what());
  }
  check("uuid", to_hex(found.uuid), to_hex(expected.uuid));
  number("max_inline_value_bytes", found.max_inline_value_bytes, expected.max_inline_value_bytes);
  number("max_decoded_node_bytes", found.max_decoded_node_bytes, expected.max_decoded_node_bytes);
  number("version_tree_arity_log2", found.version_tree_arity_log2,
         expected.version_tree_arity_log2);
  number("compression_method", static_cast<int>(found.compression),
         static_cast<int>(expected.compression));
  number("zstd level", found.zstd_level, expected.zstd_level);
}

}  // namespace

Error database_error(const std::string& path, std::optional<std::uint64_t> offset,
                     std::string reason) {
  ErrorContext context;
  context.operation = "read database";
  context.path = path;
  context.offset = offset;
  return Error(ErrorCode::data_loss, std::move(reason), context);
}

DamageSink throw_damage() {
  return [](const Error& error) { throw error; };
}

Task<std::pair<std::string, ocdbt::Manifest>> read_manifest(FolderPtr item, std::string text) {
  const std::string path = join_path(item->path, std::string(kManifestName));
  ocdbt::Manifest manifest = decode_manifest(path, text);
  if (!manifest.config.numbered) co_return std::pair(path, std::move(manifest));
  // manifest.ocdbt has the configuration alone; the highest number has the newest versions.
  const auto entries = co_await list_folder(item);
  std::optional<std::uint64_t> newest;
  std::string name;
  for (const engine::DirectoryEntry& entry : entries) {
    const auto number = numbered_manifest(entry.name);
    if (!number || (newest && *number <= *newest)) continue;
    newest = number;
    name = entry.name;
  }
  if (!newest) co_return std::pair(path, std::move(manifest));
  const std::string numbered_path = join_path(item->path, name);
  const std::string numbered_text = co_await read_file(item, name, kManifestBytesMax);
  ocdbt::Manifest numbered = decode_manifest(numbered_path, numbered_text);
  check_config(numbered_path, numbered.config, manifest.config);
  if (numbered.versions.empty() || numbered.versions.back().generation != *newest) {
    throw database_error(
        numbered_path, std::nullopt,
        "its latest generation is " +
            (numbered.versions.empty() ? std::string("missing")
                                       : std::to_string(numbered.versions.back().generation)) +
            ", its name says " + std::to_string(*newest));
  }
  co_return std::pair(numbered_path, std::move(numbered));
}

Task<void> ItemDatabase::open() {
  std::optional<std::string> text =
      co_await read_file_if_there(item_, std::string(kManifestName), kManifestBytesMax);
  if (!text) co_return;
  manifest_text_ = std::move(*text);
  auto [path, manifest] = co_await read_manifest(item_, manifest_text_);
  manifest_path_ = std::move(path);
  manifest_ = std::move(manifest);
}

Task<void> ItemDatabase::load(KeySet keys) {
  const std::size_t old_entries = entries_.size();
  if (manifest_) {
    co_await load_ocdbt(std::move(keys));
  } else {
    co_await load_directory(std::make_shared<const KeySet>(std::move(keys)));
  }
  merge(old_entries);
}

/// Puts what was loaded behind `old_entries` in its place. A key that was there before is the same
/// entry again; within one load of a database, keys come in order and once: the walk sees to it.
void ItemDatabase::merge(std::size_t old_entries) {
  const auto before = [](const DatabaseEntry& a, const DatabaseEntry& b) { return a.key < b.key; };
  const auto middle = entries_.begin() + static_cast<std::ptrdiff_t>(old_entries);
  if (!manifest_) std::sort(middle, entries_.end(), before);
  assert(std::is_sorted(middle, entries_.end(), before));
  std::inplace_merge(entries_.begin(), middle, entries_.end(), before);
  const auto repeated =
      std::unique(entries_.begin(), entries_.end(),
                  [](const DatabaseEntry& a, const DatabaseEntry& b) { return a.key == b.key; });
  entries_.erase(repeated, entries_.end());
}

const DatabaseEntry* ItemDatabase::find(std::string_view key) const {
  const auto found = std::ranges::lower_bound(entries_, key, {}, &DatabaseEntry::key);
  return found != entries_.end() && found->key == key ? &*found : nullptr;
}

std::span<const DatabaseEntry> ItemDatabase::below(std::string_view prefix) const {
  const auto first = std::ranges::lower_bound(entries_, prefix, {}, &DatabaseEntry::key);
  // Mostly a few: looked at one by one, they are found sooner than by another search.
  constexpr std::ptrdiff_t kNear = 8;
  auto last = first;
  while (last != entries_.end() && last - first < kNear && last->key.starts_with(prefix)) ++last;
  if (last - first < kNear) return {first, last};
  const std::optional<std::string> end = prefix_end(std::string(prefix));
  last = end ? std::ranges::lower_bound(last, entries_.end(), std::string_view(*end), {},
                                        &DatabaseEntry::key)
             : entries_.end();
  return {first, last};
}

std::string ItemDatabase::path_of(const DatabaseEntry& entry) const {
  return join_path(item_->path, files_[entry.file]);
}

std::string ItemDatabase::path_of_missing(const std::string& key) const {
  return manifest_ ? manifest_path_ : join_path(item_->path, key);
}

Task<std::uint64_t> ItemDatabase::size_of(DatabaseEntry entry) {
  if (entry.place == ValuePlace::inlined) co_return entry.value.size();
  if (entry.place == ValuePlace::range) co_return entry.length;
  const auto status = co_await find_status(item_, files_[entry.file]);
  co_return status ? status->size : 0;
}

std::uint32_t ItemDatabase::file_index(const std::string& path) {
  const auto [found, fresh] =
      file_indices_.try_emplace(path, static_cast<std::uint32_t>(files_.size()));
  if (fresh) {
    hold(2 * path.size());
    files_.push_back(path);
  }
  return found->second;
}

void ItemDatabase::add_entry(DatabaseEntry entry) {
  hold(entry.key.size() + entry.value.size());
  entries_.push_back(std::move(entry));
}

std::uint64_t ItemDatabase::held_bytes_max() const {
  return fetched_bytes_max_ + std::min(kHeldBytesFree + kHeldBytesPerByte * read_bytes_,
                                       kManyHeldBytes + kManyHeldBytesPerByte * read_bytes_);
}

void ItemDatabase::hold(std::uint64_t bytes) {
  const std::uint64_t most = held_bytes_max();
  if (held_bytes_ + bytes <= most) {
    held_bytes_ += bytes;
    return;
  }
  throw database_error(manifest_ ? manifest_path_ : item_->path, std::nullopt,
                       "its keys and values take more than " + std::to_string(most) +
                           " bytes of memory, which is out of proportion to the " +
                           std::to_string(read_bytes_) + " bytes that they were read from");
}

void ItemDatabase::pass_on(const std::exception_ptr& failure) const {
  damage_(known_error(failure));
}

void ItemDatabase::lose(const std::exception_ptr& failure) {
  pass_on(failure);
  complete_ = false;
}

Task<void> ItemDatabase::fetch(std::vector<std::string> keys, std::uint64_t most) {
  fetched_bytes_max_ = std::max(fetched_bytes_max_, most);
  engine::Nursery fetches(item_->engine->executor());
  for (const std::string& key : keys) {
    const DatabaseEntry* entry = find(key);
    if (entry == nullptr || entry->place == ValuePlace::inlined) continue;
    if (!co_await fetches.wait_below(kFetchesInFlight)) break;
    fetches.spawn(fetch_one(static_cast<std::size_t>(entry - entries_.data()), most));
  }
  co_await fetches.join();
}

Task<void> ItemDatabase::fetch_one(std::size_t index, std::uint64_t most) {
  std::exception_ptr failure;
  try {
    co_await fetch_value(index, most);
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) pass_on(failure);
}

Task<void> ItemDatabase::fetch_value(std::size_t index, std::uint64_t most) {
  DatabaseEntry& entry = entries_[index];
  const std::string path = files_[entry.file];
  FilePtr file = co_await open_file(item_, path, engine::OpenMode::read, engine::DirectIo::off);
  auto [error, status] = co_await file->file.async_stat(kAsTuple);
  if (error) raise_failure(error, "look at", file->path);
  if (entry.place == ValuePlace::whole_file) entry.length = status.size;
  if (entry.length > most || entry.offset > status.size ||
      entry.length > status.size - entry.offset) {
    throw database_error(file->path, entry.offset,
                         "the value of '" + entry.key + "' is said to have " +
                             std::to_string(entry.length) + " bytes here; the file has " +
                             std::to_string(status.size) + ", and at most " + std::to_string(most) +
                             " are allowed");
  }
  // Any number of keys may refer to the same bytes.
  hold(entry.length);
  std::string value(entry.length, '\0');
  co_await read_at(file, entry.offset, std::as_writable_bytes(std::span(value)));
  entry.value = std::move(value);
  entry.place = ValuePlace::inlined;
}

}  // namespace cairn::internal
