// SPDX-License-Identifier: GPL-3.0-or-later
#include <cmath>

#include "sim/score/score.hpp"
#include "sim/score/statistics.hpp"

namespace latticed::sim {
namespace {

constexpr double kGateBins = 1.5;      // in units of 1 / field: the width of a peak
constexpr double kSeparateBins = 2.0;  // closer than this two reflections are one peak
constexpr double kCounts = 0.1;        // of the matched one's amplitude: disturbs it

/// Distance with Friedel pairs taken as one.
double distance(const std::array<double, 2>& a, const std::array<double, 2>& b) {
  return std::min(std::hypot(a[0] - b[0], a[1] - b[1]), std::hypot(a[0] + b[0], a[1] + b[1]));
}

struct Sample {
  std::uint64_t seq = 0;
  double error_nm = 0.0;
  double sigma_nm = 0.0;
  std::optional<double> sys_nm;
  double relative = 0.0;
  bool is_layer = false;
};

using Series = std::map<std::int64_t, std::vector<Sample>>;

Series collect(const Truth& truth, const Measurements& measurements, SpotScore& score) {
  Series series;
  for (const auto& [seq, measured] : measurements.frames) {
    const auto found = truth.frames.find(seq);
    if (!measured.lost.empty() || found == truth.frames.end() || found->second.blanked) continue;
    for (const MeasuredSpot& spot : measured.spots) {
      if (!spot.confirmed) continue;
      const Match match = match_spot(found->second, spot.g_per_nm, truth.field_nm);
      if (match.reflection == nullptr) {
        ++score.unmatched;
      } else if (match.is_unresolved) {
        ++score.unresolved;
      } else {
        ++score.matched;
        const double error = spot.d_nm - match.reflection->d_nm;
        series[spot.id].push_back({seq, error, spot.sigma_d_nm, spot.sigma_d_sys_nm,
                                   error / match.reflection->d_nm, match.reflection->is_layer});
      }
    }
  }
  return series;
}

/// The error of a series against its own median, in units of the stated systematic sigma.
void score_offsets(const Series& series, SpotScore& score) {
  std::vector<double> relative;
  for (const auto& [id, samples] : series) {
    std::vector<double> errors;
    std::vector<double> sys;
    for (const Sample& sample : samples) {
      relative.push_back(sample.relative);
      errors.push_back(sample.error_nm);
      if (sample.sys_nm) sys.push_back(*sample.sys_nm);
    }
    const double typical = median(sys);
    if (typical > 0.0) {
      const double sigmas = std::abs(median(errors)) / typical;
      score.offset_sigmas = std::max(score.offset_sigmas.value_or(0.0), sigmas);
    }
  }
  score.offset_ppm = 1e6 * median(std::move(relative));
}

}  // namespace

Match match_spot(const TrueFrame& frame, const std::array<double, 2>& g_per_nm, double field_nm) {
  Match match;
  double nearest = kGateBins / field_nm;
  for (const TrueReflection& reflection : frame.reflections) {
    const double d = distance(reflection.g_per_nm, g_per_nm);
    if (d > nearest) continue;
    nearest = d;
    match.reflection = &reflection;
  }
  if (match.reflection == nullptr) return match;
  for (const TrueReflection& other : frame.reflections) {
    if (&other == match.reflection) continue;
    const double apart = distance(other.g_per_nm, match.reflection->g_per_nm);
    const bool counts = std::abs(other.amplitude) > kCounts * std::abs(match.reflection->amplitude);
    if (counts && apart < kSeparateBins / field_nm) match.is_unresolved = true;
  }
  return match;
}

SpotScore score_spots(const Truth& truth, const Measurements& measurements,
                      const ScoreLimits& limits) {
  SpotScore score;
  const Series series = collect(truth, measurements, score);
  score_offsets(series, score);
  std::vector<double> errors;
  std::vector<double> layer_errors;
  std::vector<double> z;
  std::vector<double> random_z;
  for (const auto& [id, samples] : series) {
    std::vector<double> of_series;
    for (const Sample& sample : samples) of_series.push_back(sample.error_nm);
    const double offset = median(std::move(of_series));
    for (const Sample& sample : samples) {
      const double rest = sample.error_nm - offset;
      errors.push_back(rest);
      if (sample.is_layer) layer_errors.push_back(rest);
      z.push_back(in_sigmas(rest, std::hypot(sample.sigma_nm, sample.sys_nm.value_or(0.0))));
      random_z.push_back(in_sigmas(rest, sample.sigma_nm));
      if (std::abs(rest) > score.worst_nm) {
        score.worst_nm = std::abs(rest);
        score.worst_seq = sample.seq;
      }
    }
  }
  score.rms_nm = rms(errors);
  score.layer_rms_nm = rms(layer_errors);
  score.z_rms = rms(z);
  score.z_robust = robust_std(z);
  score.random_z_rms = rms(random_z);
  score.random_z_robust = robust_std(random_z);
  score.outlier_fraction = fraction_beyond(z, limits.outlier_z);
  return score;
}

}  // namespace latticed::sim
