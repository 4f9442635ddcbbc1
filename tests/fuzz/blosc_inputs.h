#pragma once
// Inputs of the Blosc targets: frames taken apart into streams and put together again, and contents
// that a few bytes describe.

#include <cairn/codecs/blosc.h>
#include <fuzz/harness.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::fuzz {

/// Content bytes that the targets try at most: two blocks of the float-aware encoder and some.
inline constexpr std::size_t kContentBytesMax = (std::size_t{1} << 20) + 4096;

[[nodiscard]] inline std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}
[[nodiscard]] inline std::span<std::byte> writable_bytes_of(std::string& text) {
  return std::as_writable_bytes(std::span(text));
}

/// A frame's header and streams. Nothing of it need be right.
struct FrameParts {
  std::string header;                             ///< 16 bytes
  std::vector<std::vector<std::string>> streams;  ///< of each block
};
/// None where offsets or lengths leave the frame, or its content is above kContentBytesMax.
[[nodiscard]] std::optional<FrameParts> frame_parts(std::string_view frame);
/// The frame with true offsets, lengths and size.
[[nodiscard]] std::string joined(const FrameParts& parts);
/// Mostly changes one stream below true lengths; at times the header, or anything.
[[nodiscard]] std::string mutate_frame(std::string_view frame, Mutation& mutation);

/// Content of at most `max_bytes` by a program of a few bytes: runs of one byte, symbols drawn from
/// flat, geometric and Fibonacci distributions, floats, ramps, copies and literal bytes.
[[nodiscard]] std::string generated(std::string_view program, std::size_t max_bytes);

/// What libblosc makes of a frame; none where it refuses it.
[[nodiscard]] std::optional<std::string> decoded_by_libblosc(std::string_view frame,
                                                             std::size_t content_bytes);

/// Frames of every encoder, compressor, shuffle and some element sizes.
[[nodiscard]] Seeds blosc_frames();

}  // namespace cairn::fuzz
