// The program of preset `fuzz`: one for all targets, so that it is linked once.
//   cairn_fuzz --list                         the targets' names
//   cairn_fuzz --seeds=DIR                    writes the seed corpus to DIR/<target>/
//   cairn_fuzz --target=NAME [libFuzzer's options and folders]

#include <fuzz/harness.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace cairn::fuzz {
namespace {

const Target* chosen = nullptr;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "cairn_fuzz: %s\n", why.c_str());
  std::exit(2);
}

void write_seeds(const std::filesystem::path& to) {
  const TestData data(CAIRN_TEST_DATA);
  for (const Target& target : targets()) {
    const auto folder = to / target.name;
    std::filesystem::create_directories(folder);
    const Seeds seeds = target.seeds == nullptr ? Seeds{} : target.seeds(data);
    for (std::size_t i = 0; i < seeds.size(); ++i) {
      std::ofstream file(folder / ("seed-" + std::to_string(i)), std::ios::binary);
      file.write(seeds[i].data(), static_cast<std::streamsize>(seeds[i].size()));
      if (!file) give_up("cannot write to " + folder.string());
    }
  }
}

void take(std::string_view argument) {
  constexpr std::string_view kSeeds = "--seeds=";
  constexpr std::string_view kTarget = "--target=";
  if (argument == "--list") {
    for (const Target& target : targets()) std::printf("%s\n", std::string(target.name).c_str());
    std::exit(0);
  }
  if (argument.starts_with(kSeeds)) {
    write_seeds(argument.substr(kSeeds.size()));
    std::exit(0);
  }
  if (argument.starts_with(kTarget)) {
    const auto name = argument.substr(kTarget.size());
    const auto all = targets();
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const Target& target) { return target.name == name; });
    if (found == all.end()) give_up("no target " + std::string(name) + "; --list names them");
    chosen = &*found;
  }
}

std::size_t put(const std::string& bytes, std::uint8_t* to, std::size_t max_size) {
  const std::size_t size = std::min(bytes.size(), max_size);
  std::memcpy(to, bytes.data(), size);
  return size;
}

}  // namespace
}  // namespace cairn::fuzz

using namespace cairn::fuzz;  // NOLINT(google-build-using-namespace): the entry points are C

// libFuzzer passes over options that begin with two dashes.
extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  for (int i = 1; i < *argc; ++i) take((*argv)[i]);
  if (chosen == nullptr) give_up("--target=NAME says which target to run; --list names them");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen->check({reinterpret_cast<const char*>(data), size});
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned seed) {
  if (chosen->mutate == nullptr) return LLVMFuzzerMutate(data, size, max_size);
  Mutation mutation(seed, max_size, LLVMFuzzerMutate);
  const std::string input(reinterpret_cast<const char*>(data), size);
  return put(chosen->mutate(input, mutation), data, max_size);
}
