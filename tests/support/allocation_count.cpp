// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/support/allocation_count.hpp"

#include <execinfo.h>
#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

namespace {

constexpr std::size_t kKept = 4;
constexpr int kDepth = 16;

char prefix[16] = {};
std::atomic<bool> is_counting{false};
std::atomic<std::uint64_t> counted{0};
struct {
  char thread[16] = {};
  void* stack[kDepth] = {};
  int depth = 0;
} kept[kKept];
thread_local bool is_inside = false;

void note() noexcept {
  if (!is_counting.load(std::memory_order_acquire) || is_inside) return;
  is_inside = true;  // backtrace() may allocate
  char name[16] = {};
  pthread_getname_np(pthread_self(), name, sizeof(name));
  if (std::strncmp(name, prefix, std::strlen(prefix)) == 0) {
    const auto n = counted.fetch_add(1, std::memory_order_relaxed);
    if (n < kKept) {
      std::memcpy(kept[n].thread, name, sizeof(name));
      kept[n].depth = backtrace(kept[n].stack, kDepth);
    }
  }
  is_inside = false;
}

}  // namespace

#ifdef LATTICED_SANITIZED

namespace {
void* take(std::size_t bytes, std::size_t alignment) {
  note();
  void* memory = nullptr;
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes == 0 ? 1 : bytes);
  return posix_memalign(&memory, alignment, bytes == 0 ? 1 : bytes) == 0 ? memory : nullptr;
}
void* take_or_throw(std::size_t bytes, std::size_t alignment) {
  void* memory = take(bytes, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
}  // namespace

void* operator new(std::size_t bytes) { return take_or_throw(bytes, 1); }
void* operator new[](std::size_t bytes) { return take_or_throw(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return take_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t bytes, std::align_val_t alignment) {
  return take_or_throw(bytes, static_cast<std::size_t>(alignment));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, 1); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, 1); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

#else

// glibc lets a program define these; its own are still there under these names. operator new of
// libstdc++ comes here too.
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) {
  note();
  return __libc_malloc(bytes);
}
void* calloc(std::size_t count, std::size_t bytes) {
  note();
  return __libc_calloc(count, bytes);
}
void* realloc(void* old, std::size_t bytes) {
  note();
  return __libc_realloc(old, bytes);
}
void* memalign(std::size_t alignment, std::size_t bytes) {
  note();
  return __libc_memalign(alignment, bytes);
}
void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
  note();
  return __libc_memalign(alignment, bytes);
}
int posix_memalign(void** out, std::size_t alignment, std::size_t bytes) {
  note();
  *out = __libc_memalign(alignment, bytes);
  return *out ? 0 : 12;  // ENOMEM
}
}

#endif

namespace latticed::test {

void count_allocations_of(const char* thread_prefix) noexcept {
  void* once[1];
  backtrace(once, 1);  // loads what it needs now
  std::strncpy(prefix, thread_prefix, sizeof(prefix) - 1);
  counted.store(0);
  is_counting.store(true, std::memory_order_release);
}

std::uint64_t stop_counting_allocations() noexcept {
  is_counting.store(false, std::memory_order_release);
  return counted.load();
}

std::string where_allocations_were() {
  std::string out;
  for (std::size_t i = 0; i < kKept && i < counted.load(); ++i) {
    out += std::string("thread ") + kept[i].thread + "\n";
    const std::unique_ptr<char*, void (*)(void*)> lines(
        backtrace_symbols(kept[i].stack, kept[i].depth), std::free);
    for (int k = 0; k < kept[i].depth; ++k) out += std::string("  ") + lines.get()[k] + "\n";
  }
  return out;
}

}  // namespace latticed::test
