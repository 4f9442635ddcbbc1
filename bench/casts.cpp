// Speed of cast() on one core: 10^9 bytes of source and target per second, for some pairs of types
// or for those named.

#include <cairn/codecs/cast.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace {

using cairn::DType;

constexpr int kPasses = 15;

// The thread's own time: other processes take the core away, but not from the result.
double thread_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Normal numbers, as weights have them.
std::vector<std::byte> weights(DType dtype, std::size_t count) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02F);
  std::vector<float> values(count);
  for (float& value : values) value = normal(random);
  std::vector<std::byte> bytes(count * size_of(dtype));
  cairn::cast(std::as_bytes(std::span(values)), DType::float32, bytes, dtype);
  return bytes;
}

// The median pass.
double gbps(DType from, DType to, std::size_t count) {
  const auto source = weights(from, count);
  std::vector<std::byte> target(count * size_of(to));
  std::vector<double> seconds;
  for (int pass = 0; pass < kPasses; ++pass) {
    const double begin = thread_seconds();
    cairn::cast(source, from, target, to);
    seconds.push_back(thread_seconds() - begin);
  }
  std::nth_element(seconds.begin(), seconds.begin() + kPasses / 2, seconds.end());
  return static_cast<double>(source.size() + target.size()) / seconds[kPasses / 2] * 1e-9;
}

DType dtype_of_name(const std::string& name) {
  const auto dtype = cairn::dtype_from_name(name);
  if (!dtype) throw CLI::ValidationError(name, "is no dtype");
  return *dtype;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Speed of casts on one core, 10^9 bytes of source and target per second.");
  std::size_t count = std::size_t{4} << 20;
  std::vector<std::pair<std::string, std::string>> pairs{
      {"float32", "bfloat16"},      {"bfloat16", "float32"},     {"float32", "float16"},
      {"float16", "float32"},       {"float64", "float32"},      {"float32", "float64"},
      {"float64", "bfloat16"},      {"bfloat16", "float16"},     {"float32", "float8_e4m3fn"},
      {"float8_e4m3fn", "float32"}, {"bfloat16", "float8_e5m2"}, {"int64", "int32"},
      {"int32", "float32"},         {"float32", "int32"},        {"float64", "uint64"},
      {"complex128", "complex64"},  {"float32", "complex64"},    {"float32", "bool"}};
  app.add_option("--elements", count, "of each array")->capture_default_str();
  app.add_option("--pair", pairs, "two dtypes, from and to");
  CLI11_PARSE(app, argc, argv);
  for (const auto& [from, to] : pairs) {
    std::printf("%-18s %-18s %8.2f\n", from.c_str(), to.c_str(),
                gbps(dtype_of_name(from), dtype_of_name(to), count));
  }
  return 0;
}
