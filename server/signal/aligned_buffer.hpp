// SPDX-License-Identifier: GPL-3.0-or-later
// A fixed array on 64-byte boundaries, zeroed when made: what SIMD loops and FFTW want. Large ones
// ask for large pages: the columns of a spectrum lie further apart than a small page is long.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>
#include <span>

#include "server/base/touched_memory.hpp"

namespace latticed::signal {

template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::size_t size) : size_(size) {
    data_.reset(static_cast<T*>(allocate_touched(size * sizeof(T), 64)));
  }
  T* data() noexcept { return data_.get(); }
  const T* data() const noexcept { return data_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  T& operator[](std::size_t i) noexcept { return data_.get()[i]; }
  const T& operator[](std::size_t i) const noexcept { return data_.get()[i]; }
  std::span<T> span() noexcept { return {data_.get(), size_}; }
  std::span<const T> span() const noexcept { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(T* data) const noexcept { std::free(data); }
  };
  std::unique_ptr<T[], Free> data_;
  std::size_t size_ = 0;
};

}  // namespace latticed::signal
