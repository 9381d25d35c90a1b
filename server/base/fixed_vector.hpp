// SPDX-License-Identifier: GPL-3.0-or-later
// A vector with room for N and no heap: the hot path's lists. push_back on a full one is refused
// (returns false); the caller counts it.
#pragma once

#include <array>
#include <cstddef>

namespace latticed {

template <class T, std::size_t N>
class FixedVector {
 public:
  bool push_back(const T& value) noexcept {
    if (size_ == N) return false;
    items_[size_++] = value;
    return true;
  }
  void clear() noexcept { size_ = 0; }
  void resize(std::size_t size) noexcept { size_ = size < N ? size : N; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] static constexpr std::size_t capacity() noexcept { return N; }

  T& operator[](std::size_t i) noexcept { return items_[i]; }
  const T& operator[](std::size_t i) const noexcept { return items_[i]; }
  T* begin() noexcept { return items_.data(); }
  T* end() noexcept { return items_.data() + size_; }
  const T* begin() const noexcept { return items_.data(); }
  const T* end() const noexcept { return items_.data() + size_; }
  T& back() noexcept { return items_[size_ - 1]; }

 private:
  std::array<T, N> items_{};
  std::size_t size_ = 0;
};

}  // namespace latticed
