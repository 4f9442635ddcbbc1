#pragma once
// The language model: the next character from the last `context` ones, after Bengio et al. (2003),
// "A Neural Probabilistic Language Model", with residual blocks.
//
//   x       = embeddings of the context, concatenated         [context * embedding]
//   h_0     = dropout(relu(W_in x + b_in))                    [hidden]
//   h_{l+1} = h_l + relu(W_l h_l + b_l),  l < layers          [hidden]
//   p       = softmax(W_out h + b_out)                        [vocabulary]
//
// The loss is the mean of -log p(next character), in nats. The gradient is written by hand; the
// class is a template so that a test can check it against finite differences in double.

#include <Eigen/Core>
#include <cstdint>
#include <string>
#include <vector>

namespace trainer {

template <class Scalar>
using Columns = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;  ///< one sample per column
template <class Scalar>
using RowMatrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct ModelSize {
  int vocabulary = 0;
  int context = 32;
  int embedding = 64;
  int hidden = 1024;
  int layers = 3;
  friend bool operator==(const ModelSize&, const ModelSize&) = default;
};

/// A parameter's name and C-order shape; biases have one column.
struct ParameterShape {
  std::string name;
  Eigen::Index rows = 0;
  Eigen::Index columns = 0;
  float init_scale = 0;  ///< initial values are uniform in [-init_scale, init_scale)
};
/// All parameters, in the order of Weights.
[[nodiscard]] std::vector<ParameterShape> parameter_shapes(const ModelSize& size);

/// One matrix per entry of parameter_shapes(), also used for gradients.
template <class Scalar>
using Weights = std::vector<RowMatrix<Scalar>>;
template <class Scalar>
[[nodiscard]] Weights<Scalar> zero_weights(const ModelSize& size);

struct Batch {
  std::vector<std::uint8_t> contexts;  ///< `context` symbols per sample, samples one after another
  std::vector<std::uint8_t> targets;   ///< one symbol per sample
};

template <class Scalar>
class Network {
 public:
  explicit Network(const ModelSize& size) : size_(size) {}

  /// Mean loss of the batch. `dropout` (hidden x samples) multiplies h_0; an empty one means none.
  Scalar forward(const Weights<Scalar>& weights, const Batch& batch,
                 const Columns<Scalar>& dropout);
  /// Gradient of the last forward()'s loss, with the same arguments. Overwrites `gradient`.
  void backward(const Weights<Scalar>& weights, const Batch& batch, const Columns<Scalar>& dropout,
                Weights<Scalar>& gradient);
  /// vocabulary x samples: what the last forward() predicted.
  [[nodiscard]] const Columns<Scalar>& probabilities() const { return probabilities_; }

 private:
  void embed(const RowMatrix<Scalar>& table, const Batch& batch);
  void embed_backward(const Columns<Scalar>& input_gradient, const Batch& batch,
                      RowMatrix<Scalar>& table_gradient) const;

  ModelSize size_;
  // What forward() keeps for backward(); reused from step to step, so training allocates once.
  Columns<Scalar> input_;
  std::vector<Columns<Scalar>> active_;  ///< relu outputs: input layer, then one per block
  std::vector<Columns<Scalar>> hidden_;  ///< h_0 ... h_layers
  Columns<Scalar> probabilities_;
};

extern template class Network<float>;
extern template class Network<double>;

}  // namespace trainer
