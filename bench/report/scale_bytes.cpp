// What a GB costs: saves and restores of a quarter to eight GB in eight arrays.

#include <cairn/codecs/crc32c.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <thread>
#include <utility>

#include "report/scale.h"

namespace cairn::bench {
namespace {

constexpr std::uint64_t kMegabytes[] = {250, 500, 1000, 2000, 4000, 8000};
constexpr std::size_t kQuickSizes = 2;
constexpr std::uint64_t kMegabyte = 1'000'000;
/// What the smallest but one of the states fills: all saves after the first find it touched.
constexpr std::size_t kStagingBytes = std::size_t{512} << 20;
/// Of memory and disk, for everything else.
constexpr std::uint64_t kSpareBytes = std::uint64_t{3} << 30;
constexpr std::size_t kArrays = 8;
constexpr std::size_t kRowFloats = 1024;

std::uint64_t available_memory() {
  std::ifstream meminfo("/proc/meminfo");
  std::string name;
  std::string unit;
  for (std::uint64_t kib = 0; meminfo >> name >> kib; std::getline(meminfo, unit)) {
    if (name == "MemAvailable:") return kib * 1024;
  }
  return 0;
}

/// Elements for the largest size, of which each size takes the first.
class BigState {
 public:
  BigState(std::uint64_t bytes, std::uint64_t seed)
      : array_(Array::uninitialized(DType::float32, {static_cast<Index>(bytes / sizeof(float))})) {
    std::minstd_rand random(static_cast<std::minstd_rand::result_type>(seed));
    for (float& value : array_.values<float>()) {
      const auto bits = (static_cast<std::uint32_t>(random()) & 0x7fffffu) | 0x3f800000u;
      std::memcpy(&value, &bits, sizeof(bits));
    }
  }
  [[nodiscard]] static std::uint64_t used_bytes(std::uint64_t bytes) {
    return rows(bytes) * kRowFloats * sizeof(float) * kArrays;
  }
  /// Borrows the elements; a tree to save, and the target of its restore.
  [[nodiscard]] Tree tree(std::uint64_t bytes) {
    Dict tree;
    const std::uint64_t part = rows(bytes) * kRowFloats;
    const Shape shape{static_cast<Index>(rows(bytes)), static_cast<Index>(kRowFloats)};
    for (std::size_t i = 0; i < kArrays; ++i) {
      const auto values = array_.values<float>().subspan(i * part, part);
      tree["w" + std::to_string(i)] = Tree(MutableArrayView::of(values, shape));
    }
    return Tree(std::move(tree));
  }
  [[nodiscard]] std::uint32_t checksum(std::uint64_t bytes) const {
    return crc32c(array_.bytes().first(used_bytes(bytes)));
  }
  /// So that a restore that does nothing is noticed.
  void spoil(std::uint64_t bytes) {
    const auto used = array_.bytes().first(used_bytes(bytes));
    for (std::size_t at = 0; at < used.size(); at += kMegabyte) used[at] ^= std::byte{0xff};
  }

 private:
  [[nodiscard]] static std::uint64_t rows(std::uint64_t bytes) {
    return bytes / (kArrays * kRowFloats * sizeof(float));
  }
  Array array_;
};

class ByteCosts {
 public:
  ByteCosts(const Context& context, std::uint64_t bytes_max)
      : work_(context.settings, "scale-bytes"), state_(bytes_max, context.settings.seed) {
    engine::EngineOptions engine;
    engine.staging_bytes = kStagingBytes;
    options_.engine = make_engine(std::move(engine));
    clock_.emplace(options_.engine);
    manager_.emplace((work_ / "root").string(), options_);
  }

  void measure(std::uint64_t bytes, SizeCosts& costs) {
    make_room(bytes);
    const std::uint32_t checksum = state_.checksum(bytes);
    const Step step = next_++;
    Tree tree = state_.tree(bytes);
    const ThreadTimes before = clock_->now();
    const Stopwatch save;
    static_cast<void>(manager_->save(step, std::move(tree)).get());
    costs.save.push_back(save.seconds());
    costs.cpu.push_back(clock_->now() - before);
    state_.spoil(bytes);
    Tree target = state_.tree(bytes);
    const Stopwatch restore;
    static_cast<void>(manager_->restore(step, std::move(target)).get());
    costs.restore.push_back(restore.seconds());
    if (state_.checksum(bytes) != checksum) throw std::runtime_error("restored other bytes");
  }
  [[nodiscard]] std::string path() const { return path_of(*options_.engine); }

 private:
  /// What has just been deleted makes the next write slow, so it is done where it must be alone.
  void make_room(std::uint64_t bytes) {
    if (std::filesystem::space(work_.path()).available > bytes + kSpareBytes) return;
    for (const Step step : manager_->all_steps()) manager_->delete_step(step).get();
    ::sync();
    std::this_thread::sleep_for(std::chrono::seconds(2));
  }

  WorkDirectory work_;
  BigState state_;
  ManagerOptions options_;
  std::optional<ThreadClock> clock_;
  std::optional<CheckpointManager> manager_;
  Step next_ = 0;
};

/// Those that memory and disk have room for; says which have not.
std::vector<std::uint64_t> sizes_that_fit(const Settings& settings, Report& report) {
  const std::size_t count = settings.quick ? kQuickSizes : std::size(kMegabytes);
  const std::uint64_t memory = available_memory();
  const std::uint64_t disk = std::filesystem::space(settings.directory).available;
  std::vector<std::uint64_t> sizes;
  for (std::size_t i = 0; i < std::size(kMegabytes); ++i) {
    const std::string what = "scale.mb_" + std::to_string(kMegabytes[i]);
    const std::uint64_t needed = kMegabytes[i] * kMegabyte + kSpareBytes;
    if (i >= count) {
      report.leave_out(what, "--quick");
    } else if (needed + kStagingBytes > memory) {
      report.leave_out(what, "not enough memory is available");
    } else if (needed > disk) {
      report.leave_out(what, "not enough space on the disk");
    } else {
      sizes.push_back(kMegabytes[i] * kMegabyte);
    }
  }
  return sizes;
}

}  // namespace

ThreadTimes measure_bytes(const Context& context, Report& report) {
  const std::vector<std::uint64_t> sizes = sizes_that_fit(context.settings, report);
  if (sizes.empty()) return {};
  ByteCosts measured(context, sizes.back());
  SizeCosts warm_up;
  measured.measure(std::min(sizes.back(), std::uint64_t{kStagingBytes}), warm_up);

  std::vector<SizeCosts> costs;
  for (const std::uint64_t bytes : sizes) {
    costs.push_back({"mb_" + std::to_string(bytes / kMegabyte),
                     static_cast<double>(BigState::used_bytes(bytes)) / 1e9});
  }
  std::vector<Side> sides;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    sides.emplace_back([&measured, &cost = costs[i], bytes = sizes[i]](int) {
      measured.measure(bytes, cost);
      return cost.save.back();
    });
  }
  static_cast<void>(take_turns(std::min(3, context.settings.rounds), sides));

  add_size_costs(report, costs, {"scale.gb", "byte_cost", "GB", "s", 1});
  const std::string path = measured.path();
  report.note_machine("scale_bytes_path", boost::json::string(path));
  ThreadTimes sum;
  double gb = 0;
  for (const SizeCosts& one : costs) {
    for (const ThreadTimes& times : one.cpu) sum += times;
    gb += one.size * static_cast<double>(one.cpu.size());
  }
  return {sum.ring / gb, sum.strand / gb, sum.others / gb};
}

}  // namespace cairn::bench
