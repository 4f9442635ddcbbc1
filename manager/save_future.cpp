#include <cairn/manager/error.h>
#include <cairn/manager/internal/save_state.h>
#include <cairn/manager/save_future.h>

#include <boost/asio/post.hpp>

namespace cairn {

std::string_view to_string(SaveOutcome outcome) noexcept {
  switch (outcome) {
    case SaveOutcome::saved:
      return "saved";
    case SaveOutcome::skipped_by_policy:
      return "skipped_by_policy";
    case SaveOutcome::skipped_older_step:
      return "skipped_older_step";
    case SaveOutcome::skipped_read_only:
      return "skipped_read_only";
  }
  return "unknown";
}

SaveFuture::SaveFuture(std::shared_ptr<internal::SaveState> state,
                       std::shared_ptr<impl::SharedState<void>> staged,
                       std::shared_ptr<impl::SharedState<SaveResult>> committed) noexcept
    : state_(std::move(state)), staged_(std::move(staged)), committed_(std::move(committed)) {}

SaveProgress SaveFuture::progress() const {
  SaveProgress progress;
  progress.total = state_->total.load(std::memory_order_relaxed);
  progress.staged = state_->staged.load();
  progress.encoded = state_->encoded.load();
  progress.written = state_->written.load();
  return progress;
}

void SaveFuture::cancel() const {
  if (committed_->forked()) std::rethrow_exception(impl::forked_failure());
  state_->request_cancel();
}

namespace internal {

void SaveState::request_cancel() {
  if (!past_recall) doomed = true;
  boost::asio::post(engine->executor(), [self = shared_from_this()] {
    self->cancel_requested = true;
    if (!self->past_recall) self->signal.emit(boost::asio::cancellation_type::terminal);
  });
}

}  // namespace internal

namespace impl {

std::exception_ptr own_copy(const std::exception_ptr& error) {
  if (!error) return nullptr;
  try {
    std::rethrow_exception(error);
  } catch (const Error& known) {
    // Made anew: copies of a std::runtime_error share their text.
    return std::make_exception_ptr(Error(known.code(), known.reason(), known.context()));
  } catch (...) {
    return error;
  }
}

std::exception_ptr forked_failure() {
  ErrorContext context;
  context.operation = "wait";
  context.remedy = "Wait for it in the parent";
  return std::make_exception_ptr(
      Error(ErrorCode::closed, "it was begun before this process was forked", context));
}

std::exception_ptr taken_failure() {
  ErrorContext context;
  context.operation = "wait";
  context.remedy = "Wait for it once, and keep what it gives";
  return std::make_exception_ptr(
      Error(ErrorCode::invalid_argument, "the result has been taken already", context));
}

void refuse_blocking_on_engine_threads() {
  if (!engine::on_any_strand()) return;
  throw Error(ErrorCode::invalid_argument,
              "a blocking wait on an engine's own thread would never end", ErrorContext{});
}

}  // namespace impl
}  // namespace cairn
