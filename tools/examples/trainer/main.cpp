// trainer: an example of a training job that saves without stopping.
//
// It trains a character-level language model (network.h) with Adam on the texts of a folder, with
// float32 master weights and bfloat16 copies, and every few steps saves all of its state with a
// cairn::CheckpointManager: parameters, copies, optimizer moments, random generator, place in the
// data, step, loss summary. Started again with the same options it goes on from the latest step,
// and ends with the very bits of a run that was never interrupted.
//
// What to look at (training_run.cpp):
//   save()    returns at once; the tree borrows the arrays (to_tree() in state.cpp)
//   staged()  is awaited just before the optimizer changes the arrays, so that copying them
//   overlaps with
//             the next forward and backward pass; that wait is the only time a save costs the
//             training
//   committed() is collected later, when the step is durable; a failed save is reported, training
//   goes on
//
// Exit status: 0 good, 1 a save failed, 2 could not run.

#include "trainer/training_run.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <cstdint>
#include <cstdio>
#include <exception>
#include <map>
#include <string>

namespace {

constexpr int kCouldNotRun = 2;
constexpr std::int64_t kMaxSteps = 1'000'000'000;
constexpr int kMaxLayers = 1000;
constexpr int kMaxWidth = 1 << 16;

/// An option with one of a few words, each standing for a value. (CLI11's own transformer shows the
/// numbers of the enumeration in its messages.)
template <class Value>
void add_choice(CLI::App& app, const std::string& name, const std::map<std::string, Value>& words,
                Value& value, const std::string& about) {
  app.add_option_function<std::string>(
         name, [words, &value](const std::string& word) { value = words.at(word); }, about)
      ->check(CLI::IsMember(words));
}

void add_run_options(CLI::App& app, trainer::Options& options) {
  app.add_option("--root", options.root, "Directory of the checkpoints")->required();
  app.add_option("--data", options.data, "Folder with the text files")->capture_default_str();
  app.add_option("--steps", options.steps, "Train up to this step")
      ->check(CLI::Range(std::int64_t{0}, kMaxSteps))
      ->capture_default_str();
  app.add_option("--save-every", options.save_every,
                 "Steps between saves; the last step is saved too")
      ->check(CLI::Range(std::int64_t{1}, kMaxSteps))
      ->capture_default_str();
  app.add_option("--max-to-keep", options.max_to_keep, "Newest steps to keep (default 3)")
      ->check(CLI::Range(std::int64_t{1}, kMaxSteps));
  add_choice(app, "--resume",
             {{"auto", trainer::Resume::automatic},
              {"required", trainer::Resume::required},
              {"never", trainer::Resume::never}},
             options.resume,
             "From the latest step: if any (auto), it must be there, or it must not");
  add_choice(app, "--capture", {{"copy", cairn::Capture::copy}, {"borrow", cairn::Capture::borrow}},
             options.capture, "Copy arrays while staging, or write from them in place");
  app.add_option("--log", options.log, "Loss log; a resumed run continues it");
  app.add_option("--final-state", options.final_state, "Write the final state to this file");
  app.add_option("--announce-saves", options.announce,
                 "Append 'saving N', then 'committed N' or 'failed N', to this file");
  app.add_option("--log-level", options.log_level, "What the library may say on standard error")
      ->check(CLI::IsMember({"info", "warning", "error", "off"}))
      ->capture_default_str();
  app.add_option("--sample", options.sample_length, "Characters to let the model write at the end");
}

void add_model_options(CLI::App& app, trainer::RunConfig& config) {
  const auto width = CLI::Range(1, kMaxWidth);
  app.add_option("--seed", config.seed, "Seed of everything random")->capture_default_str();
  app.add_option("--batch", config.batch, "Samples per step")->check(width)->capture_default_str();
  app.add_option("--learning-rate", config.learning_rate, "Adam's step size")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.add_option("--dropout", config.dropout, "Share of units left out in a step")
      ->check(CLI::Range(0.0, 0.9))
      ->capture_default_str();
  app.add_option("--context", config.model.context, "Characters that the model sees")
      ->check(width)
      ->capture_default_str();
  app.add_option("--embedding", config.model.embedding, "Numbers per character")
      ->check(width)
      ->capture_default_str();
  app.add_option("--hidden", config.model.hidden, "Width of the hidden layers")
      ->check(width)
      ->capture_default_str();
  app.add_option("--layers", config.model.layers, "Residual blocks")
      ->check(CLI::Range(0, kMaxLayers))
      ->capture_default_str();
}

}  // namespace

int main(int argc, char** argv) {
  trainer::Options options;
  CLI::App app("Trains a character-level language model and saves its state as it goes.");
  add_run_options(app, options);
  add_model_options(app, options.config);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kCouldNotRun;
  }
  try {
    return trainer::TrainingRun(options).run();
  } catch (const std::exception& error) {
    fmt::print(stderr, "trainer: {}\n", error.what());
    return kCouldNotRun;
  }
}
