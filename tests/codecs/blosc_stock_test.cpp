// libblosc's encoder through our interface, and the header.

#include "codecs/blosc_samples.h"
#include "codecs/format_error_matcher.h"

namespace cairn::blosc {
namespace {

using ::testing::Values;

Bytes stock_frame(const Bytes& content, const Options& options) {
  Bytes frame(frame_bound(content.size()));
  frame.resize(encode(content, options, frame));
  return frame;
}

class StockEncoder : public ::testing::TestWithParam<Compressor> {};

TEST_P(StockEncoder, RoundTripsEveryShuffleTypesizeAndLevel) {
  for (const auto shuffle : {Shuffle::none, Shuffle::byte, Shuffle::bit}) {
    for (const std::size_t typesize : {1U, 2U, 3U, 4U, 8U, 16U, 17U, 255U}) {
      for (const std::size_t count : {0U, 1U, 127U, 128U, 5'000U, 70'001U}) {
        Bytes content = normal_floats(count / 4 + 1);
        content.resize(count);
        const Options options{GetParam(), 1, shuffle, typesize, 0};
        const auto frame = stock_frame(content, options);
        EXPECT_EQ(decoded(frame, count), content)
            << name_of(GetParam()) << " typesize " << typesize << " bytes " << count;
      }
    }
  }
}

TEST_P(StockEncoder, HeaderSaysWhatWasAskedFor) {
  const auto content = normal_floats(100'000);
  const auto frame = stock_frame(content, {GetParam(), 5, Shuffle::bit, 4, 65'536});
  const auto header = decode_header(frame);
  EXPECT_EQ(header.compressor, GetParam() == Compressor::lz4hc ? Compressor::lz4 : GetParam());
  EXPECT_EQ(header.shuffle, Shuffle::bit);
  EXPECT_EQ(header.typesize, 4U);
  EXPECT_EQ(header.content_bytes, content.size());
  EXPECT_EQ(header.frame_bytes, frame.size());
  // libblosc adapts what it is asked for to the compressor.
  EXPECT_GE(header.block_bytes, 65'536U);
}

INSTANTIATE_TEST_SUITE_P(Compressors, StockEncoder,
                         Values(Compressor::blosclz, Compressor::lz4, Compressor::lz4hc,
                                Compressor::snappy, Compressor::zlib, Compressor::zstd),
                         [](const auto& tested) { return std::string(name_of(tested.param)); });

TEST(StoredFrame, IsReadByLibbloscAndByUs) {
  for (const std::size_t count : {0U, 1U, 100U, 1'000'000U}) {
    const auto content = random_bytes(count);
    Bytes frame(frame_bound(count));
    ASSERT_EQ(store(content, 2, frame), frame.size());
    EXPECT_TRUE(decode_header(frame).stored);
    EXPECT_EQ(decoded(frame, count), content);
    EXPECT_EQ(decode_by_libblosc(frame, count), content);
  }
}

TEST(StockEncoder, RefusesWhatNoFrameHolds) {
  const Bytes content(100);
  Bytes frame(frame_bound(content.size()));
  EXPECT_THROW((void)encode(content, {.typesize = 0}, frame), std::invalid_argument);
  EXPECT_THROW((void)encode(content, {.typesize = 256}, frame), std::invalid_argument);
  EXPECT_THROW((void)encode(content, {.level = 10}, frame), std::invalid_argument);
  EXPECT_THROW((void)encode(content, {.level = -1}, frame), std::invalid_argument);
  EXPECT_THROW((void)encode(content, {}, std::span(frame).first(115)), std::invalid_argument);
  // Only the size is looked at.
  const std::span huge(content.data(), kContentBytesMax + 1);
  EXPECT_THROW((void)store(huge, 1, frame), std::invalid_argument);
}

TEST(BloscHeader, NamesTheFieldThatIsWrong) {
  const auto content = normal_floats(50'000);
  const auto good = stock_frame(content, {.typesize = 4});
  const auto expect = [&](std::size_t at, unsigned value, const char* field, const char* found) {
    Bytes frame = good;
    frame[at] = static_cast<std::byte>(value);
    expect_format_error([&] { (void)decode_header(frame); }, field, found, "");
  };
  expect(0, 3, "version", "3");
  expect(1, 2, "versionlz", "2");
  expect(2, 0x98, "flags", "0x98");
  expect(2, 0x95, "flags", "both byte and bit shuffle");
  expect(2, 0xb1, "compressor", "5");
  expect(3, 0, "typesize", "0");
  expect(7, 0x80, "nbytes", "2147");
  expect(11, 0x10, "blocksize", "268");
  expect(12, 1, "cbytes", "");
  expect(2, 0x93, "cbytes", "");
}

TEST(BloscHeader, WantsTheWholeFrameAndNoMore) {
  const auto content = normal_floats(5'000);
  Bytes frame = stock_frame(content, {.typesize = 4});
  expect_format_error([&] { (void)decode_header(std::span(frame).first(15)); }, "header",
                      "15 bytes", "at least 16");
  expect_format_error([&] { (void)decode_header(std::span(frame).first(frame.size() - 1)); },
                      "cbytes", std::to_string(frame.size()), std::to_string(frame.size() - 1));
  frame.push_back({});
  expect_format_error([&] { (void)decode_header(frame); }, "cbytes", "", "");
}

TEST(BloscDecoder, WantsAContentOfTheFramesSize) {
  const auto content = normal_floats(5'000);
  const auto frame = stock_frame(content, {.typesize = 4});
  Bytes longer(content.size() + 1);
  expect_format_error([&] { decode(frame, longer); }, "nbytes", "20000", "20001");
}

}  // namespace
}  // namespace cairn::blosc
