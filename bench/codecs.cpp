// Ratio and speed on one core of the codecs, ours beside others, on what checkpoints are made of.

#include <cairn/engine/clock.h>
#include <cairn/engine/cpu_pool.h>

#include <CLI/CLI.hpp>
#include <boost/json.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "codec_runs.h"

namespace {

using namespace cairn::bench;

struct Settings {
  std::size_t bytes = std::size_t{64} << 20;
  std::uint64_t seed = 1;
  int passes = 9;
  bool json = false;
  std::string data, codec;  ///< parts of the names wanted
  std::vector<std::string> weights;
  std::string as;  ///< also show 32-bit weights as this; empty: as they are alone
  /// What auto reckons with.
  double disk_gbps = 0;
  unsigned workers = cairn::engine::available_cpus();
};

bool wanted(const std::string& name, const std::string& part) {
  return name.find(part) != std::string::npos;
}

/// "blosc planes, auto: by the sample"; of other rows than auto's nothing.
std::string words_of(const CodecRun& codec) {
  if (!codec.choice) return {};
  return label_of(*codec.choice) + ", " + std::string(text_of(codec.choice->reason));
}

void print_row(const std::string& data, const CodecRun& codec, const Measurement& row) {
  std::printf("%-26s %-24s %9.3f %9.2f %9.2f %9.2f %9.2f  %s\n", data.c_str(), codec.name.c_str(),
              row.ratio, row.encode_gbps, row.decode_gbps, row.encode_gbps_max, row.decode_gbps_max,
              words_of(codec).c_str());
  std::fflush(stdout);
}

boost::json::object to_json(const DataSet& data, const CodecRun& codec, const Measurement& row) {
  boost::json::object result{{"data", data.name},
                             {"codec", codec.name},
                             {"ratio", row.ratio},
                             {"encode_gbps", row.encode_gbps},
                             {"decode_gbps", row.decode_gbps},
                             {"encode_gbps_max", row.encode_gbps_max},
                             {"decode_gbps_max", row.decode_gbps_max},
                             {"passes", row.passes},
                             {"bytes", data.content.size()}};
  if (codec.choice) {
    result["chosen"] = label_of(*codec.choice);
    result["reason"] = text_of(codec.choice->reason);
    result["expected_ratio"] = codec.choice->expected_ratio;
  }
  return result;
}

/// As the planner of a save has it.
cairn::internal::AutoSettings auto_settings(const Settings& settings) {
  static const auto clock = cairn::engine::system_clock();
  cairn::internal::AutoSettings automatic;
  automatic.disk_rate = settings.disk_gbps * 1e9;
  automatic.workers = settings.workers;
  automatic.clock = clock.get();
  return automatic;
}

void run_data(const DataSet& data, const Settings& settings, boost::json::array& results) {
  for (const auto& codec : codecs(data, auto_settings(settings))) {
    if (!wanted(codec.name, settings.codec)) continue;
    const auto row = measure(codec, data, settings.passes);
    if (!settings.json) print_row(data.name, codec, row);
    results.push_back(to_json(data, codec, row));
  }
}

void run(const Settings& settings) {
  if (!settings.json) {
    std::printf("%-26s %-24s %9s %9s %9s %9s %9s  %s\n", "data", "codec", "ratio", "encode",
                "decode", "enc. max", "dec. max", "chosen by auto, and why");
    std::printf("%-26s %-24s %9s %39s\n", "", "", "raw/stored",
                "10^9 bytes of content per second of a core");
  }
  boost::json::array results;
  for (const auto& path : settings.weights) {
    for (const auto& data : read_weights(path, settings.bytes)) {
      run_data(data, settings, results);
      if (settings.as.empty() || data.name != "float32 weights") continue;
      const auto type = settings.as == "bf16" ? HalfFloat::bfloat16 : HalfFloat::float16;
      run_data(narrowed(data, type), settings, results);
    }
  }
  for (const auto& name : data_names()) {
    if (!wanted(name, settings.data)) continue;
    run_data(generate(name, settings.bytes, settings.seed), settings, results);
  }
  if (!settings.json) return;
  const boost::json::object report{{"seed", settings.seed},
                                   {"disk_gbps", settings.disk_gbps},
                                   {"workers", settings.workers},
                                   {"results", results}};
  std::printf("%s\n", boost::json::serialize(report).c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Ratio and speed of codecs. Speeds are 10^9 bytes of content per second of one core (the "
      "thread's own time): the median of some passes, and the best.");
  Settings settings;
  app.add_option("--bytes", settings.bytes, "of each data set, at most of each dtype of a file")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{4096}, std::size_t{1} << 34));
  app.add_option("--passes", settings.passes, "over each data set; fewer for slow codecs")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--seed", settings.seed, "of the random numbers")->capture_default_str();
  app.add_option("--data", settings.data, "only data sets whose name has this in it");
  app.add_option("--codec", settings.codec, "only codecs whose name has this in it");
  app.add_option("--weights", settings.weights, "safetensors files with trained weights")
      ->check(CLI::ExistingFile);
  app.add_option("--as", settings.as, "show float32 weights in this type too: bf16 or fp16")
      ->check(CLI::IsMember({"bf16", "fp16"}))
      ->needs("--weights");
  app.add_option("--disk-gbps", settings.disk_gbps,
                 "what auto takes the disk to write, 10^9 bytes per second; 0: as in a first save, "
                 "which does not know")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1000.0));
  app.add_option("--workers", settings.workers, "threads that auto takes to encode")
      ->capture_default_str()
      ->check(CLI::Range(1, 4096));
  app.add_flag("--json", settings.json, "one JSON object instead of a table");
  CLI11_PARSE(app, argc, argv);
  try {
    run(settings);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "codecs: %s\n", error.what());
    return 2;
  }
}
