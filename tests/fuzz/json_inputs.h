#pragma once
// Inputs that are JSON text, changed as values and not only as bytes: members go, come, move and
// take other types, and numbers and words become those that decoders care about.

#include <fuzz/harness.h>

#include <span>
#include <string>
#include <string_view>

namespace cairn::fuzz {

/// `words`: names and strings that the decoder knows.
[[nodiscard]] std::string mutate_json(std::string_view text,
                                      std::span<const std::string_view> words, Mutation& mutation);

/// What a decoder of `text` may take: Boost.JSON holds "1," in 24 bytes and grows by doubling, and
/// the decoded structure comes on top.
[[nodiscard]] constexpr std::size_t json_memory(std::string_view text) {
  return kFreeMemory + 256 * text.size();
}

}  // namespace cairn::fuzz
