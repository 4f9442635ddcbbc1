#include <cairn/engine/internal/registered_memory.h>
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <exception>
#include <utility>

namespace cairn::engine::internal {
namespace {

constexpr __u64 kNoTag = 0;

std::string explain(int error) {
  const std::string head = fmt::format("registering buffers: {}", std::strerror(error));
  switch (error) {
    case ENOMEM: {
      rlimit limit{};
      ::getrlimit(RLIMIT_MEMLOCK, &limit);
      if (limit.rlim_cur == RLIM_INFINITY) return head + "; memory is short: free some";
      return fmt::format(
          "{}; RLIMIT_MEMLOCK is {} bytes for all rings of this user: raise `ulimit -l`, or grant "
          "CAP_IPC_LOCK",
          head, limit.rlim_cur);
    }
    case EINVAL:
      return head +
             "; this kernel has no sparse tables of buffers, or none so long: run Linux 5.19 or "
             "newer";
    default:
      return head;
  }
}

}  // namespace

RegisteredMemory::RegisteredMemory() : reason_("off by options") {}

void RegisteredMemory::set_up(io_uring* ring,
                              std::span<const std::span<std::byte>> ranges) noexcept {
  assert(ring_ == nullptr);
  unsigned slabs = 0;
  try {
    for (const std::span<std::byte> range : ranges) {
      ranges_.push_back({range.data(), range.size(), slabs});
      slabs += static_cast<unsigned>((range.size() + kSlabBytes - 1) / kSlabBytes);
    }
    registered_.resize(slabs);
    const std::lock_guard lock(mutex_);
    reason_ = "no transfer has used the arenas yet";
  } catch (const std::exception&) {
    return give_up("registering buffers: out of memory");
  }
  const int rc = io_uring_register_buffers_sparse(ring, slabs);
  if (rc != 0) return give_up(explain(-rc));
  ring_ = ring;
}

std::optional<int> RegisteredMemory::find(const void* data, std::size_t length) noexcept {
  if (ring_ == nullptr || length == 0) return std::nullopt;
  const auto* first = static_cast<const std::byte*>(data);
  for (const Range& range : ranges_) {
    if (first < range.data || first >= range.data + range.size) continue;
    const auto offset = static_cast<std::size_t>(first - range.data);
    assert(length <= range.size - offset);
    const std::size_t index = offset / kSlabBytes;
    if ((offset + length - 1) / kSlabBytes != index) return std::nullopt;
    const std::size_t begin = index * kSlabBytes;
    const unsigned slab = range.first_slab + static_cast<unsigned>(index);
    if (!registered_[slab] &&
        !register_slab(slab, range.data + begin, std::min(kSlabBytes, range.size - begin))) {
      return std::nullopt;
    }
    return static_cast<int>(slab);
  }
  return std::nullopt;
}

bool RegisteredMemory::register_slab(unsigned slab, std::byte* data, std::size_t size) noexcept {
  if (given_up_) return false;
  const iovec memory{data, size};
  const int rc = io_uring_register_buffers_update_tag(ring_, slab, &memory, &kNoTag, 1);
  if (rc != 1) {
    give_up(explain(rc < 0 ? -rc : EIO));
    return false;
  }
  registered_[slab] = true;
  if (bytes_.fetch_add(size, std::memory_order_relaxed) == 0) {
    const std::lock_guard lock(mutex_);
    reason_.clear();
  }
  return true;
}

void RegisteredMemory::give_up(std::string why) noexcept {
  given_up_ = true;
  const std::lock_guard lock(mutex_);
  reason_ = std::move(why);
}

void RegisteredMemory::describe(BackendInfo& info) const {
  const std::lock_guard lock(mutex_);
  info.registered_bytes = bytes_.load(std::memory_order_relaxed);
  info.registered_buffers = info.registered_bytes > 0;
  info.registered_reason = reason_;
}

}  // namespace cairn::engine::internal
