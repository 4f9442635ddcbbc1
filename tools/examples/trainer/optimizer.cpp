#include "trainer/optimizer.h"

#include "trainer/state.h"

#include <cassert>
#include <cmath>
#include <span>

namespace trainer {

void round_to_bfloat16(const cairn::Array& from, cairn::Array& to) {
  const std::span<const float> in = from.values<float>();
  const std::span<cairn::bfloat16_t> out = to.values<cairn::bfloat16_t>();
  assert(in.size() == out.size());
  for (std::size_t i = 0; i < in.size(); ++i) out[i].bits = to_bfloat16(in[i]);
}

void expand_bfloat16(const cairn::Array& from, RowMatrix<float>& to) {
  const std::span<const cairn::bfloat16_t> in = from.values<cairn::bfloat16_t>();
  assert(static_cast<Eigen::Index>(in.size()) == to.size());
  float* const out = to.data();
  for (std::size_t i = 0; i < in.size(); ++i) out[i] = from_bfloat16(in[i].bits);
}

void adam_update(Parameter& parameter, const RowMatrix<float>& gradient, double learning_rate,
                 std::int64_t step) {
  assert(step >= 1 && gradient.size() == parameter.master.size());
  // Bias corrections in double: beta2^step in float would lose the first steps' digits.
  const auto t = static_cast<double>(step);
  const double correction1 = 1.0 - std::pow(static_cast<double>(kAdamBeta1), t);
  const double correction2 = 1.0 - std::pow(static_cast<double>(kAdamBeta2), t);
  const auto rate = static_cast<float>(learning_rate / correction1);
  const auto inverse_correction2 = static_cast<float>(1.0 / correction2);

  auto value = flat<float>(parameter.master);
  auto mean = flat<float>(parameter.moment1);
  auto square = flat<float>(parameter.moment2);
  const Eigen::Map<const Eigen::ArrayXf> slope(gradient.data(), gradient.size());
  mean = kAdamBeta1 * mean + (1.0F - kAdamBeta1) * slope;
  square = kAdamBeta2 * square + (1.0F - kAdamBeta2) * slope.square();
  value -= rate * mean / ((square * inverse_correction2).sqrt() + kAdamEpsilon);
  round_to_bfloat16(parameter.master, parameter.working);
}

}  // namespace trainer
