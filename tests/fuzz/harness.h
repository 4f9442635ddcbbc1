#pragma once
// What every fuzz target shares. A target is a function that takes any bytes and checks that the
// library keeps its word about them, and perhaps a mutator that keeps checksums and lengths true
// and a source of seeds. The same targets are compiled into the libFuzzer program of preset `fuzz`
// and into a test of the other presets, which replays seeds and regressions.

#include <cairn/codecs/format_error.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace cairn::fuzz {

/// The library broke a promise. libFuzzer stops at it and keeps the input; the test fails.
class Finding : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

/// Throws Finding, which says `promise`, unless `kept`.
void require(bool kept, std::string_view promise);

/// The most bytes that operator new had out at a time, on this thread, since it was made; what was
/// out before does not count. Memory of C libraries does not either: libFuzzer's malloc limit
/// guards it.
class PeakMemory {
 public:
  PeakMemory() noexcept;
  [[nodiscard]] std::size_t bytes() const noexcept;

 private:
  std::ptrdiff_t before_;
};

/// What any input may cost, beside what its size justifies.
inline constexpr std::size_t kFreeMemory = std::size_t{1} << 20;

/// Requires of an error that a person can read it.
void check_error(const FormatError& error);
/// Requires of an error of one document that it names a place in its `bytes` or their end.
void check_place(const FormatError& error, std::size_t bytes);

/// The value of `decode()`, none where it throws FormatError. Any other exception passes through
/// and is a finding, as is memory above `memory_max` bytes.
template <class Decode>
auto decoded(std::size_t memory_max, const Decode& decode) {
  std::optional<decltype(decode())> value;
  const PeakMemory memory;
  try {
    value.emplace(decode());
  } catch (const FormatError& error) {
    check_error(error);
  }
  require(memory.bytes() <= memory_max,
          "memory stays in proportion to the input: " + std::to_string(memory.bytes()) +
              " bytes, at most " + std::to_string(memory_max) + " are allowed");
  return value;
}

/// The value of `decode(document)`, as above, where the errors have a place in the document.
template <class Decode>
auto decoded_document(std::string_view document, std::size_t memory_max, const Decode& decode) {
  return decoded(memory_max, [&] {
    try {
      return decode(document);
    } catch (const FormatError& error) {
      check_place(error, document.size());
      throw;
    }
  });
}

/// The randomness of one mutation, and the engine's own mutator of bytes.
class Mutation {
 public:
  /// Changes `size` bytes at `data` and returns their new number, at most `max_size`.
  using OfBytes = std::size_t (*)(std::uint8_t* data, std::size_t size, std::size_t max_size);

  Mutation(std::uint32_t seed, std::size_t max_bytes, OfBytes mutator)
      : random_(seed), max_bytes_(max_bytes), of_bytes_(mutator) {}
  /// 0 to n-1; 0 when n is 0.
  [[nodiscard]] std::size_t below(std::size_t n);
  [[nodiscard]] bool one_in(std::size_t n) { return below(n) == 0; }
  [[nodiscard]] std::string of_bytes(std::string_view bytes);
  [[nodiscard]] std::size_t max_bytes() const noexcept { return max_bytes_; }

 private:
  std::minstd_rand random_;
  std::size_t max_bytes_;
  OfBytes of_bytes_;
};

/// Files of tests/data, and where they are.
class TestData {
 public:
  explicit TestData(std::filesystem::path root) : root_(std::move(root)) {}
  [[nodiscard]] std::string read(const std::filesystem::path& file) const;
  /// Files below `folder` whose name begins with `prefix`, sorted.
  [[nodiscard]] std::vector<std::filesystem::path> files(const std::filesystem::path& folder,
                                                         std::string_view prefix = "") const;
  [[nodiscard]] const std::filesystem::path& root() const noexcept { return root_; }

 private:
  std::filesystem::path root_;
};
using Seeds = std::vector<std::string>;

struct Target {
  std::string_view name;
  /// Throws, or ends the process, where the library breaks a promise about `input`.
  void (*check)(std::string_view input);
  /// An input near `input`; null: bytes change anywhere.
  std::string (*mutate)(std::string_view input, Mutation& mutation) = nullptr;
  /// Sound inputs, from golden files and from our encoders.
  Seeds (*seeds)(const TestData& data) = nullptr;
};

/// Makes a target known; one at namespace scope in each target's file.
class Registration {
 public:
  explicit Registration(const Target& target);
};
/// All targets, by name.
[[nodiscard]] std::span<const Target> targets();

}  // namespace cairn::fuzz
