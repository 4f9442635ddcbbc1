// B+tree nodes: what decodes can be written again, compressed or not, and reads the same; and a
// tree that is laid out anew from a leaf's entries has all of them.

#include <cairn/codecs/ocdbt.h>
#include <codecs/ocdbt_samples.h>
#include <fuzz/ocdbt_inputs.h>

#include <variant>

namespace cairn::fuzz {
namespace {

using namespace ocdbt;  // NOLINT(google-build-using-namespace): all of this is OCDBT

std::string_view first_key(const Node& node) {
  return std::visit([](const auto& entries) -> std::string_view { return entries.front().key; },
                    node.entries);
}

// Small enough that a few entries make a tree of several levels.
constexpr std::size_t kTargetNodeBytes = 64;

// The entries of a leaf become a tree of their own, whose root must have the statistics promised.
void check_tree(const Node& leaf) {
  auto entries = std::get<std::vector<Entry>>(leaf.entries);
  const FileTable files(std::max<std::size_t>(leaf.files.size(), 1), DataFile("", "d/1"));
  const auto count = entries.size();
  EncodedTree tree;
  try {
    tree = encode_tree(std::move(entries), files, 0, 0, testing::raw_config(), kTargetNodeBytes);
  } catch (const std::invalid_argument&) {
    return;  // a key that is also a directory
  }
  require(tree.version.root.has_value() && tree.version.statistics.num_keys == count,
          "a tree has all entries");
  const auto& at = *tree.version.root;
  require(at.offset + at.length == tree.bytes.size(), "the root is the last node");
  const auto root = decode_node(
      std::string_view(tree.bytes).substr(static_cast<std::size_t>(at.offset)), kNodeBytesMax);
  check_child(root, tree.version.root_height, "");
}

void check(std::string_view input) {
  const auto node =
      decoded(structure_memory(input), [&] { return decode_node(input, kNodeBytesMax); });
  if (!node) return;
  const auto raw = decode_node(encode(*node, testing::raw_config()), kNodeBytesMax);
  require(raw == *node, "a node reads back as it was");
  const auto compressed = decode_node(encode(*node, Config()), kNodeBytesMax);
  require(compressed == *node, "a compressed node reads back as it was");
  check_child(*node, node->height, first_key(*node));
  const auto fits = [&](int height, const std::string& min_key) {
    return decoded(kFreeMemory, [&] {
      check_child(*node, static_cast<std::uint8_t>(height), min_key);
      return true;
    });
  };
  require(!fits(node->height ^ 1, ""), "a child of another height is refused");
  require(!fits(node->height, std::string(first_key(*node)) + '\0'),
          "a child with smaller keys than its parent says is refused");
  for (const auto& file : node->files) {
    static_cast<void>(decoded(kFreeMemory, [&] { return data_path("base/", file); }));
  }
  if (node->height == 0) check_tree(*node);
}

std::string mutate(std::string_view input, Mutation& mutation) {
  return mutate_envelope(input, kBtreeMagic, mutation);
}

Seeds seeds(const TestData& data) {
  auto found = golden_structures(data).nodes;
  std::mt19937_64 random(1);  // NOLINT(cert-msc51-cpp): seeds are the same each time
  for (const auto& config : {testing::raw_config(), Config()}) {
    found.push_back(encode(testing::sample_leaf(), config));
    found.push_back(encode(testing::sample_interior(), config));
    auto entries = testing::random_entries(random, 40, 2);
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.key < b.key; });
    auto leaf = testing::sample_leaf();
    leaf.entries = std::move(entries);
    found.push_back(encode(leaf, config));
  }
  return found;
}

const Registration registration({"ocdbt_node", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz
