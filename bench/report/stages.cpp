// What each stage of a save costs on one core, and what follows for a machine that nobody here has.

#include <cairn/codecs/blosc.h>
#include <cairn/codecs/crc32c.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <ctime>
#include <span>
#include <utility>

#include "report/scale.h"
#include "report/workloads.h"

namespace cairn::bench {
namespace {

/// The machine that the design asks about.
constexpr double kCores = 16;
constexpr double kDiskGbPerS = 25;  ///< 8 NVMe drives
/// The threads that are alone: one drives the ring, one runs the coroutines.
constexpr double kSingleThreads = 2;
/// A copy reads memory and writes it, and the drives read it.
constexpr double kMemoryPasses = 3;

constexpr std::uint64_t kStageBytes = std::uint64_t{256} << 20;
constexpr std::size_t kChunkBytes = std::size_t{16} << 20;

double stage_thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

struct StageCost {
  double seconds_per_gb = 0;
  double ratio = 1;  ///< elements / stored
};

/// `stage` takes a chunk to a buffer that has room for its frame, and gives what it made of it.
template <class Stage>
StageCost cost_of(const Workload& state, int rounds, Stage stage) {
  std::vector<std::byte> to(blosc::frame_bound(kChunkBytes) * 8);  // not in the caches
  const std::size_t slots = to.size() / blosc::frame_bound(kChunkBytes);
  std::vector<double> seconds;
  double stored = 0;
  for (int round = 0; round <= rounds; ++round) {
    const double begin = stage_thread_seconds();
    stored = 0;
    std::size_t slot = 0;
    for (const NamedArray& named : state.arrays) {
      for (auto rest = named.array.bytes(); !rest.empty(); slot = (slot + 1) % slots) {
        const auto chunk = rest.first(std::min(kChunkBytes, rest.size()));
        const auto place = std::span(to).subspan(slot * blosc::frame_bound(kChunkBytes),
                                                 blosc::frame_bound(kChunkBytes));
        stored += static_cast<double>(stage(chunk, size_of(named.array.dtype()), place));
        rest = rest.subspan(chunk.size());
      }
    }
    if (round > 0) seconds.push_back(stage_thread_seconds() - begin);
  }
  const auto bytes = static_cast<double>(state.bytes());
  return {spread_of(std::move(seconds)).median / (bytes / 1e9), bytes / stored};
}

StageCost cost_of_copy(const Settings& settings, int rounds) {
  const Workload state = make_workload("huge", kStageBytes, settings.seed);
  return cost_of(state, rounds, [](auto chunk, std::size_t, auto place) {
    // The result has to go somewhere, or the compiler would leave the work out.
    const std::uint32_t sum = copy_crc32c(chunk, place.data());
    std::memcpy(place.data() + chunk.size(), &sum, sizeof(sum));
    return chunk.size();
  });
}

StageCost cost_of_encoding(const Settings& settings, int rounds) {
  const Workload state = make_workload("llama_bf16", kStageBytes, settings.seed);
  return cost_of(state, rounds, [](auto chunk, std::size_t typesize, auto place) {
    return blosc::encode_planes(chunk, typesize, place);
  });
}

struct StageLimit {
  std::string name;
  double gb_per_s = 0;  ///< that reach the drives
};

class StageModel {
 public:
  StageModel(StageCost copy, StageCost encode, const SaveCpu& save, Report& report)
      : copy_(copy), encode_(encode), save_(save), report_(report) {}

  void add_measured(int rounds) {
    add("stage.copy_crc", copy_.seconds_per_gb, "s/GB", "copy and crc32c in one pass, one core",
        rounds);
    add("stage.encode_bf16", encode_.seconds_per_gb, "s/GB",
        fmt::format("byte planes of bf16 weights, one core, per GB of elements; ratio {:.3f}",
                    encode_.ratio),
        rounds);
    add("stage.ring", save_.per_gb.ring, "s/GB",
        "CPU of the thread that drives the ring, in raw saves");
    add("stage.strand", save_.per_gb.strand, "s/GB", "CPU of the strand, in the same saves");
    add("stage.save_others", save_.per_gb.others, "s/GB",
        "CPU of the pool's and all other threads, in the same saves");
    add("stage.leaf_strand", save_.per_leaf.strand * 1e6, "us/leaf",
        "CPU of the strand for 100,000 leaves of 64 B less that for 1,000");
    add("stage.leaf_ring", save_.per_leaf.ring * 1e6, "us/leaf", "likewise, of the ring's thread");
    add("stage.leaf_others", save_.per_leaf.others * 1e6, "us/leaf",
        "likewise, of all other threads: flattening, layout, nodes");
  }

  void add_computed() {
    // Each GB that the drives take was `ratio` GB of elements.
    const double encode = encode_.seconds_per_gb * encode_.ratio;
    const double pool = kCores - kSingleThreads;
    const auto cores = [&](const std::string& name, double seconds_per_gb) {
      add("scale16." + name + "_cores", kDiskGbPerS * seconds_per_gb, "cores",
          kComputed + " that 25 GB/s keep busy");
    };
    cores("copy_crc", copy_.seconds_per_gb);
    cores("pool", save_.per_gb.others);
    cores("encode_bf16", encode);
    cores("ring", save_.per_gb.ring);
    cores("strand", save_.per_gb.strand);
    add("scale16.memory_traffic", kDiskGbPerS * kMemoryPasses, "GB/s",
        kComputed + " read, written, and read by the drives; of memory whose speed is unknown");

    const StageLimit copy{"copy_crc", pool / copy_.seconds_per_gb};
    // What the pool spent in whole saves, copies among it.
    const StageLimit all{"pool", pool / save_.per_gb.others};
    const StageLimit ring{"ring", 1 / save_.per_gb.ring};
    const StageLimit strand{"strand", 1 / save_.per_gb.strand};
    const StageLimit coder{"encode_bf16", pool / encode};
    add_limit(copy, "14 cores; the other 2 are the ring's and the strand's");
    add_limit(all, "14 cores, for all that is neither the ring's nor the strand's in a raw save");
    add_limit(coder, "14 cores; GB/s of encoded bytes, before the copy of what they were made of");
    add_limit(ring, "one thread");
    add_limit(strand, "one thread");
    add_bottleneck("raw", {copy, all, ring, strand});
    // The same cores copy the elements and encode them.
    const StageLimit both{"copies and encode_bf16",
                          pool / (encode + save_.per_gb.others * encode_.ratio)};
    add_bottleneck("bf16", {both, ring, strand});
  }

 private:
  inline static const std::string kComputed =
      "computed, not measured: from the stage's cost here, as if cores and memory there were "
      "alike;";

  void add(std::string name, double value, std::string unit, std::string note, int rounds = 1) {
    report_.add({.name = std::move(name),
                 .value = value,
                 .unit = std::move(unit),
                 .rounds = rounds,
                 .note = std::move(note)});
  }
  void add_limit(const StageLimit& limit, const std::string& of) {
    add("scale16." + limit.name + "_limit", limit.gb_per_s, "GB/s", kComputed + " " + of);
  }
  void add_bottleneck(const std::string& save, const std::vector<StageLimit>& limits) {
    const StageLimit& least = *std::ranges::min_element(limits, {}, &StageLimit::gb_per_s);
    const bool disk = least.gb_per_s >= kDiskGbPerS;
    add("scale16." + save + "_bottleneck", std::min(least.gb_per_s, kDiskGbPerS), "GB/s",
        disk ? fmt::format("{} the drives; the next, {}, would take {:.1f} GB/s", kComputed,
                           least.name, least.gb_per_s)
             : fmt::format("{} {}", kComputed, least.name));
  }

  StageCost copy_;
  StageCost encode_;
  SaveCpu save_;
  Report& report_;
};

}  // namespace

void measure_stages(const Context& context, const SaveCpu& save, Report& report) {
  const int rounds = context.settings.quick ? 3 : context.settings.rounds;
  StageModel model(cost_of_copy(context.settings, rounds),
                   cost_of_encoding(context.settings, rounds), save, report);
  model.add_measured(rounds);
  if (save.per_gb.ring <= 0 || save.per_gb.strand <= 0) {
    report.leave_out("scale16", "no save of bytes was measured");
    return;
  }
  model.add_computed();
}

}  // namespace cairn::bench
