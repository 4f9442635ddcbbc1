#include <cairn/engine/engine.h>
#include <cairn/manager/internal/preemption_agreement.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/post.hpp>
#include <chrono>

namespace cairn::internal {
namespace {

constexpr const char* kNotice = "preemption.notice";
constexpr const char* kWatch = "preemption.watch";
/// All propose at once, so it takes as long as a message does.
constexpr std::chrono::seconds kAgreementTime{10};

}  // namespace

void PreemptionAgreement::watch() {
  asio::post(engine_->executor(), [self = shared_from_this()] { self->start_watching(); });
}

void PreemptionAgreement::start_watching() {
  // A barrier that somebody never comes to ends when a notice makes it fail. The first process does
  // not come to that of the others, and they not to its.
  const bool first = group_->self() == group_->processes().front();
  const std::string name = std::string(kWatch) + (first ? ".first" : ".others");
  // It holds this, which has the signal, until stop().
  auto woken = [self = shared_from_this()](const std::exception_ptr&) {
    if (!self->announced()) return;
    const std::lock_guard lock(self->mutex_);
    if (!self->proposed_) self->propose(self->answered_ + 1);
  };
  auto cancellable = asio::bind_cancellation_slot(watching_.slot(), std::move(woken));
  group_->coordinator()->barrier(group_->full_name(name),
                                 group_->within(CollectiveOptions::kNoTimeout),
                                 asio::bind_executor(engine_->executor(), std::move(cancellable)));
}

void PreemptionAgreement::stop() {
  asio::post(engine_->executor(), [self = shared_from_this()] {
    self->watching_.emit(asio::cancellation_type::terminal);
  });
}

bool PreemptionAgreement::announced() const noexcept {
  try {
    return group_->coordinator()->announced(group_->full_name(kNotice));
  } catch (const std::exception&) {  // a forked child
    return false;
  }
}

void PreemptionAgreement::propose(Step step) {
  proposed_ = true;
  auto decide = [self = shared_from_this()](const std::exception_ptr& error, std::int64_t agreed) {
    {
      const std::lock_guard lock(self->mutex_);
      if (!error) self->agreed_ = agreed;
    }
    self->decided_->set(nullptr, impl::Unit());
  };
  Coordinator& coordinator = *group_->coordinator();
  try {
    coordinator.announce(group_->full_name(kNotice));
    ErrorContext context;
    coordinator.fail(group_->full_name(kWatch),
                     Error(ErrorCode::cancelled, "there is a notice of preemption", context));
  } catch (const std::exception&) {  // NOLINT(bugprone-empty-catch): then the agreement fails too
  }
  coordinator.agree(group_->full_name("preemption.step"), step, Agreement::maximum,
                    group_->within(kAgreementTime),
                    asio::bind_executor(engine_->executor(), std::move(decide)));
}

std::optional<bool> PreemptionAgreement::reached(Step step, bool noticed) {
  const std::lock_guard lock(mutex_);
  if (!proposed_) {
    if (!noticed && !announced()) {
      answered_ = std::max(answered_, step);
      return false;
    }
    propose(std::max(answered_ + 1, step));
  }
  // What they agree on is above what has been answered: who asks twice need not wait.
  if (step <= answered_) return false;
  if (!decided_->ready()) return std::nullopt;
  if (agreed_ && step >= *agreed_ && !reached_) reached_ = step;
  return reached_ == step;
}

}  // namespace cairn::internal
