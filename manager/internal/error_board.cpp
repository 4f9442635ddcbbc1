#include <cairn/manager/error.h>
#include <cairn/manager/internal/error_board.h>

#include <cassert>

namespace cairn::internal {

std::exception_ptr combine(const std::vector<std::exception_ptr>& errors) {
  if (errors.empty()) return nullptr;
  if (errors.size() == 1) return errors.front();
  try {
    std::rethrow_exception(errors.front());
  } catch (const Error& first) {
    return std::make_exception_ptr(
        Error(first.code(),
              std::to_string(errors.size()) + " operations failed, first: " + first.reason(),
              first.context()));
  } catch (...) {
    return errors.front();
  }
}

void ErrorBoard::begin() {
  const std::lock_guard lock(mutex_);
  ++pending_;
}

void ErrorBoard::fail(EntryPtr failure) {
  const std::lock_guard lock(mutex_);
  assert(pending_ > 0);
  for (Waiting& waiting : waiting_) waiting.errors.push_back(failure->error);
  if (!waiting_.empty()) return;
  std::erase_if(unseen_, [](const EntryPtr& entry) { return entry->seen.load(); });
  unseen_.push_back(std::move(failure));
}

void ErrorBoard::end() {
  std::vector<Waiting> finished;
  {
    const std::lock_guard lock(mutex_);
    assert(pending_ > 0);
    if (--pending_ == 0) finished.swap(waiting_);
  }
  for (Waiting& waiting : finished) waiting.waiter->set(combine(waiting.errors), impl::Unit());
}

std::size_t ErrorBoard::pending() const {
  const std::lock_guard lock(mutex_);
  return pending_;
}

std::vector<std::exception_ptr> ErrorBoard::take_unseen_locked() {
  std::vector<std::exception_ptr> errors;
  for (const EntryPtr& entry : unseen_) {
    if (!entry->seen.exchange(true)) errors.push_back(entry->error);
  }
  unseen_.clear();
  return errors;
}

std::vector<std::exception_ptr> ErrorBoard::take_unseen() {
  const std::lock_guard lock(mutex_);
  return take_unseen_locked();
}

ErrorBoard::Waiter ErrorBoard::wait() {
  auto waiter = std::make_shared<impl::SharedState<void>>();
  std::vector<std::exception_ptr> errors;
  {
    const std::lock_guard lock(mutex_);
    errors = take_unseen_locked();
    if (pending_ > 0) {
      waiting_.push_back({waiter, std::move(errors)});
      return waiter;
    }
  }
  waiter->set(combine(errors), impl::Unit());
  return waiter;
}

void ErrorBoard::check() {
  if (const std::exception_ptr error = combine(take_unseen())) std::rethrow_exception(error);
}

}  // namespace cairn::internal
