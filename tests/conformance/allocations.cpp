// SPDX-License-Identifier: GPL-3.0-or-later
#include "tests/conformance/allocations.hpp"

#include <cstdlib>
#include <new>

namespace {
thread_local std::uint64_t count = 0;
}

namespace latticed::test {
std::uint64_t allocations_of_this_thread() noexcept { return count; }
}  // namespace latticed::test

void* operator new(std::size_t bytes) {
  ++count;
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
