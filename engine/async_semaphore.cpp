#include <cairn/engine/async_semaphore.h>
#include <cairn/engine/impl/fair_queue.h>
#include <cairn/engine/internal/fork.h>

#include <cassert>
#include <mutex>

namespace cairn::engine {

struct Permit::Core {
  using Queue = impl::FairQueue<Permit>;

  explicit Core(std::size_t permits)
      : generation(internal::fork_generation()), total(permits), free(permits) {}

  [[nodiscard]] bool forked() const noexcept { return internal::fork_generation() != generation; }

  // With `mutex` held.
  [[nodiscard]] bool serve(const std::shared_ptr<Core>& self, std::size_t count, Permit& grant) {
    if (count > free) return false;
    free -= count;
    grant = Permit(self, count);
    return true;
  }

  void serve_queue(const std::shared_ptr<Core>& self, Queue::Entries& done) {
    queue.serve([&](Queue::Entry& entry) { return serve(self, entry.amount, entry.grant); }, done);
  }

  static void release(const std::shared_ptr<Core>& self, std::size_t count) noexcept {
    if (self->forked()) return;
    Queue::Entries done;
    {
      const std::lock_guard lock(self->mutex);
      self->free += count;
      assert(self->free <= self->total);
      self->serve_queue(self, done);
    }
    Queue::finish(done);
  }

  const std::uint64_t generation;
  mutable std::mutex mutex;
  Queue queue;
  const std::size_t total;
  std::size_t free;
};

Permit::Permit(std::shared_ptr<Core> core, std::size_t count) noexcept
    : core_(std::move(core)), count_(count) {}

Permit::Permit(Permit&& other) noexcept
    : core_(std::move(other.core_)), count_(std::exchange(other.count_, 0)) {}

Permit& Permit::operator=(Permit&& other) noexcept {
  if (this != &other) {
    reset();
    core_ = std::move(other.core_);
    count_ = std::exchange(other.count_, 0);
  }
  return *this;
}

Permit::~Permit() {
  reset();
}

void Permit::reset() noexcept {
  const auto core = std::move(core_);
  const std::size_t count = std::exchange(count_, 0);
  if (count > 0) Core::release(core, count);
}

AsyncSemaphore::AsyncSemaphore(std::size_t permits) : core_(std::make_shared<Core>(permits)) {
  assert(permits > 0);
}

AsyncSemaphore::~AsyncSemaphore() {
  if (core_->forked()) return;
  Core::Queue::Entries done;
  {
    const std::lock_guard lock(core_->mutex);
    core_->queue.abort_all(done);
  }
  Core::Queue::finish(done);
}

std::uint64_t AsyncSemaphore::next_ticket(Core& core) noexcept {
  if (core.forked()) return 0;
  const std::lock_guard lock(core.mutex);
  return core.queue.next_ticket();
}

void AsyncSemaphore::acquire(const std::shared_ptr<Core>& core, std::uint64_t ticket,
                             std::size_t count, Waiter waiter) {
  if (core->forked()) return waiter->refuse(Errc::forked_child, Permit());
  if (count > core->total) return waiter->complete(Errc::request_too_large, Permit());
  Core::Queue::Entries done;
  {
    const std::lock_guard lock(core->mutex);
    core->queue.push(ticket, count, std::move(waiter));
    core->serve_queue(core, done);
  }
  Core::Queue::finish(done);
}

void AsyncSemaphore::cancel(const std::shared_ptr<Core>& core, std::uint64_t ticket) noexcept {
  if (core->forked()) return;
  Core::Queue::Entries done;
  {
    const std::lock_guard lock(core->mutex);
    core->queue.abort(ticket, done);
    // The one that leaves may have been the head that held others up.
    core->serve_queue(core, done);
  }
  Core::Queue::finish(done);
}

Permit AsyncSemaphore::try_acquire(std::size_t count) {
  Permit grant;
  if (core_->forked()) return grant;
  const std::lock_guard lock(core_->mutex);
  if (core_->queue.empty()) static_cast<void>(core_->serve(core_, count, grant));
  return grant;
}

std::size_t AsyncSemaphore::available() const {
  if (core_->forked()) return 0;
  const std::lock_guard lock(core_->mutex);
  return core_->free;
}

std::size_t AsyncSemaphore::waiting() const {
  if (core_->forked()) return 0;
  const std::lock_guard lock(core_->mutex);
  return core_->queue.size();
}

}  // namespace cairn::engine
