#include <cairn/manager/internal/chunk_plan.h>

#include <algorithm>
#include <cassert>
#include <limits>
#include <map>

namespace cairn::internal {
namespace {

/// Pieces no further apart than this are read in one go, up to kReadBytes.
constexpr std::uint64_t kReadGap = 64u << 10;
constexpr std::uint64_t kReadBytes = 4u << 20;
/// Shards of more elements than this are read by inner chunks, which bounds the memory and shares
/// the work of decoding.
constexpr std::uint64_t kWholeShardBytes = kReadBytes;
/// Where the codecs set no limit, or one upon another: more than any of them makes of a constant
/// (bzip2: 44 MiB from 45 bytes). A chunk that claims more is not decoded.
constexpr std::uint64_t kExpansionMax = 1u << 21;
/// What a shard of any length may decode to: most of it may be left out.
constexpr std::uint64_t kShardExpansion = std::uint64_t{1} << 30;
/// Small chunks may claim this much, whatever they are.
constexpr std::uint64_t kFreeExpansion = 1u << 20;
/// A chunk may be larger than its array, which may be meant to grow: by this factor, or where it
/// has no more bytes than that. What decodes to more than it has stored bytes is refused beyond, or
/// an array of one element could cost any memory.
constexpr std::uint64_t kChunkOfArray = 16;
constexpr std::uint64_t kFreeChunkBytes = 256u << 20;
static_assert(kFreeChunkBytes > kWholeShardBytes);
/// Foreign encoders may write more than ours do at most, but not much more.
constexpr std::uint64_t kSlackBytes = 64u << 10;

/// Finding a key by its name costs as much as looking at so many in a row, or less.
constexpr std::size_t kEntriesPerLookUp = 32;

/// Of the chunks in `box` of the leaf's grid.
std::uint64_t nth_chunk(const StoredLeaf& leaf, const IndexRange& box, std::uint64_t place) {
  Shape at = index_of(box.shape, place);
  for (std::size_t d = 0; d < at.size(); ++d) at[d] += box.origin[d];
  return linear_of(leaf.array->grid, at);
}

/// Builds one plan.
class Planner {
 public:
  Planner(const ReadScope& scope, const DamageSink& sink) : scope_(scope), sink_(sink) {}

  ReadPlan plan() {
    for (std::uint32_t leaf = 0; leaf < scope_.leaves.size(); ++leaf) {
      if (scope_.leaves[leaf].array) add_leaf(leaf);
    }
    for (auto& [file, pieces] : by_file_) {
      std::vector<ReadExtent> extents = join_pieces(file, std::move(pieces));
      std::ranges::move(extents, std::back_inserter(plan_.extents));
    }
    return std::move(plan_);
  }

 private:
  void add_leaf(std::uint32_t number) {
    const StoredLeaf& leaf = scope_.leaves[number];
    const auto box = leaf.wanted_chunks();
    if (!box) return;
    // The database's keys are what is walked, not the grid: a few bytes of metadata can claim any
    // number of chunks.
    const std::string prefix = leaf.name.empty() ? "" : leaf.name + "/";
    const std::span<const DatabaseEntry> entries = database().below(prefix);
    const auto wanted = static_cast<std::uint64_t>(element_count(box->shape));
    std::vector<std::uint64_t> found;
    const auto take = [&](std::uint64_t chunk, const DatabaseEntry& entry) {
      found.push_back(chunk);
      add_chunk(number, chunk, entry);
    };
    if (wanted < entries.size() / kEntriesPerLookUp) {
      // A small box of a large array.
      for (std::uint64_t i = 0; i < wanted; ++i) {
        const std::uint64_t chunk = nth_chunk(leaf, *box, i);
        const DatabaseEntry* entry = database().find(leaf.chunk_key(chunk));
        if (entry != nullptr) take(chunk, *entry);
      }
    } else {
      for (const DatabaseEntry& entry : entries) {
        const auto chunk = leaf.array->chunk_of(std::string_view(entry.key).substr(prefix.size()));
        if (chunk && contains(*box, index_of(leaf.array->grid, *chunk))) take(*chunk, entry);
      }
    }
    if (found.size() == wanted) return;
    if (scope_.index.missing_is_damage()) {
      report_missing(number, *box, std::move(found), wanted);
    } else {
      plan_.incomplete.push_back(number);
    }
  }

  void report_missing(std::uint32_t number, const IndexRange& box, std::vector<std::uint64_t> found,
                      std::uint64_t wanted) {
    const StoredLeaf& leaf = scope_.leaves[number];
    std::ranges::sort(found);
    std::uint64_t place = 0;
    ChunkPiece piece;
    piece.leaf = number;
    for (;; ++place) {
      piece.chunk = nth_chunk(leaf, box, place);
      if (place == found.size() || found[place] != piece.chunk) break;
    }
    const std::uint64_t missing = wanted - found.size();
    sink_(chunk_error(scope_, piece,
                      missing == 1 ? std::string("it is not there")
                                   : "it is not there, nor are " + std::to_string(missing - 1) +
                                         " others of this array",
                      database().path_of_missing(leaf.chunk_key(piece.chunk))));
  }

  void add_chunk(std::uint32_t number, std::uint64_t chunk, const DatabaseEntry& entry) {
    const StoredLeaf& leaf = scope_.leaves[number];
    ChunkPiece piece;
    piece.leaf = number;
    piece.chunk = chunk;
    const bool inlined = entry.place == ValuePlace::inlined;
    // Within what is read: the file, or the value that is here already.
    piece.offset = inlined ? 0 : entry.offset;
    piece.length = inlined ? entry.value.size() : entry.length;
    if (entry.place == ValuePlace::whole_file) {
      ReadExtent extent;
      extent.file = entry.file;
      extent.whole_file = true;
      extent.pieces.push_back(piece);
      (by_inner_chunks(leaf, chunk) ? plan_.shards : plan_.extents).push_back(std::move(extent));
      return;
    }
    const std::string fault = length_fault(*leaf.array, piece.length, leaf.array_bytes());
    if (!fault.empty()) {
      sink_(chunk_error(scope_, piece, fault, database().path_of(entry), entry.offset));
    } else if (inlined) {
      const auto at = static_cast<std::size_t>(&entry - database().entries().data());
      plan_.inlined.push_back({piece, at});
    } else if (by_inner_chunks(leaf, chunk)) {
      ReadExtent extent;
      extent.file = entry.file;
      extent.begin = piece.offset;
      extent.end = piece.offset + piece.length;
      extent.pieces.push_back(piece);
      plan_.shards.push_back(std::move(extent));
    } else {
      by_file_[entry.file].push_back(piece);
    }
  }

  [[nodiscard]] const ItemDatabase& database() const { return scope_.index.database(); }

  const ReadScope scope_;
  const DamageSink& sink_;
  ReadPlan plan_;
  std::map<std::uint32_t, std::vector<ChunkPiece>> by_file_;
};

/// "chunk c/0/1", with the inner chunk where it is one.
std::string name_of(const ReadScope& scope, const ChunkPiece& piece) {
  const StoredArray& array = *scope.leaves[piece.leaf].array;
  std::string text = "chunk " + array.chunk_key(piece.chunk);
  if (piece.inner) text += ", inner chunk " + array.inner->chunk_key(*piece.inner);
  return text;
}

IndexRange box_of(const StoredLeaf& leaf, const ChunkPiece& piece) {
  IndexRange box = leaf.array->chunk_box(piece.chunk);
  if (!piece.inner) return box;
  IndexRange inner = leaf.array->inner->chunk_box(*piece.inner);
  for (std::size_t d = 0; d < box.origin.size(); ++d) inner.origin[d] += box.origin[d];
  return inner;
}

}  // namespace

ReadPlan plan_reads(const ReadScope& scope, const DamageSink& sink) {
  return Planner(scope, sink).plan();
}

bool by_inner_chunks(const StoredLeaf& leaf, std::uint64_t chunk) {
  if (!leaf.array->inner || leaf.array->inner->chunks <= 1) return false;
  if (leaf.array->chunk_bytes > kWholeShardBytes) return true;
  if (!leaf.range) return false;
  const auto shard = intersection(leaf.array->chunk_box(chunk), leaf.array->whole());
  return shard && intersection(*shard, leaf.wanted()) != shard;
}

PieceView::PieceView(const StoredLeaf& l, const ChunkPiece& piece)
    : leaf(l), array(piece.inner ? *l.array->inner : *l.array), box(box_of(l, piece)) {
  const auto shared = intersection(box, leaf.wanted());
  assert(shared);
  wanted = *shared;
}

Error chunk_error(const ReadScope& scope, const ChunkPiece& piece, std::string reason,
                  std::string path, std::optional<std::uint64_t> offset) {
  return scope.index.leaf_error(scope.leaves[piece.leaf], ErrorCode::data_loss,
                                name_of(scope, piece) + ": " + reason, std::move(path), offset);
}

Error chunk_error(const ReadScope& scope, const ChunkPiece& piece, const Error& cause) {
  ErrorContext context = cause.context();
  context.item = scope.index.name();
  context.key_path = to_string(scope.leaves[piece.leaf].path);
  return Error(cause.code(), name_of(scope, piece) + ": " + cause.reason(), context);
}

std::uint64_t decoded_bytes_max(const StoredArray& array, std::uint64_t length) {
  const std::uint64_t free = array.inner ? kShardExpansion : kFreeExpansion;
  const std::uint64_t expansion = std::min(array.expansion.value_or(kExpansionMax), kExpansionMax);
  std::uint64_t most = 0;
  if (__builtin_mul_overflow(length, expansion, &most))
    return std::numeric_limits<std::uint64_t>::max();
  return std::max(free, most);
}

std::string length_fault(const StoredArray& array, std::uint64_t length,
                         std::uint64_t array_bytes) {
  const std::string has = "it has " + std::to_string(length) + " bytes, its metadata asks for ";
  if (array.stored_bytes) {
    if (length == *array.stored_bytes) return "";
    return has + std::to_string(*array.stored_bytes);
  }
  // What a shard leaves out is the fill value, and takes no bytes; between inner chunks there may
  // be gaps of any size.
  const bool shard = array.inner != nullptr;
  const std::uint64_t most = 2 * array.stored_bytes_max + kSlackBytes;
  if (!shard && length > most) return has + "at most " + std::to_string(most);
  if (array.chunk_bytes > decoded_bytes_max(array, length)) {
    return "it has " + std::to_string(length) + " bytes, too few to decode to the " +
           std::to_string(array.chunk_bytes) + " of its metadata";
  }
  // A shard of several inner chunks is never decoded as a whole where it is so large.
  const bool whole = !shard || array.inner->chunks <= 1;
  if (whole && array.chunk_bytes > kFreeChunkBytes &&
      array.chunk_bytes / kChunkOfArray > std::max(array_bytes, length)) {
    return "it has " + std::to_string(length) + " bytes and decodes to " +
           std::to_string(array.chunk_bytes) + ", which an array of " +
           std::to_string(array_bytes) + " bytes does not justify: at most " +
           std::to_string(kFreeChunkBytes) + ", or " + std::to_string(kChunkOfArray) +
           " times the larger of both";
  }
  return "";
}

std::vector<ReadExtent> join_pieces(std::uint32_t file, std::vector<ChunkPiece> pieces) {
  std::ranges::sort(pieces, {}, &ChunkPiece::offset);
  std::vector<ReadExtent> extents;
  for (const ChunkPiece& next : pieces) {
    const std::uint64_t end = next.offset + next.length;
    const bool joins = !extents.empty() && next.offset <= extents.back().end + kReadGap &&
                       end <= extents.back().begin + kReadBytes;
    if (!joins) {
      extents.emplace_back();
      extents.back().file = file;
      extents.back().begin = next.offset;
    }
    extents.back().end = std::max(extents.back().end, end);
    extents.back().pieces.push_back(next);
  }
  return extents;
}

}  // namespace cairn::internal
