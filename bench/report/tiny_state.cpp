#include "report/tiny_state.h"

#include <algorithm>
#include <bit>
#include <random>
#include <span>
#include <utility>

namespace cairn::bench {
namespace {

constexpr std::size_t kLeavesPerBlock = 1000;

std::string block_name(std::size_t leaf) {
  return "block_" + std::to_string(leaf / kLeavesPerBlock);
}
std::string leaf_name(std::size_t leaf) {
  return "leaf_" + std::to_string(leaf % kLeavesPerBlock);
}

}  // namespace

TinyState::TinyState(std::size_t leaves, std::uint64_t seed) : values_(leaves * kLeafFloats) {
  std::mt19937_64 random(seed);
  // Random bits under a fixed exponent: numbers in [1, 2).
  for (float& value : values_)
    value = std::bit_cast<float>(static_cast<std::uint32_t>(random() >> 41) | 0x3f800000u);
}

ArrayView TinyState::view(std::size_t leaf) const {
  return ArrayView::of(std::span(values_).subspan(leaf * kLeafFloats, kLeafFloats),
                       {static_cast<Index>(kLeafFloats)});
}

Tree TinyState::views(std::size_t leaves) const {
  Dict blocks;
  for (std::size_t begin = 0; begin < leaves; begin += kLeavesPerBlock) {
    Dict block;
    for (std::size_t i = begin; i < std::min(leaves, begin + kLeavesPerBlock); ++i)
      block[leaf_name(i)] = Tree(view(i));
    blocks[block_name(begin)] = Tree(std::move(block));
  }
  return Tree(std::move(blocks));
}

std::string TinyState::path_of(std::size_t leaf) {
  return block_name(leaf) + "/" + leaf_name(leaf);
}

bool TinyState::has(const Tree& tree, std::size_t leaf) const {
  const auto found = view_of(tree.at(block_name(leaf)).at(leaf_name(leaf)));
  return found && *found == view(leaf);
}

}  // namespace cairn::bench
