// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/image_packer.hpp"

#include <blosc.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>

#include "server/record/pages.hpp"

namespace latticed::record {
namespace {

// Levels 1 to 9 differ by 2 % in size and nothing in time on Poisson noise of 2 to 400 counts.
constexpr int kLevel = 5;
// Behind the pipeline's (10): what is measured late is late, what is not packed is only larger.
constexpr int kNice = 15;

// Whole pages go to the disk past the page cache. Blosc's own header says where it ends, and
// readers leave what follows alone. Small chunks do not begin at a page anyway.
std::size_t padded(std::size_t bytes) {
  return bytes < kLeastPaged ? bytes : (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
}

}  // namespace

ImagePacker::ImagePacker(const PackerOptions& options)
    : options_(options), cells_(capacity(options.threads)) {
  for (Cell& cell : cells_)
    if (options.threads > 0) cell.room.allocate(options.image_bytes);
  for (int i = 0; i < options.threads; ++i)
    threads_.emplace_back(ThreadOptions{"latd-pack-" + std::to_string(i), kNice},
                          [this] { pack_in_turn(); });
}

ImagePacker::~ImagePacker() {
  {
    const std::lock_guard lock(mutex_);
    is_ending_ = true;
  }
  came_.notify_all();
  for (NamedThread& thread : threads_) thread.join();
}

void ImagePacker::add(FrameLease frame) {
  Cell& cell = at(end_);
  const bool is_packed_later = !threads_.empty() && frame->has_pixels();
  cell.packed.image = is_packed_later ? StoredImage() : stored_raw(*frame);
  cell.packed.frame = std::move(frame);
  {
    const std::lock_guard lock(mutex_);
    cell.state = is_packed_later ? State::waiting : State::ready;
    ++end_;
  }
  if (is_packed_later) came_.notify_one();
}

bool ImagePacker::is_oldest_ready() const {
  const std::lock_guard lock(mutex_);
  return first_ != end_ && at(first_).state == State::ready;
}

const PackedFrame& ImagePacker::oldest() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex_);
  Cell& cell = at(first_);
  // Its thread needs some ms; who waits for us is told by the sink's own deadline.
  while (!packed_.wait_for(lock, 1s, [&] { return cell.state == State::ready; })) {
  }
  return cell.packed;
}

void ImagePacker::release() {
  at(first_).packed = {};
  const std::lock_guard lock(mutex_);
  ++first_;
}

void ImagePacker::relieve() {
  Cell* const cell = [&]() -> Cell* {
    const std::lock_guard lock(mutex_);
    Cell* found = next_waiting();
    if (!found) return nullptr;
    found->state = State::packing;  // ours: no thread takes it
    ++counts_.relieved;
    return found;
  }();
  if (!cell) return;
  cell->packed.image = stored_raw(*cell->packed.frame);
  const std::lock_guard lock(mutex_);
  cell->state = State::ready;
}

ImagePacker::Counts ImagePacker::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

ImagePacker::Cell* ImagePacker::next_waiting() {
  for (std::uint64_t number = first_; number != end_; ++number)
    if (at(number).state == State::waiting) return &at(number);
  return nullptr;
}

void ImagePacker::pack(Cell& cell) const {
  StoredImage& image = cell.packed.image;
  image = stored_raw(*cell.packed.frame);
  const std::span<std::byte> room = cell.room.bytes();
  const int packed = blosc_compress_ctx(kLevel, BLOSC_BITSHUFFLE, options_.pixel_bytes,
                                        image.bytes.size(), image.bytes.data(), room.data(),
                                        room.size() - 1, BLOSC_LZ4_COMPNAME, 0, 1);
  if (packed <= 0) return;  // it would not become smaller
  const std::size_t bytes = padded(static_cast<std::size_t>(packed));
  if (bytes >= image.bytes.size()) return;
  std::fill(room.begin() + packed, room.begin() + static_cast<std::ptrdiff_t>(bytes), std::byte{0});
  image.is_packed = true;
  image.bytes = room.first(bytes);
}

void ImagePacker::pack_in_turn() {
  using namespace std::chrono_literals;
  std::unique_lock lock(mutex_);
  while (true) {
    Cell* cell = nullptr;
    while (!is_ending_ && !(cell = next_waiting())) came_.wait_for(lock, 1s);
    if (is_ending_) return;
    cell->state = State::packing;
    lock.unlock();
    pack(*cell);
    lock.lock();
    cell->state = State::ready;
    ++(cell->packed.image.is_packed ? counts_.packed : counts_.incompressible);
    packed_.notify_all();
  }
}

}  // namespace latticed::record
