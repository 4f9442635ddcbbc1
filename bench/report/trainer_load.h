#pragma once
// What trains beside a save: threads that do the same fixed work over and over.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "report/beside.h"

namespace cairn::bench {

/// What is saved beside it, by us and by peers; ours is cut down where disk or staging is small or
/// a save takes long (`interference_bytes` of the machine).
constexpr std::string_view kTrainerState = "llama_bf16";
constexpr std::uint64_t kTrainerStateBytes = std::uint64_t{1} << 30;

/// A step is a product of matrices, which stay in the core's cache, and a copy of memory, which
/// does not fit there. The threads are not pinned, as those of a user's trainer are not, and do not
/// wait for each other.
class TrainerLoad {
 public:
  /// Sizes the product so that a step takes about `step` while all threads run and nothing else
  /// does.
  TrainerLoad(unsigned threads, std::chrono::duration<double> step);

  /// Each thread does at least `steps`, and more until `beside`, on the calling thread, returns.
  /// Gives the seconds of all steps of all threads: a step begins where the one before ended, so
  /// nothing is lost between them. Rethrows what `beside` throws.
  [[nodiscard]] std::vector<double> run(std::size_t steps, const Beside& beside);

  [[nodiscard]] std::size_t threads() const noexcept { return work_.size(); }
  /// Of the product, in each step.
  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }

 private:
  /// One thread's, on cache lines of its own.
  struct alignas(64) Work {
    std::vector<float> factor;
    std::vector<float> rows;
    std::vector<std::byte> from;
    std::vector<std::byte> to;
    std::size_t next_row = 0;
  };
  static void do_step(Work& work, std::size_t rows);
  /// Of steps with so many rows, how long one takes that nothing gets in the way of.
  [[nodiscard]] double quiet_step(std::size_t rows);

  std::vector<Work> work_;
  std::size_t rows_ = 1;
};

}  // namespace cairn::bench
