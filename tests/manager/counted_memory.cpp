#include "manager/counted_memory.h"

#include <malloc.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

#include "support/sanitized.h"

namespace {

constinit std::atomic<std::int64_t> bytes_out{0};

}  // namespace

std::int64_t cairn::test::live_bytes() noexcept {
  return bytes_out.load();
}

#ifndef CAIRN_TEST_SANITIZED

namespace {

void* counted(void* memory) {
  if (memory == nullptr) throw std::bad_alloc();
  bytes_out.fetch_add(static_cast<std::int64_t>(malloc_usable_size(memory)),
                      std::memory_order_relaxed);
  return memory;
}

void give_back(void* memory) noexcept {
  if (memory == nullptr) return;
  bytes_out.fetch_sub(static_cast<std::int64_t>(malloc_usable_size(memory)),
                      std::memory_order_relaxed);
  std::free(memory);
}

}  // namespace

// The standard library's other forms call these.
void* operator new(std::size_t size) {
  return counted(std::malloc(size == 0 ? 1 : size));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  void* memory = nullptr;
  const int failed = posix_memalign(&memory, static_cast<std::size_t>(alignment), size);
  return counted(failed == 0 ? memory : nullptr);
}
void operator delete(void* memory) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  give_back(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  give_back(memory);
}

#endif
