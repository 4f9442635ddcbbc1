#include <cairn/manager/error.h>
#include <cairn/manager/internal/safetensors_plan.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <unordered_map>

namespace cairn::internal {
namespace {

/// Blocks of direct I/O.
constexpr std::uint64_t kDirectAlignment = 4096;
constexpr std::size_t kSmallAlignment = 64;
constexpr std::size_t kAlignmentMax = std::size_t{1} << 20;
/// From here on a page of padding is nothing beside the data.
constexpr std::uint64_t kAlignedFrom = std::uint64_t{1} << 20;

[[noreturn]] void refuse(ErrorCode code, const KeyPath& path, std::string reason,
                         std::string remedy = "") {
  ErrorContext context;
  context.key_path = to_string(path);
  context.remedy = std::move(remedy);
  throw Error(code, std::move(reason), context);
}

/// A number as an array of rank 0 that its view keeps.
template <class T>
ArrayView view_of_number(T value) {
  auto owner = std::make_shared<const T>(value);
  const void* const data = owner.get();
  return ArrayView(dtype_of<T>(), {}, data, {}, std::move(owner));
}

/// The elements of a node that is in memory; none for any other kind.
std::optional<ArrayView> view_of_elements(const Tree& node) {
  if (auto view = view_of(node)) return view;
  const Tree::Value& value = node.value();
  if (const auto* flag = std::get_if<bool>(&value)) return view_of_number(*flag);
  if (const auto* number = std::get_if<std::int64_t>(&value)) return view_of_number(*number);
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return view_of_number(*number);
  if (const auto* real = std::get_if<double>(&value)) return view_of_number(*real);
  return std::nullopt;
}

void check_covered(const KeyPath& path, const Leaf& leaf) {
  Index have = 0;
  for (const LeafPart& part : leaf.parts()) have += element_count(part.range.shape);
  if (have == element_count(leaf.shape())) return;
  refuse(ErrorCode::invalid_argument, path,
         "this process has " + std::to_string(have) + " of its " +
             std::to_string(element_count(leaf.shape())) + " elements");
}

/// Whether the entry becomes a tensor.
bool take(const FlatEntry& entry, bool drop_empty, PlannedTensor& tensor) {
  const Tree::Value& value = entry.node->value();
  tensor.memory = view_of_elements(*entry.node);
  tensor.leaf = std::get_if<Leaf>(&value);
  if (tensor.memory) {
    tensor.dtype = tensor.memory->dtype();
    tensor.shape = tensor.memory->shape();
  } else if (tensor.leaf != nullptr) {
    tensor.dtype = tensor.leaf->dtype();
    tensor.shape = tensor.leaf->shape();
    check_covered(entry.path, *tensor.leaf);
  } else {
    if (const auto* spec = std::get_if<LeafSpec>(&value)) {
      refuse(ErrorCode::invalid_argument, entry.path,
             "a leaf spec (" + to_string(*spec) + ") has no elements to save",
             "Give specs and placeholders to a restore, as its target");
    }
    const bool text = entry.node->is<std::string>();
    if (drop_empty && !text) return false;
    refuse(ErrorCode::not_supported, entry.path,
           "safetensors has tensors only, not a " + std::string(entry.node->kind()),
           text ? "Give the metadata what is text"
                : "Give drop_empty (--drop-empty) to leave nulls and empty containers out");
  }
  if (!safetensors::safetensors_name(tensor.dtype)) {
    refuse(ErrorCode::not_supported, entry.path,
           "safetensors has no " + std::string(name_of(tensor.dtype)),
           "Save the array as another dtype");
  }
  const std::uint64_t memory = byte_count(tensor.dtype, tensor.shape);
  tensor.packing = safetensors::packing_of(tensor.dtype);
  if (memory % tensor.packing != 0) {
    refuse(ErrorCode::not_supported, entry.path,
           "safetensors packs two elements of " + std::string(name_of(tensor.dtype)) +
               " into a byte, and these are " + std::to_string(memory),
           "Save the array as another dtype");
  }
  tensor.bytes = memory / tensor.packing;
  return true;
}

std::vector<PlannedTensor> collect(const Tree& tree, const SafetensorsWriteOptions& options) {
  std::vector<PlannedTensor> tensors;
  std::unordered_map<std::string, KeyPath> paths;
  for (const FlatEntry& entry : flatten(tree)) {
    PlannedTensor tensor;
    if (!take(entry, options.drop_empty, tensor)) continue;
    tensor.name = entry.path.empty() ? options.root_name : dotted_name(entry.path);
    const auto [place, is_new] = paths.emplace(tensor.name, entry.path);
    if (!is_new) {
      refuse(ErrorCode::invalid_argument, entry.path,
             "its name would be \"" + tensor.name + "\", as that of " + to_string(place->second) +
                 " is",
             "Rename one of the keys");
    }
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

/// In the tree's order: a file takes tensors until the next would make it too large.
std::vector<PlannedFile> split(std::vector<PlannedTensor> tensors, std::uint64_t most) {
  std::vector<PlannedFile> files(1);
  for (PlannedTensor& tensor : tensors) {
    PlannedFile* file = &files.back();
    const bool full = most != 0 && !file->tensors.empty() &&
                      (file->data_bytes > most || tensor.bytes > most - file->data_bytes);
    if (full) file = &files.emplace_back();
    file->data_bytes += tensor.bytes;
    file->tensors.push_back(std::move(tensor));
  }
  if (files.size() > safetensors::kMaxShards) {
    throw Error(ErrorCode::invalid_argument, "max_shard_bytes " + std::to_string(most) + " makes " +
                                                 std::to_string(files.size()) + " files, at most " +
                                                 std::to_string(safetensors::kMaxShards) +
                                                 " can be numbered");
  }
  return files;
}

std::size_t alignment_of(const PlannedFile& file, const SafetensorsWriteOptions& options) {
  if (options.alignment != 0) return options.alignment;
  return file.data_bytes >= kAlignedFrom ? kDirectAlignment : kSmallAlignment;
}

/// Wide elements first, in the tree's order otherwise: so every tensor starts at a multiple of its
/// element's size, which readers that map the file rely on. Where the data begins at a block of
/// direct I/O, whole blocks stay ahead of everything else, and so aligned to blocks.
void sort_for_alignment(PlannedFile& file, std::size_t alignment) {
  const bool by_blocks = alignment % kDirectAlignment == 0;
  const auto rank = [by_blocks](const PlannedTensor& tensor) {
    return std::pair(by_blocks && tensor.bytes % kDirectAlignment == 0, size_of(tensor.dtype));
  };
  std::ranges::stable_sort(file.tensors, std::ranges::greater(), rank);
}

void lay_out(PlannedFile& file, const SafetensorsWriteOptions& options) {
  const std::size_t alignment = alignment_of(file, options);
  sort_for_alignment(file, alignment);
  safetensors::Header header;
  header.metadata = options.metadata;
  header.tensors.reserve(file.tensors.size());
  for (const PlannedTensor& tensor : file.tensors) {
    safetensors::TensorInfo info;
    info.name = tensor.name;
    info.dtype = tensor.dtype;
    info.shape = tensor.shape;
    header.tensors.push_back(std::move(info));
  }
  try {
    file.start = safetensors::encode_header(header, alignment);
  } catch (const std::invalid_argument& error) {
    throw Error(ErrorCode::invalid_argument, error.what());
  }
  for (std::size_t i = 0; i < file.tensors.size(); ++i) {
    file.tensors[i].begin = header.data_offset + header.tensors[i].begin;
  }
  file.size = header.data_offset + file.data_bytes;
}

}  // namespace

std::vector<PlannedFile> plan_safetensors(const Tree& tree,
                                          const SafetensorsWriteOptions& options) {
  const std::size_t alignment = options.alignment;
  if ((alignment & (alignment - 1)) != 0 || alignment > kAlignmentMax) {
    throw Error(ErrorCode::invalid_argument, "the alignment is " + std::to_string(alignment) +
                                                 ": allowed are powers of two up to " +
                                                 std::to_string(kAlignmentMax));
  }
  std::vector<PlannedFile> files = split(collect(tree, options), options.max_shard_bytes);
  for (PlannedFile& file : files) lay_out(file, options);
  return files;
}

std::vector<PlannedPiece> pieces_of(const PlannedFile& file, std::uint64_t begin,
                                    std::uint64_t end) {
  std::vector<PlannedPiece> pieces;
  // The first tensor that ends behind `begin`.
  auto next = std::ranges::upper_bound(file.tensors, begin, {}, [](const PlannedTensor& tensor) {
    return tensor.begin + tensor.bytes;
  });
  for (; next != file.tensors.end() && next->begin < end; ++next) {
    if (next->bytes == 0) continue;
    const std::uint64_t from = std::max(begin, next->begin);
    const std::uint64_t to = std::min(end, next->begin + next->bytes);
    pieces.emplace_back(&*next, from - next->begin, to - next->begin, from - begin);
  }
  return pieces;
}

}  // namespace cairn::internal
