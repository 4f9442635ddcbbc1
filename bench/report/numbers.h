#pragma once
// Fills arrays with numbers as checkpoints hold them: on all cores, yet what comes out depends on
// the seed and the place alone.

#include <cairn/codecs/array.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "report/workloads.h"

namespace cairn::bench {

/// Elements that get numbers.
struct Filling {
  Array* array;
  Numbers numbers;
  std::uint64_t seed;  ///< equal seeds give equal numbers, rounded to the array's dtype
  Index begin = 0;
  Index end;
};

/// Arrays of float32, float64 and bfloat16 get `numbers`, of int8 quantized weights, of uint8 noise
/// and of int32 and int64 indices. Throws std::invalid_argument for others.
void fill(const std::vector<Filling>& fillings);

/// Calls `work`, which throws nothing, with each of 0 to count - 1, on a thread for each core.
void on_all_cores(std::size_t count, const std::function<void(std::size_t)>& work);

}  // namespace cairn::bench
