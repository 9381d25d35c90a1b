// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/mean_velocity.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::signal {

namespace {

// A Wiener process of unit variance a frame has over the tapered middle of a frame, some 0.8 of it,
// a least-squares slope of variance 1.2 / 0.8; its covariance with the way through the whole frame
// is
// 1. What remains is known from no other frame.
constexpr double kUnseenInFrame = 0.5;
// Before the first mid-exposure and after the last one half a frame each is extrapolated.
constexpr double kUnseenAtEnds = 1.0;

// A frame taken after the beam has gone may have a mean below 0: its dark is subtracted.
double weight_of(const AddedFrame& frame) noexcept {
  return frame.mean_counts > 0.0 ? frame.mean_counts : 0.0;
}

struct Axis {
  double velocity = 0.0, noise_variance = 0.0;
};

// `part` takes x or y of a Vector2.
template <class Part>
Axis along(std::span<const AddedFrame> frames, double weights, Part part) {
  const std::size_t n = frames.size();
  const auto share =
      [&](std::size_t i) {  // of frame i's velocity, over its time from left to right
        const std::size_t left = i == 0 ? 0 : i - 1, right = std::min(i + 1, n - 1);
        return weight_of(frames[i]) / weights / (frames[right].seq - frames[left].seq);
      };
  Axis out;
  for (std::size_t j = 0; j < n; ++j) {
    // Place j is where its left neighbour's velocity ends, its right one's begins, and at the ends
    // of the row where its own does.
    double factor = 0.0;
    if (j > 0) factor += share(j - 1);
    if (j + 1 < n) factor -= share(j + 1);
    if (j == 0) factor -= share(0);
    if (j + 1 == n) factor += share(n - 1);
    out.velocity += factor * part(frames[j].drift_px);
    out.noise_variance += factor * factor * part(frames[j].variance_px2);
  }
  return out;
}

// Variance a frame of the random walk along x and y, taken for alike: one direction's few frames
// say little. A drift is the mean place in its frame. Steps between means over whole frames have
// two thirds of the walk's variance, over n frames n - 1/3 of it, and a sixth of it in common with
// the next step. So the mean square of the difference of two velocities is, from frame to frame,
// that variance and six times that of a drift; over gaps it is less.
double walk_variance(std::span<const AddedFrame> frames) noexcept {
  double sum = 0.0, count = 0.0;
  for (std::size_t j = 1; j + 1 < frames.size(); ++j) {
    const AddedFrame &before = frames[j - 1], &here = frames[j], &after = frames[j + 1];
    const double first = here.seq - before.seq, second = after.seq - here.seq;
    const double x = (after.drift_px.x - here.drift_px.x) / second -
                     (here.drift_px.x - before.drift_px.x) / first;
    const double y = (after.drift_px.y - here.drift_px.y) / second -
                     (here.drift_px.y - before.drift_px.y) / first;
    const double to = 1.0 / first, from = 1.0 / second;
    const auto both = [](Vector2 variance) { return variance.x + variance.y; };
    const double noise = to * to * both(before.variance_px2) +
                         (to + from) * (to + from) * both(here.variance_px2) +
                         from * from * both(after.variance_px2);
    sum += x * x + y * y - noise;
    count += 2.0 *
             ((first - 1.0 / 3.0) * to * to + (second - 1.0 / 3.0) * from * from - to * from / 3.0);
  }
  return count > 0.0 ? std::max(0.0, sum / count) : 0.0;
}

}  // namespace

MeanVelocity mean_velocity(std::span<const AddedFrame> frames) noexcept {
  double weights = 0.0;
  for (const AddedFrame& frame : frames) weights += weight_of(frame);
  if (frames.size() < 2 || !(weights > 0.0)) return {};
  const Axis x = along(frames, weights, [](Vector2 v) { return v.x; });
  const Axis y = along(frames, weights, [](Vector2 v) { return v.y; });
  const auto n = static_cast<double>(frames.size());
  const double unseen = walk_variance(frames) * (kUnseenInFrame / n + kUnseenAtEnds / (n * n));
  return {{x.velocity, y.velocity},
          {std::sqrt(x.noise_variance + unseen), std::sqrt(y.noise_variance + unseen)},
          true};
}

}  // namespace latticed::signal
