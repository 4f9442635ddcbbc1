#pragma once
// What memory alone takes: the denominator of staging and of warm restores.

#include <cstddef>
#include <span>
#include <vector>

#include "report/workloads.h"

namespace cairn::bench {

/// Copies each array to memory that has been touched before, by so many threads, each a part of
/// every array's bytes: one memcpy each.
class Copier {
 public:
  Copier(const Workload& workload, unsigned threads);
  /// 10^9 bytes per second.
  double copy();

 private:
  const Workload& workload_;
  unsigned threads_;
  std::vector<std::byte> target_;
};

}  // namespace cairn::bench
