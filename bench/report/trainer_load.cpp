#include "report/trainer_load.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <exception>
#include <random>
#include <thread>

#include "report/measure.h"

namespace cairn::bench {
namespace {

using Clock = std::chrono::steady_clock;

/// Of a square matrix of floats: two of them take 288 KiB.
constexpr std::size_t kSide = 192;
/// What a step copies: more than a core's own caches hold.
constexpr std::size_t kCopyBytes = std::size_t{8} << 20;
/// At the beginning of a run, not timed: caches are filled, the clock goes up.
constexpr int kWarmUpSteps = 3;

/// row = row * factor.
void multiply_row(float* row, const float* factor) {
  float product[kSide] = {};
  for (std::size_t k = 0; k < kSide; ++k) {
    const float x = row[k];
    for (std::size_t j = 0; j < kSide; ++j) product[j] += x * factor[k * kSide + j];
  }
  std::memcpy(row, product, sizeof(product));
}

}  // namespace

TrainerLoad::TrainerLoad(unsigned threads, std::chrono::duration<double> step) : work_(threads) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<float> number(0.5F, 1.5F);
  for (Work& work : work_) {
    // Factors whose rows add up to 1 on average: products neither overflow nor vanish.
    for (std::size_t i = 0; i < kSide * kSide; ++i) {
      work.factor.push_back(number(random) / static_cast<float>(kSide));
      work.rows.push_back(number(random));
    }
    work.from.assign(kCopyBytes, std::byte{1});
    work.to.assign(kCopyBytes, std::byte{2});
  }
  constexpr std::size_t kFew = 64;
  constexpr std::size_t kMany = 320;
  const double few = quiet_step(kFew);
  const double a_row = (quiet_step(kMany) - few) / static_cast<double>(kMany - kFew);
  const double more = a_row > 0 ? (step.count() - few) / a_row : 0;
  rows_ = static_cast<std::size_t>(std::max(static_cast<double>(kFew) + more, 1.0));
}

void TrainerLoad::do_step(Work& work, std::size_t rows) {
  for (std::size_t i = 0; i < rows; ++i) {
    float* row = &work.rows[work.next_row * kSide];
    multiply_row(row, work.factor.data());
    work.next_row = (work.next_row + 1) % kSide;
  }
  std::memcpy(work.to.data(), work.from.data(), kCopyBytes);
  std::swap(work.to, work.from);
}

double TrainerLoad::quiet_step(std::size_t rows) {
  constexpr std::size_t kSteps = 60;
  constexpr double kQuiet = 0.1;  // nobody else was on the core
  rows_ = rows;
  return percentile(run(kSteps, nothing_beside), kQuiet);
}

std::vector<double> TrainerLoad::run(std::size_t steps, const Beside& beside) {
  const auto count = static_cast<std::ptrdiff_t>(work_.size());
  std::latch begin(count + 1);
  std::latch enough(count);
  std::atomic<bool> stop = false;
  std::vector<std::vector<double>> times(work_.size());
  const auto train = [&](std::size_t place) {
    std::vector<double>& mine = times[place];
    mine.reserve(steps * 16);
    for (int i = 0; i < kWarmUpSteps; ++i) do_step(work_[place], rows_);
    begin.arrive_and_wait();
    auto last = Clock::now();
    while (true) {
      do_step(work_[place], rows_);
      const auto now = Clock::now();
      if (stop) break;  // this step had something beside it for a part of its time only
      mine.push_back(std::chrono::duration<double>(now - last).count());
      last = now;
      if (mine.size() == steps) enough.count_down();
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < work_.size(); ++i) threads.emplace_back(train, i);
    const StopAtEnd stop_at_end(stop);
    begin.arrive_and_wait();
    beside(enough);
  }
  std::vector<double> all;
  for (const auto& mine : times) all.insert(all.end(), mine.begin(), mine.end());
  return all;
}

}  // namespace cairn::bench
