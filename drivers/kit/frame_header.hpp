// SPDX-License-Identifier: GPL-3.0-or-later
// What a detector says about one frame: its geometry, and the header that goes in front of its
// pixels. Plain data, standard library only; the pixels themselves are lent by the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string_view>

namespace latticed {

/// Pixel types a frame can have in memory, little endian, rows packed, row 0 on top.
enum class PixelType : std::uint8_t { u8, i8, u16, i16, u32, i32, f32 };

[[nodiscard]] constexpr std::size_t bytes_per_pixel(PixelType type) noexcept {
  constexpr std::size_t kBytes[] = {1, 1, 2, 2, 4, 4, 4};
  return kBytes[static_cast<std::size_t>(type)];
}

[[nodiscard]] constexpr std::string_view to_string(PixelType type) noexcept {
  constexpr std::string_view kNames[] = {"u8", "i8", "u16", "i16", "u32", "i32", "f32"};
  return kNames[static_cast<std::size_t>(type)];
}

struct FrameGeometry {
  int width = 0;   // columns, pixels
  int height = 0;  // rows, pixels
  PixelType type = PixelType::u16;

  [[nodiscard]] std::size_t pixels() const noexcept {
    return static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
  }
  [[nodiscard]] std::size_t bytes() const noexcept { return pixels() * bytes_per_pixel(type); }
  bool operator==(const FrameGeometry&) const = default;
};

/// What one read brought: a frame, the news that frames are missing, or the end of the acquisition.
enum class FrameKind : std::uint8_t { frame, lost, end };

/// Why a frame is missing. The word is what clients and files show.
enum class LossReason : std::uint8_t {
  none,
  sequence_gap,      // the detector's own count jumped
  no_free_slot,      // every slot of the pool was lent out (policy drop_newest)
  incomplete,        // the detector delivered only part of the frame
  wrong_size,        // the frame has another size than the acquisition
  truncated,         // the file ends inside the frame
  unreadable,        // the file's bytes of this frame cannot be decoded
  detector_overrun,  // the detector's own buffer was full
  stale_epoch,       // belongs to an earlier run
  not_recorded,      // measured, but the recorder could not keep up: of recordings only
};
inline constexpr std::size_t kLossReasons = 10;

[[nodiscard]] constexpr std::string_view to_string(LossReason reason) noexcept {
  constexpr std::string_view kNames[kLossReasons] = {
      "none",      "sequence_gap", "no_free_slot",     "incomplete",  "wrong_size",
      "truncated", "unreadable",   "detector_overrun", "stale_epoch", "not_recorded"};
  return kNames[static_cast<std::size_t>(reason)];
}

inline constexpr std::int64_t kUnknownTime = std::numeric_limits<std::int64_t>::min();

enum FrameFlags : std::uint32_t {
  kFrameBlanked = 1u << 0,    // taken with the beam blanked: not measured, never "lost"
  kFrameSimulated = 1u << 1,  // from the simulated world
};

struct FrameHeader {
  FrameKind kind = FrameKind::frame;
  LossReason loss = LossReason::none;   // kind lost: why
  std::uint32_t flags = 0;              // FrameFlags
  std::uint64_t hardware_sequence = 0;  // the detector's own count, from 0 at start()
  std::uint64_t lost_count = 0;         // kind lost: so many, from hardware_sequence on
  std::int64_t time_ns = kUnknownTime;  // mid-exposure, UTC, ns since the Unix epoch
  double exposure_s = 0.0;              // 0 = unknown
};

}  // namespace latticed
