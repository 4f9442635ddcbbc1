#pragma once
// What operator new has given out in this program and nobody has given back. Unlike malloc's own
// sums it leaves out what allocators keep for themselves, so that a few hundred bytes show.

#include <cstdint>

namespace cairn::test {

/// Bytes, of all threads; 0 in a sanitizer's build, which has an operator new of its own.
[[nodiscard]] std::int64_t live_bytes() noexcept;

}  // namespace cairn::test
