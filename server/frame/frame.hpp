// SPDX-License-Identifier: GPL-3.0-or-later
// One frame on its way through the pipeline. Its raw pixels never change after the detector wrote
// them; measurements are added on the track thread; then every sink shares it by lease, read only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "drivers/kit/frame_header.hpp"
#include "server/frame/measurements.hpp"
#include "server/frame/pool.hpp"

namespace latticed {

struct AppliedChange;  // server/process/track_change.hpp

/// Memory for one raw frame: page-touched when it is made, aligned for SIMD and direct I/O.
class PixelBuffer {
 public:
  /// Allocates and writes every page. Throws std::bad_alloc.
  void allocate(std::size_t bytes);
  [[nodiscard]] std::span<std::byte> bytes() const noexcept { return {data_.get(), size_}; }
  void recycle() noexcept {}

 private:
  struct Free {
    void operator()(std::byte* data) const noexcept;
  };
  std::unique_ptr<std::byte[], Free> data_;
  std::size_t size_ = 0;
};

using PixelPool = Pool<PixelBuffer>;
using PixelLease = Lease<PixelBuffer>;

struct Frame {
  std::uint32_t epoch = 0;  // the run it belongs to
  std::uint64_t seq = 0;    // 0-based in the run; a lost entry stands for seq .. seq+lost_count-1
  FrameHeader header;
  FrameGeometry geometry;
  std::chrono::nanoseconds filled_at{0};  // steady clock: slot filled
  PixelLease pixels;                      // empty for lost and end
  Measurements measurements;
  std::shared_ptr<const AppliedChange> change;  // what holds from this frame on; mostly none

  [[nodiscard]] bool has_pixels() const noexcept { return header.kind == FrameKind::frame; }
  [[nodiscard]] std::span<const std::byte> raw() const noexcept {
    return std::span<const std::byte>(pixels->bytes()).first(geometry.bytes());
  }
  void recycle() noexcept {
    pixels.reset();
    measurements = {};
    change.reset();
  }
};

using FramePool = Pool<Frame>;
using FrameLease = Lease<Frame>;

}  // namespace latticed
