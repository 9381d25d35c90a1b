// SPDX-License-Identifier: GPL-3.0-or-later
// Packs frames for a recording (Blosc: bitshuffle, then LZ4) on threads of its own, and gives them
// back in the order they came. Packing costs time, never a frame: what nobody has begun to pack
// when there is no more room goes into the file as it is (relieve()).
//
//   ImagePacker packer({.threads = 2, .image_bytes = 8 << 20, .pixel_bytes = 2});
//   if (packer.is_full()) { packer.relieve(); write(packer.oldest()); packer.release(); }
//   packer.add(frame);
//   while (packer.is_oldest_ready()) { write(packer.oldest()); packer.release(); }
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "server/base/named_thread.hpp"
#include "server/record/stored_image.hpp"

namespace latticed::record {

struct PackedFrame {
  FrameLease frame;
  StoredImage image;
};

struct PackerOptions {
  int threads = 0;  // 0: nothing is packed, frames come back at once
  std::size_t image_bytes = 0;
  std::size_t pixel_bytes = 2;
};

/// Owner's thread but for the packing itself.
class ImagePacker {
 public:
  /// Frames it may hold: each thread's, and some that wait. As many buffers of a frame's size are
  /// made at once.
  [[nodiscard]] static std::size_t capacity(int threads) noexcept {
    return threads == 0 ? 1 : 2 * static_cast<std::size_t>(threads) + 2;
  }

  explicit ImagePacker(const PackerOptions& options);
  ~ImagePacker();
  ImagePacker(const ImagePacker&) = delete;
  ImagePacker& operator=(const ImagePacker&) = delete;

  [[nodiscard]] bool is_empty() const noexcept { return first_ == end_; }
  [[nodiscard]] bool is_full() const noexcept { return end_ - first_ == cells_.size(); }
  /// Only when it is not full.
  void add(FrameLease frame);
  /// oldest() need not wait. False when it is empty.
  [[nodiscard]] bool is_oldest_ready() const;
  /// The one that came first; waits until it is packed. Only when it is not empty.
  [[nodiscard]] const PackedFrame& oldest();
  /// Done with oldest().
  void release();
  /// The oldest that nobody has begun to pack goes as it is.
  void relieve();

  struct Counts {
    std::uint64_t packed = 0;
    std::uint64_t relieved = 0;        // went as they are for want of time
    std::uint64_t incompressible = 0;  // would not have become smaller
  };
  [[nodiscard]] Counts counts() const;

 private:
  enum class State : std::uint8_t { waiting, packing, ready };
  struct Cell {
    PackedFrame packed;
    State state = State::waiting;
    PixelBuffer room;  // begins at a page
  };
  [[nodiscard]] Cell& at(std::uint64_t number) noexcept { return cells_[number % cells_.size()]; }
  [[nodiscard]] const Cell& at(std::uint64_t number) const noexcept {
    return cells_[number % cells_.size()];
  }
  void pack_in_turn();
  Cell* next_waiting();
  void pack(Cell& cell) const;

  const PackerOptions options_;
  std::vector<Cell> cells_;
  std::uint64_t first_ = 0, end_ = 0;  // numbers of the frames in it; written under mutex_

  mutable std::mutex mutex_;  // guards states, the numbers, counts_, is_ending_
  std::condition_variable came_, packed_;
  Counts counts_;
  bool is_ending_ = false;
  std::vector<NamedThread> threads_;
};

}  // namespace latticed::record
