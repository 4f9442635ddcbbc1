// How long a save with a codec takes to be durable, against a raw save of the same arrays:
// interleaved pairs in one run, a new root for each side, everything removed at the end. And what
// an incremental save of slightly changed arrays writes.

#include <cairn/cairn.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>

#include "report/measure.h"
#include "save_data.h"

namespace {

namespace fs = std::filesystem;
using cairn::bench::spread_of;
using Clock = std::chrono::steady_clock;

/// What auto promises: of raw's speed to durable at least so much, in the median.
constexpr double kGoal = 0.97;

struct Settings {
  std::string directory = ".";
  std::uint64_t bytes = std::uint64_t{1} << 30;
  std::uint64_t array_bytes = 0;  ///< 0: as suits the data
  std::string codec = "auto";
  std::string data = "bf16";
  std::string policy = "load";
  int pairs = 5;
  std::uint64_t seed = 1;
  bool json = false;
};

cairn::Tree borrow(const std::vector<cairn::Array>& arrays) {
  cairn::Dict tree;
  for (std::size_t i = 0; i < arrays.size(); ++i)
    tree["w" + std::to_string(i)] = cairn::Tree(cairn::ArrayView(arrays[i]));
  return cairn::Tree(std::move(tree));
}

struct Run {
  double seconds = 0;
  double staged_s = 0;
  cairn::SaveResult result;
};

Run save_once(cairn::CheckpointManager& manager, cairn::Step step,
              const std::vector<cairn::Array>& arrays) {
  Run run;
  const auto begin = Clock::now();
  const cairn::SaveFuture save = manager.save(step, borrow(arrays));
  save.wait_staged();
  run.staged_s = std::chrono::duration<double>(Clock::now() - begin).count();
  run.result = save.get();
  run.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  return run;
}

boost::json::array to_json(const cairn::SaveResult& result) {
  boost::json::array codecs;
  for (const cairn::ItemSummary& item : result.items) {
    for (const cairn::CodecSummary& codec : item.codecs) {
      codecs.push_back(
          {{"codec", codec.codec},
           {"reason", codec.reason},
           {"arrays", codec.arrays},
           {"chunks", codec.chunks},
           {"chunks_stored", codec.chunks_stored},
           {"expected_ratio", codec.expected_ratio},
           {"ratio", static_cast<double>(codec.bytes) /
                         static_cast<double>(std::max<std::uint64_t>(1, codec.stored_bytes))}});
    }
  }
  return codecs;
}

/// Saves the arrays, changes 1 % of them (in one region), saves again: bytes of the second save.
double changed_share(const fs::path& root, const std::shared_ptr<cairn::engine::Engine>& engine,
                     cairn::Codec codec, std::vector<cairn::Array>& arrays, std::uint64_t bytes) {
  cairn::ManagerOptions options;
  options.engine = engine;
  options.codec = codec;
  options.incremental = true;
  cairn::CheckpointManager manager(root.string(), options);
  save_once(manager, 0, arrays);
  std::uint64_t left = bytes / 100;
  for (cairn::Array& array : arrays) {
    const std::size_t part = std::min<std::size_t>(left, array.bytes().size());
    for (std::byte& byte : array.bytes().first(part)) byte ^= std::byte{1};
    left -= part;
  }
  return static_cast<double>(save_once(manager, 1, arrays).result.stored_bytes) /
         static_cast<double>(bytes);
}

struct Pairs {
  std::vector<double> speedups, raw_rates, rates;  ///< one of each pair; bytes/s in 10^9
  Run last;
};

Pairs measure_pairs(cairn::CheckpointManager& raw, cairn::CheckpointManager& encoded,
                    const std::vector<cairn::Array>& arrays, const Settings& settings) {
  Pairs pairs;
  save_once(raw, 0, arrays);  // takes the staging memory from the system
  pairs.last = save_once(encoded, 0, arrays);
  for (int i = 0; i < settings.pairs; ++i) {
    double raw_s = 0;
    // A-B B-A: a drift of the disk meets both sides alike.
    for (const bool first : {i % 2 == 0, i % 2 != 0}) {
      if (first) {
        raw_s = save_once(raw, i + 1, arrays).seconds;
      } else {
        pairs.last = save_once(encoded, i + 1, arrays);
      }
    }
    pairs.speedups.push_back(raw_s / pairs.last.seconds);
    pairs.raw_rates.push_back(static_cast<double>(settings.bytes) / raw_s / 1e9);
    pairs.rates.push_back(static_cast<double>(settings.bytes) / pairs.last.seconds / 1e9);
  }
  return pairs;
}

void print(const Settings& settings, const Pairs& pairs, std::size_t arrays, double share) {
  const double speedup = spread_of(pairs.speedups).median;
  const bool pass = speedup >= kGoal;
  // Other codecs take the time that they take.
  const bool promised = settings.codec == "auto" && settings.policy == "load";
  const boost::json::array chosen = to_json(pairs.last.result);
  if (settings.json) {
    boost::json::object report{{"data", settings.data},
                               {"codec", settings.codec},
                               {"bytes", settings.bytes},
                               {"arrays", arrays},
                               {"pairs", settings.pairs},
                               {"raw_gb_per_s", spread_of(pairs.raw_rates).median},
                               {"gb_per_s", spread_of(pairs.rates).median},
                               {"speedup", speedup},
                               {"speedups", boost::json::value_from(pairs.speedups)},
                               {"staged_ms", pairs.last.staged_s * 1e3},
                               {"chosen", chosen},
                               {"written_after_1_percent_changed", share}};
    if (promised) report.insert({{"goal", kGoal}, {"pass", pass}});
    std::printf("%s\n", boost::json::serialize(report).c_str());
    return;
  }
  std::printf(
      "%s of %s: %.3f GB/s to durable, raw %.3f, speedup %.3f (median of %d pairs, least "
      "%.3f)\n",
      settings.codec.c_str(), settings.data.c_str(), spread_of(pairs.rates).median,
      spread_of(pairs.raw_rates).median, speedup, settings.pairs, std::ranges::min(pairs.speedups));
  if (promised) {
    std::printf("goal: a median of %.2f or more, as auto promises: %s\n", kGoal,
                pass ? "pass" : "fail");
  }
  std::printf("chosen: %s\n", boost::json::serialize(chosen).c_str());
  std::printf("incremental, 1 %% changed: %.2f %% of the bytes written\n", share * 100);
}

int run(const Settings& settings) {
  const fs::path work =
      fs::path(settings.directory) / ("save_codecs." + std::to_string(::getpid()));
  fs::create_directories(work);
  const cairn::Codec codec = cairn::Codec::parse(settings.codec);
  std::vector<cairn::Array> arrays =
      cairn::bench::make_arrays(settings.data, settings.bytes, settings.array_bytes, settings.seed);
  const auto engine = cairn::engine::Engine::shared_default();
  cairn::ManagerOptions options;
  options.engine = engine;
  cairn::CheckpointManager raw((work / "raw").string(), options);
  options.codec = codec;
  if (settings.policy != "load") {
    const auto decision =
        settings.policy == "store" ? cairn::EncodeDecision::store : cairn::EncodeDecision::encode;
    options.encode_policy = [decision](const cairn::EncodeLoad&) { return decision; };
  }
  cairn::CheckpointManager encoded((work / "encoded").string(), options);
  const Pairs pairs = measure_pairs(raw, encoded, arrays, settings);
  const double share = changed_share(work / "incremental", engine, codec, arrays, settings.bytes);
  fs::remove_all(work);
  print(settings, pairs, arrays.size(), share);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Time to durable of saves with a codec against raw saves");
  Settings settings;
  app.add_option("--dir", settings.directory, "where to write; needs 2 x (pairs + 2) x bytes")
      ->capture_default_str();
  app.add_option("--bytes", settings.bytes, "bytes per save")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{1} << 20, std::uint64_t{1} << 40));
  app.add_option("--bytes-per-array", settings.array_bytes,
                 "0: 64 MiB, of small 64 KiB, which auto leaves raw; the last array may be smaller")
      ->capture_default_str()
      ->check(CLI::IsMember({std::uint64_t{0}}) |
              CLI::Range(std::uint64_t{64}, std::uint64_t{1} << 40));
  app.add_option("--codec", settings.codec, "raw, auto, blosc[:LEVEL], zstd[:LEVEL], gzip[:LEVEL]")
      ->capture_default_str();
  app.add_option("--data", settings.data,
                 "what the arrays hold: bf16, fp32, noise, small (many of bf16), fp16, fp8, int32 "
                 "(token ids), bool (a mask), or a name in the table of codecs")
      ->capture_default_str()
      ->check(CLI::IsMember(cairn::bench::save_data_names()).description(""));
  app.add_option("--policy", settings.policy, "what auto does with chunks that pay to encode")
      ->capture_default_str()
      ->check(CLI::IsMember({"load", "store", "encode"}));
  app.add_option("--pairs", settings.pairs, "pairs of saves")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--seed", settings.seed, "of the random numbers")->capture_default_str();
  app.add_flag("--json", settings.json, "one JSON object instead of lines");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "save_codecs: %s\n", error.what());
    return 2;
  }
}
