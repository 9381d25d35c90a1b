// SPDX-License-Identifier: GPL-3.0-or-later
// Has a series changed? Self-starting two-sided CUSUM (Hawkins 1987): each value is standardised by
// the mean and spread of all values accepted before it, so that a short baseline costs no false
// alarms; serial correlation is removed first by an AR(1) model. The threshold is computed from the
// wanted false-alarm rate by Siegmund's approximation (Sequential Analysis, 1985).
#pragma once

#include <cstdint>

namespace latticed::signal {

struct ChangeConfig {
  int baseline_frames = 16;            // accepted values before it is armed, >= 8
  double reference_shift_sigma = 0.5;  // k: half the shift that should be found fastest
  double mean_frames_between_false_alarms = 288000.0;  // 8 h at 10 frames/s
};

/// h such that a two-sided CUSUM with reference k alarms once in `frames` on unchanged data.
double cusum_threshold(double k, double frames);

class ChangeDetector {
 public:
  explicit ChangeDetector(const ChangeConfig& config);

  enum class State : std::uint8_t { learning, quiet, changed };

  /// One accepted value and the frame it came from. Returns the state after it. `smallest`: a
  /// change below this is none (what is systematic moves the series too); same unit as value.
  State add(double value, std::uint64_t seq, double smallest = 0.0) noexcept;
  void reset() noexcept;

  [[nodiscard]] State state() const noexcept { return state_; }
  [[nodiscard]] std::uint64_t onset_seq() const noexcept { return onset_seq_; }  // when changed
  [[nodiscard]] double baseline() const noexcept;
  [[nodiscard]] double spread() const noexcept;  // one standard deviation of the baseline's values

 private:
  /// Sums over values and over pairs of neighbours, all relative to the first value of all.
  struct Moments {
    double count = 0.0, sum = 0.0, squares = 0.0;
    double pairs = 0.0, ends = 0.0, products = 0.0;
    void add(double value, bool has_before, double before) noexcept;
    Moments& operator+=(const Moments& o) noexcept;
  };
  void watch(double value, std::uint64_t seq, double smallest) noexcept;
  bool has_returned(double smallest) noexcept;
  [[nodiscard]] double standardised(double value) const noexcept;
  [[nodiscard]] double correlation() const noexcept;

  ChangeConfig config_;
  double threshold_;
  State state_ = State::learning;
  double origin_ = 0.0;
  Moments accepted_;  // the baseline
  Moments waiting_;   // of an excursion that has not ended yet
  double last_ = 0.0;
  bool has_last_ = false;
  double up_ = 0.0, down_ = 0.0;
  double recent_ = 0.0;  // running mean of the last few values
  std::uint64_t up_since_ = 0, down_since_ = 0, onset_seq_ = 0;
  int back_ = 0;  // frames in a row back at the baseline
};

}  // namespace latticed::signal
