// _CAIRN_INDEX: header, root and blocks. What decodes can be written again and reads the same. An
// index is taken apart into its blocks, one of them is changed, and it is put together again with
// true lengths and checksums.

#include <cairn/codecs/crc32c.h>
#include <cairn/codecs/path_index.h>
#include <fuzz/harness.h>

#include <algorithm>

namespace cairn::fuzz {
namespace {

constexpr std::size_t kChecksumBytes = 4;

struct Apart {
  PathIndexRoot root;
  std::vector<std::string> blocks;
};

Apart take_apart(std::string_view input) {
  const std::size_t end = path_index_root_end(input);
  Apart apart;
  apart.root = decode_path_index_root(input.substr(0, end), input.size());
  for (const PathIndexBlock& block : apart.root.blocks)
    apart.blocks.emplace_back(input.substr(block.offset, block.length));
  return apart;
}

void check(std::string_view input) {
  const auto apart = decoded(kFreeMemory + 64 * input.size(), [&] { return take_apart(input); });
  if (!apart) return;
  std::vector<IndexedLeaf> leaves;
  for (std::size_t i = 0; i < apart->blocks.size(); ++i) {
    const auto block = decoded(kFreeMemory + 8 * kPathIndexBlockBytesMax + 64 * input.size(), [&] {
      return decode_path_index_block(apart->root.blocks[i], apart->blocks[i]);
    });
    if (!block) return;
    leaves.insert(leaves.end(), block->begin(), block->end());
  }
  PathIndexWriter writer;
  std::string last;
  for (const IndexedLeaf& leaf : leaves) {
    // Blocks are in order by their first keys alone, and a reader takes paths that no writer makes.
    const std::string key = index_key(leaf.path);
    if (key < last || !is_indexable(leaf.path)) return;
    last = key;
    writer.add(leaf);
  }
  const std::string again = writer.finish("{}");
  std::vector<IndexedLeaf> read;
  const Apart written = take_apart(again);
  for (std::size_t i = 0; i < written.blocks.size(); ++i) {
    for (IndexedLeaf& leaf : decode_path_index_block(written.root.blocks[i], written.blocks[i]))
      read.push_back(std::move(leaf));
  }
  require(read == leaves, "an index reads back as it was");
}

std::string sealed(std::string bytes) {
  const auto crc = crc32c(std::as_bytes(std::span(bytes)));
  return bytes.append(reinterpret_cast<const char*>(&crc), sizeof(crc));
}

/// The header's and the root's checksums made true; the root's length is left as it is.
std::string resealed(std::string file) {
  if (file.size() < kPathIndexHeaderBytes) return file;
  std::string header = sealed(file.substr(0, kPathIndexHeaderBytes - kChecksumBytes));
  file.replace(0, kPathIndexHeaderBytes, header);
  std::uint64_t length = 0;
  std::memcpy(&length, file.data() + 12, sizeof(length));
  if (length < kChecksumBytes || length > file.size() - kPathIndexHeaderBytes) return file;
  const std::size_t end = kPathIndexHeaderBytes + static_cast<std::size_t>(length);
  return file.replace(0, end, sealed(file.substr(0, end - kChecksumBytes)));
}

std::string mutate(std::string_view input, Mutation& mutation) {
  if (mutation.one_in(16)) return mutation.of_bytes(input);
  if (mutation.one_in(3)) return resealed(mutation.of_bytes(input));
  std::string file(input);
  try {
    const Apart apart = take_apart(input);
    if (apart.blocks.empty()) return resealed(mutation.of_bytes(input));
    // Of the same length, so that the root still holds.
    const PathIndexBlock& place = apart.root.blocks[mutation.below(apart.blocks.size())];
    const std::size_t covered = place.length - std::min(place.length, kChecksumBytes);
    std::string block = mutation.of_bytes(input.substr(place.offset, covered));
    block.resize(covered);
    file.replace(place.offset, place.length, sealed(std::move(block)));
  } catch (const FormatError&) {
    return resealed(mutation.of_bytes(input));
  }
  return file;
}

IndexedLeaf leaf(KeyPath path, orbax::ValueType type, std::uint64_t place) {
  IndexedLeaf made;
  made.path = std::move(path);
  made.type = type;
  made.place = place;
  return made;
}

Seeds seeds(const TestData&) {
  Seeds found = {PathIndexWriter().finish("")};
  PathIndexWriter writer;
  writer.add(leaf({Key("b", Key::Kind::dict)}, orbax::ValueType::string, 2));
  found.push_back(writer.finish("{}"));
  PathIndexWriter several;
  IndexedLeaf tuple = leaf({Key("a", Key::Kind::dict), Key("0", Key::Kind::sequence)},
                           orbax::ValueType::np_ndarray, 0);
  tuple.in_tuples = {1};
  several.add(tuple);
  several.add(leaf({Key("l", Key::Kind::dict), Key("0", Key::Kind::sequence)},
                   orbax::ValueType::empty_dict, 1));
  for (std::uint64_t i = 100; i < 140; ++i) {
    several.add(leaf({Key("w", Key::Kind::dict), Key(std::to_string(i), Key::Kind::dict)},
                     orbax::ValueType::scalar, i));
  }
  found.push_back(several.finish(std::string(5000, 'm')));
  return found;
}

const Registration registration({"path_index", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz
