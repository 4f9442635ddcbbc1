// The codec that auto takes for bf16 weights, on one core.

#include <stdexcept>

#include "codec_runs.h"
#include "report/context.h"

namespace cairn::bench {

void measure_codecs(const Context& context, Report& report) {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  const auto clock = engine::system_clock();
  internal::AutoSettings automatic;
  automatic.workers = engine::available_cpus();
  automatic.clock = clock.get();
  const DataSet data = generate("bf16 normal", kBytes, context.settings.seed);
  for (const CodecRun& codec : codecs(data, automatic)) {
    if (!codec.choice) continue;
    // Some seconds, as what a core gives drifts on the host of a virtual machine.
    const Measurement measured = measure(codec, data, context.settings.quick ? 9 : 45);
    const std::string note = "of the thread's own time; chosen: " + label_of(*codec.choice);
    report.add({"codec_bf16_ratio", measured.ratio, "", {}, {}, 1, "N(0, 0.02)"});
    report.add({"codec_bf16_encode", measured.encode_gbps, "GB/s", {}, {}, measured.passes, note});
    report.add({"codec_bf16_decode", measured.decode_gbps, "GB/s", {}, {}, measured.passes, note});
    return;
  }
  throw std::logic_error("bench/codec_runs.h has no row of auto's");
}

}  // namespace cairn::bench
