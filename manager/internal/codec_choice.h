#pragma once
// Which codec an array gets. Pure; runs on the CPU pool while a save is planned.

#include <cairn/codecs/blosc.h>
#include <cairn/codecs/tree.h>
#include <cairn/codecs/zarr.h>
#include <cairn/engine/clock.h>
#include <cairn/manager/codec.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::internal {

/// How the elements of a chunk become its stored bytes.
enum class Encoding : std::uint8_t {
  raw,     ///< as they are
  chain,   ///< zarr::encode_chunk()
  planes,  ///< blosc::encode_planes(), or a Blosc frame that holds them as they are
  matches  ///< the same with PlaneCoder::matches
};
inline constexpr std::size_t kEncodings = 4;
/// Whether the load decides, extent by extent, if chunks are encoded or left as they are.
[[nodiscard]] constexpr bool is_gated(Encoding encoding) noexcept {
  return encoding == Encoding::planes || encoding == Encoding::matches;
}

/// Of a gated encoding.
[[nodiscard]] blosc::PlaneCoder coder_of(Encoding encoding) noexcept;

enum class CodecReason : std::uint8_t {
  as_asked,
  tiny,        ///< below kSmallestEncoded
  small,       ///< too small for auto to look at
  no_gain,     ///< auto expects less than kAutoGainMin
  gain,        ///< auto expects more
  not_sampled  ///< auto cannot look at it before it is asked for: a frame that may hold it raw
};
[[nodiscard]] std::string_view text_of(CodecReason reason) noexcept;

/// Arrays below this are raw with auto: together they are small, and sampling would cost more than
/// it gains. Bytes of elements.
inline constexpr std::size_t kAutoBytesMin = 256u << 10;
inline constexpr double kAutoGainMin = 1.05;  ///< elements / stored bytes

/// What is assumed before anything has been seen: a fast disk and slow cores, so that nothing is
/// lost while the truth is found out. Bytes/s, of one worker.
inline constexpr double kAssumedDiskRate = 4e9;
inline constexpr double kAssumedPlanesRate = 1e9;
inline constexpr double kAssumedMatchesRate = 0.4e9;
/// Bytes/s of elements that a save gets to the disk which encodes as much as the cores can,
/// together at `encode_rate`, and leaves the rest as it is so that the disk never waits. The larger
/// it is, the less is written.
[[nodiscard]] double rate_through(double ratio, double disk_rate, double encode_rate) noexcept;

/// What auto goes by.
struct AutoSettings {
  AutoSettings() = default;
  double disk_rate = 0;                  ///< bytes/s; 0: not known
  std::size_t workers = 1;               ///< threads that encode
  const engine::Clock* clock = nullptr;  ///< to time trials by; none: as assumed
};

struct CodecChoice {
  CodecChoice() = default;
  Codec asked = Codec::raw();
  Encoding encoding = Encoding::raw;
  CodecReason reason = CodecReason::as_asked;
  float expected_ratio = 1;
};

/// `bytes`: of the elements of `node` as `dtype`, which they are stored as; auto samples them where
/// they are in memory. On those of integers and booleans it tries Encoding::matches too, and takes
/// what gets more through.
[[nodiscard]] CodecChoice choose_codec(Codec asked, const Tree& node, DType dtype,
                                       std::size_t bytes, const AutoSettings& settings);
/// The chain of an array in the metadata of `format`; crc32c at its end where there is such a
/// codec.
[[nodiscard]] zarr::CodecChain chain_of(const CodecChoice& choice, DType dtype,
                                        zarr::Format format);
/// "raw", "blosc planes", "zstd(3)".
[[nodiscard]] std::string label_of(const CodecChoice& choice);

}  // namespace cairn::internal
