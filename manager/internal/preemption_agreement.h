#pragma once
// The step that several processes save before they end. Thread-safe.
//
// A process that is asked about a step after it has had a notice does not answer: it announces the
// notice and proposes that step. The others are woken by that and propose the step after the last
// one that they have answered for, wherever their threads are. The greatest of all is the step: no
// process has passed it, because a process that has proposed answers nothing until all have. (As in
// TensorFlow's and JAX's preemption sync manager.)

#include <cairn/manager/impl/shared_state.h>
#include <cairn/manager/internal/process_group.h>
#include <cairn/manager/internal/writer_turn.h>
#include <cairn/manager/save_future.h>

#include <boost/asio/cancellation_signal.hpp>
#include <memory>
#include <mutex>
#include <optional>

namespace cairn::internal {

class PreemptionAgreement : public std::enable_shared_from_this<PreemptionAgreement> {
 public:
  PreemptionAgreement(ProcessGroupPtr group, EnginePtr engine)
      : group_(std::move(group)), engine_(std::move(engine)) {}
  /// Takes part when another process has a notice, from now on.
  void watch();
  /// No more.
  void stop();
  /// Whether `step` is the one: the first asked about that is not below what they agreed on. None
  /// where there is a notice, here (`noticed`) or elsewhere, and the others have to propose first:
  /// to be asked again once they are decided(). Does not wait.
  [[nodiscard]] std::optional<bool> reached(Step step, bool noticed);
  /// Set when they have agreed, or did not in time: then there is no such step.
  [[nodiscard]] const Event& decided() const noexcept { return decided_; }

 private:
  void propose(Step step);
  [[nodiscard]] bool announced() const noexcept;

  /// Of the coordinator. Strand.
  void start_watching();

  const ProcessGroupPtr group_;
  const EnginePtr engine_;
  boost::asio::cancellation_signal watching_;  ///< strand
  std::mutex mutex_;                           ///< guards what follows
  Step answered_ = -1;                         ///< the last step asked about
  bool proposed_ = false;
  std::optional<Step> agreed_;  ///< once `decided_`; none where they could not
  std::optional<Step> reached_;
  const Event decided_ = std::make_shared<impl::SharedState<void>>();
};

}  // namespace cairn::internal
