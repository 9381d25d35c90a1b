// SPDX-License-Identifier: GPL-3.0-or-later
// What the benches measure with: pictures almost without noise from a child sim-world, fresh noise
// for every frame of a block, and this process's cost so far.
#pragma once

#include <chrono>
#include <cstdint>

#include "server/app/block_detector.hpp"
#include "server/app/fresh_noise.hpp"
#include "server/app/movie.hpp"
#include "server/process/pipeline.hpp"

namespace latticed {

/// A few pictures of `size` pixels to a side of a drifting particle. Starts a sim-world beside this
/// program and ends it.
Result<Movie> bench_pictures(int size);

/// Frames of a block of this geometry: a GB, but not too few and not too many.
[[nodiscard]] std::size_t bench_block(const FrameGeometry& geometry) noexcept;

/// Fresh noise for every frame of the block, by as many threads as there are workers.
class Exposure {
 public:
  Exposure(const Movie& movie, int threads);
  void fill(BlockDetector& detector);

 private:
  const Movie& movie_;
  const int threads_;
  std::uint64_t exposed_ = 0;
  FreshNoise noise_;
};

/// As a camera's: 2 % of gain, 2 counts of dark, a hot pixel in 20 000. The frames do not need
/// them; what they cost is the same.
[[nodiscard]] signal::CorrectionMaps bench_maps(const FrameGeometry& geometry);

[[nodiscard]] std::chrono::nanoseconds process_cpu();
/// Memory this process really has, MB.
[[nodiscard]] double resident_mb();

}  // namespace latticed
