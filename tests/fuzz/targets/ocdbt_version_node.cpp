// Version tree nodes: what decodes can be written again and reads the same.

#include <cairn/codecs/ocdbt.h>
#include <codecs/ocdbt_samples.h>
#include <fuzz/ocdbt_inputs.h>

namespace cairn::fuzz {
namespace {

using namespace ocdbt;  // NOLINT(google-build-using-namespace): all of this is OCDBT

constexpr std::uint8_t kMaxArityLog2 = 16;

// The manifest tells a reader the arity; the node's first byte repeats it.
Config config_for(std::string_view input) {
  auto config = testing::raw_config();
  config.max_decoded_node_bytes = kNodeBytesMax;
  const auto opened = open_envelope(input);
  if (!opened || opened->body.empty()) return config;
  const auto arity = static_cast<std::uint8_t>(opened->body[0]);
  if (arity >= 1 && arity <= kMaxArityLog2) config.version_tree_arity_log2 = arity;
  return config;
}

void check(std::string_view input) {
  auto config = config_for(input);
  const auto node =
      decoded(structure_memory(input), [&] { return decode_version_node(input, config); });
  if (!node) return;
  auto again = decode_version_node(encode(*node, config), config);
  if (again.files.size() > node->files.size()) {
    require(again.files.back() == DataFile(), "the encoder adds the empty path alone");
    again.files.pop_back();
  }
  require(again == *node, "a version node reads back as it was");
  config.version_tree_arity_log2 = config.version_tree_arity_log2 == 1 ? 2 : 1;
  require(!decoded(structure_memory(input), [&] { return decode_version_node(input, config); }),
          "another arity than the manifest's is refused");
}

std::string mutate(std::string_view input, Mutation& mutation) {
  return mutate_envelope(input, kVersionTreeMagic, mutation);
}

Seeds seeds(const TestData& data) {
  auto found = golden_structures(data).version_nodes;
  for (const auto& config : {testing::raw_config(), Config()}) {
    found.push_back(encode(testing::sample_version_leaf(), config));
    found.push_back(encode(testing::sample_version_interior(), config));
  }
  return found;
}

const Registration registration({"ocdbt_version_node", check, mutate, seeds});

}  // namespace
}  // namespace cairn::fuzz
