#include "trainer/training.h"

#include "trainer/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <stdexcept>

namespace trainer {
namespace {
constexpr double kLossDecay = 0.95;  // of the moving average: about the last 20 steps
constexpr double kWarmUpSteps = 20;  // Adam's first estimates are poor, so it starts slowly
constexpr std::uint64_t kSampleSeed = 7;

double learning_rate_at(const RunConfig& config, std::int64_t step) {
  return config.learning_rate * std::min(1.0, static_cast<double>(step) / kWarmUpSteps);
}
}  // namespace

std::uint64_t position_count(const Corpus& corpus, const ModelSize& size) {
  assert(corpus.symbols.size() > static_cast<std::size_t>(size.context));
  return corpus.symbols.size() - static_cast<std::size_t>(size.context);
}

Training::Training(const Corpus& corpus, State& state)
    : corpus_(corpus),
      state_(state),
      network_(state.config.model),
      weights_(zero_weights<float>(state.config.model)),
      gradient_(zero_weights<float>(state.config.model)) {
  expand_weights();
}

void Training::expand_weights() {
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    expand_bfloat16(state_.parameters[i].working, weights_[i]);
  }
}

void Training::draw_batch() {
  const auto context = static_cast<std::ptrdiff_t>(state_.config.model.context);
  const std::uint64_t positions = position_count(corpus_, state_.config.model);
  batch_.contexts.clear();
  batch_.targets.clear();
  for (int sample = 0; sample < state_.config.batch; ++sample) {
    const auto start = corpus_.symbols.begin() +
                       static_cast<std::ptrdiff_t>(state_.cursor.next(positions, state_.rng));
    batch_.contexts.insert(batch_.contexts.end(), start, start + context);
    batch_.targets.push_back(start[context]);
  }
}

void Training::draw_dropout() {
  const double rate = state_.config.dropout;
  if (rate == 0) return;
  dropout_.resize(state_.config.model.hidden, state_.config.batch);
  // Four 16-bit draws from each word: the rate is met to 1/65536.
  const auto threshold = static_cast<std::uint64_t>(rate * 65536.0);
  const auto kept = static_cast<float>(1.0 / (1.0 - rate));
  float* const factors = dropout_.data();
  std::uint64_t word = 0;
  for (Eigen::Index i = 0; i < dropout_.size(); ++i) {
    word = i % 4 == 0 ? state_.rng.next() : word >> 16;
    factors[i] = (word & 0xffffU) < threshold ? 0.0F : kept;
  }
}

double Training::compute_gradient() {
  draw_batch();
  draw_dropout();
  batch_loss_ = static_cast<double>(network_.forward(weights_, batch_, dropout_));
  if (!std::isfinite(batch_loss_)) {
    throw std::runtime_error(fmt::format("step {}: the loss is {}; lower --learning-rate",
                                         state_.step + 1, batch_loss_));
  }
  network_.backward(weights_, batch_, dropout_, gradient_);
  return batch_loss_;
}

void Training::apply_update() {
  ++state_.step;
  const double rate = learning_rate_at(state_.config, state_.step);
  for (std::size_t i = 0; i < gradient_.size(); ++i) {
    adam_update(state_.parameters[i], gradient_[i], rate, state_.step);
  }
  expand_weights();
  LossSummary& loss = state_.loss;
  const bool first = state_.step == 1;
  loss.average = first ? batch_loss_ : kLossDecay * loss.average + (1.0 - kLossDecay) * batch_loss_;
  loss.best = first ? loss.average : std::min(loss.best, loss.average);
}

std::string Training::sample(std::size_t length) {
  const auto context = static_cast<std::size_t>(state_.config.model.context);
  Rng rng(kSampleSeed);
  Batch one;
  one.contexts.assign(corpus_.symbols.begin(),
                      corpus_.symbols.begin() + static_cast<std::ptrdiff_t>(context));
  one.targets.assign(1, 0);  // forward() wants a target; its loss is not used here
  std::string text;
  while (text.size() < length) {
    network_.forward(weights_, one, Columns<float>());
    float left = 0.5F * (rng.symmetric() + 1.0F);
    std::uint8_t symbol = 0;
    const std::size_t last = corpus_.vocabulary.size() - 1;
    while (symbol < last && (left -= network_.probabilities()(symbol, 0)) > 0) ++symbol;
    text.push_back(corpus_.vocabulary[symbol]);
    one.contexts.erase(one.contexts.begin());
    one.contexts.push_back(symbol);
  }
  return text;
}

}  // namespace trainer
