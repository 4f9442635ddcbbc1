#include <cairn/engine/buffer_arena.h>
#include <cairn/engine/impl/fair_queue.h>
#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/free_ranges.h>
#include <cairn/engine/internal/mapping.h>
#include <cairn/engine/internal/poison.h>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <cassert>
#include <limits>
#include <mutex>

namespace cairn::engine {
namespace {

// Above this, rounding up could overflow; no machine has it.
constexpr std::size_t kRequestMax = std::numeric_limits<std::size_t>::max() / 2;

constexpr std::size_t round_up(std::size_t bytes) noexcept {
  return std::max(kBufferAlignment,
                  (bytes + kBufferAlignment - 1) / kBufferAlignment * kBufferAlignment);
}

std::size_t checked_capacity(std::size_t bytes) {
  if (bytes == 0 || bytes > kRequestMax) {
    throw boost::system::system_error(
        boost::system::errc::make_error_code(boost::system::errc::invalid_argument),
        "capacity of a buffer arena: must be above 0 and below half the address space");
  }
  return round_up(bytes);
}

}  // namespace

// Outlives the arena while buffers are out: the last of them unmaps it.
struct Buffer::Core {
  using Queue = impl::FairQueue<Buffer>;

  explicit Core(std::size_t capacity_bytes)
      : generation(internal::fork_generation()),
        mapping(capacity_bytes),
        free(capacity_bytes),
        capacity(capacity_bytes) {}

  ~Core() {
    assert(forked() || in_use == 0);
    internal::unpoison(mapping.data(), high_water);
  }

  [[nodiscard]] bool forked() const noexcept { return internal::fork_generation() != generation; }

  [[nodiscard]] bool owns(const std::byte* data) const noexcept {
    return data >= mapping.data() && data < mapping.data() + capacity;
  }

  // Both with `mutex` held. False: not now. An error is an answer too.
  bool serve(const std::shared_ptr<Core>& self, std::size_t bytes, Buffer& grant,
             error_code& error);
  bool serve_alone(const std::shared_ptr<Core>& self, std::size_t bytes, Buffer& grant,
                   error_code& error);
  void serve_queue(const std::shared_ptr<Core>& self, Queue::Entries& done) {
    queue.serve(
        [&](Queue::Entry& entry) { return serve(self, entry.amount, entry.grant, entry.error); },
        done);
  }
  static void release(const std::shared_ptr<Core>& self, std::byte* data,
                      std::size_t size) noexcept;

  void count(std::size_t bytes) noexcept {
    in_use += bytes;
    peak = std::max(peak, in_use);
  }

  const std::uint64_t generation;
  internal::Mapping mapping;
  mutable std::mutex mutex;
  internal::FreeRanges free;
  Queue queue;
  const std::size_t capacity;
  std::size_t in_use = 0;
  std::size_t peak = 0;
  std::size_t high_water = 0;
  bool alone = false;  // one request above capacity has everything
};

bool Buffer::Core::serve(const std::shared_ptr<Core>& self, std::size_t bytes, Buffer& grant,
                         error_code& error) {
  if (alone) return false;
  if (bytes > capacity) return serve_alone(self, bytes, grant, error);
  const auto offset = free.take(bytes);
  if (!offset) return false;
  count(bytes);
  high_water = std::max(high_water, *offset + bytes);
  std::byte* data = mapping.data() + *offset;
  internal::unpoison(data, bytes);
  grant = Buffer(self, data, bytes);
  return true;
}

bool Buffer::Core::serve_alone(const std::shared_ptr<Core>& self, std::size_t bytes, Buffer& grant,
                               error_code& error) {
  if (in_use > 0) return false;
  try {
    internal::Mapping own(bytes);
    grant = Buffer(self, own.release(), bytes);
  } catch (const boost::system::system_error& failure) {
    error = failure.code();
    return true;
  }
  alone = true;
  count(bytes);
  return true;
}

void Buffer::Core::release(const std::shared_ptr<Core>& self, std::byte* data,
                           std::size_t size) noexcept {
  // In a forked child the range is not mapped, and the mutex may be held by a thread that is not
  // here.
  if (self->forked()) return;
  const bool own = !self->owns(data);
  if (own)
    internal::Mapping::unmap(data, size);
  else
    internal::poison(data, size);
  Queue::Entries done;
  {
    const std::lock_guard lock(self->mutex);
    assert(self->in_use >= size && own == self->alone);
    self->in_use -= size;
    if (own)
      self->alone = false;
    else
      self->free.give(static_cast<std::size_t>(data - self->mapping.data()), size);
    self->serve_queue(self, done);
  }
  Queue::finish(done);
}

Buffer::Buffer(std::shared_ptr<Core> core, std::byte* data, std::size_t size) noexcept
    : core_(std::move(core)), data_(data), size_(size) {}

Buffer::Buffer(Buffer&& other) noexcept
    : core_(std::move(other.core_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    reset();
    core_ = std::move(other.core_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

Buffer::~Buffer() {
  reset();
}

void Buffer::reset() noexcept {
  if (data_ == nullptr) return;
  const auto core = std::move(core_);
  Core::release(core, std::exchange(data_, nullptr), std::exchange(size_, 0));
}

BufferArena::BufferArena(std::size_t capacity_bytes)
    : core_(std::make_shared<Core>(checked_capacity(capacity_bytes))) {}

BufferArena::~BufferArena() {
  if (core_->forked()) return;
  Core::Queue::Entries done;
  {
    const std::lock_guard lock(core_->mutex);
    core_->queue.abort_all(done);
  }
  Core::Queue::finish(done);
}

std::uint64_t BufferArena::next_ticket(Core& core) noexcept {
  if (core.forked()) return 0;
  const std::lock_guard lock(core.mutex);
  return core.queue.next_ticket();
}

void BufferArena::acquire(const std::shared_ptr<Core>& core, std::uint64_t ticket,
                          std::size_t bytes, Waiter waiter) {
  if (core->forked()) return waiter->complete(Errc::forked_child, Buffer());
  if (bytes > kRequestMax) return waiter->complete(Errc::request_too_large, Buffer());
  Core::Queue::Entries done;
  {
    const std::lock_guard lock(core->mutex);
    core->queue.push(ticket, round_up(bytes), std::move(waiter));
    core->serve_queue(core, done);
  }
  Core::Queue::finish(done);
}

void BufferArena::cancel(const std::shared_ptr<Core>& core, std::uint64_t ticket) noexcept {
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

Buffer BufferArena::try_acquire(std::size_t bytes) {
  Buffer grant;
  if (core_->forked() || bytes > kRequestMax) return grant;
  error_code error;
  const std::lock_guard lock(core_->mutex);
  if (core_->queue.empty()) core_->serve(core_, round_up(bytes), grant, error);
  return grant;
}

error_code BufferArena::prefault(std::size_t bytes, std::size_t offset) noexcept {
  if (core_->forked()) return Errc::forked_child;
  if (offset >= core_->capacity) return {};
  bytes = std::min(bytes, core_->capacity - offset);
  const error_code error = core_->mapping.prefault(offset, bytes);
  if (error) return error;
  const std::lock_guard lock(core_->mutex);
  core_->high_water = std::max(core_->high_water, offset + bytes);
  return {};
}

BufferArena::Stats BufferArena::stats() const {
  if (core_->forked()) return {};
  const std::lock_guard lock(core_->mutex);
  return {core_->capacity, core_->in_use, core_->peak, core_->high_water, core_->queue.size()};
}

std::size_t BufferArena::capacity() const noexcept {
  return core_->capacity;
}

std::span<std::byte> BufferArena::memory() const noexcept {
  return {core_->mapping.data(), core_->capacity};
}

}  // namespace cairn::engine
