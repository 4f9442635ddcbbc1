#include <cairn/engine/buffer_arena.h>
#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/free_ranges.h>
#include <cairn/engine/internal/mapping.h>
#include <cairn/engine/internal/poison.h>
#include <boost/system/system_error.hpp>

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>
#include <mutex>

namespace cairn::engine {
namespace {

// Above this, rounding up could overflow; no machine has it.
constexpr std::size_t kRequestMax = std::numeric_limits<std::size_t>::max() / 2;
constexpr std::size_t kUses = static_cast<std::size_t>(ArenaUse::read) + 1;
static_assert(kUses <= impl::FairGate<Buffer>::kLanes);

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

std::size_t checked_share(std::size_t capacity_bytes, std::size_t bytes) {
  return std::min(bytes, capacity_bytes / kUses) / kBufferAlignment * kBufferAlignment;
}

}  // namespace

// Outlives the arena while buffers are out: the last of them unmaps it.
struct Buffer::Core final : impl::FairGate<Buffer> {
  Core(std::size_t capacity_bytes, std::size_t share_bytes)
      : generation(internal::fork_generation()),
        mapping(capacity_bytes),
        share(share_bytes),
        capacity(capacity_bytes),
        parts{internal::FreeRanges(share), internal::FreeRanges(share),
              internal::FreeRanges(capacity - kUses * share)} {}

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
  // Out of parts[which].
  [[nodiscard]] bool take(std::size_t which, Request& request);
  [[nodiscard]] Buffer give(std::byte* data, const Request& request) {
    in_use += request.amount;
    peak = std::max(peak, in_use);
    used_by[request.lane] += request.amount;
    return {std::static_pointer_cast<Core>(shared_from_this()), data, request.amount,
            static_cast<ArenaUse>(request.lane)};
  }
  void release(std::byte* data, std::size_t size, ArenaUse use) noexcept;
  void note_touched(std::size_t end) noexcept {
    const std::lock_guard lock(mutex_);
    high_water = std::max(high_water, end);
  }
  [[nodiscard]] BufferArena::Stats stats() const {
    const std::lock_guard lock(mutex_);
    return {capacity, in_use, peak, high_water, waiting()};
  }

  const std::uint64_t generation;
  internal::Mapping mapping;
  const std::size_t share;
  const std::size_t capacity;
  // Apart in address too, or what one use leaves between the buffers of the other might be enough
  // and still be in pieces: [each use's own]..., [what is common].
  std::array<internal::FreeRanges, kUses + 1> parts;
  std::array<std::size_t, kUses> used_by{};
  std::array<bool, kUses> alone{};  // a request that fits nowhere has all that the use may have
  std::size_t in_use = 0;
  std::size_t peak = 0;
  std::size_t high_water = 0;
};

// The own part first, so that the common one is left for whoever needs it. Past an older request of
// the other use nothing is taken out of the common part: that one is waiting for it.
bool Buffer::Core::serve(Request& request, bool behind) {
  if (alone[request.lane]) return false;
  if (request.amount > std::max(share, capacity - kUses * share)) return serve_alone(request);
  return take(request.lane, request) || (!behind && take(kUses, request));
}

bool Buffer::Core::take(std::size_t which, Request& request) {
  const auto found = parts[which].take(request.amount);
  if (!found) return false;
  const std::size_t offset = which * share + *found;
  high_water = std::max(high_water, offset + request.amount);
  std::byte* data = mapping.data() + offset;
  internal::unpoison(data, request.amount);
  request.grant = give(data, request);
  return true;
}

bool Buffer::Core::serve_alone(Request& request) {
  if (used_by[request.lane] > 0) return false;
  try {
    internal::Mapping own(request.amount);
    request.grant = give(own.release(), request);
    alone[request.lane] = true;
  } catch (const boost::system::system_error& failure) {
    request.error = failure.code();
  }
  return true;
}

void Buffer::Core::release(std::byte* data, std::size_t size, ArenaUse use) noexcept {
  // In a forked child the range is not mapped.
  if (!usable()) return;
  const auto lane = static_cast<std::size_t>(use);
  const bool own = !owns(data);
  if (own)
    internal::Mapping::unmap(data, size);
  else
    internal::poison(data, size);
  change([&] {
    assert(used_by[lane] >= size && own == alone[lane]);
    in_use -= size;
    used_by[lane] -= size;
    if (own) {
      alone[lane] = false;
      return;
    }
    const auto offset = static_cast<std::size_t>(data - mapping.data());
    const std::size_t which = share == 0 ? kUses : std::min(offset / share, kUses);
    parts[which].give(offset - which * share, size);
  });
}

Buffer::Buffer(std::shared_ptr<Core> core, std::byte* data, std::size_t size, ArenaUse use) noexcept
    : core_(std::move(core)), data_(data), size_(size), use_(use) {}

Buffer::Buffer(Buffer&& other) noexcept
    : core_(std::move(other.core_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      use_(other.use_) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    reset();
    core_ = std::move(other.core_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    use_ = other.use_;
  }
  return *this;
}

Buffer::~Buffer() {
  reset();
}

void Buffer::reset() noexcept {
  if (data_ == nullptr) return;
  const auto core = std::move(core_);
  core->release(std::exchange(data_, nullptr), std::exchange(size_, 0), use_);
}

BufferArena::BufferArena(std::size_t capacity_bytes, std::size_t share_bytes)
    : core_(std::make_shared<Core>(checked_capacity(capacity_bytes),
                                   checked_share(capacity_bytes, share_bytes))) {}

BufferArena::~BufferArena() {
  core_->abort_all();
}

impl::FairGate<Buffer>& BufferArena::gate() noexcept {
  return *core_;
}

Buffer BufferArena::try_acquire(std::size_t bytes, ArenaUse use) {
  return core_->try_acquire(bytes, static_cast<unsigned>(use));
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
