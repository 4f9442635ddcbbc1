#include <cairn/engine/async_semaphore.h>
#include <cairn/engine/internal/fork.h>

#include <cassert>

namespace cairn::engine {

struct Permit::Core final : impl::FairGate<Permit> {
  explicit Core(std::size_t permits)
      : generation(internal::fork_generation()), total(permits), free(permits) {}

  [[nodiscard]] bool usable() const noexcept override {
    return internal::fork_generation() == generation;
  }

  [[nodiscard]] error_code check(std::size_t& count) const noexcept override {
    return count > total ? make_error_code(Errc::request_too_large) : error_code();
  }

  [[nodiscard]] bool serve(Request& request, bool) override {
    if (request.amount > free) return false;
    free -= request.amount;
    request.grant = Permit(std::static_pointer_cast<Core>(shared_from_this()), request.amount);
    return true;
  }

  void release(std::size_t count) noexcept {
    if (!usable()) return;
    change([&] {
      free += count;
      assert(free <= total);
    });
  }

  [[nodiscard]] std::size_t count_free() const {
    const std::lock_guard lock(mutex_);
    return free;
  }
  [[nodiscard]] std::size_t count_waiting() const {
    const std::lock_guard lock(mutex_);
    return waiting();
  }

  const std::uint64_t generation;
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
  if (count > 0) core->release(count);
}

AsyncSemaphore::AsyncSemaphore(std::size_t permits) : core_(std::make_shared<Core>(permits)) {
  assert(permits > 0);
}

AsyncSemaphore::~AsyncSemaphore() {
  core_->abort_all();
}

impl::FairGate<Permit>& AsyncSemaphore::gate() noexcept {
  return *core_;
}

Permit AsyncSemaphore::try_acquire(std::size_t count) {
  return core_->try_acquire(count, kLane);
}

std::size_t AsyncSemaphore::available() const {
  return core_->usable() ? core_->count_free() : 0;
}

std::size_t AsyncSemaphore::waiting() const {
  return core_->usable() ? core_->count_waiting() : 0;
}

}  // namespace cairn::engine
