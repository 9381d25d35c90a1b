// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/frame/frame.hpp"

#include <cstdlib>

#include "server/base/touched_memory.hpp"

namespace latticed {

void PixelBuffer::allocate(std::size_t bytes) {
  constexpr std::size_t kAlign = 4096;  // a page: also what direct I/O wants
  data_.reset(static_cast<std::byte*>(allocate_touched(bytes, kAlign)));
  size_ = bytes;
}

void PixelBuffer::Free::operator()(std::byte* data) const noexcept { std::free(data); }

}  // namespace latticed
