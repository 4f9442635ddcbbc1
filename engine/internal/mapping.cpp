#include <cairn/engine/internal/fork.h>
#include <cairn/engine/internal/mapping.h>
#include <boost/system/system_error.hpp>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <utility>

namespace cairn::engine::internal {
namespace {

// Linux 5.14; older headers lack the name (include/uapi/asm-generic/mman-common.h).
#ifdef MADV_POPULATE_WRITE
constexpr int kPopulateWrite = MADV_POPULATE_WRITE;
#else
constexpr int kPopulateWrite = 23;
#endif

boost::system::error_code last_error() noexcept {
  return {errno, boost::system::system_category()};
}

// Kernels without MADV_POPULATE_WRITE: an atomic "or 0" has each page provided and cannot lose what
// its user writes meanwhile. Sanitizers would call it an access to memory that is not ours,
// rightly.
#if defined(__clang__)
__attribute__((no_sanitize("address", "thread")))
#else
__attribute__((no_sanitize_address, no_sanitize_thread))
#endif
void touch(std::byte* data, std::size_t size, std::size_t page) noexcept {
  for (std::size_t at = 0; at < size; at += page)
    __atomic_fetch_or(reinterpret_cast<unsigned char*>(data + at), 0, __ATOMIC_RELAXED);
}

}  // namespace

Mapping::Mapping(std::size_t size) : size_(size), generation_(fork_generation()) {
  const std::size_t reserved = size + kHugePage;
  void* start = ::mmap(nullptr, reserved, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) {
    throw boost::system::system_error(
        last_error(), fmt::format("reserving {} bytes of address space for buffers (lower "
                                  "staging_bytes or io_window_bytes, or raise ulimit -v)",
                                  reserved));
  }
  // Cut both ends, so that huge pages can start at the first byte.
  auto* bytes = static_cast<std::byte*>(start);
  const std::size_t before =
      (kHugePage - reinterpret_cast<std::uintptr_t>(bytes) % kHugePage) % kHugePage;
  if (before > 0) ::munmap(bytes, before);
  data_ = bytes + before;
  if (kHugePage > before) ::munmap(data_ + size, kHugePage - before);
  // Advice: a kernel without huge pages refuses the first, which changes speed alone.
  ::madvise(data_, size, MADV_HUGEPAGE);
  ::madvise(data_, size, MADV_DONTFORK);
}

Mapping::~Mapping() {
  // A forked child has something else at this address, or nothing.
  if (data_ != nullptr && generation_ == fork_generation()) unmap(data_, size_);
}

std::byte* Mapping::release() noexcept {
  return std::exchange(data_, nullptr);
}

void Mapping::unmap(std::byte* data, std::size_t size) noexcept {
  ::munmap(data, size);
}

boost::system::error_code Mapping::prefault(std::size_t offset, std::size_t size) noexcept {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t start = offset / page * page;
  size += offset - start;
  while (::madvise(data_ + start, size, kPopulateWrite) != 0) {
    if (errno == EINTR || errno == EAGAIN) continue;
    if (errno != EINVAL) return last_error();
    touch(data_ + start, size, page);
    break;
  }
  return {};
}

}  // namespace cairn::engine::internal
