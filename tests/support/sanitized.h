#pragma once

namespace cairn::test {

/// Built with the address or the thread sanitizer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#elif defined(__has_feature)
inline constexpr bool kSanitized =
    __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
inline constexpr bool kSanitized = false;
#endif

/// Tests that try every case try one in so many: all, but with sanitizers, which look for other
/// things and take ten times as long, a sample.
inline constexpr unsigned kOneCaseIn = kSanitized ? 8 : 1;

}  // namespace cairn::test
