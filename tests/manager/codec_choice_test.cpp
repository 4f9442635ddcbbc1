// Which codec auto chooses for an array, by a sample and by how fast disk and cores are.

#include <cairn/manager/internal/codec_choice.h>
#include <gtest/gtest.h>

#include <random>

#include "support/weights.h"

namespace cairn::internal {
namespace {

/// Each trial of a coder takes three looks at the time before, and three after, a piece.
class TrialClock final : public engine::Clock {
 public:
  TrialClock(double planes_rate, double matches_rate) : rates_{planes_rate, matches_rate} {}
  [[nodiscard]] std::int64_t now_ns() const override { return 0; }
  [[nodiscard]] Duration steady() const override {
    constexpr std::size_t kLooksPerCoder = 6;
    constexpr double kPieceBytes = 64 << 10;
    const double rate = rates_[std::min<std::size_t>(looks_ / kLooksPerCoder, 1)];
    if (looks_++ % 2 == 1) now_ += std::chrono::nanoseconds(std::llround(1e9 * kPieceBytes / rate));
    return now_;
  }
  TimerId call_at(Duration, std::function<void()>) override { return 1; }
  bool cancel(TimerId) override { return false; }

 private:
  std::array<double, 2> rates_;
  mutable std::size_t looks_ = 0;
  mutable Duration now_{0};
};

CodecChoice choose(const Array& array, double disk_rate, const engine::Clock* clock = nullptr) {
  AutoSettings settings;
  settings.disk_rate = disk_rate;
  settings.workers = 2;
  settings.clock = clock;
  return choose_codec(Codec::automatic(), Tree(array), array.dtype(), array.bytes().size(),
                      settings);
}

Array positions() {
  Array array = Array::uninitialized(DType::int64, {1 << 16});
  std::int64_t next = 0;
  for (std::int64_t& value : array.values<std::int64_t>()) value = next++;
  return array;
}

/// Nothing repeats: the planes are as small as can be.
Array random_labels() {
  Array array = Array::uninitialized(DType::int32, {1 << 18});
  std::mt19937 random(5);
  for (std::int32_t& value : array.values<std::int32_t>()) {
    value = static_cast<std::int32_t>(random() % 1000);
  }
  return array;
}

TEST(CodecChoice, IntegersThatRepeatAreEncodedByMatches) {
  const TrialClock clock(1e9, 3e9);
  const CodecChoice choice = choose(positions(), 1e9, &clock);
  EXPECT_EQ(choice.encoding, Encoding::matches);
  EXPECT_EQ(choice.reason, CodecReason::gain);
  EXPECT_GT(choice.expected_ratio, 20);
  EXPECT_EQ(label_of(choice), "blosc matches");
}

TEST(CodecChoice, MatchesThatWouldTakeTooLongAreNotLookedFor) {
  // Two workers encode all that a slow disk takes, but a small part of what a fast one does.
  const TrialClock slow_disk(2e9, 0.1e9);
  EXPECT_EQ(choose(positions(), 0.02e9, &slow_disk).encoding, Encoding::matches);
  const TrialClock fast_disk(2e9, 0.1e9);
  const CodecChoice choice = choose(positions(), 2e9, &fast_disk);
  EXPECT_EQ(choice.encoding, Encoding::planes);
  EXPECT_LT(choice.expected_ratio, 5);
}

TEST(CodecChoice, IntegersThatDoNotRepeatAreEncodedByPlanes) {
  const TrialClock clock(1e9, 0.8e9);
  const CodecChoice choice = choose(random_labels(), 1e9, &clock);
  EXPECT_EQ(choice.encoding, Encoding::planes);
  EXPECT_GT(choice.expected_ratio, 2);
}

TEST(CodecChoice, WithoutAClockMatchesAreTakenForSlow) {
  EXPECT_EQ(choose(positions(), 4e9).encoding, Encoding::planes);
  EXPECT_EQ(choose(positions(), 0.1e9).encoding, Encoding::matches);
}

TEST(CodecChoice, BooleansAreTriedAndFloatsAreNot) {
  Array mask(DType::boolean, {1 << 20});
  for (std::size_t i = 0; i < mask.bytes().size(); ++i) {
    mask.bytes()[i] = static_cast<std::byte>(i % 1024 < 700 ? 1 : 0);
  }
  const TrialClock clock(1e9, 3e9);
  EXPECT_EQ(choose(mask, 1e9, &clock).encoding, Encoding::matches);
  const TrialClock unused(1e9, 3e9);
  EXPECT_EQ(choose(test::normal_float32({1 << 18}, 1), 1e9, &unused).encoding, Encoding::planes);
  EXPECT_EQ(unused.steady().count(), 0) << "nothing was timed";
}

TEST(CodecChoice, NoiseIsRaw) {
  Array noise = Array::uninitialized(DType::uint8, {1 << 20});
  std::mt19937 random(7);
  for (std::byte& byte : noise.bytes()) byte = static_cast<std::byte>(random());
  const CodecChoice choice = choose(noise, 1e9);
  EXPECT_EQ(choice.encoding, Encoding::raw);
  EXPECT_EQ(choice.reason, CodecReason::no_gain);
}

TEST(CodecChoice, AStridedArrayIsGatheredForItsSample) {
  const Array rows = positions();
  // Every second element.
  const ArrayView view(DType::int64, {1 << 15}, rows.bytes().data(), {16});
  AutoSettings settings;
  settings.disk_rate = 0.1e9;
  const CodecChoice choice =
      choose_codec(Codec::automatic(), Tree(view), view.dtype(), 1 << 18, settings);
  EXPECT_EQ(choice.encoding, Encoding::matches);
}

// What a save writes must not depend on how busy the machine was.
TEST(CodecChoice, TheMetadataOfAnArrayIsTheSameForBoth) {
  CodecChoice planes;
  planes.asked = Codec::automatic();
  planes.encoding = Encoding::planes;
  CodecChoice matches = planes;
  matches.encoding = Encoding::matches;
  zarr::ArrayMetadata metadata;
  metadata.dtype = DType::int32;
  metadata.shape = metadata.chunk_shape = {1000};
  metadata.codecs = chain_of(planes, DType::int32, zarr::Format::v3);
  const std::string text = zarr::encode_metadata(metadata);
  metadata.codecs = chain_of(matches, DType::int32, zarr::Format::v3);
  EXPECT_EQ(zarr::encode_metadata(metadata), text);
}

}  // namespace
}  // namespace cairn::internal
