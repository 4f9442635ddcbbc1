#pragma once
// Under AddressSanitizer, memory that an arena has taken back must not be touched.

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define CAIRN_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CAIRN_ADDRESS_SANITIZER 1
#endif
#endif
#ifdef CAIRN_ADDRESS_SANITIZER
#include <sanitizer/asan_interface.h>
#endif

namespace cairn::engine::internal {

inline void poison([[maybe_unused]] const void* data, [[maybe_unused]] std::size_t size) noexcept {
#ifdef CAIRN_ADDRESS_SANITIZER
  __asan_poison_memory_region(data, size);
#endif
}

inline void unpoison([[maybe_unused]] const void* data,
                     [[maybe_unused]] std::size_t size) noexcept {
#ifdef CAIRN_ADDRESS_SANITIZER
  __asan_unpoison_memory_region(data, size);
#endif
}

}  // namespace cairn::engine::internal
