// SPDX-License-Identifier: GPL-3.0-or-later
// What a run's figures need of its measurements, in bounded memory: drift, spacings and alerts.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "server/process/sink.hpp"
#include "server/publish/trace.hpp"

namespace latticed {

/// Mean, extremes and typical sigma of one number over the frames of a trace's slot.
struct Spread {
  double sum = 0.0, variance_sum = 0.0;
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  std::uint64_t count = 0;

  void add(double value, double sigma);
  void merge(const Spread& other);
  [[nodiscard]] double mean() const noexcept;
  [[nodiscard]] double sigma() const noexcept;  // rms of the frames' own sigmas, not of their mean
};

/// Every frame number of the run is in one of these.
struct DriftEntry {
  Spread x_px, y_px;  // where drift was locked or weak
  std::uint64_t seq_sum = 0, frames = 0;
  std::uint64_t lost = 0;          // measured, but drift lost
  std::uint64_t ambiguous = 0;     // may be off by a lattice cell
  std::uint64_t not_measured = 0;  // missing, blanked, saturated ...
  void merge(const DriftEntry& other);
};

struct SpacingEntry {
  Spread d_nm;
  std::uint64_t seq_sum = 0;
  void merge(const SpacingEntry& other);
};

/// A confirmed spot over its life. Lengths in nm, or raw pixels when the pixel size is unknown.
struct SpotHistory {
  std::uint32_t id = 0;
  Trace<SpacingEntry> spacing;
  Spread whole_d_nm;
  double snr_sum = 0.0, sigma_sys_sum_nm = 0.0;
  double g_x_sum = 0.0, g_y_sum = 0.0, weight_sum = 0.0;  // weighted with its amplitude
  std::uint64_t last_seq = 0;
  bool is_harmonic = false;

  [[nodiscard]] double mean_snr() const noexcept {
    return snr_sum / static_cast<double>(whole_d_nm.count);
  }
  [[nodiscard]] Vector2 g_per_nm() const noexcept {
    return {g_x_sum / weight_sum, g_y_sum / weight_sum};
  }
};

struct RaisedAlert {
  std::string rule;
  std::uint64_t seq = 0, since_seq = 0;
  std::uint32_t spot_id = 0;  // 0 = not about a spot
};

class RunHistory {
 public:
  static constexpr std::size_t kSpots = 48;    // the weakest makes room
  static constexpr std::size_t kAlerts = 500;  // later ones are counted only

  explicit RunHistory(const RunInfo& run) : run_(run) {}
  void add(const Frame& frame);

  [[nodiscard]] const RunInfo& run() const noexcept { return run_; }
  [[nodiscard]] const Trace<DriftEntry>& drift() const noexcept { return drift_; }
  [[nodiscard]] const std::vector<SpotHistory>& spots() const noexcept { return spots_; }
  [[nodiscard]] const std::vector<RaisedAlert>& alerts() const noexcept { return alerts_; }
  [[nodiscard]] std::uint64_t frames() const noexcept { return frames_; }
  [[nodiscard]] std::uint64_t measured() const noexcept { return measured_; }
  [[nodiscard]] std::uint64_t alerts_raised() const noexcept { return alerts_raised_; }

 private:
  void add_spots(const Frame& frame);
  SpotHistory& spot(std::uint32_t id);

  RunInfo run_;
  Trace<DriftEntry> drift_;
  std::vector<SpotHistory> spots_;
  std::vector<RaisedAlert> alerts_;
  std::uint64_t frames_ = 0, measured_ = 0, alerts_raised_ = 0;
};

}  // namespace latticed
