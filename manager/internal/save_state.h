#pragma once
// What a save's future and its coroutine share.

#include <cairn/engine/deadline.h>
#include <cairn/engine/engine.h>
#include <cairn/manager/impl/shared_state.h>
#include <cairn/manager/save_future.h>

#include <atomic>
#include <boost/asio/cancellation_signal.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace cairn::internal {

/// Counts up, and each time is a beat of the save's heart.
class ProgressCount {
 public:
  /// `heart` outlives it; may be null.
  explicit ProgressCount(engine::Heartbeat* heart) noexcept : heart_(heart) {}
  void operator+=(std::uint64_t by) noexcept {
    value_.fetch_add(by, std::memory_order_relaxed);
    if (heart_ != nullptr) heart_->beat();
  }
  [[nodiscard]] std::uint64_t load() const noexcept {
    return value_.load(std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t> value_{0};
  engine::Heartbeat* heart_;
};

/// Who reads the memory that the caller gave to save(): the CPU pool, sources, writes of borrowed
/// arrays. Strand only.
class CallerMemory {
 public:
  /// While one lives, it is read.
  using Use = std::shared_ptr<void>;
  /// Throws operation_aborted once it has been let go.
  [[nodiscard]] Use use() const {
    if (!lease_) throw boost::system::system_error(boost::asio::error::operation_aborted);
    return lease_;
  }
  /// No use begins any more; calls `gone` when the last one has ended, or now. The first call
  /// counts.
  void let_go(std::function<void()> gone) {
    if (!lease_) return;
    lease_->gone = std::move(gone);
    lease_.reset();
  }

 private:
  struct Lease {
    Lease() = default;
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    ~Lease() {
      if (gone) gone();
    }
    std::function<void()> gone;
  };
  std::shared_ptr<Lease> lease_ = std::make_shared<Lease>();
};

class SaveState : public std::enable_shared_from_this<SaveState> {
 public:
  explicit SaveState(std::shared_ptr<engine::Engine> e,
                     std::shared_ptr<engine::Heartbeat> h = nullptr)
      : engine(std::move(e)), heart(std::move(h)), started_ns(engine->clock().steady().count()) {}

  /// Any thread. The signal itself is touched on the strand only.
  void request_cancel();

  std::shared_ptr<engine::Engine> engine;
  std::shared_ptr<engine::Heartbeat> heart;
  const std::int64_t started_ns;  ///< steady clock, at save()
  std::atomic<std::uint64_t> total{0};
  ProgressCount staged{heart.get()};
  ProgressCount encoded{heart.get()};
  ProgressCount written{heart.get()};
  std::atomic<std::uint64_t> stored{0};     ///< bytes of all files
  CallerMemory memory;                      ///< strand
  boost::asio::cancellation_signal signal;  ///< strand
  bool cancel_requested = false;            ///< strand
  std::atomic<bool> doomed{false};          ///< it has failed, or is cancelled: not to be relied on
  std::atomic<bool> past_recall{false};     ///< the commit's rename is issued; set on the strand
  std::shared_ptr<impl::SharedState<void>> staged_state =
      std::make_shared<impl::SharedState<void>>();
  std::shared_ptr<impl::SharedState<SaveResult>> committed_state =
      std::make_shared<impl::SharedState<SaveResult>>();
};

}  // namespace cairn::internal
