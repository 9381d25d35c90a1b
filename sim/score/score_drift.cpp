// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <cmath>

#include "sim/score/score.hpp"
#include "sim/score/statistics.hpp"

namespace latticed::sim {
namespace {

struct Residual {
  std::uint64_t seq = 0;
  std::array<double, 2> error_px{};
  std::array<double, 2> sigma_px{};
  std::array<double, 2> total_sigma_px{};
  std::optional<std::array<double, 2>> bound_px;
  double half_cell_px = 0.0;
  bool is_locked = false;
};

/// No lattice vector is shorter than the shortest visible spacing, so half of that is no hop yet.
double half_cell_px(const TrueFrame& frame, double pixel_size_nm) {
  double shortest_nm = 1e9;
  for (const TrueReflection& reflection : frame.reflections) {
    shortest_nm = std::min(shortest_nm, reflection.d_nm);
  }
  return 0.5 * shortest_nm / pixel_size_nm;
}

std::vector<Residual> residuals(const Truth& truth, const Measurements& measurements) {
  std::vector<Residual> out;
  for (const auto& [seq, measured] : measurements.frames) {
    const auto found = truth.frames.find(seq);
    if (seq == 0 || !measured.lost.empty() || measured.drift_state == "lost") continue;
    if (found == truth.frames.end() || !found->second.shows_specimen()) continue;
    Residual residual;
    residual.seq = seq;
    residual.is_locked = measured.drift_state == "locked" && !measured.cell_ambiguous;
    residual.half_cell_px = half_cell_px(found->second, truth.pixel_size_nm);
    residual.bound_px = found->second.bound_drift_px;
    for (std::size_t axis = 0; axis < 2; ++axis) {
      residual.error_px[axis] = measured.drift_px[axis] - found->second.drift_px[axis];
      residual.sigma_px[axis] = measured.sigma_drift_px[axis];
      residual.total_sigma_px[axis] =
          std::hypot(measured.sigma_drift_px[axis], measured.sigma_drift_sys_px[axis]);
    }
    out.push_back(residual);
  }
  return out;
}

void take_off_offset(std::vector<Residual>& list, DriftScore& score) {
  for (std::size_t axis = 0; axis < 2; ++axis) {
    std::vector<double> errors;
    std::vector<double> sigmas;
    for (const Residual& residual : list) {
      errors.push_back(residual.error_px[axis]);
      sigmas.push_back(residual.total_sigma_px[axis]);
    }
    score.offset_px[axis] = weighted_median(errors, sigmas);
    for (Residual& residual : list) residual.error_px[axis] -= score.offset_px[axis];
  }
}

void compare_with_bounds(const std::vector<Residual>& list, DriftScore& score) {
  std::array<double, 2> errors{};
  std::array<double, 2> bounds{};
  for (const Residual& residual : list) {
    if (!residual.is_locked || !residual.bound_px) continue;
    for (std::size_t axis = 0; axis < 2; ++axis) {
      errors[axis] += residual.error_px[axis] * residual.error_px[axis];
      bounds[axis] += (*residual.bound_px)[axis] * (*residual.bound_px)[axis];
    }
  }
  if (!(bounds[0] > 0.0) || !(bounds[1] > 0.0)) return;
  score.bound_ratio = std::sqrt((errors[0] + errors[1]) / (bounds[0] + bounds[1]));
  score.bound_ratio_xy = {std::sqrt(errors[0] / bounds[0]), std::sqrt(errors[1] / bounds[1])};
}

}  // namespace

DriftScore score_drift(const Truth& truth, const Measurements& measurements,
                       const ScoreLimits& limits) {
  DriftScore score;
  std::vector<Residual> list = residuals(truth, measurements);
  take_off_offset(list, score);
  compare_with_bounds(list, score);
  score.frames = list.size();
  std::vector<double> errors;
  std::array<std::vector<double>, 2> z;
  std::array<std::vector<double>, 2> z_random;
  bool was_hopped = false;
  for (const Residual& residual : list) {
    const double size = std::hypot(residual.error_px[0], residual.error_px[1]);
    if (size > score.worst_px) {
      score.worst_px = size;
      score.worst_seq = residual.seq;
    }
    for (std::size_t axis = 0; axis < 2; ++axis) {
      errors.push_back(residual.error_px[axis]);
      z[axis].push_back(in_sigmas(residual.error_px[axis], residual.total_sigma_px[axis]));
      z_random[axis].push_back(in_sigmas(residual.error_px[axis], residual.sigma_px[axis]));
    }
    if (!residual.is_locked) continue;
    ++score.locked;
    const bool is_hopped = size > residual.half_cell_px;
    if (is_hopped && !was_hopped) ++score.hops;
    score.hop_frames += is_hopped ? 1 : 0;
    was_hopped = is_hopped;
  }
  score.rms_px = rms(errors);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    score.z_rms[axis] = rms(z[axis]);
    score.z_robust[axis] = robust_std(z[axis]);
    score.z_random_rms[axis] = rms(z_random[axis]);
    score.outlier_fraction =
        std::max(score.outlier_fraction, fraction_beyond(z[axis], limits.outlier_z));
  }
  return score;
}

}  // namespace latticed::sim
