#include <cairn/codecs/cast.h>
#include <cairn/manager/error.h>
#include <cairn/manager/internal/chunk_copy.h>
#include <cairn/manager/internal/layout.h>
#include <cairn/manager/internal/part_chunks.h>
#include <cairn/manager/internal/share_plan.h>

#include <algorithm>
#include <array>
#include <bit>
#include <stdexcept>
#include <unordered_map>

namespace cairn::internal {
namespace {

static_assert(blosc::kHeaderBytes <= kPackAlignment);
static_assert(std::endian::native == std::endian::little,
              "arrays are stored little-endian as they lie in memory");

[[noreturn]] void refuse(const KeyPath& path, std::string reason, std::string remedy) {
  ErrorContext context;
  context.key_path = to_string(path);
  context.remedy = std::move(remedy);
  throw Error(ErrorCode::invalid_argument, std::move(reason), context);
}

struct ArrayKind {
  DType dtype;
  const Shape* shape;
};

const Shape kScalarShape{};

/// dtype and shape of a leaf that is stored as an array.
ArrayKind kind_of(const FlatEntry& entry) {
  const Tree::Value& value = entry.node->value();
  if (const auto* array = std::get_if<Array>(&value)) return {array->dtype(), &array->shape()};
  if (const auto* view = std::get_if<ArrayView>(&value)) return {view->dtype(), &view->shape()};
  if (const auto* memory = std::get_if<MutableArrayView>(&value))
    return {memory->dtype(), &memory->shape()};
  if (const auto* leaf = std::get_if<Leaf>(&value)) return {leaf->dtype(), &leaf->shape()};
  if (std::holds_alternative<bool>(value)) return {DType::boolean, &kScalarShape};
  if (std::holds_alternative<std::int64_t>(value)) return {DType::int64, &kScalarShape};
  if (std::holds_alternative<std::uint64_t>(value)) return {DType::uint64, &kScalarShape};
  if (std::holds_alternative<double>(value)) return {DType::float64, &kScalarShape};
  if (const auto* spec = std::get_if<LeafSpec>(&value)) {
    refuse(entry.path, "a leaf spec (" + to_string(*spec) + ") has no elements to save",
           "Give specs and placeholders to a restore, as its target");
  }
  refuse(entry.path, "a " + std::string(entry.node->kind()) + " cannot be saved as an array",
         "Save text with PyTreeSave, or in a JSON item");
}

bool is_scalar(const Tree& node) {
  return node.is<bool>() || node.is<std::int64_t>() || node.is<std::uint64_t>() ||
         node.is<double>();
}

/// The type of an empty container, or none for a leaf with data.
std::optional<orbax::ValueType> empty_type(const Tree& node) {
  if (node.is<Null>()) return orbax::ValueType::none;
  if (node.is<Dict>()) return orbax::ValueType::empty_dict;
  if (node.is<List>()) return orbax::ValueType::empty_list;
  if (node.is<Tuple>()) return orbax::ValueType::empty_tuple;
  return std::nullopt;
}

void check_coverage(const KeyPath& path, const Leaf& leaf) {
  Index covered = 0;
  for (const LeafPart& part : leaf.parts()) covered += element_count(part.range.shape);
  if (covered == element_count(leaf.shape())) return;
  refuse(path,
         "the parts of the leaf cover " + std::to_string(covered) + " of " +
             std::to_string(element_count(leaf.shape())) + " elements",
         "Give all of it, or set ManagerOptions::coordinator where other processes have the rest");
}

/// Chunks of one encoding that share an extent, in the making; offsets are relative to its start.
struct Pack {
  std::vector<ChunkPlace> places;
  std::size_t used = 0;   ///< bytes of staging
  std::size_t bound = 0;  ///< bytes encoded, at most
  std::uint64_t elements = 0;
};

/// One save's plan in the making.
class Planner {
 public:
  Planner(const args::TreeSave& args, const PlanSettings& settings)
      : args_(args), settings_(settings) {
    layout_.layout = settings.layout;
  }

  ItemLayout plan() {
    const Tree& tree = args_.tree;
    std::vector<FlatEntry> flat = flatten(tree);
    if (flat.size() == 1 && flat[0].path.empty() && empty_type(*flat[0].node)) {
      refuse({}, "the tree is empty", "Give at least one array or scalar");
    }
    layout_.entries.reserve(flat.size());
    layout_.leaves.reserve(flat.size());
    for (FlatEntry& entry : flat) {
      const orbax::ValueType type = add(entry);
      orbax::TreeEntry& metadata = layout_.entries.emplace_back();
      metadata.path = std::move(entry.path);
      metadata.type = type;
    }
    if (!strings_.empty()) layout_.strings = orbax::encode_strings(strings_);
    layout_.by_name = sorted_by_name(layout_.leaves);
    check_names(layout_);
    for (std::size_t i = 0; i < kEncodings; ++i) close_pack(static_cast<Encoding>(i));
    KeyNames path;
    collect_tuples(tree, &path);
    return std::move(layout_);
  }

 private:
  /// Returns what the metadata calls it.
  orbax::ValueType add(const FlatEntry& entry) {
    if (const auto empty = empty_type(*entry.node)) return *empty;
    if (const auto* text = std::get_if<std::string>(&entry.node->value());
        text != nullptr && settings_.strings) {
      add_string(entry.path, *text);
      return orbax::ValueType::string;
    }
    ArrayKind kind = kind_of(entry);
    if (!is_scalar(*entry.node)) kind.dtype = stored_type(entry.path, kind.dtype);
    const auto* leaf = std::get_if<Leaf>(&entry.node->value());
    if (leaf != nullptr && settings_.survey == Survey::none && !settings_.shares)
      check_coverage(entry.path, *leaf);
    PlannedLeaf planned;
    planned.name = dotted_name(entry.path);
    planned.node = entry.node;
    planned.entry = static_cast<std::uint32_t>(layout_.entries.size());
    const std::size_t bytes = byte_count(kind.dtype, *kind.shape);
    const SharePlan::LeafShare* share =
        settings_.shares ? &settings_.shares->leaf(layout_.leaves.size()) : nullptr;
    planned.choice = share != nullptr ? share->choice : choose(entry, kind.dtype, bytes);
    Shape chunk;
    if (share != nullptr) {
      chunk = share->chunk_shape;
    } else if (leaf != nullptr) {
      chunk = chunk_of_parts(*leaf, kind.dtype, chunk_target(bytes));
    }
    planned.layout = array_layout(kind, planned.choice, bytes, chunk);
    if (entry.node->is<std::uint64_t>()) layout_.unsigned_scalars.push_back(planned.name);
    layout_.leaves.push_back(std::move(planned));
    if (share == nullptr) layout_.element_bytes += bytes;
    if (settings_.survey == Survey::none)
      place_chunks(static_cast<std::uint32_t>(layout_.leaves.size() - 1));
    return is_scalar(*entry.node) ? orbax::ValueType::scalar : orbax::ValueType::np_ndarray;
  }

  [[nodiscard]] CodecChoice choose(const FlatEntry& entry, DType dtype, std::size_t bytes) const {
    std::optional<Codec> asked;
    if (args_.codec_for) asked = args_.codec_for(entry.path, dtype);
    if (settings_.survey != Survey::shapes) {
      return choose_codec(asked.value_or(settings_.codec), *entry.node, dtype, bytes,
                          settings_.automatic);
    }
    CodecChoice unseen;
    unseen.asked = asked.value_or(settings_.codec);
    return unseen;
  }

  /// What an array of `dtype` is stored as.
  [[nodiscard]] DType stored_type(const KeyPath& path, DType dtype) const {
    std::optional<DType> asked;
    if (args_.cast_for) asked = args_.cast_for(path, dtype);
    const DType stored = asked.value_or(args_.cast.value_or(dtype));
    if (castable(dtype, stored)) return stored;
    refuse(path, std::string(name_of(dtype)) + " cannot be cast to " + std::string(name_of(stored)),
           "Cast to float32, or leave this array as it is");
  }

  void add_string(const KeyPath& path, std::string_view text) {
    try {
      orbax::put_string(strings_, dotted_name(path), text);
    } catch (const std::invalid_argument& error) {
      refuse(path, "the string cannot be saved: " + std::string(error.what()), "Rename a key");
    }
  }

  /// Index of the layout shared by all leaves of this dtype, shape, codec and chunk; an empty
  /// `chunk`: one that suits.
  std::uint32_t array_layout(const ArrayKind& kind, const CodecChoice& choice, std::size_t bytes,
                             const Shape& chunk) {
    key_.assign({static_cast<char>(kind.dtype), static_cast<char>(choice.encoding),
                 static_cast<char>(choice.asked.kind()), static_cast<char>(choice.asked.level())});
    key_.append(reinterpret_cast<const char*>(kind.shape->data()),
                kind.shape->size() * sizeof(Index));
    key_.append(reinterpret_cast<const char*>(chunk.data()), chunk.size() * sizeof(Index));
    const auto [found, fresh] =
        known_.try_emplace(key_, static_cast<std::uint32_t>(layout_.arrays.size()));
    if (!fresh) return found->second;
    const bool zarr3 = uses_zarr3(settings_.layout);
    ArrayLayout array;
    zarr::ArrayMetadata& metadata = array.metadata;
    metadata.format = zarr3 ? zarr::Format::v3 : zarr::Format::v2;
    metadata.dtype = kind.dtype;
    metadata.shape = *kind.shape;
    metadata.chunk_shape =
        !chunk.empty() ? chunk
                       : zarr::choose_chunk_shape(kind.dtype, *kind.shape, chunk_target(bytes));
    metadata.codecs = chain_of(choice, kind.dtype, metadata.format);
    metadata.v2_keys = !zarr3;
    metadata.key_separator = zarr3 ? '/' : '.';
    array.text = zarr::encode_metadata(metadata);
    array.encoding = choice.encoding;
    array.grid = zarr::grid_shape(metadata);
    array.chunks = static_cast<std::uint64_t>(element_count(array.grid));
    array.chunk_bytes = byte_count(kind.dtype, metadata.chunk_shape);
    array.stored_bytes = zarr::chunk_size_bound(metadata);
    layout_.arrays.push_back(std::move(array));
    return found->second;
  }

  [[nodiscard]] std::size_t chunk_target(std::size_t bytes) const {
    if (!settings_.incremental) return kChunkBytes;
    return std::clamp(bytes / kChunksPerArray, kFineChunkBytesMin, kFineChunkBytesMax);
  }

  void place_chunks(std::uint32_t leaf) {
    const ArrayLayout& array = layout_.arrays[layout_.leaves[leaf].layout];
    for (std::uint64_t chunk = 0; chunk < array.chunks; ++chunk) {
      ChunkPlace place;
      place.leaf = leaf;
      place.chunk = chunk;
      if (settings_.shares) {
        const IndexRange box = chunk_range(array, chunk);
        if (!settings_.shares->writes(leaf, box)) continue;
        layout_.element_bytes += byte_count(array.metadata.dtype, box.shape);
      }
      if (array.stored_bytes <= kInlineBytes && uses_ocdbt(settings_.layout)) {
        place.offset = layout_.inlined_bytes;
        layout_.inlined_bytes += std::max(array.stored_bytes, array.chunk_bytes + kChecksumBytes);
        layout_.inlined.push_back(place);
      } else if (array.chunk_bytes + kChecksumBytes < kPackBytes) {
        pack(place, array);
      } else {
        place_alone(place, array);
      }
    }
  }

  /// Bytes before the elements of a chunk: for a frame's header, and so that they are aligned as
  /// they mostly are where they come from. A file of a chunk alone begins with the header.
  [[nodiscard]] std::size_t room_before(Encoding encoding) const {
    if (!is_gated(encoding)) return 0;
    return uses_ocdbt(settings_.layout) ? kPackAlignment : blosc::kHeaderBytes;
  }

  void place_alone(ChunkPlace place, const ArrayLayout& array) {
    Extent extent;
    extent.encoding = array.encoding;
    place.offset = room_before(array.encoding);
    extent.staging_bytes =
        align_up(place.offset + array.chunk_bytes + kChecksumBytes, kFileAlignment);
    extent.encoded_bytes = align_up(array.stored_bytes, kFileAlignment);
    extent.element_bytes = element_bytes_of(layout_, place);
    append_extent(extent, std::span(&place, 1));
  }

  /// Adds to the open pack of its encoding, which is closed when it is full: large chunks pass it
  /// by, so that the small arrays between them still share extents.
  void pack(ChunkPlace place, const ArrayLayout& array) {
    Pack& open = packs_[static_cast<std::size_t>(array.encoding)];
    const std::size_t before = room_before(array.encoding);
    const std::size_t size = before + array.chunk_bytes + kChecksumBytes;
    if (open.used + size > kPackedExtentBytes) close_pack(array.encoding);
    place.offset = open.used + before;
    open.places.push_back(place);
    open.used = align_up(open.used + size, kPackAlignment);
    open.bound += align_up(array.stored_bytes, kPackAlignment);
    open.elements += element_bytes_of(layout_, place);
  }

  void close_pack(Encoding encoding) {
    Pack& open = packs_[static_cast<std::size_t>(encoding)];
    if (open.places.empty()) return;
    Extent extent;
    extent.encoding = encoding;
    extent.staging_bytes = align_up(open.used, kFileAlignment);
    extent.encoded_bytes = align_up(open.bound, kFileAlignment);
    extent.element_bytes = open.elements;
    append_extent(extent, open.places);
    open = Pack();
  }

  void append_extent(Extent extent, std::span<const ChunkPlace> places) {
    extent.first = layout_.placed.size();
    extent.count = places.size();
    layout_.placed.insert(layout_.placed.end(), places.begin(), places.end());
    layout_.staging_bytes += extent.staging_bytes;
    // What is linked, and so not written, is not known beforehand either.
    extent.fixed =
        extent.encoding == Encoding::raw && uses_ocdbt(settings_.layout) && !settings_.incremental;
    if (extent.fixed) {
      extent.offset = layout_.fixed_bytes;
      layout_.fixed_bytes += extent.staging_bytes;
    } else {
      layout_.open_bytes += std::max(extent.staging_bytes, extent.encoded_bytes);
    }
    layout_.extents.push_back(extent);
  }

  void collect_tuples(const Tree& node, KeyNames* path) {
    auto visit = [&](const Tree& child, std::string key) {
      path->push_back(std::move(key));
      collect_tuples(child, path);
      path->pop_back();
    };
    if (const auto* dict = std::get_if<Dict>(&node.value())) {
      for (const auto& [key, child] : *dict) visit(child, key);
    } else if (const auto* list = std::get_if<List>(&node.value())) {
      for (std::size_t i = 0; i < list->size(); ++i) visit((*list)[i], std::to_string(i));
    } else if (const auto* tuple = std::get_if<Tuple>(&node.value())) {
      if (!tuple->empty()) layout_.tuples.push_back(*path);
      for (std::size_t i = 0; i < tuple->size(); ++i) visit((*tuple)[i], std::to_string(i));
    }
  }

  const args::TreeSave& args_;
  const PlanSettings settings_;
  ItemLayout layout_;
  boost::json::object strings_;
  std::unordered_map<std::string, std::uint32_t> known_;
  std::string key_;  ///< of known_, in the making
  std::array<Pack, kEncodings> packs_;
};

}  // namespace

ItemLayout plan_item(const args::TreeSave& args, const PlanSettings& settings) {
  return Planner(args, settings).plan();
}

}  // namespace cairn::internal
