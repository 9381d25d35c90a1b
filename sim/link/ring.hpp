// SPDX-License-Identifier: GPL-3.0-or-later
// The frames' way from the world to one detector driver: slots in a sealed memfd, one writer and
// one reader, in two processes. The seal keeps the reader's memory valid whatever becomes of the
// writer.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "drivers/kit/frame_header.hpp"
#include "drivers/kit/result.hpp"
#include "sim/link/futex.hpp"
#include "sim/link/unique_fd.hpp"

namespace latticed::sim {

enum class RunState : std::uint32_t { idle, running, ended };

/// In front of each slot's pixels.
struct SlotHeader {
  std::uint64_t sequence = 0;
  std::int64_t time_ns = 0;  // mid-exposure, UTC
  double exposure_s = 0.0;
  std::uint32_t flags = 0;            // FrameFlags
  LossReason gap = LossReason::none;  // why the frames just before this one are missing
  bool is_complete = true;
};

/// In front of the slots. Only whole words both processes agree on.
struct RingHeader {
  static constexpr std::uint64_t kMagic = 0x31676e697264746cULL;  // "ltdring1"
  std::uint64_t magic = kMagic;
  std::uint32_t slots = 0;
  std::uint32_t prefetched = 0;  // so many slots are filled once and for all; 0 = a live ring
  std::uint64_t stride = 0;      // bytes from slot to slot
  std::uint64_t frame_bytes = 0;
  alignas(64) std::atomic<std::uint32_t> published{0};  // written by the world
  std::atomic<RunState> run_state{RunState::idle};
  std::atomic<std::uint64_t> end_sequence{0};  // of the frame that would come next
  std::atomic<LossReason> end_gap{LossReason::none};
  Bell frames{0};                                      // rung when one of these four changed
  alignas(64) std::atomic<std::uint32_t> consumed{0};  // written by the driver
  Bell space{0};                                       // rung when it changed, or to stop a wait
};

class Ring {
 public:
  /// A new one, all zero. `slots` 1..65536.
  static Result<Ring> create(std::uint32_t slots, std::size_t frame_bytes);
  /// One that was made elsewhere; checks seals, size and magic before it touches it.
  static Result<Ring> map(UniqueFd fd);

  Ring(Ring&& other) noexcept;
  Ring& operator=(Ring&&) = delete;
  ~Ring();

  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  [[nodiscard]] RingHeader& header() noexcept { return *header_; }
  [[nodiscard]] const RingHeader& header() const noexcept { return *header_; }

  /// Slot `index` modulo the number of slots.
  [[nodiscard]] SlotHeader& slot(std::uint32_t index) noexcept;
  [[nodiscard]] std::span<std::byte> pixels(std::uint32_t index) noexcept;

  // The world's side.
  void reset() noexcept;  // empty and running; no reader may be active
  [[nodiscard]] bool has_space() const noexcept;
  [[nodiscard]] std::uint32_t next() const noexcept;  // index to write to
  void publish() noexcept;
  void end(std::uint64_t sequence, LossReason gap) noexcept;

  // The driver's side.
  [[nodiscard]] bool has_frame() const noexcept;
  [[nodiscard]] std::uint32_t front() const noexcept;
  void pop() noexcept;

 private:
  Ring(UniqueFd fd, void* memory, std::size_t bytes) noexcept;

  UniqueFd fd_;
  RingHeader* header_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace latticed::sim
