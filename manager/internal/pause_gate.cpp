#include <cairn/manager/future.h>
#include <cairn/manager/internal/pause_gate.h>

#include <boost/system/system_error.hpp>
#include <cassert>
#include <utility>

namespace cairn::internal {

void PauseGate::wake() {
  if (const Event changed = std::exchange(changed_, nullptr)) changed->set(nullptr, impl::Unit());
}

void PauseGate::pause() {
  ++pauses_;
}

void PauseGate::resume() {
  assert(pauses_ > 0);
  if (--pauses_ == 0) wake();
}

void PauseGate::close() {
  closed_ = true;
  wake();
}

Task<void> PauseGate::pass() {
  while (pauses_ > 0 && !closed_) {
    if (!changed_) changed_ = std::make_shared<impl::SharedState<void>>();
    const Future<void> changed(changed_);
    co_await changed.result(asio::use_awaitable);
  }
  if (closed_) throw boost::system::system_error(asio::error::operation_aborted);
}

}  // namespace cairn::internal
