#include <cairn/codecs/blosc.h>
#include <cairn/codecs/internal/blosc_layout.h>
#include <cairn/codecs/internal/byte_shuffle.h>
#include <cairn/codecs/internal/plane_statistics.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace cairn::blosc {
namespace internal {
namespace {

/// A plane's sample: runs of one cache line.
constexpr std::size_t kRunBytes = 64, kRuns = 64;
/// Above the entropy at which coding pays, by what a sample of this size may be off.
constexpr double kSampleMargin = 0.05;

}  // namespace

double entropy(const Histogram& histogram, std::size_t count) noexcept {
  double sum = 0;
  unsigned kinds = 0;
  for (const auto n : histogram) {
    if (n == 0) continue;
    sum += static_cast<double>(n) * std::log2(static_cast<double>(n));
    ++kinds;
  }
  const auto total = static_cast<double>(count);
  // A sample looks more orderly than what it was drawn from: Miller's correction.
  const double bias = (kinds - 1) / (2 * total * std::numbers::ln2);
  return std::log2(total) - sum / total + bias;
}

bool seems_compressible(std::span<const std::byte> plane) noexcept {
  if (plane.size() <= kRunBytes * kRuns) {
    return entropy(count_symbols(plane), plane.size()) < kRawBitsPerByte;
  }
  const auto apart = (plane.size() - kRunBytes) / (kRuns - 1);
  std::array<std::byte, kRunBytes * kRuns> sample;
  for (std::size_t run = 0; run < kRuns; ++run) {
    std::copy_n(&plane[run * apart], kRunBytes, &sample[run * kRunBytes]);
  }
  return entropy(count_symbols(sample), sample.size()) < kRawBitsPerByte + kSampleMargin;
}

}  // namespace internal

namespace {

using namespace internal;

/// estimate_ratio()'s sample.
constexpr std::size_t kSampleBytes = std::size_t{64} << 10, kSampleRuns = 32;

/// trial_pieces()': what repeats does so nearby, and a piece is long enough to show most of it.
constexpr std::size_t kPieceBytes = std::size_t{64} << 10, kPieces = 3;

// Whole elements from all over `content`.
std::vector<std::byte> take_sample(std::span<const std::byte> content, std::size_t typesize) {
  const auto elements = content.size() / typesize;
  const auto run = std::max<std::size_t>(kSampleBytes / kSampleRuns / typesize, 1);
  if (elements <= run * kSampleRuns) {
    const auto all = content.first(elements * typesize);
    return {all.begin(), all.end()};
  }
  std::vector<std::byte> sample;
  sample.reserve(run * typesize * kSampleRuns);
  for (std::size_t i = 0; i < kSampleRuns; ++i) {
    const auto first = (elements - run) * i / (kSampleRuns - 1);
    const auto part = content.subspan(first * typesize, run * typesize);
    sample.insert(sample.end(), part.begin(), part.end());
  }
  return sample;
}

// Bits per byte that a plane would take.
double plane_bits(std::span<const std::byte> plane) {
  const auto histogram = count_symbols(plane);
  if (histogram[std::to_integer<std::size_t>(plane[0])] == plane.size()) return 0;
  const auto symbols = static_cast<double>(plane.size());
  const auto coded =
      static_cast<double>(coded_symbols(histogram, make_code(histogram)).bits) / symbols;
  // A code made for the sample suits it better than it will suit the rest.
  const double bits = std::max(coded, entropy(histogram, plane.size()));
  return bits < kRawBitsPerByte ? bits : 8;
}

}  // namespace

double estimate_ratio(std::span<const std::byte> content, std::size_t typesize) {
  if (typesize == 0 || content.size() < typesize) return 1;
  const auto sample = take_sample(content, typesize);
  const auto elements = sample.size() / typesize;
  std::vector<std::byte> shuffled(sample.size());
  std::vector<std::byte*> planes(typesize);
  for (std::size_t j = 0; j < typesize; ++j) planes[j] = &shuffled[j * elements];
  shuffle(sample.data(), elements, typesize, planes.data());
  double bits = 0;
  for (std::size_t j = 0; j < typesize; ++j) bits += plane_bits({planes[j], elements});
  const double stored_share = bits / 8 / static_cast<double>(typesize);
  const auto raw = static_cast<double>(content.size());
  // Planes and their streams have headers; a frame that gains nothing is stored with one.
  const double overhead = static_cast<double>(kHeaderBytes) / raw;
  return 1 / (std::min(stored_share, 1.0) + overhead);
}

std::vector<std::span<const std::byte>> trial_pieces(std::span<const std::byte> content,
                                                     std::size_t typesize) {
  std::vector<std::span<const std::byte>> pieces;
  if (typesize == 0 || content.size() < typesize) return pieces;
  const std::size_t bytes = std::min(content.size(), kPieceBytes) / typesize * typesize;
  if (bytes == 0) return pieces;
  const std::size_t last = (content.size() - bytes) / typesize;
  const std::size_t count = std::clamp<std::size_t>(content.size() / kPieceBytes, 1, kPieces);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t first = count == 1 ? 0 : last * i / (count - 1);
    pieces.push_back(content.subspan(first * typesize, bytes));
  }
  return pieces;
}

}  // namespace cairn::blosc
