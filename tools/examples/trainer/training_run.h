#pragma once
// A training run that saves as it goes.

#include "trainer/loss_log.h"
#include "trainer/options.h"
#include "trainer/report.h"
#include "trainer/training.h"

#include <cairn/manager/checkpoint_manager.h>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>

namespace trainer {

/// Trains on one thread, that of run(). All steps of a save's life run on the engine's threads;
/// this thread waits for a save only before it changes the arrays that the save still reads.
class TrainingRun {
 public:
  /// Reads the text, restores the latest step where there is one and cuts the log to it. Throws
  /// cairn::Error and std::runtime_error.
  explicit TrainingRun(const Options& options);

  /// Trains to the last step, or until SIGINT or SIGTERM; saves the last state and closes the
  /// manager. Returns the exit status: 0, or 1 where a save failed. Throws as the constructor does.
  int run();

 private:
  using Clock = std::chrono::steady_clock;
  struct PendingSave {
    PendingSave(cairn::SaveFuture f, SaveCost c) : future(std::move(f)), cost(std::move(c)) {}
    cairn::SaveFuture future;
    SaveCost cost;
    bool arrays_free = false;  ///< staged() has been seen
  };

  void restore();
  boost::asio::awaitable<void> train();
  void begin_save();
  boost::asio::awaitable<void> wait_until_arrays_are_free();
  boost::asio::awaitable<void> collect_saves(bool all);
  boost::asio::awaitable<void> close();
  void announce(std::string_view event, cairn::Step step);
  void finish(Clock::duration training);

  Options options_;
  Corpus corpus_;
  State state_;
  cairn::CheckpointManager manager_;
  std::unique_ptr<Training> training_;
  std::unique_ptr<LossLog> log_;
  Report report_;
  std::deque<PendingSave> pending_;  ///< oldest first
  boost::asio::io_context io_;
  boost::asio::signal_set signals_;
  bool stop_asked_ = false;
  bool close_failed_ = false;
};

}  // namespace trainer
