#include <cairn/manager/error.h>
#include <cairn/manager/internal/layout.h>

#include <bit>
#include <cstring>
#include <unordered_map>
#include <unordered_set>

namespace cairn::internal {
namespace {

static_assert(std::endian::native == std::endian::little,
              "arrays are stored little-endian as they lie in memory");

[[noreturn]] void refuse(const KeyPath& path, std::string reason, std::string remedy) {
  ErrorContext context;
  context.key_path = to_string(path);
  context.remedy = std::move(remedy);
  throw Error(ErrorCode::invalid_argument, std::move(reason), context);
}

std::size_t align_up(std::size_t value, std::size_t alignment) {
  return (value + alignment - 1) / alignment * alignment;
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
  if (const auto* leaf = std::get_if<Leaf>(&value)) return {leaf->dtype(), &leaf->shape()};
  if (std::holds_alternative<bool>(value)) return {DType::boolean, &kScalarShape};
  if (std::holds_alternative<std::int64_t>(value)) return {DType::int64, &kScalarShape};
  if (std::holds_alternative<std::uint64_t>(value)) return {DType::uint64, &kScalarShape};
  if (std::holds_alternative<double>(value)) return {DType::float64, &kScalarShape};
  refuse(entry.path, "a " + std::string(entry.node->kind()) + " cannot be saved as an array",
         "Save text in a JSON item");
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

/// One save's plan in the making.
class Planner {
 public:
  explicit Planner(const args::StandardSave& args) : args_(args) {}

  ItemLayout plan() {
    const Tree& tree = args_.tree;
    const std::vector<FlatEntry> flat = flatten(tree);
    if (flat.size() == 1 && flat[0].path.empty() && empty_type(*flat[0].node)) {
      refuse({}, "the tree is empty", "Give at least one array or scalar");
    }
    layout_.entries.reserve(flat.size());
    layout_.leaves.reserve(flat.size());
    for (const FlatEntry& entry : flat) add(entry);
    check_names(flat);
    close_pack();
    collect_tuples(tree, "", true);
    return std::move(layout_);
  }

 private:
  void add(const FlatEntry& entry) {
    orbax::TreeEntry metadata;
    metadata.path = entry.path;
    if (const auto empty = empty_type(*entry.node)) {
      metadata.type = *empty;
      layout_.entries.push_back(std::move(metadata));
      return;
    }
    const ArrayKind kind = kind_of(entry);
    // Asked for every leaf, so that a program meets its own chooser's errors today; there is one
    // codec so far.
    if (args_.codec_for) static_cast<void>(args_.codec_for(entry.path, kind.dtype));
    metadata.type =
        is_scalar(*entry.node) ? orbax::ValueType::scalar : orbax::ValueType::np_ndarray;
    if (const auto* leaf = std::get_if<Leaf>(&entry.node->value()))
      check_coverage(entry.path, *leaf);
    PlannedLeaf planned;
    planned.name = dotted_name(entry.path);
    planned.node = entry.node;
    planned.layout = array_layout(kind);
    if (entry.node->is<std::uint64_t>()) layout_.unsigned_scalars.push_back(planned.name);
    layout_.leaves.push_back(std::move(planned));
    layout_.entries.push_back(std::move(metadata));
    place_chunks(static_cast<std::uint32_t>(layout_.leaves.size() - 1));
  }

  static void check_coverage(const KeyPath& path, const Leaf& leaf) {
    Index covered = 0;
    for (const LeafPart& part : leaf.parts()) covered += element_count(part.range.shape);
    if (covered != element_count(leaf.shape())) {
      refuse(path,
             "the parts of the leaf cover " + std::to_string(covered) + " of " +
                 std::to_string(element_count(leaf.shape())) + " elements",
             "One process saves the whole array in this release");
    }
  }

  /// Index of the layout shared by all leaves of this dtype and shape.
  std::uint32_t array_layout(const ArrayKind& kind) {
    std::string key(1, static_cast<char>(kind.dtype));
    key.append(reinterpret_cast<const char*>(kind.shape->data()),
               kind.shape->size() * sizeof(Index));
    const auto [found, fresh] =
        known_.try_emplace(std::move(key), static_cast<std::uint32_t>(layout_.arrays.size()));
    if (!fresh) return found->second;
    ArrayLayout array;
    array.metadata.dtype = kind.dtype;
    array.metadata.shape = *kind.shape;
    array.metadata.chunk_shape = zarr::choose_chunk_shape(kind.dtype, *kind.shape, kChunkBytes);
    array.metadata.codecs = {zarr::Bytes{}, zarr::Crc32c{}};
    array.text = zarr::encode_metadata(array.metadata);
    array.grid = zarr::grid_shape(array.metadata);
    array.chunks = static_cast<std::uint64_t>(element_count(array.grid));
    array.chunk_bytes = byte_count(kind.dtype, array.metadata.chunk_shape);
    array.stored_bytes = zarr::chunk_size_bound(array.metadata);  // what these codecs always give
    layout_.arrays.push_back(std::move(array));
    return found->second;
  }

  void place_chunks(std::uint32_t leaf) {
    const ArrayLayout& array = layout_.arrays[layout_.leaves[leaf].layout];
    layout_.element_bytes += byte_count(array.metadata.dtype, array.metadata.shape);
    for (std::uint64_t chunk = 0; chunk < array.chunks; ++chunk) {
      if (array.stored_bytes <= kInlineBytes) {
        layout_.inlined.push_back({leaf, chunk, layout_.inlined.size()});
      } else if (array.stored_bytes < kPackBytes) {
        pack(leaf, chunk, array.stored_bytes);
      } else {
        place_alone(leaf, chunk, align_up(array.stored_bytes, kFileAlignment));
      }
    }
  }

  void place_alone(std::uint32_t leaf, std::uint64_t chunk, std::size_t size) {
    const ChunkPlace place{leaf, chunk, 0};
    append_extent(size, std::span(&place, 1));
  }

  /// Adds to the open pack, which takes its place in the file when it is full: large chunks pass it
  /// by, so that the small arrays between them still share extents.
  void pack(std::uint32_t leaf, std::uint64_t chunk, std::size_t size) {
    if (pack_used_ + size > kPackedExtentBytes) close_pack();
    pack_.push_back({leaf, chunk, pack_used_});
    pack_used_ = align_up(pack_used_ + size, kPackAlignment);
  }

  void close_pack() {
    if (pack_.empty()) return;
    append_extent(align_up(pack_used_, kFileAlignment), pack_);
    pack_.clear();
    pack_used_ = 0;
  }

  /// `places` have offsets relative to the extent.
  void append_extent(std::size_t size, std::span<const ChunkPlace> places) {
    layout_.extents.push_back({layout_.file_bytes, size, layout_.placed.size(), places.size()});
    for (ChunkPlace place : places) {
      place.offset += layout_.file_bytes;
      layout_.placed.push_back(place);
    }
    layout_.file_bytes += size;
    layout_.largest_extent = std::max<std::uint64_t>(layout_.largest_extent, size);
  }

  /// Refuses two leaves of one name, and a leaf whose name is a path prefix of another's: their
  /// keys in the database would run into each other.
  void check_names(const std::vector<FlatEntry>& flat) const {
    std::unordered_set<std::string_view> names;
    names.reserve(layout_.leaves.size());
    for (const PlannedLeaf& leaf : layout_.leaves) {
      if (!names.insert(leaf.name).second) {
        refuse(path_of(flat, leaf), "another leaf has the same dotted name '" + leaf.name + "'",
               "Rename a key");
      }
    }
    const bool unnamed = names.contains("");
    for (const PlannedLeaf& leaf : layout_.leaves) {
      const std::string_view name = leaf.name;
      // The keys of a leaf without a name begin with these.
      const std::string_view first = name.substr(0, name.find('/'));
      if (unnamed && (first == "zarr.json" || first == "c")) {
        refuse(path_of(flat, leaf),
               "its name '" + leaf.name + "' runs into the keys of the leaf whose name is empty",
               "Rename a key");
      }
      for (auto slash = name.find('/'); slash != std::string_view::npos;
           slash = name.find('/', slash + 1)) {
        if (!names.contains(name.substr(0, slash))) continue;
        refuse(path_of(flat, leaf),
               "its name '" + leaf.name + "' lies below that of another leaf, '" +
                   std::string(name.substr(0, slash)) + "'",
               "Rename a key so that it does not hold '/'");
      }
    }
  }

  static KeyPath path_of(const std::vector<FlatEntry>& flat, const PlannedLeaf& leaf) {
    for (const FlatEntry& entry : flat) {
      if (entry.node == leaf.node) return entry.path;
    }
    return {};
  }

  void collect_tuples(const Tree& node, const std::string& name, bool root) {
    auto visit = [&](const Tree& child, const std::string& key) {
      collect_tuples(child, root ? key : name + "." + key, false);
    };
    if (const auto* dict = std::get_if<Dict>(&node.value())) {
      for (const auto& [key, child] : *dict) visit(child, key);
    } else if (const auto* list = std::get_if<List>(&node.value())) {
      for (std::size_t i = 0; i < list->size(); ++i) visit((*list)[i], std::to_string(i));
    } else if (const auto* tuple = std::get_if<Tuple>(&node.value())) {
      if (!tuple->empty()) layout_.tuples.push_back(name);
      for (std::size_t i = 0; i < tuple->size(); ++i) visit((*tuple)[i], std::to_string(i));
    }
  }

  const args::StandardSave& args_;
  ItemLayout layout_;
  std::unordered_map<std::string, std::uint32_t> known_;
  std::vector<ChunkPlace> pack_;  ///< offsets relative to its start
  std::size_t pack_used_ = 0;     ///< bytes
};

}  // namespace

ItemLayout plan_item(const args::StandardSave& args) {
  return Planner(args).plan();
}

ArrayView view_of(const Tree& node, std::byte* scalar) {
  auto store = [&](DType dtype, const auto& value) {
    std::memcpy(scalar, &value, sizeof(value));
    return ArrayView(dtype, Shape(), scalar);
  };
  const Tree::Value& value = node.value();
  if (const auto* array = std::get_if<Array>(&value)) return ArrayView(*array);
  if (const auto* view = std::get_if<ArrayView>(&value)) return *view;
  if (const auto* v = std::get_if<bool>(&value))
    return store(DType::boolean, static_cast<std::uint8_t>(*v));
  if (const auto* v = std::get_if<std::int64_t>(&value)) return store(DType::int64, *v);
  if (const auto* v = std::get_if<std::uint64_t>(&value)) return store(DType::uint64, *v);
  return store(DType::float64, std::get<double>(value));
}

Shape grid_index(const Shape& grid, std::uint64_t chunk) {
  Shape index(grid.size());
  for (std::size_t d = grid.size(); d-- > 0;) {
    const auto extent = static_cast<std::uint64_t>(grid[d]);
    index[d] = static_cast<Index>(chunk % extent);
    chunk /= extent;
  }
  return index;
}

IndexRange chunk_range(const zarr::ArrayMetadata& metadata, const Shape& grid,
                       std::uint64_t chunk) {
  IndexRange range{grid_index(grid, chunk), Shape(grid.size())};
  for (std::size_t d = 0; d < grid.size(); ++d) {
    range.origin[d] *= metadata.chunk_shape[d];
    range.shape[d] = std::min(metadata.chunk_shape[d], metadata.shape[d] - range.origin[d]);
  }
  return range;
}

std::string metadata_key(const std::string& name) {
  return name.empty() ? "zarr.json" : name + "/zarr.json";
}

std::string chunk_entry_key(const std::string& name, const ArrayLayout& array,
                            std::uint64_t chunk) {
  const std::string key = zarr::chunk_key(array.metadata, grid_index(array.grid, chunk));
  return name.empty() ? key : name + "/" + key;
}

}  // namespace cairn::internal
