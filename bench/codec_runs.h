#pragma once
// The codecs to compare, one signature for all, and the clock.

#include <cairn/manager/internal/codec_choice.h>

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codec_data.h"

namespace cairn::bench {

struct CodecRun {
  std::string name;
  /// Returns the bytes written to `to`, which has room for bound(from.size()).
  std::function<std::size_t(std::span<const std::byte> from, std::size_t typesize,
                            std::span<std::byte> to)>
      encode;
  std::function<void(std::span<const std::byte> from, std::span<std::byte> to)> decode;
  /// What auto chose, where it is auto's row.
  std::optional<internal::CodecChoice> choice = std::nullopt;
};
/// Those to compare on `data`; auto chooses as in a save, by what `settings` say of the machine.
[[nodiscard]] std::vector<CodecRun> codecs(const DataSet& data,
                                           const internal::AutoSettings& settings);
[[nodiscard]] std::size_t bound(std::size_t bytes);

struct Measurement {
  double ratio = 0;                                 ///< content bytes / stored bytes
  double encode_gbps = 0, decode_gbps = 0;          ///< medians; 10^9 bytes of content per second
  double encode_gbps_max = 0, decode_gbps_max = 0;  ///< what the least disturbed pass reached
  int passes = 0;
};
/// Codes `data` in chunks as an array's are, `passes` times or fewer where that takes long, on this
/// thread, whose own time is counted: other processes take the core away, but not from the result.
/// Throws std::runtime_error when what comes back differs.
[[nodiscard]] Measurement measure(const CodecRun& codec, const DataSet& data, int passes);

}  // namespace cairn::bench
