// operator new and delete that count, for PeakMemory. All forms are here: a sanitizer's run-time
// library has its own of each, and they may not be mixed.

#include <fuzz/harness.h>
#include <malloc.h>

#include <cstdlib>
#include <new>

namespace {

// What one thread frees may be another's; a target runs in one.
constinit thread_local std::ptrdiff_t bytes_out = 0;
constinit thread_local std::ptrdiff_t bytes_peak = 0;

void* counted(void* memory) noexcept {
  if (memory == nullptr) return nullptr;
  bytes_out += static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  if (bytes_out > bytes_peak) bytes_peak = bytes_out;
  return memory;
}

void* take(std::size_t size) noexcept {
  return counted(std::malloc(size == 0 ? 1 : size));
}

void* take(std::size_t size, std::align_val_t alignment) noexcept {
  void* memory = nullptr;
  const int failed = posix_memalign(&memory, static_cast<std::size_t>(alignment), size);
  return failed == 0 ? counted(memory) : nullptr;
}

void* or_throw(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void give_back(void* memory) noexcept {
  if (memory == nullptr) return;
  bytes_out -= static_cast<std::ptrdiff_t>(malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

using Align = std::align_val_t;
using Nothrow = std::nothrow_t;

void* operator new(std::size_t size) {
  return or_throw(take(size));
}
void* operator new[](std::size_t size) {
  return or_throw(take(size));
}
void* operator new(std::size_t size, const Nothrow&) noexcept {
  return take(size);
}
void* operator new[](std::size_t size, const Nothrow&) noexcept {
  return take(size);
}
void* operator new(std::size_t size, Align to) {
  return or_throw(take(size, to));
}
void* operator new[](std::size_t size, Align to) {
  return or_throw(take(size, to));
}
void* operator new(std::size_t size, Align to, const Nothrow&) noexcept {
  return take(size, to);
}
void* operator new[](std::size_t size, Align to, const Nothrow&) noexcept {
  return take(size, to);
}
void operator delete(void* memory) noexcept {
  give_back(memory);
}
void operator delete[](void* memory) noexcept {
  give_back(memory);
}
void operator delete(void* memory, const Nothrow&) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, const Nothrow&) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  give_back(memory);
}
void operator delete(void* memory, Align) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, Align) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::size_t, Align) noexcept {
  give_back(memory);
}
void operator delete[](void* memory, std::size_t, Align) noexcept {
  give_back(memory);
}

namespace cairn::fuzz {

PeakMemory::PeakMemory() noexcept : before_(bytes_out) {
  bytes_peak = bytes_out;
}

std::size_t PeakMemory::bytes() const noexcept {
  return static_cast<std::size_t>(bytes_peak - before_);
}

}  // namespace cairn::fuzz
