#include "trainer/state.h"

#include "trainer/optimizer.h"

#include <fmt/format.h>

#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace trainer {
namespace {
using cairn::Array;
using cairn::ArrayView;
using cairn::Dict;
using cairn::DType;
using cairn::Tree;

/// Calls `visit(path, array)` for the four large arrays of every parameter, by kind.
template <class Parameters, class Visit>
void for_each_kind(Parameters& parameters, const Visit& visit) {
  for (auto& p : parameters) visit("params", p, p.master);
  for (auto& p : parameters) visit("working", p, p.working);
  for (auto& p : parameters) visit("moment1", p, p.moment1);
  for (auto& p : parameters) visit("moment2", p, p.moment2);
}

/// One list of the configuration's fields for saving and checking, so that they cannot drift apart.
template <class Visit>
void for_each_config_field(const RunConfig& config, const Visit& visit) {
  visit("vocabulary", static_cast<std::int64_t>(config.model.vocabulary));
  visit("context", static_cast<std::int64_t>(config.model.context));
  visit("embedding", static_cast<std::int64_t>(config.model.embedding));
  visit("hidden", static_cast<std::int64_t>(config.model.hidden));
  visit("layers", static_cast<std::int64_t>(config.model.layers));
  visit("batch", static_cast<std::int64_t>(config.batch));
  visit("learning_rate", config.learning_rate);
  visit("dropout", config.dropout);
  visit("seed", static_cast<std::int64_t>(config.seed));
  visit("corpus_checksum", static_cast<std::int64_t>(config.corpus_checksum));
}

Dict config_tree(const RunConfig& config) {
  Dict dict;
  for_each_config_field(config, [&](const char* name, auto value) { dict[name] = Tree(value); });
  return dict;
}

/// A number of the tree; a reader may hand small non-negative integers back as unsigned.
template <class T>
T number(const Tree& tree) {
  if constexpr (std::is_floating_point_v<T>) {
    return tree.as<double>();
  } else {
    if (tree.is<std::uint64_t>()) return static_cast<T>(tree.as<std::uint64_t>());
    return static_cast<T>(tree.as<std::int64_t>());
  }
}

void check_config(const Tree& saved, const RunConfig& config) {
  for_each_config_field(config, [&](const char* name, auto value) {
    const auto stored = number<decltype(value)>(saved.at(name));
    if (stored == value) return;
    throw std::runtime_error(
        fmt::format("the checkpoint is of another run: its {} is {}, here it is {}. Continue with "
                    "the same options and text, or give another --root",
                    name, stored, value));
  });
}

/// Takes the saved array over, so that a restore holds the state in memory once.
void take(Tree& from, const std::string& path, Array& to) {
  Array& saved = from.as<Array>();
  if (saved.dtype() != to.dtype() || saved.shape() != to.shape()) {
    throw std::runtime_error(fmt::format(
        "checkpoint array {}: {} with {} elements, but this model has {} with {} elements", path,
        cairn::name_of(saved.dtype()), saved.size(), cairn::name_of(to.dtype()), to.size()));
  }
  to = std::move(saved);
}

}  // namespace

State initial_state(const RunConfig& config) {
  State state;
  state.config = config;
  state.rng = Rng(config.seed);
  for (const ParameterShape& shape : parameter_shapes(config.model)) {
    const cairn::Shape dims = {shape.rows, shape.columns};
    Parameter parameter{shape.name, Array(DType::float32, dims), Array(DType::bfloat16, dims),
                        Array(DType::float32, dims), Array(DType::float32, dims)};
    for (float& value : parameter.master.values<float>()) {
      value = shape.init_scale * state.rng.symmetric();
    }
    round_to_bfloat16(parameter.master, parameter.working);
    state.parameters.push_back(std::move(parameter));
  }
  return state;
}

Tree to_tree(const State& state) {
  Dict params;
  Dict working;
  Dict moment1;
  Dict moment2;
  for (const Parameter& p : state.parameters) {
    params[p.name] = Tree(ArrayView(p.master));
    working[p.name] = Tree(ArrayView(p.working));
    moment1[p.name] = Tree(ArrayView(p.moment1));
    moment2[p.name] = Tree(ArrayView(p.moment2));
  }
  const Rng::State& rng = state.rng.state();
  Dict tree;
  tree["params"] = Tree(std::move(params));
  tree["working"] = Tree(std::move(working));
  tree["adam"] =
      Tree(Dict{{"moment1", Tree(std::move(moment1))}, {"moment2", Tree(std::move(moment2))}});
  tree["rng"] = Tree(Array::from(std::span<const std::uint64_t>(rng), {std::ssize(rng)}));
  tree["data"] = Tree(Dict{{"epoch", Tree(static_cast<std::int64_t>(state.cursor.epoch))},
                           {"position", Tree(static_cast<std::int64_t>(state.cursor.position))},
                           {"multiplier", Tree(static_cast<std::int64_t>(state.cursor.multiplier))},
                           {"offset", Tree(static_cast<std::int64_t>(state.cursor.offset))}});
  tree["step"] = Tree(state.step);
  tree["loss"] = Tree(Dict{{"average", Tree(state.loss.average)}, {"best", Tree(state.loss.best)}});
  tree["config"] = Tree(config_tree(state.config));
  return Tree(std::move(tree));
}

void restore_from(Tree tree, State& state) {
  check_config(tree.at("config"), state.config);
  for_each_kind(state.parameters, [&](const std::string& kind, const Parameter& p, Array& array) {
    Tree& parent = kind.starts_with("moment") ? tree.at("adam").at(kind) : tree.at(kind);
    take(parent.at(p.name), kind + "/" + p.name, array);
  });
  Array words(DType::uint64, {std::tuple_size_v<Rng::State>});
  take(tree.at("rng"), "rng", words);
  Rng::State rng{};
  std::memcpy(rng.data(), words.bytes().data(), sizeof(rng));
  state.rng = Rng(rng);
  const Tree& data = tree.at("data");
  state.cursor.epoch = number<std::uint64_t>(data.at("epoch"));
  state.cursor.position = number<std::uint64_t>(data.at("position"));
  state.cursor.multiplier = number<std::uint64_t>(data.at("multiplier"));
  state.cursor.offset = number<std::uint64_t>(data.at("offset"));
  state.step = number<std::int64_t>(tree.at("step"));
  state.loss.average = number<double>(tree.at("loss").at("average"));
  state.loss.best = number<double>(tree.at("loss").at("best"));
}

}  // namespace trainer
