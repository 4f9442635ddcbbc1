#include "trainer/training_run.h"

#include "trainer/spdlog_logger.h"

#include <fmt/format.h>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>

namespace trainer {
namespace {
namespace asio = boost::asio;
constexpr auto kTuple = asio::as_tuple(asio::use_awaitable);

double milliseconds(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

std::string message_of(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& e) {
    return e.what();
  }
}

cairn::ManagerOptions manager_options(const Options& options) {
  cairn::ManagerOptions result;
  result.max_to_keep = options.max_to_keep;
  // Errors arrive through the futures, too.
  result.logger = log_to_stderr(options.log_level);
  return result;
}

Corpus corpus_of(const Options& options) {
  // One position to predict, and one more so that an order of positions exists.
  return load_corpus(options.data, static_cast<std::size_t>(options.config.model.context) + 2);
}

RunConfig with_corpus(RunConfig config, const Corpus& corpus) {
  config.model.vocabulary = static_cast<int>(corpus.vocabulary.size());
  config.corpus_checksum = corpus.checksum;
  return config;
}

}  // namespace

TrainingRun::TrainingRun(const Options& options)
    : options_(options),
      corpus_(corpus_of(options)),
      state_(initial_state(with_corpus(options.config, corpus_))),
      manager_(options.root, manager_options(options)),
      report_(options.steps),
      signals_(io_.get_executor()) {
  const cairn::engine::BackendInfo backend = manager_.engine()->stats().backend;
  report_.line(fmt::format("text: {} files, {} characters, {} distinct; I/O backend: {} ({})",
                           corpus_.file_count, corpus_.symbols.size(), corpus_.vocabulary.size(),
                           backend.name, backend.reason));
  restore();
  training_ = std::make_unique<Training>(corpus_, state_);
  if (!options_.log.empty()) log_ = std::make_unique<LossLog>(options_.log, state_.step);
}

void TrainingRun::restore() {
  const std::optional<cairn::Step> latest = manager_.latest_committed_step();
  if (latest && options_.resume == Resume::never) {
    throw std::runtime_error(fmt::format(
        "--resume never, but {} holds step {}. Give another --root", options_.root, *latest));
  }
  if (!latest && options_.resume == Resume::required) {
    throw std::runtime_error(fmt::format("--resume required, but {} holds no step", options_.root));
  }
  if (!latest) {
    report_.line("starting at step 0");
    return;
  }
  const Clock::time_point start = Clock::now();
  restore_from(manager_.restore(latest).get().tree(), state_);
  report_.line(fmt::format("resumed from step {} in {:.0f} ms", state_.step,
                           milliseconds(Clock::now() - start)));
}

int TrainingRun::run() {
  signals_.add(SIGINT);
  signals_.add(SIGTERM);
  signals_.async_wait([this](boost::system::error_code error, int) {
    if (error) return;
    stop_asked_ = true;
    signals_.clear();  // whoever signals twice does not want to wait for the last save
  });
  const Clock::time_point start = Clock::now();
  std::exception_ptr failure;
  asio::co_spawn(io_.get_executor(), train(), [&](std::exception_ptr error) {
    failure = std::move(error);
    signals_.cancel();
  });
  io_.run();
  if (failure) std::rethrow_exception(failure);
  finish(Clock::now() - start);
  return report_.any_save_failed() || close_failed_ ? 1 : 0;
}

asio::awaitable<void> TrainingRun::train() {
  bool saved_last = true;  // what was restored, or nothing, needs no save
  while (state_.step < options_.steps && !stop_asked_) {
    const Clock::time_point start = Clock::now();
    const double loss = training_->compute_gradient();
    co_await wait_until_arrays_are_free();
    training_->apply_update();
    if (log_) log_->append(state_.step, loss, state_.loss.average);
    const auto characters = static_cast<double>(state_.config.batch);
    report_.step(state_.step, loss, state_.loss.average,
                 1000 * characters / milliseconds(Clock::now() - start));
    saved_last = state_.step % options_.save_every == 0;
    if (saved_last) begin_save();
    co_await collect_saves(false);
    co_await asio::post(asio::use_awaitable);  // lets a signal's handler run
  }
  if (stop_asked_) report_.line(fmt::format("stopping at step {}: signal", state_.step));
  if (!saved_last) begin_save();
  co_await collect_saves(true);
  co_await close();
}

void TrainingRun::begin_save() {
  SaveCost cost;
  cost.step = state_.step;
  cairn::SaveOptions options;
  options.capture = options_.capture;
  options.metrics["loss"] = state_.loss.average;
  const Clock::time_point start = Clock::now();
  cairn::SaveFuture future = manager_.save(state_.step, to_tree(state_), std::move(options));
  cost.call_ms = milliseconds(Clock::now() - start);
  cost.stall_ms = cost.call_ms;
  announce("saving", cost.step);
  pending_.emplace_back(std::move(future), std::move(cost));
}

asio::awaitable<void> TrainingRun::wait_until_arrays_are_free() {
  for (PendingSave& save : pending_) {
    if (save.arrays_free) continue;
    const Clock::time_point start = Clock::now();
    const auto [error] = co_await save.future.staged(kTuple);
    save.cost.stall_ms += milliseconds(Clock::now() - start);
    save.arrays_free = true;
    // A failed save has let the arrays go too; committed() will report the error.
    static_cast<void>(error);
  }
}

/// Takes finished saves off the queue; `all` waits for the rest. A failed save is reported and does
/// not end the training: the steps before it are intact, and the next save may succeed.
asio::awaitable<void> TrainingRun::collect_saves(bool all) {
  while (!pending_.empty() && (all || pending_.front().future.ready())) {
    PendingSave& save = pending_.front();
    const auto [error, result] = co_await save.future.committed(kTuple);
    SaveCost cost = std::move(save.cost);
    pending_.pop_front();
    if (error) {
      cost.error = message_of(error);
    } else if (!result) {
      cost.error = fmt::format("skipped: {}", cairn::to_string(result.outcome));
    }
    cost.staged_ms = milliseconds(std::chrono::nanoseconds(result.stage_ns));
    cost.committed_ms = milliseconds(std::chrono::nanoseconds(result.commit_ns));
    cost.megabytes = static_cast<double>(result.stored_bytes) / 1e6;
    report_.saved(cost);
    announce(cost.error.empty() ? "committed" : "failed", cost.step);
  }
}

asio::awaitable<void> TrainingRun::close() {
  const auto [error] = co_await manager_.close().result(kTuple);
  if (!error) co_return;
  close_failed_ = true;
  report_.line("closing the checkpoints: " + message_of(error));
}

void TrainingRun::announce(std::string_view event, cairn::Step step) {
  if (options_.announce.empty()) return;
  std::ofstream file(options_.announce, std::ios::app);
  file << event << ' ' << step << '\n';
}

void TrainingRun::finish(Clock::duration training) {
  report_.finish(training);
  if (options_.sample_length > 0) {
    report_.line("the model writes: " + training_->sample(options_.sample_length));
  }
  if (!options_.final_state.empty()) write_state_file(state_, options_.final_state);
  report_.line(fmt::format("final state: step {}, average loss {:.9g}, content {}", state_.step,
                           state_.loss.average, content_hash(state_)));
}

}  // namespace trainer
