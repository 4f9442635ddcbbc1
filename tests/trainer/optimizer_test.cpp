#include "trainer/optimizer.h"

#include "trainer/state.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace trainer {
namespace {
using cairn::Array;
using cairn::DType;

Parameter make_parameter(float value) {
  Parameter p{"w", Array(DType::float32, {1, 1}), Array(DType::bfloat16, {1, 1}),
              Array(DType::float32, {1, 1}), Array(DType::float32, {1, 1})};
  p.master.values<float>()[0] = value;
  return p;
}

TEST(Bfloat16, RoundsToNearestEven) {
  EXPECT_EQ(to_bfloat16(1.0F), 0x3f80);
  EXPECT_EQ(to_bfloat16(0x1.01p0F), 0x3f80);      // half way, 0x3f80 is even
  EXPECT_EQ(to_bfloat16(0x1.03p0F), 0x3f82);      // half way, 0x3f81 is odd
  EXPECT_EQ(to_bfloat16(0x1.010002p0F), 0x3f81);  // just above half way
  EXPECT_EQ(to_bfloat16(-0x1.03p0F), 0xbf82);
}

TEST(Bfloat16, KeepsSpecialValues) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(to_bfloat16(kInfinity), 0x7f80);
  EXPECT_EQ(to_bfloat16(-kInfinity), 0xff80);
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::max()), 0x7f80);  // as IEEE 754 rounds
  EXPECT_TRUE(std::isnan(from_bfloat16(to_bfloat16(std::bit_cast<float>(0x7f800001U)))));
  EXPECT_EQ(to_bfloat16(-0.0F), 0x8000);
}

TEST(Bfloat16, EveryValueSurvivesTheWayToFloatAndBack) {
  for (std::uint32_t bits = 0; bits <= 0xffffU; ++bits) {
    const float value = from_bfloat16(static_cast<std::uint16_t>(bits));
    if (std::isnan(value)) continue;
    ASSERT_EQ(to_bfloat16(value), bits);
  }
}

TEST(Adam, FirstStepMovesByTheLearningRateAgainstTheGradient) {
  // With both bias corrections the first update is rate * g / (|g| + epsilon), whatever |g| is.
  for (const float slope : {0.001F, -20.0F}) {
    Parameter p = make_parameter(0.5F);
    adam_update(p, RowMatrix<float>::Constant(1, 1, slope), 0.01, 1);
    EXPECT_NEAR(p.master.values<float>()[0], 0.5F - std::copysign(0.01F, slope), 1e-6F);
  }
}

TEST(Adam, FollowsItsDefinitionOverSeveralSteps) {
  Parameter p = make_parameter(1.0F);
  double value = 1.0;
  double mean = 0;
  double square = 0;
  for (int step = 1; step <= 20; ++step) {
    const double slope = std::cos(step);
    adam_update(p, RowMatrix<float>::Constant(1, 1, static_cast<float>(slope)), 0.05, step);
    mean = 0.9 * mean + 0.1 * slope;
    square = 0.999 * square + 0.001 * slope * slope;
    const double corrected_mean = mean / (1 - std::pow(0.9, step));
    const double corrected_square = square / (1 - std::pow(0.999, step));
    value -= 0.05 * corrected_mean / (std::sqrt(corrected_square) + 1e-8);
    ASSERT_NEAR(static_cast<double>(p.master.values<float>()[0]), value, 1e-5) << "step " << step;
  }
}

TEST(Adam, WorkingCopyIsTheRoundedMaster) {
  Parameter p = make_parameter(0.3F);
  adam_update(p, RowMatrix<float>::Constant(1, 1, 1.0F), 0.01, 1);
  EXPECT_EQ(p.working.values<cairn::bfloat16_t>()[0].bits,
            to_bfloat16(p.master.values<float>()[0]));
}

}  // namespace
}  // namespace trainer
