#pragma once
// One training step, in two halves: the first reads the state's arrays, the second changes them. A
// save may still be copying the arrays during the first half, so it overlaps with computing.

#include "trainer/corpus.h"
#include "trainer/network.h"
#include "trainer/state.h"

#include <string>

namespace trainer {

/// Not thread-safe. Deterministic: the same state and text give the same bits, on the same machine.
class Training {
 public:
  /// Borrows both, for as long as it lives. `state` may have been restored before.
  Training(const Corpus& corpus, State& state);

  /// First half: draws a batch, computes loss and gradient. Of the state it changes the generator
  /// and the data cursor, which a tree made earlier has copied. Throws std::runtime_error when the
  /// loss is not finite. Returns the loss of the batch, nats per character.
  double compute_gradient();
  /// Second half: the optimizer changes all arrays; the step counts. Must follow
  /// compute_gradient().
  void apply_update();

  /// `length` characters that the model writes, as an example; the state does not change.
  [[nodiscard]] std::string sample(std::size_t length);

 private:
  void draw_batch();
  void draw_dropout();
  void expand_weights();

  const Corpus& corpus_;
  State& state_;
  Network<float> network_;
  Weights<float> weights_;  ///< the bfloat16 copies as floats, for the matrix products
  Weights<float> gradient_;
  Batch batch_;
  Columns<float> dropout_;
  double batch_loss_ = 0;
};

/// Positions in the text at which a next character can be predicted.
[[nodiscard]] std::uint64_t position_count(const Corpus& corpus, const ModelSize& size);

}  // namespace trainer
