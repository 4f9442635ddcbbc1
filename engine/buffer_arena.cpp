#include <cairn/engine/buffer_arena.h>
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
struct Buffer::Core final : impl::FairGate<Buffer> {
  explicit Core(std::size_t capacity_bytes)
      : generation(internal::fork_generation()),
        mapping(capacity_bytes),
        free(capacity_bytes),
        capacity(capacity_bytes) {}

  ~Core() override {
    assert(!usable() || in_use == 0);
    internal::unpoison(mapping.data(), high_water);
  }

  [[nodiscard]] bool usable() const noexcept override {
    return internal::fork_generation() == generation;
  }

  [[nodiscard]] error_code check(std::size_t& bytes) const noexcept override {
    if (bytes > kRequestMax) return Errc::request_too_large;
    bytes = round_up(bytes);
    return {};
  }

  [[nodiscard]] bool owns(const std::byte* data) const noexcept {
    return data >= mapping.data() && data < mapping.data() + capacity;
  }

  [[nodiscard]] bool serve(Request& request, bool behind) override;
  [[nodiscard]] bool serve_alone(Request& request);
  [[nodiscard]] Buffer give(std::byte* data, std::size_t size) {
    count(size);
    return {std::static_pointer_cast<Core>(shared_from_this()), data, size};
  }
  void release(std::byte* data, std::size_t size) noexcept;
  void note_touched(std::size_t end) noexcept {
    const std::lock_guard lock(mutex_);
    high_water = std::max(high_water, end);
  }
  [[nodiscard]] BufferArena::Stats stats() const {
    const std::lock_guard lock(mutex_);
    return {capacity, in_use, peak, high_water, waiting()};
  }

  void count(std::size_t bytes) noexcept {
    in_use += bytes;
    peak = std::max(peak, in_use);
  }

  const std::uint64_t generation;
  internal::Mapping mapping;
  internal::FreeRanges free;
  const std::size_t capacity;
  std::size_t in_use = 0;
  std::size_t peak = 0;
  std::size_t high_water = 0;
  bool alone = false;  // one request above capacity has everything
};

bool Buffer::Core::serve(Request& request, bool) {
  if (alone) return false;
  if (request.amount > capacity) return serve_alone(request);
  const auto offset = free.take(request.amount);
  if (!offset) return false;
  high_water = std::max(high_water, *offset + request.amount);
  std::byte* data = mapping.data() + *offset;
  internal::unpoison(data, request.amount);
  request.grant = give(data, request.amount);
  return true;
}

bool Buffer::Core::serve_alone(Request& request) {
  if (in_use > 0) return false;
  try {
    internal::Mapping own(request.amount);
    request.grant = give(own.release(), request.amount);
    alone = true;
  } catch (const boost::system::system_error& failure) {
    request.error = failure.code();
  }
  return true;
}

void Buffer::Core::release(std::byte* data, std::size_t size) noexcept {
  // In a forked child the range is not mapped.
  if (!usable()) return;
  const bool own = !owns(data);
  if (own)
    internal::Mapping::unmap(data, size);
  else
    internal::poison(data, size);
  change([&] {
    assert(in_use >= size && own == alone);
    in_use -= size;
    if (own)
      alone = false;
    else
      free.give(static_cast<std::size_t>(data - mapping.data()), size);
  });
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
  core->release(std::exchange(data_, nullptr), std::exchange(size_, 0));
}

BufferArena::BufferArena(std::size_t capacity_bytes)
    : core_(std::make_shared<Core>(checked_capacity(capacity_bytes))) {}

BufferArena::~BufferArena() {
  core_->abort_all();
}

impl::FairGate<Buffer>& BufferArena::gate() noexcept {
  return *core_;
}

Buffer BufferArena::try_acquire(std::size_t bytes) {
  return core_->try_acquire(bytes, kLane);
}

error_code BufferArena::prefault(std::size_t bytes, std::size_t offset) noexcept {
  if (!core_->usable()) return Errc::forked_child;
  if (offset >= core_->capacity) return {};
  bytes = std::min(bytes, core_->capacity - offset);
  const error_code error = core_->mapping.prefault(offset, bytes);
  if (error) return error;
  core_->note_touched(offset + bytes);
  return {};
}

BufferArena::Stats BufferArena::stats() const {
  return core_->usable() ? core_->stats() : Stats();
}

std::size_t BufferArena::capacity() const noexcept {
  return core_->capacity;
}

std::span<std::byte> BufferArena::memory() const noexcept {
  return {core_->mapping.data(), core_->capacity};
}

}  // namespace cairn::engine
