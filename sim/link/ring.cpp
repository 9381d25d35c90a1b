// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/link/ring.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <new>

namespace latticed::sim {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kSlotHeader = 64;
static_assert(sizeof(RingHeader) <= kPage && sizeof(SlotHeader) <= kSlotHeader);

Error failed(const char* what, std::size_t bytes) {
  return {ErrorCode::resource_exhausted,
          fmt::format("frame ring of {} bytes: {}: {}", bytes, what, std::strerror(errno))};
}

Result<void*> map_memory(int fd, std::size_t bytes) {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (memory == MAP_FAILED) return failed("mmap", bytes);
  return memory;
}

}  // namespace

Result<Ring> Ring::create(std::uint32_t slots, std::size_t frame_bytes) {
  const std::size_t stride = (kSlotHeader + frame_bytes + kPage - 1) / kPage * kPage;
  const std::size_t bytes = kPage + stride * slots;
  UniqueFd fd(memfd_create("latticed-sim-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd.is_open()) return failed("memfd_create", bytes);
  if (ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return failed("ftruncate", bytes);
  if (fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return failed("seal", bytes);
  }
  auto memory = map_memory(fd.get(), bytes);
  if (!memory) return memory.error();
  Ring ring(std::move(fd), new (*memory) RingHeader, bytes);
  ring.header_->slots = slots;
  ring.header_->stride = stride;
  ring.header_->frame_bytes = frame_bytes;
  return ring;
}

Result<Ring> Ring::map(UniqueFd fd) {
  struct stat file {};
  if (fstat(fd.get(), &file) != 0) return failed("fstat", 0);
  const auto bytes = static_cast<std::size_t>(file.st_size);
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || bytes < kPage) {
    return Error{ErrorCode::data_loss,
                 fmt::format("frame ring of {} bytes: not sealed against shrinking", bytes)};
  }
  auto memory = map_memory(fd.get(), bytes);
  if (!memory) return memory.error();
  Ring ring(std::move(fd), *memory, bytes);
  const RingHeader& header = *ring.header_;
  if (header.magic != RingHeader::kMagic || header.slots == 0 ||
      header.stride < kSlotHeader + header.frame_bytes ||
      bytes < kPage + header.stride * header.slots) {
    return Error{ErrorCode::data_loss,
                 fmt::format("frame ring of {} bytes: {} slots of {} bytes do not fit, or another "
                             "version",
                             bytes, header.slots, header.stride)};
  }
  return ring;
}

Ring::Ring(UniqueFd fd, void* memory, std::size_t bytes) noexcept
    : fd_(std::move(fd)), header_(static_cast<RingHeader*>(memory)), bytes_(bytes) {}

Ring::Ring(Ring&& other) noexcept
    : fd_(std::move(other.fd_)),
      header_(std::exchange(other.header_, nullptr)),
      bytes_(other.bytes_) {}

Ring::~Ring() {
  if (header_ != nullptr) munmap(header_, bytes_);
}

SlotHeader& Ring::slot(std::uint32_t index) noexcept {
  auto* base = reinterpret_cast<std::byte*>(header_) + kPage;
  return *reinterpret_cast<SlotHeader*>(base + (index % header_->slots) * header_->stride);
}

std::span<std::byte> Ring::pixels(std::uint32_t index) noexcept {
  return {reinterpret_cast<std::byte*>(&slot(index)) + kSlotHeader, header_->frame_bytes};
}

void Ring::reset() noexcept {
  header_->published.store(0, std::memory_order_relaxed);
  header_->consumed.store(0, std::memory_order_relaxed);
  header_->run_state.store(RunState::running, std::memory_order_release);
  ring_bell(header_->frames);
}

bool Ring::has_space() const noexcept {
  // Acquire: the reader has finished with the slot's pixels.
  const std::uint32_t consumed = header_->consumed.load(std::memory_order_acquire);
  return header_->published.load(std::memory_order_relaxed) - consumed < header_->slots;
}

std::uint32_t Ring::next() const noexcept {
  return header_->published.load(std::memory_order_relaxed);  // the writer's own
}

void Ring::publish() noexcept {
  header_->published.fetch_add(1, std::memory_order_release);  // after header and pixels
  ring_bell(header_->frames);
}

void Ring::end(std::uint64_t sequence, LossReason gap) noexcept {
  header_->end_sequence.store(sequence, std::memory_order_relaxed);
  header_->end_gap.store(gap, std::memory_order_relaxed);
  header_->run_state.store(RunState::ended, std::memory_order_release);  // after the two above
  ring_bell(header_->frames);
}

bool Ring::has_frame() const noexcept {
  // Acquire: header and pixels were written before.
  return header_->published.load(std::memory_order_acquire) !=
         header_->consumed.load(std::memory_order_relaxed);
}

std::uint32_t Ring::front() const noexcept {
  return header_->consumed.load(std::memory_order_relaxed);  // the reader's own
}

void Ring::pop() noexcept {
  header_->consumed.fetch_add(1, std::memory_order_release);  // after the copy
  ring_bell(header_->space);
}

}  // namespace latticed::sim
