// SPDX-License-Identifier: GPL-3.0-or-later
// What is to be watched. A rule names a measured quantity and how it may not behave; rules about
// spots watch every confirmed spot whose d lies in their range, each by itself. A rule is about the
// measurements of each frame, or about those of the running sum.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/signal/change_detector.hpp"

namespace latticed {

enum class Quantity : std::uint8_t {
  drift_x_px,
  drift_y_px,
  drift_speed_px,
  sigma_drift_px,
  drift_lost,
  spot_d_nm,
  spot_snr,
  spot_amplitude,
  spot_presence,
  spot_count,
  crystallinity,
  mean_counts,
  spot_harmonic_ratio,
  lattice_a_nm,
  lattice_b_nm,
  lattice_gamma_deg,
};
inline constexpr std::size_t kQuantities = 16;
[[nodiscard]] constexpr std::string_view to_string(Quantity quantity) noexcept {
  constexpr std::string_view kNames[kQuantities] = {
      "drift_x_px",          "drift_y_px",   "drift_speed_px", "sigma_drift_px",
      "drift_lost",          "spot_d_nm",    "spot_snr",       "spot_amplitude",
      "spot_presence",       "spot_count",   "crystallinity",  "mean_counts",
      "spot_harmonic_ratio", "lattice_a_nm", "lattice_b_nm",   "lattice_gamma_deg"};
  return kNames[static_cast<std::size_t>(quantity)];
}
[[nodiscard]] constexpr std::string_view unit_of(Quantity quantity) noexcept {
  switch (quantity) {
    case Quantity::drift_x_px:
    case Quantity::drift_y_px:
    case Quantity::sigma_drift_px:
      return "px";
    case Quantity::drift_speed_px:
      return "px/frame";
    case Quantity::spot_d_nm:
    case Quantity::lattice_a_nm:
    case Quantity::lattice_b_nm:
      return "nm";
    case Quantity::lattice_gamma_deg:
      return "deg";
    case Quantity::mean_counts:
      return "counts/px";
    default:
      return "1";
  }
}
[[nodiscard]] constexpr bool is_per_spot(Quantity quantity) noexcept {
  return quantity == Quantity::spot_d_nm || quantity == Quantity::spot_snr ||
         quantity == Quantity::spot_amplitude || quantity == Quantity::spot_presence ||
         quantity == Quantity::spot_harmonic_ratio;
}
/// A running sum has it too.
[[nodiscard]] constexpr bool is_of_sums(Quantity quantity) noexcept {
  return quantity > Quantity::drift_lost;
}

/// Whose measurements a rule is about. A change in sums is judged by those that share no frame;
/// what is counted in frames (dwell, a spot's coming and going) is counted in sums.
enum class RuleOf : std::uint8_t { frame, sum };
[[nodiscard]] constexpr std::string_view to_string(RuleOf of) noexcept {
  return of == RuleOf::sum ? "sum" : "frame";
}

enum class RuleKind : std::uint8_t {
  limit,   // outside [below, above] for dwell_frames; cleared when back inside by the hysteresis
  change,  // CUSUM against its own baseline; cleared when back there
};

struct AlertRule {
  std::string name;
  Quantity quantity = Quantity::spot_d_nm;
  RuleOf of = RuleOf::frame;
  RuleKind kind = RuleKind::change;
  double above = std::numeric_limits<double>::infinity();   // limit: raised when value > above
  double below = -std::numeric_limits<double>::infinity();  // limit: raised when value < below
  double hysteresis = 0.0;                                  // limit: in the quantity's unit, >= 0
  int dwell_frames = 1;                                     // limit: so many frames in a row, >= 1
  double false_alarms_per_hour = 0.0125;                    // change: wanted rate, > 0
  double d_min_nm = 0.0;                                    // spots only: which spacings are meant
  double d_max_nm = std::numeric_limits<double>::infinity();

  bool operator==(const AlertRule&) const = default;
};

/// Error invalid_argument naming the first rule with a value outside its range, or a name that two
/// have.
Result<void> check_rules(const std::vector<AlertRule>& rules);

/// All rules a run has had, by the number its alerts carry. Rules may be added while it goes on,
/// and none is ever taken out: an alert keeps its rule whatever holds now. A copy is the same book.
class RuleBook {
 public:
  static constexpr std::size_t kMaxRules = 1024;

  RuleBook() : RuleBook(std::vector<AlertRule>()) {}
  /// At most kMaxRules; those beyond are not taken.
  RuleBook(const std::vector<AlertRule>& rules);  // a book of these: implicit on purpose

  /// Any thread, for a number below size() or one that an alert or a change brought.
  [[nodiscard]] const AlertRule& operator[](std::size_t number) const noexcept {
    return *pages_->rules[number];
  }
  [[nodiscard]] std::size_t size() const noexcept {
    return pages_->count.load(std::memory_order_acquire);
  }
  /// Track thread only, while size() < kMaxRules. Its number. Does not allocate.
  std::uint16_t add(std::unique_ptr<const AlertRule> rule) noexcept;

 private:
  struct Pages {
    std::array<std::unique_ptr<const AlertRule>, kMaxRules> rules;
    std::atomic<std::size_t> count{0};
  };
  std::shared_ptr<Pages> pages_;
};

/// The rules of a run without a rule file: what a scientist would want to be woken for. The
/// baseline is the first 16 accepted frames, armed after it.
std::vector<AlertRule> default_rules();

}  // namespace latticed
