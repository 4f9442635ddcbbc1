#include <cairn/engine/faulty_backend.h>
#include <cairn/engine/internal/decorator.h>
#include <cairn/engine/internal/thread.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace cairn::engine {
namespace {

enum class FaultKind : std::uint8_t { fail, fail_after, shorten };

struct Rule {
  FaultKind kind;
  FaultPlan::Predicate matches;
  std::uint64_t first;  // the first matching operation it is for
  std::uint64_t times;
  int error;
  std::uint64_t bytes;
  std::uint64_t seen = 0;
};

class FaultyBackend;

}  // namespace

struct FaultPlan::Impl {
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::vector<Rule> rules;
  Predicate holds;
  std::uint64_t calls = 0;
  std::uint64_t injected = 0;
  std::size_t held = 0;
  std::function<void()> let_go;  // set while a backend follows this plan

  void add(Rule rule) {
    assert(rule.first >= 1 && rule.times >= 1);
    std::lock_guard lock(mutex);
    rules.push_back(std::move(rule));
  }
  // The rule that is due for `request`; counts it for all of them. Under the lock.
  const Rule* due(const IoRequest& request) {
    const Rule* found = nullptr;
    for (Rule& rule : rules) {
      if (!rule.matches(request)) continue;
      ++rule.seen;
      const bool now = rule.seen >= rule.first && rule.seen - rule.first < rule.times;
      if (now && found == nullptr) found = &rule;
    }
    return found;
  }
};

namespace {

class FaultyBackend final : public internal::Decorator {
 public:
  FaultyBackend(std::unique_ptr<IoBackend> inner, std::shared_ptr<FaultPlan> plan)
      : Decorator(std::move(inner)), plan_(std::move(plan)) {
    thread_ = internal::start_thread("cairn-faults", [this] { work(); });
    FaultPlan::Impl& shared = plan_->impl();
    std::lock_guard lock(shared.mutex);
    assert(!shared.let_go);
    shared.let_go = [this] { release(); };
  }

  ~FaultyBackend() override {
    plan_->release();
    shut_down(-1);
    FaultPlan::Impl& shared = plan_->impl();
    {
      std::lock_guard lock(shared.mutex);
      shared.let_go = nullptr;
    }
    {
      std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    ready_.notify_all();
    thread_.join();
  }

 private:
  struct Due {
    Wrapper* wrapper;
    bool carry_out;
  };

  bool on_submit(IoRequest& request, Note& note, Wrapper* wrapper) override {
    FaultPlan::Impl& shared = plan_->impl();
    std::lock_guard lock(shared.mutex);
    ++shared.calls;
    note.first = request.length;
    const Rule* rule = shared.due(request);
    const bool hang = shared.holds && shared.holds(request);
    bool refuse = false;
    if (rule != nullptr) {
      ++shared.injected;
      // Whatever a close reports, Linux has let the descriptor go.
      refuse = rule->kind == FaultKind::fail && request.op != IoOp::close;
      if (rule->kind == FaultKind::shorten) {
        request.length = std::min(request.length, rule->bytes);
      } else {
        note.error = rule->error;
      }
    }
    if (hang) {
      std::lock_guard own(mutex_);
      hanging_.push_back({wrapper, !refuse});
      ++shared.held;
      shared.changed.notify_all();
    } else if (refuse) {
      complete_later({wrapper, false});
    }
    return !hang && !refuse;
  }

  void on_complete(IoRequest& request, IoResult& result, const Note& note) noexcept override {
    request.length = note.first;
    if (note.error == 0) return;
    // The owner is told that there is no descriptor, so nobody else would close it.
    if (request.op == IoOp::open && result.value >= 0) ::close(static_cast<int>(result.value));
    result.value = -note.error;
  }

  void complete_later(Due due) {
    std::lock_guard lock(mutex_);
    due_.push_back(due);
    ready_.notify_all();
  }

  // Called under the plan's lock.
  void release() {
    std::lock_guard lock(mutex_);
    due_.insert(due_.end(), hanging_.begin(), hanging_.end());
    hanging_.clear();
    ready_.notify_all();
  }

  // Operations complete on a thread of the backend's own, also those that no inner backend sees.
  void work() {
    std::unique_lock lock(mutex_);
    while (true) {
      ready_.wait(lock, [this] { return stopping_ || !due_.empty(); });
      if (due_.empty()) return;
      const Due due = due_.front();
      due_.pop_front();
      lock.unlock();
      if (due.carry_out) {
        forward(due.wrapper);
      } else {
        finish(due.wrapper, -EIO);  // on_complete() puts the rule's error in
      }
      lock.lock();
    }
  }

  const std::shared_ptr<FaultPlan> plan_;
  std::mutex mutex_;  // taken after the plan's
  std::condition_variable ready_;
  std::deque<Due> hanging_;
  std::deque<Due> due_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace

FaultPlan::FaultPlan() : impl_(std::make_unique<Impl>()) {}
FaultPlan::~FaultPlan() = default;

FaultPlan::Predicate FaultPlan::any() {
  return [](const IoRequest&) { return true; };
}

FaultPlan::Predicate FaultPlan::only(std::initializer_list<IoOp> ops) {
  return [wanted = std::vector<IoOp>(ops)](const IoRequest& request) {
    return std::find(wanted.begin(), wanted.end(), request.op) != wanted.end();
  };
}

void FaultPlan::fail(Predicate matches, std::uint64_t nth, int error, std::uint64_t times) {
  impl_->add({FaultKind::fail, std::move(matches), nth, times, error, 0});
}

void FaultPlan::fail_after(Predicate matches, std::uint64_t nth, int error, std::uint64_t times) {
  impl_->add({FaultKind::fail_after, std::move(matches), nth, times, error, 0});
}

void FaultPlan::shorten(Predicate matches, std::uint64_t nth, std::uint64_t bytes,
                        std::uint64_t times) {
  impl_->add({FaultKind::shorten, std::move(matches), nth, times, 0, bytes});
}

void FaultPlan::hold(Predicate matches) {
  std::lock_guard lock(impl_->mutex);
  impl_->holds = std::move(matches);
}

void FaultPlan::release() {
  std::lock_guard lock(impl_->mutex);
  impl_->holds = nullptr;
  impl_->held = 0;
  if (impl_->let_go) impl_->let_go();
}

void FaultPlan::clear() {
  std::lock_guard lock(impl_->mutex);
  impl_->rules.clear();
  impl_->holds = nullptr;
  impl_->calls = 0;
  impl_->injected = 0;
}

std::uint64_t FaultPlan::calls() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->calls;
}

std::uint64_t FaultPlan::injected() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->injected;
}

std::size_t FaultPlan::held() const {
  std::lock_guard lock(impl_->mutex);
  return impl_->held;
}

void FaultPlan::wait_until_held(std::size_t count) const {
  std::unique_lock lock(impl_->mutex);
  impl_->changed.wait(lock, [this, count] { return impl_->held >= count; });
}

std::unique_ptr<IoBackend> make_faulty_backend(std::unique_ptr<IoBackend> inner,
                                               std::shared_ptr<FaultPlan> plan) {
  return std::make_unique<FaultyBackend>(std::move(inner), std::move(plan));
}

}  // namespace cairn::engine
