#include <cairn/codecs/format_error.h>
#include <cairn/engine/cpu_pool.h>
#include <cairn/engine/nursery.h>
#include <cairn/manager/internal/chunk_copy.h>
#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/tree_reader.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

namespace cairn::internal {
namespace {

constexpr std::uint64_t kTreeMetadataBytesMax = std::uint64_t{2} << 30;
constexpr std::uint64_t kRecordBytesMax = 256u << 20;
/// Chunks no further apart than this are read in one go, up to kReadBytes.
constexpr std::uint64_t kReadGap = 64u << 10;
constexpr std::uint64_t kReadBytes = 4u << 20;
/// What libblosc and Orbax can hold in one chunk.
constexpr std::uint64_t kChunkBytesMax = std::uint64_t{1} << 31;

Error unsupported(const FolderPtr& item, std::string reason) {
  ErrorContext context;
  context.operation = "restore";
  context.path = item->path;
  return Error(ErrorCode::not_supported, std::move(reason), context);
}

// Little-endian elements in C order, whatever follows them.
bool stored_as_in_memory(const zarr::ArrayMetadata& metadata) {
  const auto* bytes = std::get_if<zarr::Bytes>(&metadata.codecs.front().value);
  return bytes != nullptr && !bytes->big_endian;
}

}  // namespace

Task<void> TreeReader::open() {
  const std::string tree_path = join_path(item_->path, std::string(orbax::kTreeMetadataFile));
  const std::string text =
      co_await read_file(item_, std::string(orbax::kTreeMetadataFile), kTreeMetadataBytesMax);
  const std::optional<std::string> record =
      co_await read_file_if_there(item_, std::string(kRecordFile), kRecordBytesMax);
  try {
    metadata_ = orbax::decode_tree_metadata(text);
  } catch (const FormatError& error) {
    ErrorContext context;
    context.path = tree_path;
    context.offset = error.offset();
    throw Error(ErrorCode::data_loss, error.what(), context);
  }
  if (metadata_.use_ocdbt == false)
    throw unsupported(item_, "this release reads OCDBT databases only");
  if (!metadata_.use_zarr3) throw unsupported(item_, "this release reads zarr v3 arrays only");
  database_ = co_await read_database(item_);
  files_.resize(database_.files.size());
  file_sizes_.resize(database_.files.size());
  if (record) {
    try {
      record_ = decode_record(*record);
    } catch (const FormatError& error) {
      ErrorContext context;
      context.path = join_path(item_->path, std::string(kRecordFile));
      context.offset = error.offset();
      throw Error(ErrorCode::data_loss, error.what(), context);
    }
  }
  leaves_.reserve(metadata_.entries.size());
  for (const orbax::TreeEntry& entry : metadata_.entries) add_leaf(entry);
}

void TreeReader::add_leaf(const orbax::TreeEntry& entry) {
  StoredLeaf leaf;
  leaf.entry = entry;
  leaf.name = dotted_name(entry.path);
  using orbax::ValueType;
  leaf.has_data = entry.type == ValueType::jax_array || entry.type == ValueType::np_ndarray ||
                  entry.type == ValueType::scalar;
  if (entry.type == ValueType::string)
    throw unsupported(item_, "this release does not read string leaves: " + to_string(entry.path));
  if (leaf.has_data) {
    const DatabaseEntry* found = database_.find(metadata_key(leaf.name));
    if (found == nullptr || !found->inlined) {
      throw chunk_error(leaf, 0,
                        found == nullptr ? "the database has no zarr.json for this array"
                                         : "its zarr.json is not inline",
                        join_path(item_->path, "manifest.ocdbt"), std::nullopt);
    }
    try {
      leaf.metadata = zarr::decode_metadata(found->value);
    } catch (const FormatError& error) {
      // Sound, but encoded in a way that this release does not know.
      if (error.field().starts_with("codecs"))
        throw unsupported(item_, to_string(leaf.entry.path) + ": " + error.what());
      throw chunk_error(leaf, 0, error.what(), join_path(item_->path, metadata_key(leaf.name)),
                        error.offset());
    }
    leaf.grid = zarr::grid_shape(leaf.metadata);
    leaf.chunks = static_cast<std::uint64_t>(element_count(leaf.grid));
    leaf.chunk_bytes = byte_count(leaf.metadata.dtype, leaf.metadata.chunk_shape);
    const std::optional<std::size_t> stored_bytes = zarr::fixed_chunk_size(leaf.metadata);
    if (!stored_bytes)
      throw unsupported(item_,
                        to_string(leaf.entry.path) +
                            ": this release reads chunks without compression and shards only");
    leaf.stored_bytes = *stored_bytes;
    check_claims(leaf);
  }
  leaves_.push_back(std::move(leaf));
}

void TreeReader::check_claims(const StoredLeaf& leaf) const {
  const std::string path = join_path(item_->path, "manifest.ocdbt");
  if (leaf.chunks > database_.entries.size()) {
    throw chunk_error(leaf, 0,
                      "its zarr.json asks for " + std::to_string(leaf.chunks) +
                          " chunks, the database has " + std::to_string(database_.entries.size()) +
                          " entries",
                      path, std::nullopt);
  }
  if (leaf.chunk_bytes > kChunkBytesMax) {
    throw chunk_error(leaf, 0,
                      "its zarr.json asks for chunks of " + std::to_string(leaf.chunk_bytes) +
                          " bytes, at most " + std::to_string(kChunkBytesMax) + " are allowed",
                      path, std::nullopt);
  }
  if (leaf.chunks == 0) return;
  const std::string key = zarr::chunk_key(leaf.metadata, grid_index(leaf.grid, 0));
  const DatabaseEntry* first = database_.find(leaf.name.empty() ? key : leaf.name + "/" + key);
  const std::uint64_t length = first == nullptr ? 0
                               : first->inlined ? first->value.size()
                                                : first->length;
  if (first != nullptr && length != leaf.stored_bytes) {
    throw chunk_error(leaf, 0,
                      "it has " + std::to_string(length) + " bytes, its zarr.json asks for " +
                          std::to_string(leaf.stored_bytes),
                      path, first->offset);
  }
}

Error TreeReader::chunk_error(const StoredLeaf& leaf, std::uint64_t chunk, std::string reason,
                              std::string path, std::optional<std::uint64_t> offset) const {
  ErrorContext context;
  context.operation = "read";
  context.item = name_;
  context.key_path = to_string(leaf.entry.path);
  context.path = std::move(path);
  context.offset = offset;
  if (leaf.chunks > 0)
    reason =
        "chunk " + zarr::chunk_key(leaf.metadata, grid_index(leaf.grid, chunk)) + ": " + reason;
  return Error(ErrorCode::data_loss, std::move(reason), context);
}

std::uint64_t TreeReader::element_bytes() const {
  std::uint64_t bytes = 0;
  for (const StoredLeaf& leaf : leaves_) {
    if (leaf.has_data) bytes += byte_count(leaf.metadata.dtype, leaf.metadata.shape);
  }
  return bytes;
}

std::uint64_t TreeReader::stored_bytes(const StoredLeaf& leaf) const {
  std::uint64_t bytes = 0;
  for (std::uint64_t chunk = 0; leaf.has_data && chunk < leaf.chunks; ++chunk) {
    const std::string key = zarr::chunk_key(leaf.metadata, grid_index(leaf.grid, chunk));
    const DatabaseEntry* found = database_.find(leaf.name.empty() ? key : leaf.name + "/" + key);
    if (found != nullptr) bytes += found->inlined ? found->value.size() : found->length;
  }
  return bytes;
}

void TreeReader::take_chunk(std::uint32_t index, std::uint64_t chunk, std::byte* stored,
                            Targets* targets) const {
  const StoredLeaf& leaf = leaves_[index];
  if (targets == nullptr) return zarr::check_chunk(leaf.metadata, {stored, leaf.stored_bytes});
  std::vector<std::byte> decoded;
  // Elements that lie as they do in memory need no place of their own.
  if (stored_as_in_memory(leaf.metadata)) {
    zarr::check_chunk(leaf.metadata, {stored, leaf.stored_bytes});
  } else {
    decoded.resize(leaf.chunk_bytes);
    zarr::decode_chunk(leaf.metadata, {stored, leaf.stored_bytes}, decoded);
  }
  load_chunk(decoded.empty() ? stored : decoded.data(), leaf.metadata.dtype,
             chunk_range(leaf.metadata, leaf.grid, chunk), leaf.metadata.chunk_shape,
             leaf.metadata.shape, (*targets)[index].bytes().data());
}

void TreeReader::fill_missing(std::uint32_t index, std::uint64_t chunk, Targets* targets) const {
  if (targets == nullptr) return;
  const StoredLeaf& leaf = leaves_[index];
  std::vector<std::byte> elements(leaf.chunk_bytes);
  const std::size_t width = size_of(leaf.metadata.dtype);
  if (!leaf.metadata.fill_value.empty()) {
    for (std::size_t i = 0; i < elements.size(); i += width) {
      std::memcpy(elements.data() + i, leaf.metadata.fill_value.data(), width);
    }
  }
  load_chunk(elements.data(), leaf.metadata.dtype, chunk_range(leaf.metadata, leaf.grid, chunk),
             leaf.metadata.chunk_shape, leaf.metadata.shape, (*targets)[index].bytes().data());
}

std::vector<ReadExtent> TreeReader::plan_reads(Targets* targets, const DamageSink& sink) {
  struct Wanted {
    std::uint32_t file;
    ReadExtent::Piece piece;
    std::uint64_t length;
  };
  std::vector<Wanted> wanted;
  for (std::uint32_t i = 0; i < leaves_.size(); ++i) {
    const StoredLeaf& leaf = leaves_[i];
    for (std::uint64_t chunk = 0; leaf.has_data && chunk < leaf.chunks; ++chunk) {
      const std::string key = zarr::chunk_key(leaf.metadata, grid_index(leaf.grid, chunk));
      const DatabaseEntry* found = database_.find(leaf.name.empty() ? key : leaf.name + "/" + key);
      if (found == nullptr) {
        if (metadata_.store_array_data_equal_to_fill_value) {
          sink(chunk_error(leaf, chunk, "the database has no such chunk",
                           join_path(item_->path, "manifest.ocdbt"), std::nullopt));
        } else {
          fill_missing(i, chunk, targets);
        }
        continue;
      }
      const std::uint64_t length = found->inlined ? found->value.size() : found->length;
      const std::string path =
          join_path(item_->path,
                    found->inlined ? std::string("manifest.ocdbt") : database_.files[found->file]);
      if (length != leaf.stored_bytes) {
        sink(chunk_error(leaf, chunk,
                         "it has " + std::to_string(length) + " bytes, its zarr.json asks for " +
                             std::to_string(leaf.stored_bytes),
                         path, found->offset));
        continue;
      }
      if (found->inlined) {
        std::string value = found->value;
        try {
          take_chunk(i, chunk, reinterpret_cast<std::byte*>(value.data()), targets);
          ++verified_chunks_;
          verified_bytes_ += value.size();
        } catch (const FormatError& error) {
          sink(chunk_error(leaf, chunk, error.what(), path, std::nullopt));
        }
        continue;
      }
      wanted.push_back({found->file, {i, chunk, found->offset}, length});
    }
  }
  std::ranges::sort(wanted, [](const Wanted& a, const Wanted& b) {
    return std::pair(a.file, a.piece.offset) < std::pair(b.file, b.piece.offset);
  });
  std::vector<ReadExtent> extents;
  for (const Wanted& next : wanted) {
    const std::uint64_t end = next.piece.offset + next.length;
    const bool joins = !extents.empty() && extents.back().file == next.file &&
                       next.piece.offset <= extents.back().end + kReadGap &&
                       end <= extents.back().begin + kReadBytes;
    if (!joins) {
      extents.emplace_back();
      extents.back().file = next.file;
      extents.back().begin = next.piece.offset;
    }
    extents.back().end = std::max(extents.back().end, end);
    extents.back().pieces.push_back(next.piece);
  }
  return extents;
}

Task<FilePtr> TreeReader::data_file(std::uint32_t index) {
  if (files_[index]) co_return files_[index];
  FilePtr file = co_await open_file(item_, database_.files[index], engine::OpenMode::read,
                                    item_->engine->direct_io());
  auto [error, status] = co_await file->file.async_stat(kAsTuple);
  if (error) raise_failure(error, "look at", file->path);
  file_sizes_[index] = status.size;
  files_[index] = file;
  co_return file;
}

Task<void> TreeReader::read_extent(ReadExtent extent, Targets* targets, DamageSink sink) {
  FilePtr file = co_await data_file(extent.file);
  const std::uint64_t alignment = std::max<std::uint64_t>(file->file.alignment(), 1);
  const std::uint64_t begin = extent.begin / alignment * alignment;
  const std::uint64_t end = (extent.end + alignment - 1) / alignment * alignment;
  if (extent.end > file_sizes_[extent.file]) {
    for (const ReadExtent::Piece& piece : extent.pieces) {
      sink(chunk_error(leaves_[piece.leaf], piece.chunk,
                       "it should end at byte " +
                           std::to_string(piece.offset + leaves_[piece.leaf].stored_bytes) +
                           ", but the file has " + std::to_string(file_sizes_[extent.file]) +
                           " bytes",
                       file->path, piece.offset));
    }
    co_return;
  }
  auto [error, buffer] = co_await item_->engine->window().async_acquire(end - begin, kAsTuple);
  if (error) raise_failure(error, "wait for memory", item_->path);
  const std::size_t count = co_await read_some_at(file, begin, buffer.span().first(end - begin));
  std::byte* const data = buffer.data();
  auto check = [this, &extent, &file, begin, count, data, targets] {
    std::vector<Error> damages;
    for (const ReadExtent::Piece& piece : extent.pieces) {
      const StoredLeaf& leaf = leaves_[piece.leaf];
      try {
        if (piece.offset - begin + leaf.stored_bytes > count)
          throw FormatError("chunk", "bytes", "an early end of the file",
                            std::to_string(leaf.stored_bytes));
        take_chunk(piece.leaf, piece.chunk, data + (piece.offset - begin), targets);
      } catch (const FormatError& damage) {
        damages.push_back(chunk_error(leaf, piece.chunk, damage.what(), file->path, piece.offset));
      }
    }
    return damages;
  };
  const std::vector<Error> damages =
      co_await engine::async_run(item_->engine->cpu(), std::move(check), asio::use_awaitable);
  for (const Error& damage : damages) sink(damage);
  verified_chunks_ += extent.pieces.size() - damages.size();
  for (const ReadExtent::Piece& piece : extent.pieces)
    verified_bytes_ += leaves_[piece.leaf].stored_bytes;
}

Task<void> TreeReader::read_chunks(Targets* targets, DamageSink sink) {
  auto plan = [this, targets, &sink] { return plan_reads(targets, sink); };
  std::vector<ReadExtent> extents =
      co_await engine::async_run(item_->engine->cpu(), std::move(plan), asio::use_awaitable);
  // Bounds what waits in the arena's queue; the arena itself bounds the bytes.
  constexpr std::size_t kReadsInFlight = 64;
  engine::Nursery reads(item_->engine->executor());
  for (ReadExtent& extent : extents) {
    if (!co_await reads.wait_below(kReadsInFlight)) break;
    reads.spawn(read_extent(std::move(extent), targets, sink));
  }
  co_await reads.join();
}

Task<Tree> TreeReader::load() {
  Targets arrays(leaves_.size());
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    if (leaves_[i].has_data)
      arrays[i] = Array::uninitialized(leaves_[i].metadata.dtype, leaves_[i].metadata.shape);
  }
  DamageSink sink = [](const Error& error) { throw error; };
  co_await read_chunks(&arrays, sink);
  std::vector<std::pair<KeyPath, Tree>> entries;
  entries.reserve(leaves_.size());
  for (std::size_t i = 0; i < leaves_.size(); ++i) {
    entries.emplace_back(leaves_[i].entry.path, value_of(leaves_[i], std::move(arrays[i])));
  }
  Tree tree = unflatten(std::move(entries));
  if (record_) restore_tuples(tree);
  co_return tree;
}

Task<void> TreeReader::verify(VerifyReport& report, DamageSink sink) {
  if (record_ && record_->manifest_hash != content_hash(database_.manifest)) {
    ErrorContext context;
    context.path = join_path(item_->path, "manifest.ocdbt");
    context.item = name_;
    sink(Error(ErrorCode::data_loss, "the manifest is not the one that the item was committed with",
               context));
  }
  co_await read_chunks(nullptr, sink);
  for (const StoredLeaf& leaf : leaves_) report.arrays += leaf.has_data ? 1 : 0;
  report.chunks += verified_chunks_;
  report.bytes += verified_bytes_;
}

Tree TreeReader::value_of(const StoredLeaf& leaf, Array array) const {
  using orbax::ValueType;
  switch (leaf.entry.type) {
    case ValueType::none:
      return Tree(Null());
    case ValueType::empty_dict:
      return Tree(Dict());
    case ValueType::empty_list:
      return Tree(List());
    case ValueType::empty_tuple:
    case ValueType::empty_named_tuple:
      return Tree(Tuple());
    case ValueType::jax_array:
    case ValueType::np_ndarray:
    case ValueType::string:
      return Tree(std::move(array));
    case ValueType::scalar:
      break;
  }
  if (!array.shape().empty()) return Tree(std::move(array));
  switch (array.dtype()) {
    case DType::boolean:
      return Tree(std::to_integer<int>(array.bytes()[0]) != 0);
    case DType::int64:
      return Tree(array.values<std::int64_t>()[0]);
    case DType::uint64:
      return Tree(array.values<std::uint64_t>()[0]);
    case DType::float64:
      return Tree(array.values<double>()[0]);
    default:
      return Tree(std::move(array));
  }
}

void TreeReader::restore_tuples(Tree& tree) const {
  const std::unordered_set<std::string> names(record_->tuples.begin(), record_->tuples.end());
  if (names.empty()) return;
  std::function<void(Tree&, const std::string&, bool)> visit =
      [&](Tree& node, const std::string& name, bool root) {
        auto below = [&](const std::string& key) { return root ? key : name + "." + key; };
        if (auto* dict = std::get_if<Dict>(&node.value())) {
          for (auto& [key, child] : *dict) visit(child, below(key), false);
        } else if (auto* list = std::get_if<List>(&node.value())) {
          for (std::size_t i = 0; i < list->size(); ++i)
            visit((*list)[i], below(std::to_string(i)), false);
          if (!names.contains(name)) return;
          Tuple tuple;
          for (Tree& child : *list) tuple.push_back(std::move(child));
          node = Tree(std::move(tuple));
        }
      };
  visit(tree, "", true);
}

}  // namespace cairn::internal
