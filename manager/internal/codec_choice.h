#pragma once
// Which codec an array gets. Pure; runs on the CPU pool while a save is planned.

#include <cairn/codecs/tree.h>
#include <cairn/codecs/zarr.h>
#include <cairn/manager/codec.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace cairn::internal {

/// How the elements of a chunk become its stored bytes.
enum class Encoding : std::uint8_t {
  raw,    ///< as they are
  chain,  ///< zarr::encode_chunk()
  planes  ///< blosc::encode_planes(), or a Blosc frame that holds them as they are
};

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

struct CodecChoice {
  CodecChoice() = default;
  Codec asked = Codec::raw();
  Encoding encoding = Encoding::raw;
  CodecReason reason = CodecReason::as_asked;
  float expected_ratio = 1;
};

/// `bytes`: of the elements of `node`, which auto samples where they are in memory.
[[nodiscard]] CodecChoice choose_codec(Codec asked, const Tree& node, std::size_t bytes);
/// The chain of an array in the metadata of `format`; crc32c at its end where there is such a
/// codec.
[[nodiscard]] zarr::CodecChain chain_of(const CodecChoice& choice, DType dtype,
                                        zarr::Format format);
/// "raw", "blosc planes", "zstd(3)".
[[nodiscard]] std::string label_of(const CodecChoice& choice);

}  // namespace cairn::internal
