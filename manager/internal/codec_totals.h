#pragma once
// How the arrays of an item were encoded, summed up by codec and reason. Pure.

#include <cairn/codecs/cairn_record.h>
#include <cairn/manager/save_future.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace cairn::internal {

class CodecTotals {
 public:
  void add(const CodecRecord& array);
  /// By codec, then by reason.
  [[nodiscard]] std::vector<CodecSummary> finish() &&;

 private:
  struct Total {
    CodecSummary sum;
    double expected_bytes = 0;  ///< stored, by the samples
  };
  std::map<std::pair<std::string, std::string>, Total> totals_;
};

}  // namespace cairn::internal
