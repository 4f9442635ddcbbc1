#pragma once
// Everything that a run needs to go on exactly where it stopped, and its form as a cairn::Tree.

#include "trainer/corpus.h"
#include "trainer/network.h"
#include "trainer/rng.h"

#include <cairn/codecs/array.h>
#include <cairn/codecs/tree.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace trainer {

/// What makes a run what it is; a checkpoint resumes only under the same values.
struct RunConfig {
  ModelSize model;
  int batch = 64;
  double learning_rate = 1e-3;
  double dropout = 0.1;  ///< probability that a unit of h_0 is zeroed in a step
  std::uint64_t seed = 1;
  std::uint32_t corpus_checksum = 0;
};

/// A parameter and its companions, all of one shape.
struct Parameter {
  std::string name;
  cairn::Array master;   ///< float32: what Adam changes
  cairn::Array working;  ///< bfloat16: master rounded to nearest even; the network computes with it
  cairn::Array moment1;  ///< float32: Adam's mean of gradients
  cairn::Array moment2;  ///< float32: Adam's mean of squared gradients
};

struct LossSummary {
  double average = 0;  ///< exponential moving average, nats per character
  double best = 0;     ///< smallest average so far
};

struct State {
  RunConfig config;
  std::vector<Parameter> parameters;  ///< in the order of parameter_shapes()
  Rng rng{0};
  DataCursor cursor;
  LossSummary loss;
  std::int64_t step = 0;  ///< optimizer steps taken
};

/// Step 0: parameters drawn from the seed, moments zero.
[[nodiscard]] State initial_state(const RunConfig& config);

/// The tree of a checkpoint:
///   params, working, adam/moment1, adam/moment2: dicts of arrays by parameter name
///   rng: uint64[4]; data: {epoch, position, multiplier, offset}; step; loss: {average, best}
///   config: the RunConfig, field by field
/// The large arrays are views that borrow from `state`, which must stay in place, and may change
/// only once the save is staged; everything else is copied at this call.
[[nodiscard]] cairn::Tree to_tree(const State& state);

/// Sets `state` (made by initial_state() with this run's configuration) to the saved one. Throws
/// std::runtime_error naming the field when the configurations differ, or the array whose type or
/// shape does not fit; `state` is then unusable.
void restore_from(cairn::Tree tree, State& state);

/// XXH3 (128 bits, hexadecimal) over names, types, shapes and bytes of all that to_tree() gives.
[[nodiscard]] std::string content_hash(const State& state);
/// The same content as a file, so that two final states can be compared with cmp(1): for each array
/// a line with its name and then its bytes; scalars as lines. Throws std::runtime_error naming the
/// path.
void write_state_file(const State& state, const std::filesystem::path& path);

/// The elements of an array as an Eigen vector.
template <class T>
[[nodiscard]] auto flat(cairn::Array& array) {
  const std::span<T> values = array.values<T>();
  return Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>(values.data(),
                                                        static_cast<Eigen::Index>(values.size()));
}

}  // namespace trainer
