// SPDX-License-Identifier: GPL-3.0-or-later
// What the stateless half found in one frame, on its way from a prepare worker to the track thread.
#pragma once

#include <array>
#include <chrono>

#include "server/frame/measurements.hpp"
#include "server/frame/pool.hpp"
#include "server/signal/bin_image.hpp"
#include "server/signal/peak_detect.hpp"

namespace latticed {

struct Prepared {
  FrameQuality quality = FrameQuality::good;
  signal::ImageStatistics statistics;
  std::uint32_t repaired_pixels = 0;  // hot or not finite, inside the grid
  signal::Spectrum spectrum;          // valid when quality is good
  signal::PeakList peaks;             // likewise
  std::array<std::chrono::nanoseconds, kStages> stage_cpu{};

  void recycle() noexcept {}
};

using PreparedPool = Pool<Prepared>;
using PreparedLease = Lease<Prepared>;

}  // namespace latticed
