#include "report/copies.h"

#include <algorithm>
#include <cstring>
#include <thread>

#include "report/measure.h"

namespace cairn::bench {

Copier::Copier(const Workload& workload, unsigned threads)
    : workload_(workload), threads_(threads), target_(workload.bytes()) {}

double Copier::copy() {
  const std::size_t total = target_.size();
  const auto copy_part = [&](std::size_t begin, std::size_t end) {
    std::size_t at = 0;
    for (const NamedArray& named : workload_.arrays) {
      const std::span<const std::byte> bytes = named.array.bytes();
      const std::size_t from = std::max(begin, at);
      const std::size_t to = std::min(end, at + bytes.size());
      if (from < to) std::memcpy(target_.data() + from, bytes.data() + (from - at), to - from);
      at += bytes.size();
    }
  };
  const Stopwatch watch;
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < threads_; ++i)
    others.emplace_back(copy_part, total * i / threads_, total * (i + 1) / threads_);
  copy_part(0, total / threads_);
  others.clear();
  return static_cast<double>(total) / 1e9 / watch.seconds();
}

}  // namespace cairn::bench
