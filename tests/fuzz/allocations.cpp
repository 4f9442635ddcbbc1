// operator new and delete that count, for PeakMemory.

#include <fuzz/harness.h>
#include <malloc.h>

#include <cstdlib>
#include <new>

namespace {

// What one thread frees may be another's; a target runs in one.
constinit thread_local std::ptrdiff_t bytes_out = 0;
constinit thread_local std::ptrdiff_t bytes_peak = 0;

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  bytes_out += static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  if (bytes_out > bytes_peak) bytes_peak = bytes_out;
  return memory;
}

void release(void* memory) noexcept {
  if (memory == nullptr) return;
  bytes_out -= static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

void* operator new(std::size_t size) {
  return counted(std::malloc(size == 0 ? 1 : size));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  void* memory = nullptr;
  const int failed = posix_memalign(&memory, static_cast<std::size_t>(alignment), size);
  return counted(failed == 0 ? memory : nullptr);
}
void operator delete(void* memory) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  release(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  release(memory);
}

namespace cairn::fuzz {

PeakMemory::PeakMemory() noexcept : before_(bytes_out) {
  bytes_peak = bytes_out;
}

std::size_t PeakMemory::bytes() const noexcept {
  return static_cast<std::size_t>(bytes_peak - before_);
}

}  // namespace cairn::fuzz
