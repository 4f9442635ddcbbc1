#pragma once

// CAIRN_TEST_SANITIZED: built with the address or the thread sanitizer.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define CAIRN_TEST_SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define CAIRN_TEST_SANITIZED
#endif
#endif

namespace cairn::test {

/// The same, for code that compiles either way.
#ifdef CAIRN_TEST_SANITIZED
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

/// Tests that try every case try one in so many: all, but with sanitizers, which look for other
/// things and take ten times as long, a sample.
inline constexpr unsigned kOneCaseIn = kSanitized ? 8 : 1;

}  // namespace cairn::test
