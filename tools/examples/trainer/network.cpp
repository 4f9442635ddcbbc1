#include "trainer/network.h"

#include <fmt/format.h>

#include <cassert>
#include <cmath>

namespace trainer {
namespace {

// Places in Weights.
constexpr std::size_t kEmbedding = 0;
constexpr std::size_t kInputWeight = 1;
constexpr std::size_t kInputBias = 2;
constexpr std::size_t block_weight(int layer) {
  return 3 + 2 * static_cast<std::size_t>(layer);
}
constexpr std::size_t block_bias(int layer) {
  return block_weight(layer) + 1;
}
constexpr std::size_t output_weight(int layers) {
  return block_weight(layers);
}
constexpr std::size_t output_bias(int layers) {
  return block_bias(layers);
}

/// relu(weight * input + bias) into `output`.
template <class Scalar>
void dense_relu(const RowMatrix<Scalar>& weight, const RowMatrix<Scalar>& bias,
                const Columns<Scalar>& input, Columns<Scalar>& output) {
  output.noalias() = weight * input;
  output.colwise() += bias.col(0);
  output = output.cwiseMax(Scalar(0));
}

/// Turns columns of logits into probabilities; the maximum is taken off so that exp cannot
/// overflow.
template <class Scalar>
void softmax(Columns<Scalar>& logits) {
  for (Eigen::Index sample = 0; sample < logits.cols(); ++sample) {
    auto column = logits.col(sample).array();
    column = (column - column.maxCoeff()).exp();
    column /= column.sum();
  }
}

/// Through relu: the gradient passes where the output was positive.
template <class Scalar>
void mask_inactive(const Columns<Scalar>& active, Columns<Scalar>& gradient) {
  gradient = (active.array() > Scalar(0)).select(gradient, Scalar(0));
}

}  // namespace

std::vector<ParameterShape> parameter_shapes(const ModelSize& size) {
  assert(size.vocabulary > 0 && size.context > 0 && size.embedding > 0);
  assert(size.hidden > 0 && size.layers >= 0);
  const auto uniform = [](Eigen::Index fan_in, float gain) {
    return gain / std::sqrt(static_cast<float>(fan_in));
  };
  const Eigen::Index hidden = size.hidden;
  const Eigen::Index input = Eigen::Index{size.context} * size.embedding;
  const Eigen::Index vocabulary = size.vocabulary;
  // sqrt(6 / fan_in) keeps the variance through a relu (He et al., 2015); blocks add to their
  // input, so they start smaller, and the output starts near the uniform distribution.
  constexpr float kRelu = 2.449F;
  std::vector<ParameterShape> shapes;
  shapes.push_back({"embedding", vocabulary, size.embedding, 1.0F});
  shapes.push_back({"input_weight", hidden, input, uniform(input, kRelu)});
  shapes.push_back({"input_bias", hidden, 1, 0.0F});
  for (int layer = 0; layer < size.layers; ++layer) {
    shapes.push_back(
        {fmt::format("block_{}_weight", layer), hidden, hidden, uniform(hidden, 0.5F * kRelu)});
    shapes.push_back({fmt::format("block_{}_bias", layer), hidden, 1, 0.0F});
  }
  shapes.push_back({"output_weight", vocabulary, hidden, uniform(hidden, 0.5F)});
  shapes.push_back({"output_bias", vocabulary, 1, 0.0F});
  return shapes;
}

template <class Scalar>
Weights<Scalar> zero_weights(const ModelSize& size) {
  Weights<Scalar> weights;
  for (const ParameterShape& shape : parameter_shapes(size)) {
    weights.push_back(RowMatrix<Scalar>::Zero(shape.rows, shape.columns));
  }
  return weights;
}
template Weights<float> zero_weights<float>(const ModelSize&);
template Weights<double> zero_weights<double>(const ModelSize&);

template <class Scalar>
void Network<Scalar>::embed(const RowMatrix<Scalar>& table, const Batch& batch) {
  const auto samples = static_cast<Eigen::Index>(batch.targets.size());
  assert(batch.contexts.size() == batch.targets.size() * static_cast<std::size_t>(size_.context));
  input_.resize(Eigen::Index{size_.context} * size_.embedding, samples);
  auto symbol = batch.contexts.begin();
  for (Eigen::Index sample = 0; sample < samples; ++sample) {
    for (Eigen::Index place = 0; place < size_.context; ++place, ++symbol) {
      input_.col(sample).segment(place * size_.embedding, size_.embedding) =
          table.row(*symbol).transpose();
    }
  }
}

template <class Scalar>
void Network<Scalar>::embed_backward(const Columns<Scalar>& input_gradient, const Batch& batch,
                                     RowMatrix<Scalar>& table_gradient) const {
  table_gradient.setZero();
  auto symbol = batch.contexts.begin();
  for (Eigen::Index sample = 0; sample < input_gradient.cols(); ++sample) {
    for (Eigen::Index place = 0; place < size_.context; ++place, ++symbol) {
      table_gradient.row(*symbol) +=
          input_gradient.col(sample).segment(place * size_.embedding, size_.embedding).transpose();
    }
  }
}

template <class Scalar>
Scalar Network<Scalar>::forward(const Weights<Scalar>& weights, const Batch& batch,
                                const Columns<Scalar>& dropout) {
  const auto blocks = static_cast<std::size_t>(size_.layers);
  active_.resize(blocks + 1);
  hidden_.resize(blocks + 1);
  embed(weights[kEmbedding], batch);
  dense_relu(weights[kInputWeight], weights[kInputBias], input_, active_[0]);
  if (dropout.size() == 0) {
    hidden_[0] = active_[0];
  } else {
    hidden_[0] = active_[0].cwiseProduct(dropout);
  }
  for (int layer = 0; layer < size_.layers; ++layer) {
    const auto below = static_cast<std::size_t>(layer);
    dense_relu(weights[block_weight(layer)], weights[block_bias(layer)], hidden_[below],
               active_[below + 1]);
    hidden_[below + 1] = hidden_[below] + active_[below + 1];
  }
  probabilities_.noalias() = weights[output_weight(size_.layers)] * hidden_.back();
  probabilities_.colwise() += weights[output_bias(size_.layers)].col(0);
  softmax(probabilities_);
  Scalar loss = 0;
  for (std::size_t sample = 0; sample < batch.targets.size(); ++sample) {
    loss -= std::log(probabilities_(batch.targets[sample], static_cast<Eigen::Index>(sample)));
  }
  return loss / static_cast<Scalar>(batch.targets.size());
}

template <class Scalar>
void Network<Scalar>::backward(const Weights<Scalar>& weights, const Batch& batch,
                               const Columns<Scalar>& dropout, Weights<Scalar>& gradient) {
  const auto samples = static_cast<Scalar>(batch.targets.size());
  // d loss / d logits = (p - onehot(target)) / samples
  Columns<Scalar> above = probabilities_ / samples;
  for (std::size_t sample = 0; sample < batch.targets.size(); ++sample) {
    above(batch.targets[sample], static_cast<Eigen::Index>(sample)) -= Scalar(1) / samples;
  }
  gradient[output_weight(size_.layers)].noalias() = above * hidden_.back().transpose();
  gradient[output_bias(size_.layers)] = above.rowwise().sum();
  Columns<Scalar> to_hidden = weights[output_weight(size_.layers)].transpose() * above;

  for (int layer = size_.layers - 1; layer >= 0; --layer) {
    const auto below = static_cast<std::size_t>(layer);
    Columns<Scalar> branch = to_hidden;
    mask_inactive(active_[below + 1], branch);
    gradient[block_weight(layer)].noalias() = branch * hidden_[below].transpose();
    gradient[block_bias(layer)] = branch.rowwise().sum();
    to_hidden.noalias() += weights[block_weight(layer)].transpose() * branch;
  }

  if (dropout.size() != 0) to_hidden.array() *= dropout.array();
  mask_inactive(active_[0], to_hidden);
  gradient[kInputWeight].noalias() = to_hidden * input_.transpose();
  gradient[kInputBias] = to_hidden.rowwise().sum();
  embed_backward(weights[kInputWeight].transpose() * to_hidden, batch, gradient[kEmbedding]);
}

template class Network<float>;
template class Network<double>;

}  // namespace trainer
