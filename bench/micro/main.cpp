// Micro-benchmarks of each stage of a save and a restore; bench/micro/compare judges them.

#include <benchmark/benchmark.h>

#include <fstream>
#include <string>

namespace {

/// "AMD EPYC, family 25, model 17, stepping 1": in virtual machines the name alone says little.
std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  const auto after_colon = [](const std::string& line) {
    const auto colon = line.find(": ");
    return colon == std::string::npos ? std::string() : line.substr(colon + 2);
  };
  std::string name = "unknown";
  std::string rest;
  for (std::string line; std::getline(file, line) && !line.empty();) {
    if (line.starts_with("model name")) {
      name = after_colon(line);
      continue;
    }
    for (const char* field : {"cpu family", "model", "stepping"}) {
      if (!line.starts_with(std::string(field) + "\t")) continue;
      rest += ", " + std::string(field) + " " + after_colon(line);
    }
  }
  return name + rest;
}

std::string compiler() {
#if defined(__clang__)
  return __VERSION__;
#else
  return std::string("g++ ") + __VERSION__;
#endif
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::AddCustomContext("processor", processor());
  benchmark::AddCustomContext("compiler", compiler());
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
