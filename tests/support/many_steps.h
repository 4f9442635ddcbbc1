#pragma once
// A root with very many steps, made in a moment: each is a copy, in hard links, of one that was
// saved.

#include <cstdint>
#include <filesystem>
#include <string>

namespace cairn::test {

/// Makes steps first, ..., last of the step `model` in `root`, with names that are bare numbers.
inline void link_steps(const std::filesystem::path& root, const std::string& model,
                       std::int64_t first, std::int64_t last) {
  for (std::int64_t step = first; step <= last; ++step) {
    std::filesystem::copy(root / model, root / std::to_string(step),
                          std::filesystem::copy_options::recursive |
                              std::filesystem::copy_options::create_hard_links);
  }
}

}  // namespace cairn::test
