// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
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
  double d_true_nm = 0.0;
  double relative = 0.0;
  bool is_layer = false;
  std::optional<double> bound_nm;
  std::optional<double> lattice_bound_nm;
};

using Series = std::map<std::int64_t, std::vector<Sample>>;

/// A peak of several reflections lies between them.
bool is_outside(const MeasuredSpot& spot, const Match& match, double limit_z) {
  const double most = limit_z * std::hypot(spot.sigma_d_nm, spot.sigma_d_sys_nm.value_or(0.0));
  return spot.d_nm < match.least_d_nm - most || spot.d_nm > match.most_d_nm + most;
}

Series collect(const Truth& truth, const Measurements& measurements, const ScoreLimits& limits,
               SpotScore& score) {
  Series series;
  for (const auto& [seq, measured] : measurements.frames) {
    const auto found = truth.frames.find(seq);
    if (!measured.lost.empty() || found == truth.frames.end() || !found->second.shows_specimen())
      continue;
    for (const MeasuredSpot& spot : measured.spots) {
      if (!spot.confirmed) continue;
      const Match match = match_spot(found->second, spot.g_per_nm, truth.field_nm);
      if (match.reflection == nullptr) {
        ++score.unmatched;
      } else if (match.is_unresolved) {
        ++score.unresolved;
        if (is_outside(spot, match, limits.outlier_z)) ++score.outside;
      } else {
        ++score.matched;
        const double error = spot.d_nm - match.reflection->d_nm;
        series[spot.id].push_back({seq, error, spot.sigma_d_nm, spot.sigma_d_sys_nm,
                                   match.reflection->d_nm, error / match.reflection->d_nm,
                                   match.reflection->is_layer, match.reflection->bound_d_nm,
                                   match.reflection->bound_d_lattice_nm});
      }
    }
  }
  return series;
}

SpotSeries describe(std::int64_t id, const std::vector<Sample>& samples) {
  std::vector<double> errors;
  std::vector<double> sys;
  for (const Sample& sample : samples) {
    errors.push_back(sample.error_nm);
    if (sample.sys_nm) sys.push_back(*sample.sys_nm);
  }
  const Sample& first = samples.front();
  SpotSeries out;
  out.id = id;
  out.samples = samples.size();
  out.d_true_nm = first.d_true_nm;
  out.offset_nm = median(std::move(errors));
  out.sys_nm = median(std::move(sys));
  return out;
}

/// Each spot counts with its series' offset, so a short series of a wrong match decides nothing.
void score_offsets(const Series& series, SpotScore& score) {
  std::vector<double> relative;
  std::vector<double> in_sys;
  for (const SpotSeries& one : score.series) {
    for (const Sample& sample : series.at(one.id)) {
      relative.push_back(sample.relative);
      if (one.sys_nm > 0.0) in_sys.push_back(std::abs(one.offset_nm) / one.sys_nm);
    }
  }
  if (!in_sys.empty()) score.offset_sigmas = quantile(std::move(in_sys), 0.95);
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
  match.least_d_nm = match.most_d_nm = match.reflection->d_nm;
  for (const TrueReflection& other : frame.reflections) {
    if (&other == match.reflection) continue;
    const double apart = distance(other.g_per_nm, match.reflection->g_per_nm);
    const bool counts = std::abs(other.amplitude) > kCounts * std::abs(match.reflection->amplitude);
    if (!counts || apart >= kSeparateBins / field_nm) continue;
    match.is_unresolved = true;
    match.least_d_nm = std::min(match.least_d_nm, other.d_nm);
    match.most_d_nm = std::max(match.most_d_nm, other.d_nm);
  }
  return match;
}

SpotScore score_spots(const Truth& truth, const Measurements& measurements,
                      const ScoreLimits& limits) {
  SpotScore score;
  const Series series = collect(truth, measurements, limits, score);
  std::vector<double> errors;
  std::vector<double> layer_errors;
  std::vector<double> z;
  std::vector<double> z_random;
  std::vector<double> in_bounds;
  std::vector<double> in_lattice_bounds;
  for (const auto& [id, samples] : series) {
    SpotSeries one = describe(id, samples);
    const std::size_t begin = z.size();
    const std::size_t first_bound = in_bounds.size();
    const std::size_t first_lattice_bound = in_lattice_bounds.size();
    for (const Sample& sample : samples) {
      const double random = sample.error_nm - one.offset_nm;
      errors.push_back(random);
      if (sample.is_layer) layer_errors.push_back(random);
      z.push_back(in_sigmas(random, std::hypot(sample.sigma_nm, sample.sys_nm.value_or(0.0))));
      z_random.push_back(in_sigmas(random, sample.sigma_nm));
      if (sample.bound_nm) in_bounds.push_back(random / *sample.bound_nm);
      if (sample.lattice_bound_nm) in_lattice_bounds.push_back(random / *sample.lattice_bound_nm);
      if (std::abs(random) <= score.worst_nm) continue;
      score.worst_nm = std::abs(random);
      score.worst_seq = sample.seq;
    }
    one.z_rms = rms(std::span(z).subspan(begin));
    one.bound_ratio = rms_of_any(std::span(in_bounds).subspan(first_bound));
    one.lattice_bound_ratio = rms_of_any(std::span(in_lattice_bounds).subspan(first_lattice_bound));
    score.series.push_back(one);
  }
  score_offsets(series, score);
  score.rms_nm = rms(errors);
  score.layer_rms_nm = rms(layer_errors);
  score.z_rms = rms(z);
  score.z_robust = robust_std(z);
  score.z_random_rms = rms(z_random);
  score.bound_ratio = rms_of_any(in_bounds);
  score.lattice_bound_ratio = rms_of_any(in_lattice_bounds);
  score.outlier_fraction = fraction_beyond(z, limits.outlier_z);
  return score;
}

}  // namespace latticed::sim
