// SPDX-License-Identifier: GPL-3.0-or-later
// What we know of one frame, with its uncertainty. Conventions (design.md section 4): x right, y
// down, drift in raw detector pixels relative to the first frame, g in 1/nm (1/px when the pixel
// size is unknown: see Calibration), sigma_ = one standard deviation of the random error, _sys_ =
// what is systematic. Plain values, no heap: filled on the track thread, read by every sink.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "server/base/fixed_vector.hpp"

namespace latticed {

struct Vector2 {
  double x = 0.0, y = 0.0;
};

/// Is this frame worth measuring? Found in the raw pixels, before any measurement.
enum class FrameQuality : std::uint8_t {
  good,
  blanked,     // taken with the beam blanked
  constant,    // every pixel has the same value (all-zero included)
  saturated,   // more than 1 % of the pixels are at the detector's ceiling
  not_finite,  // more than 1 % of the pixels are NaN or infinite
  too_small,   // fewer than 16 pixels to a side after binning
};
[[nodiscard]] constexpr std::string_view to_string(FrameQuality quality) noexcept {
  constexpr std::string_view kNames[] = {"good",      "blanked",    "constant",
                                         "saturated", "not_finite", "too_small"};
  return kNames[static_cast<std::size_t>(quality)];
}

enum class DriftState : std::uint8_t { locked, weak, lost };
[[nodiscard]] constexpr std::string_view to_string(DriftState state) noexcept {
  constexpr std::string_view kNames[] = {"locked", "weak", "lost"};
  return kNames[static_cast<std::size_t>(state)];
}

struct DriftMeasurement {
  Vector2 drift_px;            // raw detector pixels, relative to the acquisition's first frame
  Vector2 sigma_drift_px;      // without the first frame's own constant error
  Vector2 sigma_drift_sys_px;  // how far a lattice that changes may have taken it along unseen
  DriftState state = DriftState::lost;
  bool is_cell_ambiguous = false;  // another lattice cell explains this frame nearly as well
  double match = 0.0;              // 1 = as the template predicts, 0 = nothing in common
};

struct Spot {
  std::uint32_t id = 0;
  Vector2 g_per_nm;  // g_x > 0 at birth, then continuous
  double d_nm = 0.0;
  double sigma_d_nm = 0.0;
  double sigma_d_sys_nm = 0.0;
  double snr = 0.0;        // amplitude over the noise of this frame
  double amplitude = 0.0;  // C in I0 (1 + sum C cos(2 pi g.r + p)), field average
  double phase_rad = 0.0;  // p, r from the frame's centre
  std::uint32_t age_frames = 0;
  bool is_confirmed = false;        // seen in 3 of 5 frames
  bool is_watched = false;          // somebody pointed at it: reported however faint it is
  std::uint8_t harmonic_order = 1;  // n of n q, where q is another listed spot
  std::uint32_t harmonic_of = 0;    // id of that spot; 0 = none
  // Amplitude over that of q; NaN where the order is 1.
  double harmonic_ratio = std::numeric_limits<double>::quiet_NaN();
  double sigma_harmonic_ratio = std::numeric_limits<double>::quiet_NaN();
  double sigma_amplitude = 0.0;
  bool is_overlapped =
      false;  // another spot is too near, or the crystal has no one spacing: see sys
  std::uint32_t lattice = 0;  // id of the lattice it belongs to; 0 = none
  std::int8_t h = 0, k = 0;   // its indices there
  // Spacing by this frame's lattice fit, all its spots together; NaN where there is none.
  double d_lattice_nm = std::numeric_limits<double>::quiet_NaN();
  double sigma_d_lattice_nm = std::numeric_limits<double>::quiet_NaN();
  // Filtered over the frames so far (random walk): of the lattice, or of the spot where it has
  // none.
  double d_track_nm = 0.0, sigma_d_track_nm = 0.0;
};
inline constexpr std::size_t kMaxSpots = 32;

/// One lattice of the field, from this frame's spots alone.
struct Lattice {
  std::uint32_t id = 0;
  // The reduced cell in real space: a <= b, 60 <= gamma <= 120 degrees.
  double a_nm = 0.0, b_nm = 0.0, gamma_deg = 0.0;
  double sigma_a_nm = 0.0, sigma_b_nm = 0.0, sigma_gamma_deg = 0.0;
  double sigma_a_sys_nm = 0.0, sigma_b_sys_nm = 0.0;  // scale and film
  Vector2 g1_per_nm, g2_per_nm;                       // spot (h, k) is at h g1 + k g2
  std::uint32_t spots = 0;                            // that were fitted
  std::uint32_t age_frames = 0;
  bool is_confirmed = false;  // fitted in 3 of 5 frames
  bool is_main = false;       // the strongest, until another is half as strong again
};
inline constexpr std::size_t kMaxLattices = 4;

/// What is at a superlattice's place of a lattice, without a search.
struct SuperlatticeSpot {
  std::uint32_t lattice = 0;
  Vector2 index;           // fractional, in the lattice's basis
  Vector2 g_per_nm;        // where that is
  double amplitude = 0.0;  // as a spot's
  double sigma_amplitude = 0.0;
  double snr = 0.0;          // noise alone has 1 (rms)
  double false_alarm = 1.0;  // probability that noise alone gives as much
};
inline constexpr std::size_t kMaxSuperlattice = 12;

/// What drift during a frame has done to a scanned image: true g = A^T g as seen.
struct ScanAffine {
  double xx = 1.0, xy = 0.0, yx = 0.0, yy = 1.0;
};

struct AlertEvent {
  std::uint16_t rule = 0;     // index into the run's rules
  std::uint32_t spot_id = 0;  // 0 = not about a spot
  bool is_raised = true;      // false: cleared
  double value = 0.0, sigma = 0.0;
  std::uint64_t since_seq = 0;  // dated onset
};
inline constexpr std::size_t kMaxAlertEvents = 16;

/// What the last K frames show together, each turned back by its drift: for doses at which one
/// frame shows too little. Sums that share frames share noise.
struct SumMeasurement {
  std::uint32_t frames_added = 0;
  std::uint32_t frames_left_out =
      0;  // of the same stretch: not locked, cell in doubt, lost, far off
  std::uint64_t first_seq = 0, last_seq = 0;      // of the frames added
  double effective_seq = 0.0;                     // their mean
  std::optional<std::int64_t> effective_time_ns;  // mean of their mid-exposures, UTC
  Vector2 drift_px;          // mean place of the specimen: phases are as in a frame taken there
  double mean_counts = 0.0;  // a raw pixel, of all frames added
  FixedVector<Spot, kMaxSpots> spots;  // ids of their own; confirmed: seen in two sums that share
                                       // no frame; age in frames
  std::optional<double> crystallinity;
  std::optional<Lattice> lattice;         // the main one; confirmed and age as of spots
  std::optional<ScanAffine> scan_affine;  // of scanned frames, by their mean velocity; g and d are
                                          // corrected by it
};

/// Stages of the chain, for their cost.
enum class Stage : std::uint8_t {
  acquire,
  correct,
  fft,
  detect,
  drift,
  lattice,
  sum,
  alert,
  publish
};
inline constexpr std::size_t kStages = 9;
[[nodiscard]] constexpr std::string_view to_string(Stage stage) noexcept {
  constexpr std::string_view kNames[kStages] = {"acquire", "correct", "fft",   "detect", "drift",
                                                "lattice", "sum",     "alert", "publish"};
  return kNames[static_cast<std::size_t>(stage)];
}

struct Measurements {
  FrameQuality quality = FrameQuality::good;
  double mean_counts = 0.0;           // of the corrected raw pixels
  std::uint32_t repaired_pixels = 0;  // hot or not finite, replaced by their neighbours
  DriftMeasurement drift;
  FixedVector<Spot, kMaxSpots> spots;
  FixedVector<Lattice, kMaxLattices> lattices;  // that this frame's spots fix
  FixedVector<SuperlatticeSpot, kMaxSuperlattice> superlattice;
  std::optional<ScanAffine> scan_affine;  // of a scanned frame; g and d are corrected by it
  std::optional<double> crystallinity;  // 0..1: Bragg power over all structure's, to the last spot
  std::optional<SumMeasurement> sum;    // only in the frame that finished one
  FixedVector<AlertEvent, kMaxAlertEvents> alerts;
  std::array<std::chrono::nanoseconds, kStages> stage_cpu{};

  /// Null when this frame does not fix it.
  [[nodiscard]] const Lattice* main_lattice() const noexcept {
    for (const Lattice& lattice : lattices)
      if (lattice.is_main) return &lattice;
    return nullptr;
  }
};

}  // namespace latticed
