#include <cairn/manager/error.h>
#include <cairn/manager/internal/error_board.h>

#include <algorithm>
#include <cassert>

namespace cairn::internal {

std::exception_ptr combine(const std::vector<std::exception_ptr>& errors) {
  if (errors.empty()) return nullptr;
  if (errors.size() == 1) return impl::own_copy(errors.front());
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
  for (Waiting& waiting : waiting_) {
    if (waiting.waiter.expired()) continue;
    waiting.entries.push_back(failure);
    failure->takers.push_back(waiting.waiter);
  }
  std::erase_if(unseen_, [](const EntryPtr& entry) { return entry->seen.load(); });
  // Kept even when somebody waits: a wait may be given up before it has delivered.
  unseen_.push_back(std::move(failure));
}

void ErrorBoard::advise(std::exception_ptr what) {
  const std::lock_guard lock(mutex_);
  std::erase_if(unseen_, [](const EntryPtr& entry) { return entry->seen.load(); });
  const auto is_advice = [](const EntryPtr& entry) { return entry->advice; };
  if (std::ranges::none_of(unseen_, is_advice))
    unseen_.push_back(std::make_shared<Entry>(std::move(what), true));
}

void ErrorBoard::finish(Waiting waiting) {
  const Waiter waiter = waiting.waiter.lock();
  if (!waiter) return;
  std::vector<EntryPtr> told = std::move(waiting.earlier);
  std::erase_if(told, [](const EntryPtr& entry) { return entry->seen.load(); });
  told.insert(told.end(), waiting.entries.begin(), waiting.entries.end());
  std::vector<std::exception_ptr> errors;
  for (const EntryPtr& entry : told) errors.push_back(impl::own_copy(entry->error));
  waiter->on_delivered = [told = std::move(told)] {
    for (const EntryPtr& entry : told) entry->seen = true;
  };
  waiter->set(combine(errors), impl::Unit());
}

bool ErrorBoard::is_taken(const Entry& entry) {
  return !std::ranges::all_of(entry.takers, [](const auto& taker) { return taker.expired(); });
}

void ErrorBoard::end() {
  const std::lock_guard lock(mutex_);
  assert(pending_ > 0);
  if (--pending_ > 0) return;
  for (Waiting& waiting : waiting_) finish(std::move(waiting));
  waiting_.clear();
}

std::size_t ErrorBoard::pending() const {
  const std::lock_guard lock(mutex_);
  return pending_;
}

std::string ErrorBoard::unseen_text() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const EntryPtr& entry : unseen_) {
    if (entry->seen) continue;
    try {
      std::rethrow_exception(entry->error);
    } catch (const std::exception& error) {
      text += (text.empty() ? "" : "; ") + std::string(error.what());
    }
  }
  return text;
}

ErrorBoard::Waiter ErrorBoard::wait() {
  Waiting waiting;
  Waiter waiter = std::make_shared<impl::SharedState<void>>();
  waiting.waiter = waiter;
  const std::lock_guard lock(mutex_);
  for (const EntryPtr& entry : unseen_) {
    if (entry->seen || entry->advice || is_taken(*entry)) continue;
    waiting.earlier.push_back(entry);
    entry->takers.push_back(waiter);
  }
  if (pending_ > 0) {
    waiting_.push_back(std::move(waiting));
  } else {
    finish(std::move(waiting));
  }
  return waiter;
}

void ErrorBoard::check() {
  throw_unseen(true);
}

void ErrorBoard::check_failures() {
  throw_unseen(false);
}

void ErrorBoard::throw_unseen(bool with_advice) {
  std::vector<std::exception_ptr> errors;
  {
    const std::lock_guard lock(mutex_);
    for (const EntryPtr& entry : unseen_) {
      if ((entry->advice && !with_advice) || is_taken(*entry)) continue;
      if (!entry->seen.exchange(true)) errors.push_back(impl::own_copy(entry->error));
    }
    std::erase_if(unseen_, [](const EntryPtr& entry) { return entry->seen.load(); });
  }
  if (const std::exception_ptr error = combine(errors)) std::rethrow_exception(error);
}

}  // namespace cairn::internal
