// The float-aware encoder: every frame must decode with libblosc, whatever the content.

#include <cairn/codecs/internal/blosc_layout.h>

#include <algorithm>

#include "codecs/blosc_samples.h"

namespace cairn::blosc {
namespace {

std::vector<PlaneCoder> coders() {
  std::vector<PlaneCoder> all{PlaneCoder::automatic, PlaneCoder::libzstd, PlaneCoder::portable,
                              PlaneCoder::matches};
  if (has_avx512_coder()) all.push_back(PlaneCoder::avx512);
  return all;
}

Bytes frame_of(const Bytes& content, std::size_t typesize, PlaneCoder coder) {
  Bytes frame(frame_bound(content.size()));
  frame.resize(encode_planes(content, typesize, frame, coder));
  return frame;
}

void expect_round_trip(const Bytes& content, std::size_t typesize) {
  for (const auto coder : coders()) {
    const auto frame = frame_of(content, typesize, coder);
    EXPECT_LE(frame.size(), frame_bound(content.size()));
    EXPECT_TRUE(decode_by_libblosc(frame, content.size()) == content)
        << "libblosc; coder " << static_cast<int>(coder) << " typesize " << typesize << " bytes "
        << content.size();
    EXPECT_TRUE(decoded(frame, content.size()) == content)
        << "ours; coder " << static_cast<int>(coder) << " typesize " << typesize << " bytes "
        << content.size();
  }
}

double ratio(const Bytes& content, std::size_t typesize, PlaneCoder coder) {
  return static_cast<double>(content.size()) /
         static_cast<double>(frame_of(content, typesize, coder).size());
}

TEST(PlanesEncoder, RoundTripsEveryTypesize) {
  const auto content = normal_floats(300'000);
  for (const std::size_t typesize : {1U, 2U, 3U, 4U, 5U, 8U, 12U, 15U, 16U, 17U, 32U, 255U}) {
    expect_round_trip(content, typesize);
  }
}

TEST(PlanesEncoder, RoundTripsLengthsAroundEveryBoundary) {
  const auto content = normal_floats(400'000);
  for (const std::size_t near : {0U, 16U, 128U, 256U, 512U, 1'024U, 4'096U, 16'384U, 65'536U,
                                 131'072U, 524'288U, 1'048'576U}) {
    for (const std::size_t size :
         {near, near + 1, near + 2, near + 7, near - std::min(near, std::size_t{1})}) {
      const Bytes part(content.begin(), content.begin() + static_cast<std::ptrdiff_t>(size));
      expect_round_trip(part, 2);
      expect_round_trip(part, 4);
    }
  }
}

TEST(PlanesEncoder, CodesTheExponentsOfWeightsAndLeavesTheirMantissas) {
  // Huffman codes of the upper plane bound the ratio of these to 1.4935.
  const auto bfloats = normal_bfloats(2'000'000);
  const auto floats = normal_floats(1'000'000);
  for (const auto coder : coders()) {
    if (coder == PlaneCoder::matches) continue;  // it finds some, by chance
    EXPECT_GT(ratio(bfloats, 2, coder), 1.485);
    EXPECT_GT(ratio(floats, 4, coder), 1.19);
  }
}

TEST(PlanesEncoder, HasOneStreamForEachPlane) {
  const auto frame = frame_of(normal_bfloats(1'000'000), 2, PlaneCoder::automatic);
  const auto header = decode_header(frame);
  EXPECT_TRUE(header.split);
  EXPECT_EQ(header.compressor, Compressor::zstd);
  EXPECT_EQ(header.shuffle, Shuffle::byte);
  EXPECT_EQ(header.block_bytes, std::size_t{512} << 10);
  // The mantissas' stream is as long as the plane: raw.
  const auto first = internal::load_u32(&frame[kHeaderBytes]);
  EXPECT_EQ(internal::load_u32(&frame[first]), header.block_bytes / 2);
}

TEST(PlanesEncoder, NeverGrowsByMoreThanAHeader) {
  for (const std::size_t count : {1U, 100U, 65'536U, 1'000'003U}) {
    const auto noise = random_bytes(count);
    for (const auto coder : coders()) {
      for (const std::size_t typesize : {1U, 2U, 4U, 8U}) {
        EXPECT_EQ(frame_of(noise, typesize, coder).size(), frame_bound(count));
      }
    }
  }
}

TEST(PlanesEncoder, RepeatedBytesTakeNextToNothing) {
  const Bytes zeros(10'000'000);
  EXPECT_GT(ratio(zeros, 4, PlaneCoder::automatic), 3'000);
  expect_round_trip(zeros, 4);
}

TEST(PlanesEncoder, FindsWhatRepeatsWhereItIsToldToLook) {
  Bytes counting(8 << 20);
  for (std::uint32_t i = 0; i < counting.size() / 4; ++i) std::memcpy(&counting[i * 4], &i, 4);
  // The lowest bytes are evenly distributed, and the same every 256 elements.
  EXPECT_LT(ratio(counting, 4, PlaneCoder::automatic), 3);
  EXPECT_GT(ratio(counting, 4, PlaneCoder::matches), 100);
  expect_round_trip(counting, 4);
}

TEST(PlanesEncoder, IsTriedOnPiecesFromAllOverTheContent) {
  const Bytes content = random_bytes(1 << 20);
  const auto pieces = trial_pieces(content, 8);
  ASSERT_EQ(pieces.size(), 3u);
  EXPECT_EQ(pieces.front().data(), content.data());
  EXPECT_EQ(pieces.back().data() + pieces.back().size(), content.data() + content.size());
  for (const auto piece : pieces) {
    EXPECT_EQ(piece.size(), std::size_t{64} << 10);
    EXPECT_EQ((piece.data() - content.data()) % 8, 0);
  }
  for (const std::size_t count : {0U, 1U, 3U, 4U, 7U, 65'535U, 65'536U, 65'541U, 131'073U}) {
    for (const std::size_t typesize : {1U, 3U, 4U, 255U}) {
      const std::span<const std::byte> part(content.data(), count);
      const auto some = trial_pieces(part, typesize);
      EXPECT_EQ(some.empty(), count < typesize) << count << " " << typesize;
      for (const auto piece : some) {
        EXPECT_EQ(piece.size() % typesize, 0u);
        EXPECT_LE(piece.data() + piece.size(), part.data() + part.size());
      }
    }
  }
  EXPECT_TRUE(trial_pieces(content, 0).empty());
  EXPECT_TRUE(trial_pieces(content, content.size()).empty()) << "an element is not cut";
}

TEST(PlanesEncoder, FollowsContentThatChangesItsNatureBetweenBlocks) {
  // Raw planes are placed ahead of time where the block before had some: mix blocks of all kinds.
  const std::size_t block = std::size_t{512} << 10;
  const Bytes noise = random_bytes(block);
  const Bytes floats = normal_floats(block / 4);
  Bytes reversed = floats;
  for (std::size_t i = 0; i < block; i += 4) std::reverse(&reversed[i], &reversed[i] + 4);
  const Bytes swapped = reversed;
  const Bytes zeros(block);
  Bytes content;
  for (const auto* part : {&noise, &floats, &swapped, &floats, &zeros, &floats, &noise, &swapped}) {
    content.insert(content.end(), part->begin(), part->end());
  }
  content.resize(content.size() - 12'345);
  for (const std::size_t typesize : {2U, 4U, 8U}) expect_round_trip(content, typesize);
}

TEST(PlanesEncoder, StoresWhatTakesMoreInOffsetsAndLengthsThanItSaves) {
  // One plane of 32 KiB in noise has 200 symbols only, and saves some 1500 bytes; 28 blocks of 16
  // streams take 1904 bytes in lengths.
  const std::size_t typesize = 16, block = std::size_t{512} << 10;
  for (const std::size_t coded : {0U, 27U}) {
    Bytes content = random_bytes(28 * block);
    for (std::size_t i = coded * block; i < (coded + 1) * block; i += typesize) {
      content[i] = static_cast<std::byte>(std::to_integer<unsigned>(content[i]) % 200);
    }
    for (const auto coder : coders()) {
      EXPECT_EQ(frame_of(content, typesize, coder).size(), frame_bound(content.size()));
      const Bytes one(content.begin() + static_cast<std::ptrdiff_t>(coded * block),
                      content.begin() + static_cast<std::ptrdiff_t>((coded + 1) * block));
      EXPECT_LT(frame_of(one, typesize, coder).size(), block);
    }
    expect_round_trip(content, typesize);
  }
}

TEST(PlanesEncoder, RefusesWhatNoFrameHolds) {
  const Bytes content(100);
  Bytes frame(frame_bound(content.size()));
  EXPECT_THROW((void)encode_planes(content, 0, frame), std::invalid_argument);
  EXPECT_THROW((void)encode_planes(content, 256, frame), std::invalid_argument);
  EXPECT_THROW((void)encode_planes(content, 2, std::span(frame).first(110)), std::invalid_argument);
  if (!has_avx512_coder()) {
    EXPECT_THROW((void)encode_planes(content, 2, frame, PlaneCoder::avx512), std::invalid_argument);
  }
}

// ---- distributions of one plane
// ------------------------------------------------------------------

// `counts[symbol]` of each symbol, in an order that repeats nothing.
Bytes with_counts(const std::vector<std::size_t>& counts, std::uint64_t seed) {
  Bytes bytes;
  for (std::size_t symbol = 0; symbol < counts.size(); ++symbol) {
    bytes.insert(bytes.end(), counts[symbol], static_cast<std::byte>(symbol));
  }
  std::mt19937_64 random(seed);
  for (std::size_t i = bytes.size(); i > 1; --i) std::swap(bytes[i - 1], bytes[random() % i]);
  return bytes;
}

TEST(PlanesEncoder, RoundTripsFewSymbols) {
  for (const unsigned other : {1U, 127U, 128U, 129U, 255U}) {
    for (const std::size_t count : {2U, 255U, 256U, 1'000U, 70'000U, 200'000U}) {
      Bytes bytes(count);
      expect_round_trip(bytes, 1);
      bytes[count / 2] = static_cast<std::byte>(other);
      expect_round_trip(bytes, 1);
      for (std::size_t i = 0; i < count; i += 3) bytes[i] = static_cast<std::byte>(other);
      expect_round_trip(bytes, 1);
    }
  }
}

TEST(PlanesEncoder, RoundTripsEqualSymbols) {
  for (const std::size_t kinds : {2U, 3U, 64U, 127U, 128U, 129U, 130U, 192U, 255U, 256U}) {
    for (const std::size_t each : {1U, 10U, 700U}) {
      expect_round_trip(with_counts(std::vector<std::size_t>(kinds, each), kSeed), 1);
    }
  }
  // 128 symbols of the same weight that begin above 128: a description of zeroes and ones.
  std::vector<std::size_t> upper(256);
  std::fill(upper.begin() + 128, upper.end(), 500);
  expect_round_trip(with_counts(upper, kSeed), 1);
  std::vector<std::size_t> even(256);
  for (std::size_t symbol = 0; symbol < 256; symbol += 2) even[symbol] = 500;
  expect_round_trip(with_counts(even, kSeed), 1);
}

TEST(PlanesEncoder, RoundTripsWeightsThatWantLongerCodesThanThereAre) {
  // Fibonacci's numbers make the deepest tree; powers of two the next.
  std::vector<std::size_t> fibonacci{1, 1};
  while (fibonacci.size() < 27) {
    fibonacci.push_back(fibonacci[fibonacci.size() - 1] + fibonacci[fibonacci.size() - 2]);
  }
  expect_round_trip(with_counts(fibonacci, kSeed), 1);
  std::reverse(fibonacci.begin(), fibonacci.end());
  expect_round_trip(with_counts(fibonacci, kSeed), 1);
  // The same, within one block of zstd, and with many rare symbols beside.
  for (const std::size_t rare : {0U, 1U, 2U, 30U, 100U, 200U, 236U}) {
    std::vector<std::size_t> counts(20 + rare, 1);
    for (std::size_t i = 0; i < 16; ++i) counts[i] = std::size_t{1} << i;
    expect_round_trip(with_counts(counts, kSeed), 1);
  }
}

TEST(PlanesEncoder, RoundTripsEveryShortLengthAndSomeLongOnes) {
  const auto exponents = [] {
    const auto floats = normal_bfloats(70'001);
    Bytes bytes(70'001);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = floats[2 * i + 1];
    return bytes;
  }();
  for (std::size_t size = 0; size <= exponents.size(); size += size < 1'100 ? 1 : 997) {
    expect_round_trip({exponents.begin(), exponents.begin() + static_cast<std::ptrdiff_t>(size)},
                      1);
  }
}

TEST(PlanesEncoder, RoundTripsRandomDistributions) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::size_t> counts(2 + random() % 255);
    const auto most_bits = 1 + random() % 14;
    for (auto& count : counts) {
      count = random() % 4 == 0 ? 0 : random() % (std::size_t{1} << (1 + random() % most_bits));
    }
    counts.back() += 1;
    expect_round_trip(with_counts(counts, random()), 1 + random() % 9);
  }
}

}  // namespace
}  // namespace cairn::blosc
