#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/item_index.h>
#include <cairn/manager/internal/path_index_file.h>

#include <algorithm>
#include <span>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kTreeMetadataBytesMax = std::uint64_t{2} << 30;
constexpr std::uint64_t kStringsBytesMax = std::uint64_t{1} << 30;
constexpr std::uint64_t kArrayMetadataBytesMax = 16u << 20;
/// More wanted chunks of an array than this are found by walking all its keys; so are those of
/// every array once the names of those before it take this much. A few bytes of metadata claim any
/// number of chunks, and the keys that are there bound themselves.
constexpr std::uint64_t kChunksByName = 4096;
constexpr std::uint64_t kNamesBytesMax = 64u << 20;
/// A key's text behind its array's name, and what holds it, about.
constexpr std::uint64_t kNameOverhead = 100;

constexpr std::string_view kNotAsCommitted =
    "the file is not the one that the item was committed with; if it was changed on purpose, "
    "remove the item's _CAIRN";

bool has_array(orbax::ValueType type) {
  using orbax::ValueType;
  return !orbax::is_empty(type) && type != ValueType::string && type != ValueType::foreign;
}

}  // namespace

std::string array_key(const std::string& name, zarr::Format format) {
  const std::string file(zarr::metadata_file(format));
  return name.empty() ? file : name + "/" + file;
}

std::optional<IndexRange> StoredLeaf::wanted_chunks() const {
  const IndexRange box = wanted();
  if (std::ranges::count(box.shape, 0) > 0) return std::nullopt;
  return touched_chunks(box, array->metadata.chunk_shape);
}

std::string StoredLeaf::chunk_key(std::uint64_t chunk) const {
  const std::string key = array->chunk_key(chunk);
  return name.empty() ? key : name + "/" + key;
}

Error ItemIndex::leaf_error(const StoredLeaf& leaf, ErrorCode code, std::string reason,
                            std::string path, std::optional<std::uint64_t> offset) const {
  ErrorContext context;
  context.operation = "read";
  context.item = name_;
  context.key_path = to_string(leaf.path);
  context.path = std::move(path);
  context.offset = offset;
  return Error(code, std::move(reason), context);
}

std::optional<std::uint32_t> ItemIndex::recorded_checksum(const StoredLeaf& leaf,
                                                          std::uint64_t chunk) const {
  const auto found = checksums_.find(leaf.name);
  if (found == checksums_.end() || chunk >= found->second->crc32c.size()) return std::nullopt;
  return found->second->crc32c[chunk];
}

/// Checksums and hashes hold for what the record was written with: who rewrote the item may not
/// have known of it.
void ItemIndex::index_record() {
  if (!record_ || !record_matches()) return;
  for (const ChunkChecksums& array : record_->chunk_checksums)
    checksums_.emplace(array.array, &array);
  for (const ArrayMetadataHash& array : record_->array_metadata)
    array_metadata_.emplace(array.array, &array.hash);
}

bool ItemIndex::record_matches() const {
  if (!record_ || record_->manifest_hash.empty()) return true;
  return database_.is_ocdbt() && record_->manifest_hash == content_hash(database_.manifest_text());
}

Task<void> ItemIndex::open(Selections selections) {
  LeafChooser choose_selected = [selections](const std::vector<KeyPath>& paths,
                                             const std::vector<orbax::ValueType>&) {
    return choose(selections, paths);
  };
  indexed_ = co_await read_indexed(selections);
  if (!indexed_) co_await read_metadata();
  co_await open_tree(std::move(choose_selected), std::move(selections));
}

Task<void> ItemIndex::open(LeafChooser choose) {
  co_await read_metadata();
  Selections everything;
  co_await open_tree(std::move(choose), std::move(everything));
}

/// `names`: what of a tree without metadata is looked at; empty: all of it.
Task<void> ItemIndex::open_tree(LeafChooser choose, Selections names) {
  co_await database_.open();
  check_metadata();
  index_record();
  if (metadata_) {
    co_await index_tree(std::move(choose));
  } else {
    co_await refuse_lost_metadata();
    co_await index_names(std::move(choose), std::move(names));
  }
}

Task<bool> ItemIndex::read_indexed(Selections selections) {
  if (form_ != ItemForm::tree) co_return false;
  std::optional<IndexedPart> part = co_await find_indexed(item_, std::move(selections));
  if (!part) co_return false;
  // What every save says that makes an index.
  metadata_.emplace();
  metadata_->entries = std::move(part->entries);
  metadata_->use_ocdbt = true;
  metadata_->use_zarr3 = true;
  metadata_->store_array_data_equal_to_fill_value = true;
  record_.emplace();
  record_->tuples = std::move(part->tuples);
  co_return true;
}

Task<void> ItemIndex::read_metadata() {
  const std::optional<std::string> record =
      co_await read_file_if_there(item_, std::string(kRecordFile), kRecordBytesMax);
  const std::string name(orbax::kTreeMetadataFile);
  const std::optional<std::string> text =
      co_await read_file_if_there(item_, name, kTreeMetadataBytesMax);
  auto decode = [this, &record, &text, &name] {
    try {
      if (text) metadata_ = orbax::decode_tree_metadata(*text);
    } catch (const FormatError& error) {
      throw format_failure(error, join_path(item_->path, name));
    }
    try {
      if (record) record_ = decode_record(*record);
      if (record_ && text) metadata_hash_ = content_hash(*text);
    } catch (const FormatError& error) {
      throw format_failure(error, join_path(item_->path, std::string(kRecordFile)));
    }
  };
  co_await engine::async_run(item_->engine->cpu(), std::move(decode), asio::use_awaitable);
}

/// Without _METADATA, an item of Orbax's has arrays but no tree: to guess one from their names
/// would give another tree than the one that was saved.
Task<void> ItemIndex::refuse_lost_metadata() {
  // That of an item of another kind shows nothing of a tree.
  const bool of_a_tree = !record_ || record_->files.empty();
  const auto entries = co_await list_folder(item_);
  for (const engine::DirectoryEntry& entry : entries) {
    if (entry.name != "_sharding" && entry.name != "array_metadatas" &&
        !entry.name.starts_with("ocdbt.process_") && (entry.name != kRecordFile || !of_a_tree)) {
      continue;
    }
    ErrorContext context;
    context.operation = "open";
    context.item = name_;
    context.path = join_path(item_->path, std::string(orbax::kTreeMetadataFile));
    throw Error(ErrorCode::not_found,
                "the file with the tree's structure is missing, though '" + entry.name +
                    "' shows that the item was saved with one",
                context);
  }
}

Task<void> ItemIndex::index_tree(LeafChooser choose) {
  // Orbax makes no database where there is nothing to put into one.
  const bool any_array = std::ranges::any_of(
      metadata_->entries, [](const orbax::TreeEntry& entry) { return has_array(entry.type); });
  if (metadata_->use_ocdbt == true && any_array && !database_.is_ocdbt()) {
    ErrorContext context;
    context.operation = "open";
    context.item = name_;
    context.path = join_path(item_->path, "manifest.ocdbt");
    throw Error(ErrorCode::not_found,
                "the database's manifest is missing; _METADATA says that the arrays are in one",
                context);
  }
  bool partial = false;
  auto pick = [this, &choose, &partial] {
    std::vector<KeyPath> paths;
    std::vector<orbax::ValueType> types;
    paths.reserve(metadata_->entries.size());
    types.reserve(metadata_->entries.size());
    for (const orbax::TreeEntry& entry : metadata_->entries) {
      paths.push_back(entry.path);
      types.push_back(entry.type);
    }
    const bool bare = form_ == ItemForm::single_array && paths.size() == 1;
    std::vector<KeyPath> shown = bare ? std::vector<KeyPath>(1) : paths;
    const std::vector<Chosen> chosen = choose(shown, types);
    partial = indexed_ || chosen.size() != shown.size();
    leaves_.resize(chosen.size());
    for (std::size_t i = 0; i < chosen.size(); ++i) {
      StoredLeaf& leaf = leaves_[i];
      leaf.path = shown[chosen[i].leaf];
      leaf.type = types[chosen[i].leaf];
      leaf.text = metadata_->entries[chosen[i].leaf].foreign_type;
      leaf.name = dotted_name(paths[chosen[i].leaf]);
      leaf.range = chosen[i].range;
      partial = partial || leaf.range;
    }
    if (partial) gaps_ = list_gaps(shown, chosen);
  };
  co_await engine::async_run(item_->engine->cpu(), std::move(pick), asio::use_awaitable);
  // Named first: g++ 12 destroys the operands of a conditional within co_await twice.
  KeySet wanted = partial ? array_keys() : KeySet::all();
  co_await database_.load(std::move(wanted));
  co_await database_.fetch(metadata_out_of_line(), kArrayMetadataBytesMax);
  co_await read_strings();
  auto set = [this] { set_arrays(); };
  co_await engine::async_run(item_->engine->cpu(), std::move(set), asio::use_awaitable);
  if (partial) co_await load_chunk_entries();
}

/// The keys of the metadata of the leaves' arrays, in either format.
KeySet ItemIndex::array_keys() const {
  KeySet keys;
  for (const StoredLeaf& leaf : leaves_) {
    if (!has_array(leaf.type)) continue;
    for (const auto format : {zarr::Format::v3, zarr::Format::v2})
      keys.add_key(array_key(leaf.name, format));
  }
  keys.seal();
  return keys;
}

/// Those of the keys that have been loaded that are of arrays' metadata, and whose values have not.
std::vector<std::string> ItemIndex::metadata_out_of_line() const {
  std::vector<std::string> keys;
  for (const DatabaseEntry& entry : database_.entries()) {
    if (entry.place == ValuePlace::inlined) continue;
    for (const auto format : {zarr::Format::v3, zarr::Format::v2}) {
      const std::string_view file = zarr::metadata_file(format);
      if (entry.key == file || entry.key.ends_with('/' + std::string(file)))
        keys.push_back(entry.key);
    }
  }
  return keys;
}

Task<void> ItemIndex::read_strings() {
  const bool any = std::ranges::any_of(
      leaves_, [](const StoredLeaf& leaf) { return leaf.type == orbax::ValueType::string; });
  if (!any) co_return;
  const std::string path = join_path(item_->path, std::string(orbax::kStringsFile));
  const std::optional<std::string> text =
      co_await read_file_if_there(item_, std::string(orbax::kStringsFile), kStringsBytesMax);
  if (text) check_strings(*text, path);
  // Whose place the first error tells: to find it costs a look at all of the text.
  std::string_view source = text ? std::string_view(*text) : std::string_view();
  boost::json::value strings;
  try {
    if (text) strings = orbax::parse_json(*text, orbax::kStringsFile);
  } catch (const FormatError& error) {
    throw format_failure(error, path);
  }
  for (StoredLeaf& leaf : leaves_) {
    if (leaf.type != orbax::ValueType::string) continue;
    std::string fault = text ? "the file has no string of the name '" + leaf.name + "'"
                             : std::string("the file with the item's strings is missing");
    std::optional<std::uint64_t> offset;
    try {
      if (const auto* found = orbax::find_string(strings, leaf.name, source)) {
        leaf.text = std::string(*found);
        continue;
      }
    } catch (const FormatError& error) {
      fault = error.what();
      offset = error.offset();
      source = {};
    }
    damage_(leaf_error(leaf, ErrorCode::data_loss, std::move(fault), path, offset));
  }
}

Error ItemIndex::not_as_committed(std::string path) const {
  ErrorContext context;
  context.operation = "read";
  context.item = name_;
  context.path = std::move(path);
  return Error(ErrorCode::data_loss, std::string(kNotAsCommitted), context);
}

/// The file has no checksum but the record's.
void ItemIndex::check_metadata() const {
  if (!metadata_ || !record_ || record_->metadata_hash.empty() || !record_matches()) return;
  if (record_->metadata_hash == metadata_hash_) return;
  damage_(not_as_committed(join_path(item_->path, std::string(orbax::kTreeMetadataFile))));
}

/// Neither has this one.
void ItemIndex::check_strings(std::string_view text, const std::string& path) const {
  if (!record_ || record_->strings_hash.empty() || !record_matches()) return;
  if (record_->strings_hash == content_hash(text)) return;
  damage_(not_as_committed(path));
}

Task<void> ItemIndex::check_path_index() const {
  if (!metadata_ || !record_ || !database_.is_ocdbt()) co_return;
  const std::optional<Error> fault =
      co_await path_index_fault(item_, &metadata_->entries, &record_->tuples);
  if (!fault) co_return;
  ErrorContext context = fault->context();
  context.item = name_;
  damage_(Error(fault->code(), fault->reason(), context));
}

void check_range(const StoredLeaf& leaf) {
  if (!leaf.range) return;
  if (leaf.array) {
    check_range(*leaf.range, leaf.array->metadata.shape, to_string(leaf.path));
    return;
  }
  ErrorContext context;
  context.key_path = to_string(leaf.path);
  throw Error(ErrorCode::invalid_argument, "a range was given, but the leaf is no array", context);
}

void ItemIndex::set_arrays() {
  for (StoredLeaf& leaf : leaves_) {
    if (has_array(leaf.type)) set_array_or_none(leaf);
    if (leaf.type == orbax::ValueType::foreign && foreign_ == ForeignLeaves::reported)
      damage_(foreign_error(leaf));
    check_range(leaf);
  }
  known_.clear();
  refuse_linked_chunks();
}

Error ItemIndex::linked_error(const StoredLeaf& leaf, const std::string& link) const {
  const Error error = link_error("open", join_path(item_->path, link));
  ErrorContext context = error.context();
  context.item = name_;
  context.key_path = to_string(leaf.path);
  return Error(error.code(), error.reason(), context);
}

/// Chunks below a link would read as missing ones, which may stand for the fill value.
void ItemIndex::refuse_linked_chunks() {
  if (database_.links().empty()) return;
  std::unordered_map<std::string_view, StoredLeaf*> by_name;
  for (StoredLeaf& leaf : leaves_) by_name.emplace(leaf.name, &leaf);
  for (const std::string& link : database_.links()) {
    for (std::size_t begin = 0;;) {
      const auto name = std::string_view(link).substr(0, begin == 0 ? 0 : begin - 1);
      const auto found = by_name.find(name);
      StoredLeaf* const leaf = found == by_name.end() ? nullptr : found->second;
      if (leaf != nullptr && leaf->array &&
          leaf->array->leads_to_chunks(std::string_view(link).substr(begin))) {
        leaf->array = nullptr;
        damage_(linked_error(*leaf, link));
      }
      const auto slash = link.find('/', begin);
      if (slash == std::string::npos) break;
      begin = slash + 1;
    }
  }
}

const DatabaseEntry* ItemIndex::find_array(const StoredLeaf& leaf, zarr::Format* format) const {
  const bool v3 = !metadata_ || metadata_->use_zarr3;
  *format = v3 ? zarr::Format::v3 : zarr::Format::v2;
  if (const DatabaseEntry* found = database_.find(array_key(leaf.name, *format))) return found;
  // What the item's metadata says of the format is a hint: the array's own file decides.
  const zarr::Format other = v3 ? zarr::Format::v2 : zarr::Format::v3;
  const DatabaseEntry* found = database_.find(array_key(leaf.name, other));
  if (found != nullptr) *format = other;
  return found;
}

/// A FormatError makes printable text of the type's name.
Error ItemIndex::foreign_error(const StoredLeaf& leaf) const {
  const FormatError error(std::string(orbax::kTreeMetadataFile), "value_type",
                          '"' + leaf.text + '"',
                          "Orbax's own types; a leaf of another can be read by the program alone "
                          "that registered the type, and the others by their names",
                          std::nullopt, FormatError::Kind::unsupported);
  const Error named = leaf_error(leaf, code_of(error), error.what(),
                                 join_path(item_->path, std::string(orbax::kTreeMetadataFile)));
  ErrorContext context = named.context();
  context.remedy =
      "Leave it out: select the other leaves, or give a target with a Placeholder() in its place";
  return Error(named.code(), named.reason(), context);
}

void ItemIndex::set_array_or_none(StoredLeaf& leaf) {
  std::optional<Error> fault;
  try {
    set_array(leaf);
  } catch (const Error& error) {
    fault = error;
  }
  if (fault) damage_(*fault);
}

void ItemIndex::set_array(StoredLeaf& leaf) {
  zarr::Format format{};
  const DatabaseEntry* entry = find_array(leaf, &format);
  // What could not be read has been reported.
  if (entry == nullptr && !database_.complete()) return;
  if (entry != nullptr && entry->place != ValuePlace::inlined) return;
  if (entry == nullptr) {
    const std::string key = array_key(leaf.name, format);
    if (!database_.may_hold(key)) throw name_error(leaf);
    if (const std::string* link = database_.link_above(key)) throw linked_error(leaf, *link);
    throw leaf_error(leaf, ErrorCode::data_loss, "there is no '" + key + "' for this array",
                     database_.path_of_missing(key));
  }
  check_array_metadata(leaf, *entry);
  leaf.array = decoded(leaf, *entry, format);
}

Error ItemIndex::name_error(const StoredLeaf& leaf) const {
  const FormatError error(std::string(orbax::kTreeMetadataFile), "an array's name",
                          '"' + leaf.name + '"',
                          "a path that stays below the item, no part of it empty, \".\" or \"..\"");
  return leaf_error(leaf, code_of(error), error.what(),
                    join_path(item_->path, std::string(orbax::kTreeMetadataFile)));
}

/// In a plain directory the file is the value. In a database it shares its file with others, and
/// where a node has it, which may be compressed, the node is as near as an offset leads.
Error ItemIndex::value_error(const StoredLeaf& leaf, const DatabaseEntry& entry, ErrorCode code,
                             std::string reason, std::optional<std::uint64_t> at) const {
  std::string path = database_.path_of(entry);
  if (!database_.is_ocdbt()) return leaf_error(leaf, code, std::move(reason), std::move(path), at);
  std::string place = "value of the key '" + entry.key + "'";
  if (at) place += ", bytes counted from its start";
  const std::uint64_t offset = entry.offset + (entry.in_node ? 0 : at.value_or(0));
  return leaf_error(leaf, code, place + ": " + reason, std::move(path), offset);
}

/// A file of a plain layout has no checksum but the record's.
void ItemIndex::check_array_metadata(const StoredLeaf& leaf, const DatabaseEntry& entry) const {
  const auto found = array_metadata_.find(leaf.name);
  if (found == array_metadata_.end()) return;
  if (*found->second == hash_of(std::as_bytes(std::span(entry.value)))) return;
  throw value_error(leaf, entry, ErrorCode::data_loss, std::string(kNotAsCommitted));
}

StoredArrayPtr ItemIndex::decoded(const StoredLeaf& leaf, const DatabaseEntry& entry,
                                  zarr::Format format) {
  StoredArrayPtr& known = known_[(format == zarr::Format::v3 ? '3' : '2') + entry.value];
  if (known) return known;
  try {
    known = std::make_shared<const StoredArray>(format == zarr::Format::v3
                                                    ? zarr::decode_metadata(entry.value)
                                                    : zarr::decode_v2_metadata(entry.value));
  } catch (const FormatError& error) {
    throw value_error(leaf, entry, code_of(error), error.what(), error.offset());
  }
  return known;
}

/// The entries of the chunks that a partial read wants.
Task<void> ItemIndex::load_chunk_entries() {
  KeySet keys;
  std::uint64_t named_bytes = 0;
  for (const StoredLeaf& leaf : leaves_) {
    const auto box = leaf.array ? leaf.wanted_chunks() : std::nullopt;
    if (!box) continue;
    std::uint64_t count = 1;
    for (const Index extent : box->shape) {
      count = std::min(count, kChunksByName + 1) *
              std::min(static_cast<std::uint64_t>(extent), kChunksByName + 1);
    }
    const std::uint64_t more = count * 2 * (leaf.name.size() + kNameOverhead);
    if (count > kChunksByName || named_bytes + more > kNamesBytesMax) {
      keys.add_prefix(leaf.name.empty() ? "" : leaf.name + "/");
      continue;
    }
    named_bytes += more;
    for (std::uint64_t i = 0; i < count; ++i) {
      Shape index = index_of(box->shape, i);
      for (std::size_t d = 0; d < index.size(); ++d) index[d] += box->origin[d];
      keys.add_key(leaf.chunk_key(linear_of(leaf.array->grid, index)));
    }
  }
  keys.seal();
  co_await database_.load(std::move(keys));
  refuse_linked_chunks();
}

}  // namespace cairn::internal
