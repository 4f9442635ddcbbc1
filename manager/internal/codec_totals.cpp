#include <cairn/manager/internal/codec_totals.h>

namespace cairn::internal {
namespace {

constexpr double kPermille = 1000;

}  // namespace

void CodecTotals::add(const CodecRecord& array) {
  Total& total = totals_[{array.codec, array.reason}];
  ++total.sum.arrays;
  total.sum.bytes += array.bytes;
  total.sum.stored_bytes += array.stored_bytes;
  total.sum.chunks += array.chunks;
  total.sum.chunks_stored += array.chunks_stored;
  if (array.expected_permille > 0) {
    total.expected_bytes += static_cast<double>(array.bytes) * kPermille / array.expected_permille;
  }
}

std::vector<CodecSummary> CodecTotals::finish() && {
  std::vector<CodecSummary> summaries;
  for (auto& [kind, total] : totals_) {
    total.sum.codec = kind.first;
    total.sum.reason = kind.second;
    if (total.expected_bytes > 0) {
      total.sum.expected_ratio = static_cast<double>(total.sum.bytes) / total.expected_bytes;
    }
    summaries.push_back(std::move(total.sum));
  }
  return summaries;
}

}  // namespace cairn::internal
