#pragma once
// Key paths as keys of hash maps.

#include <cairn/codecs/tree.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace cairn::internal {

/// Appends a key to the identity of the path above it.
inline void append_identity(std::string& to, std::string_view name) {
  to += std::to_string(name.size());
  to += ':';
  to += name;
}

/// A path's first `keys` keys as a text that no others have, and that begins with those of the
/// paths above it and of no others.
[[nodiscard]] inline std::string identity(const KeyPath& path, std::size_t keys) {
  std::string text;
  for (std::size_t i = 0; i < keys; ++i) append_identity(text, path[i].name);
  return text;
}

}  // namespace cairn::internal
