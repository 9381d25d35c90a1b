// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/frame/frame.hpp"

#include <cstdlib>
#include <cstring>
#include <new>

namespace latticed {

void PixelBuffer::allocate(std::size_t bytes) {
  constexpr std::size_t kAlign = 4096;  // a page: also what direct I/O wants
  const std::size_t rounded = (bytes + kAlign - 1) / kAlign * kAlign;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kAlign, rounded ? rounded : kAlign)));
  if (!data_) throw std::bad_alloc();
  std::memset(data_.get(), 0, rounded);
  size_ = bytes;
}

void PixelBuffer::Free::operator()(std::byte* data) const noexcept { std::free(data); }

}  // namespace latticed
