// How long a save with a codec takes to be durable, against a raw save of the same arrays:
// interleaved pairs in one run, a new root for each side, everything removed at the end. And what
// an incremental save of slightly changed arrays writes.

#include <cairn/cairn.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <bit>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <random>

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Settings {
  std::string directory = ".";
  std::uint64_t bytes = std::uint64_t{1} << 30;
  std::string codec = "auto";
  std::string data = "bf16";
  std::string policy = "load";
  int pairs = 5;
  std::uint64_t seed = 1;
  bool json = false;
};

/// Arrays of 64 MiB: "bf16" and "fp32" are N(0, 0.02^2), "noise" has no pattern at all.
std::vector<cairn::Array> make_arrays(const Settings& settings) {
  constexpr std::uint64_t kArrayBytes = 64u << 20;
  const bool half = settings.data == "bf16";
  std::mt19937 random(static_cast<std::mt19937::result_type>(settings.seed));
  std::normal_distribution<float> normal(0, 0.02f);
  // Drawn from at random: the same distribution at a tenth of the cost.
  std::vector<std::uint32_t> table(1u << 16);
  for (std::uint32_t& bits : table) bits = std::bit_cast<std::uint32_t>(normal(random));
  std::vector<cairn::Array> arrays;
  for (std::uint64_t done = 0; done < settings.bytes; done += kArrayBytes) {
    const std::uint64_t part = std::min(kArrayBytes, settings.bytes - done);
    const auto dtype = half ? cairn::DType::bfloat16 : cairn::DType::float32;
    const auto elements = static_cast<cairn::Index>(part / cairn::size_of(dtype));
    cairn::Array array = cairn::Array::uninitialized(dtype, {elements});
    if (half) {
      for (cairn::bfloat16_t& value : array.values<cairn::bfloat16_t>()) {
        const std::uint32_t bits = table[random() % table.size()];
        value.bits = static_cast<std::uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
      }
    } else {
      for (float& value : array.values<float>()) {
        const std::uint32_t bits = settings.data == "noise"
                                       ? static_cast<std::uint32_t>(random())
                                       : table[random() % table.size()] ^ (random() & 0xff);
        value = std::bit_cast<float>(bits);
      }
    }
    arrays.push_back(std::move(array));
  }
  return arrays;
}

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

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const std::size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
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

int run(const Settings& settings) {
  const fs::path work =
      fs::path(settings.directory) / ("save_codecs." + std::to_string(::getpid()));
  fs::create_directories(work);
  const cairn::Codec codec = cairn::Codec::parse(settings.codec);
  std::vector<cairn::Array> arrays = make_arrays(settings);
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
  save_once(raw, 0, arrays);  // takes the staging memory from the system
  Run last = save_once(encoded, 0, arrays);
  std::vector<double> speedups, raw_rates, rates;
  for (int i = 0; i < settings.pairs; ++i) {
    double raw_s = 0;
    // A-B B-A: a drift of the disk meets both sides alike.
    for (const bool first : {i % 2 == 0, i % 2 != 0}) {
      if (first) {
        raw_s = save_once(raw, i + 1, arrays).seconds;
      } else {
        last = save_once(encoded, i + 1, arrays);
      }
    }
    speedups.push_back(raw_s / last.seconds);
    raw_rates.push_back(static_cast<double>(settings.bytes) / raw_s / 1e9);
    rates.push_back(static_cast<double>(settings.bytes) / last.seconds / 1e9);
  }
  const double share = changed_share(work / "incremental", engine, codec, arrays, settings.bytes);
  boost::json::object report{{"data", settings.data},
                             {"codec", settings.codec},
                             {"bytes", settings.bytes},
                             {"pairs", settings.pairs},
                             {"raw_gb_per_s", median(raw_rates)},
                             {"gb_per_s", median(rates)},
                             {"speedup", median(speedups)},
                             {"speedups", boost::json::value_from(speedups)},
                             {"staged_ms", last.staged_s * 1e3},
                             {"chosen", to_json(last.result)},
                             {"written_after_1_percent_changed", share}};
  fs::remove_all(work);
  if (settings.json) {
    std::printf("%s\n", boost::json::serialize(report).c_str());
    return 0;
  }
  std::printf(
      "%s of %s: %.3f GB/s to durable, raw %.3f, speedup %.3f (median of %d pairs, least "
      "%.3f)\n",
      settings.codec.c_str(), settings.data.c_str(), median(rates), median(raw_rates),
      median(speedups), settings.pairs, std::ranges::min(speedups));
  std::printf("chosen: %s\n", boost::json::serialize(report["chosen"]).c_str());
  std::printf("incremental, 1 %% changed: %.2f %% of the bytes written\n", share * 100);
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
  app.add_option("--codec", settings.codec, "raw, auto, blosc[:LEVEL], zstd[:LEVEL], gzip[:LEVEL]")
      ->capture_default_str();
  app.add_option("--data", settings.data, "what the arrays hold")
      ->capture_default_str()
      ->check(CLI::IsMember({"bf16", "fp32", "noise"}));
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
