// zstd frames of literals: libzstd is the oracle of both directions.

#include <cairn/codecs/blosc.h>
#include <cairn/codecs/internal/literals_frame.h>
#include <zstd.h>

#include <algorithm>
#include <vector>

#include "codecs/blosc_samples.h"

namespace cairn::blosc::internal {
namespace {

Bytes frame_of(const Bytes& content, std::size_t plane_bytes = 0) {
  Bytes frame(content.size() + 1'000 + kFrameSlack);
  PlaneCode before;
  frame.resize(encode_literals_frame(content, plane_bytes, encode_stream_portable, before,
                                     frame.data(), content.size() + 1'000));
  return frame;
}

Bytes zstd_frame_of(const Bytes& content, int level) {
  Bytes frame(ZSTD_compressBound(content.size()));
  frame.resize(ZSTD_compress(frame.data(), frame.size(), content.data(), content.size(), level));
  return frame;
}

// The high bytes of bfloat16 weights: what the decoder is made for.
Bytes exponents(std::size_t count) {
  const auto floats = normal_bfloats(count);
  Bytes bytes(count);
  for (std::size_t i = 0; i < count; ++i) bytes[i] = floats[2 * i + 1];
  return bytes;
}

// Whatever our decoder accepts, libzstd reads alike. Returns whether it did.
bool agrees(const Bytes& frame, std::size_t content_bytes) {
  Bytes ours(content_bytes), theirs(content_bytes);
  if (!decode_literals_frame(frame, ours)) return false;
  const auto size = ZSTD_decompress(theirs.data(), theirs.size(), frame.data(), frame.size());
  EXPECT_EQ(size, content_bytes);
  EXPECT_TRUE(ours == theirs);
  return true;
}

TEST(LiteralsFrame, IsReadByOurDecoderAndLibzstd) {
  for (const std::size_t count : {256U, 257U, 1'023U, 1'024U, 16'383U, 16'384U, 65'791U, 65'792U,
                                  131'072U, 131'073U, 131'200U, 140'000U, 500'001U}) {
    const auto frame = frame_of(exponents(count));
    EXPECT_LT(frame.size(), count);
    // A last block of 128 bytes is in one stream, and libzstd's.
    EXPECT_EQ(agrees(frame, count), count != 131'200) << count;
    Bytes content(count);
    EXPECT_EQ(ZSTD_decompress(content.data(), count, frame.data(), frame.size()), count);
    EXPECT_TRUE(content == exponents(count)) << count;
  }
}

TEST(LiteralsFrame, UsesATableAgainWhereItStillFits) {
  const auto block = exponents(kZstdBlockBytes);
  Bytes content;
  for (int i = 0; i < 4; ++i) content.insert(content.end(), block.begin(), block.end());
  const auto one = frame_of(block);
  const auto four = frame_of(content);
  // A description takes more than 10 bytes: three of them are missing.
  EXPECT_LT(four.size() + 3 * 10, 4 * one.size());
  EXPECT_TRUE(agrees(four, content.size()));
  // The second half is different: a table that has no code for its symbols cannot be used.
  Bytes mixed = content;
  std::for_each(mixed.begin() + 2 * kZstdBlockBytes, mixed.end(),
                [](auto& byte) { byte ^= std::byte{0x55}; });
  EXPECT_TRUE(agrees(frame_of(mixed), mixed.size()));
}

TEST(LiteralsFrame, PlanesHaveTablesOfTheirOwn) {
  const auto floats = normal_floats(50'000);
  Bytes planes(floats.size());
  for (std::size_t i = 0; i < floats.size(); ++i) planes[i % 4 * 50'000 + i / 4] = floats[i];
  const auto frame = frame_of(planes, 50'000);
  EXPECT_LT(static_cast<double>(frame.size()), static_cast<double>(planes.size()) / 1.19);
  EXPECT_TRUE(agrees(frame, planes.size()));
}

TEST(LiteralsFrame, KeepsToItsLimit) {
  const auto content = exponents(200'000);
  const auto size = frame_of(content).size();
  for (const auto limit : {size - 1, size / 2, std::size_t{20}, std::size_t{3}, size}) {
    Bytes frame(limit + kFrameSlack);
    PlaneCode before;
    const auto got =
        encode_literals_frame(content, 0, encode_stream_portable, before, frame.data(), limit);
    EXPECT_EQ(got, limit == size ? size : 0);
  }
}

// The encoders of streams that this processor runs.
std::vector<EncodeStream> stream_encoders() {
  std::vector<EncodeStream> all{encode_stream_portable};
#if defined(__x86_64__)
  if (has_avx512_coder()) all.push_back(encode_stream_avx512);
#endif
  return all;
}

// Each part as a frame, after the one before it or alone; libzstd and ours read it. Returns the
// frames' sizes.
std::vector<double> sizes_of(const std::vector<Bytes>& parts, EncodeStream encode_stream,
                             bool alone) {
  PlaneCode before;
  std::vector<double> sizes;
  for (const auto& part : parts) {
    if (alone) before = PlaneCode{};
    const auto limit = part.size() + 1'000;
    Bytes frame(limit + kFrameSlack);
    frame.resize(encode_literals_frame(part, 0, encode_stream, before, frame.data(), limit));
    EXPECT_TRUE(agrees(frame, part.size()));
    sizes.push_back(static_cast<double>(frame.size()));
  }
  return sizes;
}

constexpr double kHowUnlike = 1.015;

TEST(LiteralsFrame, CodesOfFramesBeforeCostNextToNothingWhateverComes) {
  const auto block = [](auto symbol_at) {
    Bytes bytes(kZstdBlockBytes);
    for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(symbol_at(i));
    return bytes;
  };
  const Bytes weights = exponents(kZstdBlockBytes);
  Bytes others = weights, rare = weights;
  for (auto& byte : others) byte ^= std::byte{0x55};
  rare[77'777] = std::byte{0xee};
  const Bytes two = block([](std::size_t i) { return i % 2; });
  const Bytes one = block([](std::size_t) { return 1; });
  const Bytes mostly_one = block([](std::size_t i) { return i % 1'000 == 0 ? i % 7 : 1; });
  const Bytes even = block([](std::size_t i) { return i * 37 % 251; });
  const Bytes sixteen = block([](std::size_t i) { return i * 7 % 16; });
  const Bytes mostly_zero = block([](std::size_t i) { return i % 100 == 0 ? i / 100 % 16 : 0; });
  std::vector<Bytes> parts;
  for (int round = 0; round < 30; ++round) parts.push_back(weights);
  for (const auto& part :
       {rare, others,  weights, two,         one,     two,        mostly_one, two,
        one,  weights, even,    weights,     others,  weights,    others,     weights,
        rare, rare,    sixteen, mostly_zero, sixteen, mostly_zero}) {
    parts.push_back(part);
  }
  for (const auto encode_stream : stream_encoders()) {
    const auto alone = sizes_of(parts, encode_stream, true);
    const auto after = sizes_of(parts, encode_stream, false);
    for (std::size_t i = 0; i < parts.size(); ++i) {
      EXPECT_LE(after[i], alone[i] * kHowUnlike + 8) << "part " << i;
    }
  }
}

TEST(LiteralsFrame, CountsTheBlockAfterOneThatWouldGrowInTheCodeOfBefore) {
  Bytes half_zero(kZstdBlockBytes), even(kZstdBlockBytes);
  for (std::size_t i = 0; i < even.size(); ++i) {
    even[i] = static_cast<std::byte>(i);
    half_zero[i] = static_cast<std::byte>(i % 2 == 0 ? i / 2 : 0);
  }
  for (const auto encode_stream : stream_encoders()) {
    PlaneCode before;
    Bytes frame(kZstdBlockBytes + 1'000 + kFrameSlack);
    const auto encode = [&](const Bytes& content) {
      return encode_literals_frame(content, 0, encode_stream, before, frame.data(),
                                   kZstdBlockBytes + 1'000);
    };
    // All symbols have a code now, most of them one of nine bits or more.
    ASSERT_LT(encode(half_zero), kZstdBlockBytes);
    ASSERT_TRUE(before.size_tells);
    ASSERT_GT(before.bits_per_symbol, 0);
    ASSERT_EQ(before.misses, 0U);
    EXPECT_GT(encode(even), kZstdBlockBytes);
    EXPECT_EQ(before.misses, 1U);
    EXPECT_EQ(before.pause, 1U);
  }
}

TEST(LiteralsFrame, KeepsToItsLimitAfterAnotherDistribution) {
  Bytes tail = exponents(kZstdBlockBytes);
  // Symbols that were rare: in the code of before they take more than a byte each.
  std::fill_n(tail.begin(), tail.size() - 300, tail[0]);
  for (std::size_t i = 0; i < tail.size() / 2; ++i) tail[2 * i] = tail[tail.size() - 1 - i % 200];
  for (const auto encode_stream : stream_encoders()) {
    PlaneCode before;
    Bytes frame(kZstdBlockBytes + kFrameSlack);
    const Bytes weights = exponents(kZstdBlockBytes);
    ASSERT_NE(
        encode_literals_frame(weights, 0, encode_stream, before, frame.data(), kZstdBlockBytes),
        0U);
    const PlaneCode code = before;
    const auto size =
        encode_literals_frame(tail, 0, encode_stream, before, frame.data(), kZstdBlockBytes);
    ASSERT_NE(size, 0U);
    for (const auto limit : {size - 1, size / 3, std::size_t{40}}) {
      before = code;
      Bytes exact(limit + kFrameSlack);
      EXPECT_EQ(encode_literals_frame(tail, 0, encode_stream, before, exact.data(), limit), 0U);
    }
  }
}

TEST(LiteralsDecoder, LeavesToLibzstdWhatItDoesNotKnow) {
  Bytes text;
  for (int i = 0; i < 20'000; ++i) text.push_back(static_cast<std::byte>(i * i % 61 / 7));
  for (const int level : {-1'000, -5, 1, 3, 19}) agrees(zstd_frame_of(text, level), text.size());
  EXPECT_FALSE(agrees({}, 10));
  EXPECT_FALSE(agrees(zstd_frame_of(exponents(1'000), 3), 999));
}

TEST(LiteralsDecoder, AcceptsNoDamageThatLibzstdReadsOtherwise) {
  for (const std::size_t count : {300U, 3'000U, 140'000U}) {
    const auto good = frame_of(exponents(count));
    std::size_t accepted = 0;
    for (std::size_t at = 0; at < good.size(); at += at < 400 ? 1 : good.size() / 200 + 1) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        Bytes frame = good;
        frame[at] ^= static_cast<std::byte>(1U << bit);
        accepted += agrees(frame, count) ? 1 : 0;
      }
      Bytes cut(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(at));
      EXPECT_FALSE(agrees(cut, count)) << at;
    }
    // A code may stand where another one did: it is not all errors, or the test would show nothing.
    EXPECT_TRUE(accepted > 0 || count > 100'000);
  }
}

TEST(LiteralsDecoder, AcceptsNoTreeThatLibzstdReadsOtherwise) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  const auto good = frame_of(exponents(300));
  // Magic, descriptor, 2-byte size; block header; literals header: the description follows.
  constexpr std::size_t kDescriptionAt = 4 + 1 + 2 + 3 + 3;
  for (int round = 0; round < 20'000; ++round) {
    Bytes frame = good;
    for (auto changes = 1 + random() % 4; changes > 0; --changes) {
      frame[kDescriptionAt + random() % 40] = static_cast<std::byte>(random());
    }
    agrees(frame, 300);
  }
}

}  // namespace
}  // namespace cairn::blosc::internal
