#pragma once
// What a save's future and its coroutine share.

#include <cairn/engine/engine.h>
#include <cairn/manager/impl/shared_state.h>
#include <cairn/manager/save_future.h>

#include <atomic>
#include <boost/asio/cancellation_signal.hpp>
#include <memory>

namespace cairn::internal {

class SaveState : public std::enable_shared_from_this<SaveState> {
 public:
  explicit SaveState(std::shared_ptr<engine::Engine> e) : engine(std::move(e)) {}

  /// Any thread. The signal itself is touched on the strand only.
  void request_cancel();

  std::shared_ptr<engine::Engine> engine;
  std::atomic<std::uint64_t> total{0};
  std::atomic<std::uint64_t> staged{0};
  std::atomic<std::uint64_t> encoded{0};
  std::atomic<std::uint64_t> written{0};
  std::atomic<std::uint64_t> stored{0};     ///< bytes of all files
  boost::asio::cancellation_signal signal;  ///< strand
  bool cancel_requested = false;            ///< strand
  bool past_recall = false;                 ///< strand: the commit's rename is issued
  std::shared_ptr<impl::SharedState<void>> staged_state =
      std::make_shared<impl::SharedState<void>>();
  std::shared_ptr<impl::SharedState<SaveResult>> committed_state =
      std::make_shared<impl::SharedState<SaveResult>>();
};

}  // namespace cairn::internal
