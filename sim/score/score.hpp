// SPDX-License-Identifier: GPL-3.0-or-later
// Measurements against the truth, part by part. Each part is a pure function; summary.cpp puts them
// together and says whether the errors are within what the sigmas promise.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/score/records.hpp"

namespace latticed::sim {

/// What a pass asks for; sim/README.md gives the reasons.
struct ScoreLimits {
  double z_rms = 2.0;  // of drift, per axis, and of d
  double outlier_z = 5.0;
  double outlier_fraction = 0.01;
  double locked_fraction = 0.5;
  double sys_sigmas = 3.0;           // constant offset of d, where sigma_d_sys is given
  std::uint64_t alert_window = 240;  // frames after an event in which its alert is raised
  bool may_end_early = false;        // frames behind the last measured one are not missed
};

/// Every frame of the truth is measured, or listed as lost with its reason.
struct FrameScore {
  std::uint64_t frames = 0;  // of the truth
  std::uint64_t measured = 0;
  std::uint64_t blanked = 0;
  std::uint64_t empty = 0;                    // the specimen was out, and the beam on
  std::map<std::string, std::uint64_t> lost;  // listed, by reason
  std::vector<std::uint64_t> unlisted;        // neither measured nor listed
  std::vector<std::uint64_t> unknown;         // measured, but the truth has no such delivered frame
  std::vector<std::uint64_t> repeated;
};
FrameScore score_frames(const Truth& truth, const Measurements& measurements,
                        const ScoreLimits& limits);

/// Over frames whose drift_state is not "lost"; one common offset (the median, each frame
/// weighted with 1 / sigma) is taken off, since drift is relative to frame 0 and its own error is
/// in all of them. Frame 0 itself is left out. z: the error in units of the whole stated sigma,
/// random and systematic (a lattice that swells may take the match along); z_random: of the random
/// one alone, for information.
struct DriftScore {
  std::uint64_t frames = 0;
  std::uint64_t locked = 0;
  std::uint64_t hops = 0;        // times the error went beyond half a cell while locked
  std::uint64_t hop_frames = 0;  // frames it stayed there
  double rms_px = 0.0;           // per axis: sqrt of the mean of both axes' squares
  std::array<double, 2> offset_px{};
  std::array<double, 2> z_rms{};  // against random and systematic sigma together
  std::array<double, 2> z_robust{};
  std::array<double, 2> z_random_rms{};  // against the random sigma alone
  double outlier_fraction = 0.0;
  /// Root mean square of the error of locked frames over that of their bound, both axes together
  /// and apart. None where the truth has no bounds.
  std::optional<double> bound_ratio;
  std::optional<std::array<double, 2>> bound_ratio_xy;
  std::uint64_t worst_seq = 0;
  double worst_px = 0.0;
};
DriftScore score_drift(const Truth& truth, const Measurements& measurements,
                       const ScoreLimits& limits);

/// One spot id from its first to its last frame.
struct SpotSeries {
  std::int64_t id = 0;
  std::uint64_t samples = 0;
  double d_true_nm = 0.0;                     // at its first frame
  double offset_nm = 0.0;                     // median error
  double sys_nm = 0.0;                        // median sigma_d_sys, 0 when not given
  double z_rms = 0.0;                         // of what is left, against both sigmas
  std::optional<double> bound_ratio;          // root mean square of what is left over its bound
  std::optional<double> lattice_bound_ratio;  // the same, all waves sharing two basis vectors
};

/// Over confirmed spots that belong to one true reflection. The constant offset of each series of
/// one id (scale, film) is taken off and reported by itself; what is left is the random error and
/// what of the systematic one changes as the lattice does. z and z_random as for drift.
struct SpotScore {
  std::uint64_t matched = 0;
  std::uint64_t unmatched = 0;   // confirmed, no true reflection within the gate
  std::uint64_t unresolved = 0;  // several true reflections closer than the field can separate
  std::uint64_t outside = 0;     // of those: d is not between theirs, by more than outlier_z
  double rms_nm = 0.0;
  double layer_rms_nm = 0.0;  // of 00l alone
  double z_rms = 0.0;         // against random and systematic sigma together
  double z_robust = 0.0;
  double z_random_rms = 0.0;  // against the random sigma alone
  double outlier_fraction = 0.0;
  std::optional<double> bound_ratio;  // as in SpotSeries, of all spots
  std::optional<double> lattice_bound_ratio;
  double offset_ppm = 0.0;  // median of d_measured / d_true - 1
  // 95 % of the spots belong to series whose offset is below so many sigma_d_sys; none when not
  // given.
  std::optional<double> offset_sigmas;
  std::vector<SpotSeries> series;
  std::uint64_t worst_seq = 0;
  double worst_nm = 0.0;
};
SpotScore score_spots(const Truth& truth, const Measurements& measurements,
                      const ScoreLimits& limits);

/// The true reflection a measured g belongs to.
struct Match {
  const TrueReflection* reflection = nullptr;
  bool is_unresolved = false;
  double least_d_nm = 0.0, most_d_nm = 0.0;  // of the reflections that are one peak
};
[[nodiscard]] Match match_spot(const TrueFrame& frame, const std::array<double, 2>& g_per_nm,
                               double field_nm);

struct AlertScore {
  struct Raised {
    MeasuredAlert alert;
    std::optional<TrueEvent> event;
  };
  std::vector<Raised> raised;
  std::vector<TrueEvent> missed;  // events that should have an alert and have none
};
AlertScore score_alerts(const Truth& truth, const Measurements& measurements,
                        const ScoreLimits& limits);

}  // namespace latticed::sim
