#include "trainer/state.h"

#include "trainer/training.h"

#include "temporary_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

namespace trainer {
namespace {

const Corpus& corpus() {
  static const Corpus text = [] {
    std::string lines;
    for (int i = 0; i < 60; ++i) lines += "line " + std::to_string(i * i) + " of the text\n";
    return make_corpus(lines);
  }();
  return text;
}

RunConfig small_run(std::uint64_t seed) {
  RunConfig config;
  config.model.vocabulary = static_cast<int>(corpus().vocabulary.size());
  config.model.context = 8;
  config.model.embedding = 8;
  config.model.hidden = 32;
  config.model.layers = 1;
  config.batch = 16;
  config.learning_rate = 5e-3;
  config.seed = seed;
  config.corpus_checksum = corpus().checksum;
  return config;
}

void train(State& state, int steps) {
  Training training(corpus(), state);
  for (int i = 0; i < steps; ++i) {
    training.compute_gradient();
    training.apply_update();
  }
}

/// The tree with every view replaced by a copy: what a checkpoint gives back.
cairn::Tree materialize(const cairn::Tree& tree) {
  std::vector<std::pair<cairn::KeyPath, cairn::Tree>> entries;
  for (const cairn::FlatEntry& entry : cairn::flatten(tree)) {
    cairn::Tree value = *entry.node;
    if (value.is<cairn::ArrayView>()) {
      const auto& view = value.as<cairn::ArrayView>();
      cairn::Array copy(view.dtype(), view.shape());
      std::memcpy(copy.bytes().data(), view.data(), copy.bytes().size());
      value = cairn::Tree(std::move(copy));
    }
    entries.emplace_back(entry.path, std::move(value));
  }
  return cairn::unflatten(std::move(entries));
}

TEST(State, SameSeedGivesTheSameRunAndAnotherSeedAnother) {
  State a = initial_state(small_run(1));
  State b = initial_state(small_run(1));
  State c = initial_state(small_run(2));
  train(a, 5);
  train(b, 5);
  train(c, 5);
  EXPECT_EQ(content_hash(a), content_hash(b));
  EXPECT_NE(content_hash(a), content_hash(c));
}

TEST(State, RestoredRunGoesOnBitForBit) {
  State whole = initial_state(small_run(1));
  train(whole, 10);
  State first = initial_state(small_run(1));
  train(first, 4);
  State second = initial_state(small_run(1));
  restore_from(materialize(to_tree(first)), second);
  EXPECT_EQ(second.step, 4);
  train(second, 6);
  EXPECT_EQ(content_hash(second), content_hash(whole));
}

TEST(State, TreeMadeBeforeTheGradientIsUnchangedByIt) {
  State state = initial_state(small_run(1));
  train(state, 2);
  const cairn::Tree tree = to_tree(state);
  const cairn::Tree before = materialize(tree);
  Training(corpus(), state).compute_gradient();
  EXPECT_TRUE(materialize(tree) == before);
}

TEST(State, LosingTheGeneratorOrTheCursorWouldShow) {
  // The comparison of a resumed run is only worth something if these parts of the state matter.
  State whole = initial_state(small_run(1));
  train(whole, 6);
  for (const bool lose_generator : {true, false}) {
    State resumed = initial_state(small_run(1));
    train(resumed, 3);
    if (lose_generator) {
      resumed.rng = Rng(9);
    } else {
      resumed.cursor.position = 0;
    }
    train(resumed, 3);
    EXPECT_NE(content_hash(resumed), content_hash(whole)) << lose_generator;
  }
}

TEST(State, RefusesACheckpointOfAnotherRun) {
  const State saved = initial_state(small_run(1));
  State other = initial_state(small_run(2));
  try {
    restore_from(materialize(to_tree(saved)), other);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("seed is 1, here it is 2"));
  }
}

TEST(State, RefusesAnArrayOfAnotherShape) {
  const State saved = initial_state(small_run(1));
  cairn::Tree tree = materialize(to_tree(saved));
  tree.at("params").at("output_bias") = cairn::Tree(cairn::Array(cairn::DType::float32, {3}));
  State state = initial_state(small_run(1));
  try {
    restore_from(std::move(tree), state);
    FAIL() << "no error";
  } catch (const std::runtime_error& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("params/output_bias"));
  }
}

TEST(State, FileAndHashTellASingleBitApart) {
  const TemporaryFolder folder;
  State state = initial_state(small_run(1));
  const std::string hash = content_hash(state);
  write_state_file(state, folder.path() / "a");
  state.parameters.back().moment2.bytes().back() ^= std::byte{1};
  write_state_file(state, folder.path() / "b");
  EXPECT_NE(content_hash(state), hash);
  EXPECT_NE(folder.read("a"), folder.read("b"));
  EXPECT_EQ(folder.read("a").size(), folder.read("b").size());
}

TEST(Training, LossFalls) {
  State state = initial_state(small_run(1));
  Training training(corpus(), state);
  const double first = training.compute_gradient();
  training.apply_update();
  for (int i = 0; i < 150; ++i) {
    training.compute_gradient();
    training.apply_update();
  }
  EXPECT_LT(state.loss.average, 0.6 * first);
  EXPECT_LE(state.loss.best, state.loss.average);
}

TEST(Training, SamplingLeavesTheStateAlone) {
  State state = initial_state(small_run(1));
  train(state, 3);
  const std::string hash = content_hash(state);
  EXPECT_EQ(Training(corpus(), state).sample(20).size(), 20u);
  EXPECT_EQ(content_hash(state), hash);
}

TEST(Training, DivergedLossIsAnError) {
  State state = initial_state(small_run(1));
  for (auto& value : state.parameters[0].working.values<cairn::bfloat16_t>()) value.bits = 0x7fc0;
  Training training(corpus(), state);
  EXPECT_THROW(training.compute_gradient(), std::runtime_error);
}

}  // namespace
}  // namespace trainer
