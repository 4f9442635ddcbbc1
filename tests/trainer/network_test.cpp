#include "trainer/network.h"

#include "trainer/rng.h"

#include <gtest/gtest.h>

#include <cmath>

namespace trainer {
namespace {

constexpr int kSamples = 5;

ModelSize small_model() {
  ModelSize size;
  size.vocabulary = 7;
  size.context = 4;
  size.embedding = 3;
  size.hidden = 6;
  size.layers = 2;
  return size;
}

Weights<double> random_weights(const ModelSize& size, Rng& rng) {
  Weights<double> weights = zero_weights<double>(size);
  for (auto& weight : weights) {
    for (double& value : weight.reshaped()) value = 0.5 * static_cast<double>(rng.symmetric());
  }
  return weights;
}

Batch random_batch(const ModelSize& size, Rng& rng) {
  const auto symbol = [&] {
    return static_cast<std::uint8_t>(rng.below(static_cast<std::uint64_t>(size.vocabulary)));
  };
  Batch batch;
  for (int i = 0; i < kSamples * size.context; ++i) batch.contexts.push_back(symbol());
  for (int i = 0; i < kSamples; ++i) batch.targets.push_back(symbol());
  return batch;
}

/// Largest difference between the gradient and central differences, over every single weight.
double largest_gradient_error(const Columns<double>& dropout, std::uint64_t seed) {
  const ModelSize size = small_model();
  Rng rng(seed);
  Weights<double> weights = random_weights(size, rng);
  const Batch batch = random_batch(size, rng);
  Network<double> network(size);
  Weights<double> gradient = zero_weights<double>(size);
  network.forward(weights, batch, dropout);
  network.backward(weights, batch, dropout, gradient);
  constexpr double kStep = 1e-6;
  double largest = 0;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    for (Eigen::Index k = 0; k < weights[i].size(); ++k) {
      double& value = weights[i].data()[k];
      const double before = value;
      value = before + kStep;
      const double above = network.forward(weights, batch, dropout);
      value = before - kStep;
      const double below = network.forward(weights, batch, dropout);
      value = before;
      const double expected = (above - below) / (2 * kStep);
      largest = std::max(largest, std::abs(expected - gradient[i].data()[k]));
    }
  }
  return largest;
}

TEST(Network, GradientAgreesWithFiniteDifferences) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    EXPECT_LT(largest_gradient_error({}, seed), 1e-8) << "seed " << seed;
  }
}

TEST(Network, GradientAgreesWithFiniteDifferencesUnderDropout) {
  Columns<double> dropout(small_model().hidden, kSamples);
  for (Eigen::Index i = 0; i < dropout.size(); ++i) dropout.data()[i] = i % 3 == 0 ? 0.0 : 1.5;
  EXPECT_LT(largest_gradient_error(dropout, 4), 1e-8) << "seed 4";
}

TEST(Network, GradientIsOverwrittenNotAdded) {
  const ModelSize size = small_model();
  Rng rng(5);
  const Weights<double> weights = random_weights(size, rng);
  const Batch batch = random_batch(size, rng);
  Network<double> network(size);
  Weights<double> once = zero_weights<double>(size);
  network.forward(weights, batch, {});
  network.backward(weights, batch, {}, once);
  Weights<double> twice = once;
  network.forward(weights, batch, {});
  network.backward(weights, batch, {}, twice);
  for (std::size_t i = 0; i < once.size(); ++i) EXPECT_EQ(once[i], twice[i]) << i;
}

TEST(Network, ZeroWeightsPredictUniformly) {
  const ModelSize size = small_model();
  Rng rng(6);
  Network<double> network(size);
  const double loss = network.forward(zero_weights<double>(size), random_batch(size, rng), {});
  EXPECT_NEAR(loss, std::log(7.0), 1e-12);
  EXPECT_NEAR(network.probabilities().minCoeff(), 1.0 / 7.0, 1e-12);
}

TEST(Network, HugeLogitsGiveAFiniteDistribution) {
  const ModelSize size = small_model();
  Rng rng(7);
  Weights<double> weights = random_weights(size, rng);
  weights.back()(2, 0) = 1e4;
  const Batch batch = random_batch(size, rng);
  Network<double> network(size);
  network.forward(weights, batch, {});
  EXPECT_TRUE(network.probabilities().allFinite());
  EXPECT_NEAR(network.probabilities().col(0).sum(), 1.0, 1e-12);
}

TEST(Network, NamesOfParametersAreDistinct) {
  const auto shapes = parameter_shapes(small_model());
  ASSERT_EQ(shapes.size(), 9u);
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) EXPECT_NE(shapes[i].name, shapes[k].name);
  }
}

}  // namespace
}  // namespace trainer
