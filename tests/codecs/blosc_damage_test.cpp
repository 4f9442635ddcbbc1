// Frames with damage: an error, or bytes; the bytes that libblosc finds in the same frame. Every
// frame is a heap block of its own size, so that the address sanitizer sees a read beyond it.

#include <cairn/codecs/internal/blosc_layout.h>

#include <algorithm>
#include <optional>

#include "codecs/blosc_samples.h"
#include "codecs/format_error_matcher.h"
#include "support/sanitized.h"

namespace cairn::blosc {
namespace {

struct Sample {
  std::string name;
  std::size_t content_bytes;
  Bytes frame;
};

void add_stock(std::vector<Sample>& samples, const Bytes& content, const Options& options) {
  Bytes frame(frame_bound(content.size()));
  frame.resize(encode(content, options, frame));
  samples.push_back({std::string(name_of(options.compressor)) + " shuffle " +
                         std::to_string(static_cast<int>(options.shuffle)),
                     content.size(), frame});
}

void add_planes(std::vector<Sample>& samples, const Bytes& content, std::size_t typesize,
                PlaneCoder coder) {
  Bytes frame(frame_bound(content.size()));
  frame.resize(encode_planes(content, typesize, frame, coder));
  samples.push_back({"planes of " + std::to_string(typesize), content.size(), frame});
}

const std::vector<Sample>& samples() {
  static const std::vector<Sample> all = [] {
    std::vector<Sample> made;
    const Bytes floats = normal_floats(3'001);
    for (const auto compressor : {Compressor::blosclz, Compressor::lz4, Compressor::lz4hc,
                                  Compressor::snappy, Compressor::zlib, Compressor::zstd}) {
      for (const auto shuffle : {Shuffle::none, Shuffle::byte, Shuffle::bit}) {
        add_stock(made, floats, {compressor, 5, shuffle, 4, 4'096});
      }
    }
    for (const auto coder : {PlaneCoder::libzstd, PlaneCoder::portable}) {
      add_planes(made, floats, 4, coder);
      add_planes(made, normal_bfloats(3'000), 2, coder);
      // Whole elements that are too large to be split.
      add_planes(made, floats, 20, coder);
    }
    // Two blocks, the second one shorter.
    add_planes(made, normal_bfloats((512 << 10) / 2 + 999), 2, PlaneCoder::portable);
    return made;
  }();
  return all;
}

void set_frame_bytes(Bytes& frame) {
  if (frame.size() >= kHeaderBytes) {
    internal::store_u32(&frame[internal::kFrameBytesAt], frame.size());
  }
}

// What we make of a frame; none for an error.
std::optional<Bytes> attempt(const Bytes& frame, std::size_t content_bytes) {
  try {
    return decoded(frame, content_bytes);
  } catch (const FormatError&) {
    return std::nullopt;
  }
}

// Whatever we accept, libblosc reads alike.
void expect_sane(const Bytes& frame, const Sample& sample, const std::string& damage) {
  const auto ours = attempt(frame, sample.content_bytes);
  if (!ours) return;
  Bytes theirs(sample.content_bytes);
  const int size = blosc_decompress_ctx(frame.data(), theirs.data(), theirs.size(), 1);
  EXPECT_EQ(size, static_cast<int>(theirs.size())) << sample.name << ": " << damage;
  EXPECT_TRUE(*ours == theirs) << sample.name << ": " << damage;
}

// All positions of small frames; of large ones those at the beginning, and some. Of a sample one in
// five behind the header, as bits are chosen by position modulo powers of two.
std::vector<std::size_t> positions(const Bytes& frame, std::size_t every) {
  constexpr std::size_t kOneIn = test::kSanitized ? 5 : 1;
  std::vector<std::size_t> chosen;
  for (std::size_t at = 0; at < frame.size();
       at += at < kHeaderBytes ? 1 : kOneIn * (at < 600 ? 1 : every)) {
    chosen.push_back(at);
  }
  return chosen;
}

TEST(DamagedBloscFrame, IsAnErrorWhenTruncatedAnywhere) {
  for (const auto& sample : samples()) {
    for (const auto size : positions(sample.frame, sample.frame.size() / 300 + 1)) {
      Bytes frame(sample.frame.begin(), sample.frame.begin() + static_cast<std::ptrdiff_t>(size));
      EXPECT_FALSE(attempt(frame, sample.content_bytes)) << sample.name << " at " << size;
      // And when the header agrees.
      set_frame_bytes(frame);
      EXPECT_FALSE(attempt(frame, sample.content_bytes)) << sample.name << " at " << size;
    }
  }
}

TEST(DamagedBloscFrame, IsAnErrorOrBytesWithAnyBitFlipped) {
  for (const auto& sample : samples()) {
    const bool large = sample.frame.size() > 100'000;
    for (const auto at : positions(sample.frame, sample.frame.size() / 400 + 1)) {
      for (std::size_t bit = at % (large ? 8 : test::kOneCaseIn); bit < 8;
           bit += large ? 8 : test::kOneCaseIn) {
        Bytes frame = sample.frame;
        frame[at] ^= static_cast<std::byte>(1U << bit);
        expect_sane(frame, sample, "byte " + std::to_string(at) + " bit " + std::to_string(bit));
      }
    }
  }
}

TEST(DamagedBloscFrame, IsAnErrorOrBytesWithOffsetsAndLengthsReplaced) {
  for (const auto& sample : samples()) {
    const auto header = decode_header(sample.frame);
    if (header.stored) continue;
    const auto blocks = internal::block_count(header.content_bytes, header.block_bytes);
    std::vector<std::size_t> fields;
    for (std::size_t i = 0; i < std::min<std::size_t>(blocks, 3); ++i) {
      fields.push_back(kHeaderBytes + i * internal::kIntBytes);
      fields.push_back(internal::load_u32(&sample.frame[fields.back()]));
    }
    const auto size = sample.frame.size();
    for (const auto field : fields) {
      for (const std::size_t value :
           {std::size_t{0}, std::size_t{1}, kHeaderBytes, size - 4, size - 3, size, size - 20,
            std::size_t{0x7fffffff}, std::size_t{0x80000000}, std::size_t{0xffffffff}}) {
        Bytes frame = sample.frame;
        internal::store_u32(&frame[field], value);
        expect_sane(frame, sample,
                    "field " + std::to_string(field) + " = " + std::to_string(value));
      }
    }
  }
}

TEST(DamagedBloscFrame, IsAnErrorOrBytesAfterRandomChanges) {
  SCOPED_TRACE("seed " + std::to_string(kSeed));
  std::mt19937_64 random(kSeed);
  for (const auto& sample : samples()) {
    if (sample.frame.size() > 100'000) continue;
    for (int round = 0; round < 500; ++round) {
      Bytes frame = sample.frame;
      const auto begin = random() % frame.size();
      const auto end = std::min(frame.size(), begin + 1 + random() % 16);
      // The sizes stay, so that more gets past the header.
      for (auto at = std::max(begin, kHeaderBytes); at < end; ++at) {
        frame[at] = static_cast<std::byte>(random());
      }
      expect_sane(frame, sample, "round " + std::to_string(round));
    }
  }
}

TEST(DamagedBloscFrame, ErrorsNameTheField) {
  Bytes frame(frame_bound(1'200'000));
  frame.resize(encode_planes(normal_bfloats(600'000), 2, frame));
  Bytes content(1'200'000);
  const auto expect = [&](std::size_t at, std::size_t value, const char* field, const char* found,
                          const char* allowed) {
    Bytes damaged = frame;
    internal::store_u32(&damaged[at], value);
    expect_format_error([&] { decode(damaged, content); }, field, found, allowed);
  };
  const auto end = std::to_string(frame.size() - 4);
  expect(kHeaderBytes + 4, 0x7ffffff0, "block 1: offset", "2147483632", end.c_str());
  const std::size_t block1 = internal::load_u32(&frame[kHeaderBytes + 4]);
  expect(block1, 0x7ffffff0, "block 1: stream 0: length", "2147483632", "at most");
  // Half of the second stream of the first block.
  const std::size_t block0 = internal::load_u32(&frame[kHeaderBytes]);
  const auto stream1 = block0 + 4 + internal::load_u32(&frame[block0]);
  expect(stream1, internal::load_u32(&frame[stream1]) / 2, "block 0: stream 1", "zstd",
         "262144 bytes");
}

TEST(DamagedBloscFrame, ClaimsCostNoMemory) {
  // 24 bytes that claim 2 GiB in blocks of one byte.
  Bytes frame(24);
  frame[0] = std::byte{2};
  frame[1] = std::byte{1};
  frame[2] = std::byte{0x91};
  frame[3] = std::byte{1};
  internal::store_u32(&frame[internal::kContentBytesAt], kContentBytesMax);
  internal::store_u32(&frame[internal::kBlockBytesAt], 1);
  set_frame_bytes(frame);
  expect_format_error([&] { (void)decode_header(frame); }, "cbytes", "24", "2147483631 blocks");
}

}  // namespace
}  // namespace cairn::blosc
