// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/touched_memory.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace latticed {

void* allocate_touched(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t kLargePage = std::size_t{2} << 20;
  const std::size_t rounded =
      std::max<std::size_t>((bytes + alignment - 1) / alignment, 1) * alignment;
  // Whole large pages where they fit; what is left over lies on small ones, so nothing is wasted.
  const bool is_large = rounded >= kLargePage;
  // Not aligned_alloc: that wants a size of whole alignments, which would be whole large pages.
  void* data = nullptr;
  if (posix_memalign(&data, is_large ? std::max(alignment, kLargePage) : alignment, rounded) != 0)
    throw std::bad_alloc();
  // A wish: without large pages everything works the same, a little slower.
  if (is_large) madvise(data, rounded, MADV_HUGEPAGE);
  std::memset(data, 0, rounded);
  return data;
}

}  // namespace latticed
