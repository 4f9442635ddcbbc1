#include <cairn/codecs/format_error.h>
#include <cairn/codecs/internal/checksummed.h>
#include <cairn/codecs/path_index.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>
#include <utility>

namespace cairn {
namespace {

using internal::append_checksum;
using internal::ByteReader;
using internal::ByteWriter;
using internal::Field;
using internal::kChecksumBytes;
using internal::without_checksum;
using orbax::ValueType;

constexpr std::string_view kHeader = "_CAIRN_INDEX header";
constexpr std::string_view kRoot = "_CAIRN_INDEX root";
constexpr std::string_view kBlock = "_CAIRN_INDEX block";
constexpr std::string_view kMagic{"CAIRNIDX", 8};
constexpr std::uint32_t kVersion = 1;
static_assert(kPathIndexHeaderBytes ==
              8 + sizeof(kVersion) + sizeof(std::uint64_t) + kChecksumBytes);
/// A block is closed once it has as much behind its first leaf: some hundreds of leaves.
constexpr std::size_t kBlockBytes = 16u << 10;
// The fewest bytes that one of each takes: what a count must leave room for.
constexpr std::uint64_t kMinPlaceBytes = 3;
constexpr std::uint64_t kMinBlockBytes = 9;
constexpr std::uint64_t kMinLeafBytes = 4;
constexpr std::uint64_t kMinKeyBytes = 2;
/// What a key takes beside its name, about.
constexpr std::size_t kKeyBytes = 32;
static_assert(kBlockBytes + 2 * kPathIndexPathBytesMax < kPathIndexBlockBytesMax);

enum KeyKind : std::uint8_t { kInList = 1, kInDict = 2, kInTuple = 3 };

/// By their numbers in the file, from 1.
constexpr std::array kTypes = {
    ValueType::jax_array,  ValueType::np_ndarray,  ValueType::scalar,
    ValueType::string,     ValueType::none,        ValueType::empty_dict,
    ValueType::empty_list, ValueType::empty_tuple, ValueType::empty_named_tuple};

bool in_tuple(const IndexedLeaf& leaf, std::size_t key) {
  return std::ranges::binary_search(leaf.in_tuples, key);
}

std::size_t decoded_bytes(const KeyPath& path) noexcept {
  std::size_t bytes = 0;
  for (const Key& key : path) bytes += kKeyBytes + key.name.size();
  return bytes;
}

bool same_key(const IndexedLeaf& a, const IndexedLeaf& b, std::size_t key) {
  return a.path[key] == b.path[key] && in_tuple(a, key) == in_tuple(b, key);
}

std::uint8_t kind_of(const IndexedLeaf& leaf, std::size_t key) {
  if (leaf.path[key].kind == Key::Kind::dict) return kInDict;
  return in_tuple(leaf, key) ? kInTuple : kInList;
}

std::uint8_t number_of(ValueType type) {
  const auto found = std::ranges::find(kTypes, type);
  if (found == kTypes.end())
    throw std::invalid_argument("path index: a leaf of a foreign type cannot be in one");
  return static_cast<std::uint8_t>(found - kTypes.begin() + 1);
}

void write_leaf(const IndexedLeaf& leaf, std::size_t shared, std::string& to) {
  ByteWriter writer(to, kBlock);
  writer.varint(std::uint64_t{shared}, "shared");
  writer.varint(std::uint64_t{leaf.path.size() - shared}, "num_keys");
  for (std::size_t key = shared; key < leaf.path.size(); ++key) {
    writer.u8(kind_of(leaf, key), "kind");
    writer.varint(std::uint64_t{leaf.path[key].name.size()}, "name length");
    writer.bytes(leaf.path[key].name);
  }
  writer.u8(number_of(leaf.type), "type");
  writer.varint(leaf.place, "place");
}

/// `before` is what shared keys are of.
IndexedLeaf read_leaf(ByteReader& reader, std::uint64_t number, const IndexedLeaf& before) {
  IndexedLeaf leaf;
  std::uint64_t shared = 0;
  reader.varint(shared, Field("leaf", number, "shared"), before.path.size());
  std::uint64_t keys = 0;
  reader.varint(keys, Field("leaf", number, "num_keys"), kPathIndexPathBytesMax / kKeyBytes);
  reader.expect_room(keys, kMinKeyBytes, Field("leaf", number, "num_keys"));
  leaf.path.reserve(shared + keys);
  leaf.path.assign(before.path.begin(), before.path.begin() + static_cast<std::ptrdiff_t>(shared));
  for (const std::size_t key : before.in_tuples) {
    if (key < shared) leaf.in_tuples.push_back(key);
  }
  for (std::uint64_t i = 0; i < keys; ++i) {
    std::uint8_t kind = 0;
    reader.u8(kind, Field("leaf", number, "kind"), kInTuple);
    if (kind == 0) reader.fail(Field("leaf", number, "kind"), "0", "1 to 3");
    std::uint64_t length = 0;
    reader.varint(length, Field("leaf", number, "name length"));
    const auto name = reader.bytes(static_cast<std::size_t>(length), Field("leaf", number, "name"));
    if (kind == kInTuple) leaf.in_tuples.push_back(leaf.path.size());
    leaf.path.emplace_back(std::string(name),
                           kind == kInDict ? Key::Kind::dict : Key::Kind::sequence);
  }
  std::uint8_t type = 0;
  reader.u8(type, Field("leaf", number, "type"), static_cast<std::uint8_t>(kTypes.size()));
  if (type == 0) reader.fail(Field("leaf", number, "type"), "0", "1 to 9");
  leaf.type = kTypes[type - 1U];
  reader.varint(leaf.place, Field("leaf", number, "place"));
  return leaf;
}

}  // namespace

std::string index_key(const KeyPath& path) {
  std::string key = dotted_name(path);
  key.push_back('/');
  return key;
}

bool is_indexable(const KeyPath& path) noexcept {
  return decoded_bytes(path) <= kPathIndexPathBytesMax &&
         std::ranges::all_of(path, [](const Key& key) {
           return !key.name.empty() && key.name.find_first_of("/[") == std::string::npos;
         });
}

std::string name_of_text(std::string_view text) {
  std::string name;
  bool in_index = false;
  for (const char c : text) {
    if (c == '/') {
      name.push_back('.');
    } else if (c == '[') {
      if (!name.empty()) name.push_back('.');
      in_index = true;
    } else if (c == ']' && in_index) {
      in_index = false;
    } else {
      name.push_back(c);
    }
  }
  return name;
}

// ---- writing ------------------------------------------------------------------------------------

void PathIndexWriter::add(const IndexedLeaf& leaf) {
  std::string key = index_key(leaf.path);
  if (!is_indexable(leaf.path))
    throw std::invalid_argument("path index: '" + to_string(leaf.path) + "' cannot be in one");
  if (key < last_)
    throw std::invalid_argument("path index: '" + to_string(leaf.path) + "' is out of order");
  const std::size_t bytes = decoded_bytes(leaf.path);
  if (block_.size() >= first_bytes_ + kBlockBytes ||
      decoded_bytes_ + bytes > kPathIndexBlockBytesMax)
    close_block();
  std::size_t shared = 0;
  if (block_.empty()) {
    first_ = key;
  } else {
    const std::size_t most = std::min(leaf.path.size(), before_.path.size());
    while (shared < most && same_key(leaf, before_, shared)) ++shared;
  }
  const bool is_first = block_.empty();
  write_leaf(leaf, shared, block_);
  if (is_first) first_bytes_ = block_.size();
  last_ = std::move(key);
  before_ = leaf;
  ++leaves_in_block_;
  decoded_bytes_ += bytes;
}

void PathIndexWriter::close_block() {
  if (block_.empty()) return;
  std::string bytes;
  ByteWriter(bytes, kBlock).varint(leaves_in_block_, "num_leaves");
  bytes += block_;
  append_checksum(bytes, kBlock);
  PathIndexBlock& closed = closed_.emplace_back();
  closed.first = std::move(first_);
  closed.length = bytes.size();
  blocks_ += bytes;
  leaves_ += std::exchange(leaves_in_block_, 0);
  block_.clear();
  decoded_bytes_ = 0;
}

std::string PathIndexWriter::finish(std::string_view metadata) {
  close_block();
  const auto tail =
      metadata.substr(metadata.size() - std::min(metadata.size(), kPathIndexTailBytes));
  const ContentHash hash = hash_of(std::as_bytes(std::span(tail.data(), tail.size())));
  std::string root;
  ByteWriter writer(root, kRoot);
  writer.varint(std::uint64_t{metadata.size()}, "metadata_bytes");
  writer.raw(std::span(hash), "metadata_tail");
  writer.varint(leaves_, "num_leaves");
  writer.varint(std::uint64_t{closed_.size()}, "num_blocks");
  for (const PathIndexBlock& block : closed_) {
    writer.varint(std::uint64_t{block.first.size()}, "first");
    writer.bytes(block.first);
    writer.varint(block.length, "length");
  }
  if (root.size() + kChecksumBytes > kPathIndexRootBytesMax) return {};
  std::string file(kMagic);
  ByteWriter header(file, kHeader);
  header.little_endian(kVersion, "version");
  header.little_endian(std::uint64_t{root.size() + kChecksumBytes}, "root_length");
  append_checksum(file, kHeader);
  file.reserve(file.size() + root.size() + kChecksumBytes + blocks_.size());
  file += root;
  append_checksum(file, kRoot);
  file += blocks_;
  return file;
}

// ---- reading ------------------------------------------------------------------------------------

std::size_t path_index_root_end(std::string_view header) {
  ByteReader whole(header, kHeader);
  if (!header.starts_with(kMagic) || header.size() < kPathIndexHeaderBytes) {
    whole.fail("magic", fmt::format("{} bytes that do not begin an index", header.size()),
               fmt::format("\"{}\"", kMagic));
  }
  ByteReader reader(without_checksum(header.substr(0, kPathIndexHeaderBytes), kHeader), kHeader);
  static_cast<void>(reader.bytes(kMagic.size(), "magic"));
  std::uint32_t version = 0;
  reader.little_endian(version, "version");
  internal::check_version(reader, version, kVersion);
  std::uint64_t length = 0;
  reader.little_endian(length, "root_length");
  if (length > kPathIndexRootBytesMax) {
    reader.fail("root_length", std::to_string(length),
                fmt::format("at most {}", kPathIndexRootBytesMax));
  }
  return kPathIndexHeaderBytes + static_cast<std::size_t>(length);
}

PathIndexRoot decode_path_index_root(std::string_view head, std::uint64_t file_bytes) {
  const std::size_t end = path_index_root_end(head);
  if (head.size() != end) {
    ByteReader(head, kRoot)
        .reject("root_length", std::to_string(head.size()) + " bytes", std::to_string(end));
  }
  ByteReader reader(without_checksum(head, kRoot), kRoot);
  static_cast<void>(reader.bytes(kPathIndexHeaderBytes, "header"));
  PathIndexRoot root;
  reader.varint(root.metadata_bytes, "metadata_bytes");
  reader.raw(std::span(root.metadata_tail), "metadata_tail");
  reader.varint(root.leaves, "num_leaves");
  std::uint64_t count = 0;
  reader.varint(count, "num_blocks");
  reader.expect_room(count, kMinPlaceBytes, "num_blocks");
  if (count > (file_bytes - std::min<std::uint64_t>(end, file_bytes)) / kMinBlockBytes)
    reader.fail("num_blocks", std::to_string(count), "as many as the file has room for");
  root.blocks.resize(static_cast<std::size_t>(count));
  std::uint64_t offset = end;
  for (std::uint64_t i = 0; i < count; ++i) {
    PathIndexBlock& block = root.blocks[i];
    std::uint64_t length = 0;
    reader.varint(length, Field("block", i, "first"));
    block.first = reader.bytes(static_cast<std::size_t>(length), Field("block", i, "first"));
    if (i > 0 && block.first < root.blocks[i - 1].first) {
      reader.fail(Field("block", i, "first"), "a key before that of the block before",
                  "ascending keys");
    }
    reader.varint(block.length, Field("block", i, "length"), kPathIndexBlockBytesMax);
    block.offset = offset;
    offset += block.length;
  }
  reader.expect_end();
  if (offset != file_bytes) {
    reader.reject("the blocks' length", fmt::format("an end at {}", offset),
                  fmt::format("{}, the end of the file", file_bytes));
  }
  return root;
}

std::vector<IndexedLeaf> decode_path_index_block(const PathIndexBlock& block,
                                                 std::string_view bytes) {
  ByteReader reader(without_checksum(bytes, kBlock), kBlock, block.offset);
  std::uint64_t count = 0;
  reader.varint(count, "num_leaves");
  if (count == 0) reader.fail("num_leaves", "0", "1 or more");
  reader.expect_room(count, kMinLeafBytes, "num_leaves");
  std::vector<IndexedLeaf> leaves;
  leaves.reserve(static_cast<std::size_t>(count));
  std::string before = block.first;
  std::size_t decoded = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    leaves.push_back(read_leaf(reader, i, i == 0 ? IndexedLeaf() : leaves.back()));
    const std::size_t of_path = decoded_bytes(leaves.back().path);
    decoded += of_path;
    if (of_path > kPathIndexPathBytesMax || decoded > kPathIndexBlockBytesMax) {
      reader.reject(Field("leaf", i, "path"), fmt::format("{} bytes", decoded),
                    fmt::format("at most {} of a path, {} of a block", kPathIndexPathBytesMax,
                                kPathIndexBlockBytesMax));
    }
    std::string key = index_key(leaves.back().path);
    if (i == 0 ? key != before : key < before) {
      reader.reject(Field("leaf", i, "path"), '\'' + key + '\'',
                    i == 0 ? "the block's first key" : "ascending keys");
    }
    before = std::move(key);
  }
  reader.expect_end();
  return leaves;
}

}  // namespace cairn
