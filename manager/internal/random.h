#pragma once

#include <cstddef>
#include <string>

namespace cairn::internal {

/// `bytes` bytes of the system's randomness as lower-case hexadecimal: names that nobody else uses.
[[nodiscard]] std::string random_hex(std::size_t bytes);

}  // namespace cairn::internal
