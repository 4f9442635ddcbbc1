#include <cairn/engine/cpu_pool.h>
#include <cairn/manager/internal/start.h>
#include <cairn/manager/internal/step_watch.h>
#include <cairn/manager/step_iterator.h>

#include <algorithm>
#include <filesystem>
#include <mutex>
#include <utility>

namespace cairn {

using namespace internal;  // NOLINT(google-build-using-namespace): this file is the bridge between
                           // the two

namespace {

using engine::Clock;

WatchOptions checked(WatchOptions options) {
  const auto refuse = [](const char* name, std::int64_t value, std::int64_t least) {
    if (value >= least) return;
    throw with_operation(ErrorCode::invalid_argument,
                         std::string(name) + " is " + std::to_string(value) +
                             " ms, it must be at least " + std::to_string(least),
                         "watch for steps", "");
  };
  if (options.timeout) refuse("timeout", options.timeout->count(), 0);
  refuse("min_interval", options.min_interval.count(), 0);
  refuse("poll_interval", options.poll_interval.count(), 1);
  return options;
}

WatchSettings settings_of(const WatchOptions& options, std::string directory) {
  if (directory.empty()) {
    throw with_operation(ErrorCode::invalid_argument, "the root's path is empty", "watch for steps",
                         "");
  }
  ManagerOptions names;
  names.step_prefix = options.step_prefix;
  names.step_format_fixed_length = options.step_format_fixed_length;
  names.step_name_format = options.step_name_format;
  names.atomicity = options.atomicity;
  WatchSettings settings;
  // So that a later chdir() sends nothing elsewhere.
  settings.directory = std::filesystem::absolute(directory).string();
  settings.rules = rules_of(names);
  settings.latest_only = options.latest_only;
  settings.poll_interval = options.poll_interval;
  if (!options.logger) return settings;
  settings.warn = [logger = options.logger](std::string message) {
    LogRecord record;
    record.level = LogLevel::warning;
    record.event = "watch";
    record.message = std::move(message);
    try {
      logger->log(record);
    } catch (...) {  // NOLINT(bugprone-empty-catch): a logger that breaks its contract must not
                     // cost a step
    }
  };
  return settings;
}

}  // namespace

WatchOptions::WatchOptions(const ManagerOptions& manager)
    : step_prefix(manager.step_prefix),
      step_format_fixed_length(manager.step_format_fixed_length),
      step_name_format(manager.step_name_format),
      atomicity(manager.atomicity),
      engine(manager.engine),
      logger(manager.logger) {}

/// Kept alive by a wait. What the mutex does not guard is touched by the one wait there is.
class StepIterator::Impl : public std::enable_shared_from_this<StepIterator::Impl> {
 public:
  Impl(std::string d, WatchOptions o)
      : options(checked(std::move(o))),
        engine(options.engine ? options.engine : engine::Engine::shared_default()),
        directory(d),
        last_(options.after),
        watch_(engine, settings_of(options, std::move(d))) {}

  Future<std::optional<Step>> next();
  /// Ends a wait that is under way.
  void end();
  [[nodiscard]] HeldStep current() const {
    if (engine->forked()) return HeldStep();
    const std::lock_guard lock(mutex_);
    return held_;
  }
  void release() {
    HeldStep released;
    if (engine->forked()) return;
    const std::lock_guard lock(mutex_);
    std::swap(released, held_);
  }

  const WatchOptions options;
  const EnginePtr engine;
  const std::string directory;

 private:
  /// The one wait has it.
  struct Turn {
    std::shared_ptr<CancelSwitch> cancel = std::make_shared<CancelSwitch>();
  };
  static Task<std::optional<Step>> wait(std::shared_ptr<Impl> self, std::shared_ptr<Turn> turn);
  Task<StepHoldPtr> find();

  std::optional<Step> last_;                              ///< the highest reported
  Clock::Duration next_report_ = Clock::Duration::min();  ///< not before
  StepWatch watch_;
  mutable std::mutex mutex_;  ///< guards what follows
  HeldStep held_;
  std::weak_ptr<Turn> turn_;
};

Future<std::optional<Step>> StepIterator::Impl::next() {
  const std::string operation = "wait for a step";
  if (engine->forked()) {
    return failed<std::optional<Step>>(
        with_operation(ErrorCode::closed, "this process was forked after the iterator was made",
                       operation, directory, "Make a new iterator and a new engine in the child"));
  }
  auto turn = std::make_shared<Turn>();
  {
    const std::lock_guard lock(mutex_);
    if (!turn_.expired()) {
      return failed<std::optional<Step>>(
          with_operation(ErrorCode::invalid_argument, "the call before this one still waits",
                         operation, directory, "Wait for its result, or cancel it"));
    }
    turn_ = turn;
  }
  release();
  const auto cancel = turn->cancel;
  return start(engine, wait(shared_from_this(), std::move(turn)), operation, directory, cancel);
}

Task<std::optional<Step>> StepIterator::Impl::wait(std::shared_ptr<Impl> self,
                                                   std::shared_ptr<Turn> turn) {
  StepHoldPtr found = co_await self->find();
  std::optional<Step> step;
  if (found) {
    step = found->step;
    self->last_ = self->last_ ? std::max(*self->last_, *step) : step;
    self->next_report_ = later(self->engine->clock(), self->options.min_interval);
  }
  {
    const std::lock_guard lock(self->mutex_);
    if (found) self->held_ = HeldStep(std::move(found));
  }
  turn.reset();  // whoever sees the result may call again
  co_return step;
}

Task<StepHoldPtr> StepIterator::Impl::find() {
  Clock& clock = engine->clock();
  if (clock.steady() < next_report_) {
    auto [ended] = co_await engine::async_wait_until(clock, next_report_, kAsTuple);
    if (ended) raise_failure(ended, "wait", directory);
  }
  while (true) {
    StepWatch::Deadline deadline;
    if (options.timeout) deadline = later(clock, *options.timeout);
    StepHoldPtr found = co_await watch_.wait(last_, deadline);
    if (found || !options.timeout_fn) co_return found;
    auto ask = options.timeout_fn;
    const bool over =
        co_await engine::async_run(engine->cpu(), std::move(ask), asio::use_awaitable);
    if (over) co_return nullptr;
  }
}

void StepIterator::Impl::end() {
  release();
  std::shared_ptr<Turn> turn;
  {
    const std::lock_guard lock(mutex_);
    turn = turn_.lock();
  }
  if (!turn) return;
  asio::post(engine->executor(), [cancel = turn->cancel] {
    if (!cancel->over) cancel->signal.emit(asio::cancellation_type::terminal);
  });
}

StepIterator::StepIterator(std::string directory, WatchOptions options)
    : impl_(std::make_shared<Impl>(std::move(directory), std::move(options))) {}

StepIterator::~StepIterator() {
  if (!impl_) return;
  if (impl_->engine->forked()) {
    // Left as it is: its mutex may be held by a thread that this process does not have.
    static_cast<void>(new std::shared_ptr<Impl>(std::move(impl_)));
    return;
  }
  impl_->end();
}

StepIterator::StepIterator(StepIterator&&) noexcept = default;

StepIterator& StepIterator::operator=(StepIterator&& other) noexcept {
  const StepIterator old(std::move(*this));  // ends what this one had
  impl_ = std::move(other.impl_);
  return *this;
}

Future<std::optional<Step>> StepIterator::next() {
  return impl_->next();
}
HeldStep StepIterator::current() const {
  return impl_->current();
}
void StepIterator::release() {
  impl_->release();
}

}  // namespace cairn
