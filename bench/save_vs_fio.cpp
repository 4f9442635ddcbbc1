// How fast a save is durable, against what fio writes to the same file system: interleaved pairs in
// one run, a new file and a new step each time, everything removed at the end (a file deleted a
// second ago makes the next write slow).

#include <cairn/cairn.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <random>

#include "fio.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Pair {
  double save_bytes_per_second = 0;
  double fio_bytes_per_second = 0;
  double staged_s = 0;
  double cpu_seconds_per_gb = 0;
  [[nodiscard]] double ratio() const { return save_bytes_per_second / fio_bytes_per_second; }
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// `bytes` of seeded random floats in arrays of 64 MiB.
std::vector<cairn::Array> random_arrays(std::uint64_t bytes, std::uint64_t seed) {
  constexpr std::uint64_t kArrayBytes = 64u << 20;
  std::mt19937_64 random(seed);
  std::vector<cairn::Array> arrays;
  for (std::uint64_t done = 0; done < bytes;) {
    const std::uint64_t part = std::min(kArrayBytes, bytes - done);
    arrays.push_back(cairn::Array::uninitialized(cairn::DType::float32,
                                                 {static_cast<cairn::Index>(part / 4096), 1024}));
    // Random bits under a fixed exponent: numbers in [1, 2), as incompressible as they get for a
    // raw save.
    for (float& value : arrays.back().values<float>()) {
      const auto bits = static_cast<std::uint32_t>(random() >> 41) | 0x3f800000u;
      std::memcpy(&value, &bits, sizeof(bits));
    }
    done += part;
  }
  return arrays;
}

cairn::Tree borrow(const std::vector<cairn::Array>& arrays) {
  cairn::Dict tree;
  for (std::size_t i = 0; i < arrays.size(); ++i)
    tree["w" + std::to_string(i)] = cairn::Tree(cairn::ArrayView(arrays[i]));
  return cairn::Tree(std::move(tree));
}

void save_once(cairn::CheckpointManager& manager, cairn::Step step,
               const std::vector<cairn::Array>& arrays, std::uint64_t bytes, Pair& pair) {
  const double cpu = cpu_seconds();
  const auto begin = Clock::now();
  const cairn::SaveFuture save = manager.save(step, borrow(arrays));
  save.wait_staged();
  pair.staged_s = std::chrono::duration<double>(Clock::now() - begin).count();
  static_cast<void>(save.get());
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  pair.save_bytes_per_second = static_cast<double>(bytes) / seconds;
  pair.cpu_seconds_per_gb = (cpu_seconds() - cpu) / (static_cast<double>(bytes) / 1e9);
}

struct Spread {
  double min = 0;
  double median = 0;
  double max = 0;
};

template <class Get>
Spread spread(const std::vector<Pair>& pairs, Get get) {
  std::vector<double> values;
  for (const Pair& pair : pairs) values.push_back(get(pair));
  std::ranges::sort(values);
  const std::size_t n = values.size();
  return {values.front(), n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2,
          values.back()};
}

boost::json::object to_json(const Spread& s) {
  return {{"min", s.min}, {"median", s.median}, {"max", s.max}};
}

boost::json::object path_of(const cairn::engine::EngineStats& stats) {
  boost::json::array flags;
  for (const std::string& flag : stats.backend.ring_flags) flags.emplace_back(flag);
  return {{"backend", stats.backend.name},
          {"reason", stats.backend.reason},
          {"ring_flags", flags},
          {"direct", stats.files_direct > 0},
          {"registered_buffers", stats.backend.registered_buffers},
          {"registered_bytes", stats.backend.registered_bytes},
          {"registered_reason", stats.backend.registered_reason}};
}

int run(const std::string& directory, std::uint64_t bytes, int pair_count, std::uint64_t seed,
        bool json) {
  namespace fs = std::filesystem;
  const fs::path work = fs::path(directory) / ("save_vs_fio." + std::to_string(::getpid()));
  fs::create_directories(work);
  std::vector<Pair> pairs;
  boost::json::object path;
  {
    cairn::CheckpointManager manager((work / "root").string());
    const std::vector<cairn::Array> arrays = random_arrays(bytes, seed);
    Pair warm_up;  // the first save takes its staging memory from the system; users meet that once
    save_once(manager, 0, arrays, bytes, warm_up);
    for (int i = 0; i < pair_count; ++i) {
      Pair pair;
      // A-B B-A: a drift of the disk meets both sides alike.
      for (const bool ours : {i % 2 == 0, i % 2 != 0}) {
        if (ours) {
          save_once(manager, i + 1, arrays, bytes, pair);
        } else {
          pair.fio_bytes_per_second =
              cairn::bench::fio_write((work / ("fio." + std::to_string(i))).string(), bytes)
                  .bytes_per_second;
        }
      }
      if (!json) {
        std::printf("pair %d: save %.3f GB/s (staged after %.0f ms), fio %.3f GB/s, ratio %.3f\n",
                    i + 1, pair.save_bytes_per_second / 1e9, pair.staged_s * 1e3,
                    pair.fio_bytes_per_second / 1e9, pair.ratio());
        std::fflush(stdout);
      }
      pairs.push_back(pair);
    }
    path = path_of(manager.engine()->stats());
  }
  fs::remove_all(work);
  const Spread ratio = spread(pairs, [](const Pair& p) { return p.ratio(); });
  boost::json::object report{
      {"bytes", bytes},
      {"pairs", pair_count},
      {"seed", seed},
      {"reference", cairn::bench::fio_command("FILE", bytes)},
      {"effective_path", path},
      {"ratio", to_json(ratio)},
      {"save_gb_per_s",
       to_json(spread(pairs, [](const Pair& p) { return p.save_bytes_per_second / 1e9; }))},
      {"fio_gb_per_s",
       to_json(spread(pairs, [](const Pair& p) { return p.fio_bytes_per_second / 1e9; }))},
      {"staged_ms", to_json(spread(pairs, [](const Pair& p) { return p.staged_s * 1e3; }))},
      {"cpu_seconds_per_gb",
       to_json(spread(pairs, [](const Pair& p) { return p.cpu_seconds_per_gb; }))}};
  if (json) {
    std::printf("%s\n", boost::json::serialize(report).c_str());
  } else {
    std::printf("path: %s\n", boost::json::serialize(path).c_str());
    std::printf("save / fio: median %.3f (%.3f - %.3f) of %d pairs\n", ratio.median, ratio.min,
                ratio.max, pair_count);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Time to durable of a raw save against fio on the same file system");
  std::string directory = ".";
  std::uint64_t bytes = std::uint64_t{1} << 30;
  std::uint64_t seed = 1;
  int pairs = 5;
  bool json = false;
  app.add_option("--dir", directory, "where to write; needs (2 x pairs + 1) x bytes")
      ->capture_default_str();
  app.add_option("--bytes", bytes, "bytes per save, a multiple of 4096")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{4096}, std::uint64_t{1} << 40));
  app.add_option("--pairs", pairs, "pairs of a save and a fio run")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--seed", seed, "of the random numbers")->capture_default_str();
  app.add_flag("--json", json, "one JSON object instead of lines");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(directory, bytes / 4096 * 4096, pairs, seed, json);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "save_vs_fio: %s\n", error.what());
    return 2;
  }
}
