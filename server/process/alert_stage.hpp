// SPDX-License-Identifier: GPL-3.0-or-later
// Alert rules over the measurements of each frame. Frames with bad drift or bad quality do not
// feed change detection: they are no evidence about the specimen.
#pragma once

#include <vector>

#include "server/process/alert_rules.hpp"
#include "server/process/stage.hpp"

namespace latticed {

class AlertStage final : public TrackStage {
 public:
  /// frame_period_s turns false alarms per hour into per frame; <= 0 is taken as 0.1 s.
  AlertStage(std::vector<AlertRule> rules, double frame_period_s);

  [[nodiscard]] Stage stage() const noexcept override { return Stage::alert; }
  void process(const Frame& frame, const Prepared& prepared, Measurements& out) noexcept override;
  void skip(const Frame&) noexcept override {}

 private:
  /// One rule watching one series: a scalar, or one spot.
  struct Watch {
    std::uint32_t spot_id = 0;  // 0 = free, for rules about spots
    signal::ChangeDetector change;
    int dwell = 0;
    bool is_raised = false;
    std::uint64_t since_seq = 0, last_seq = 0, first_seq = 0;
    std::uint32_t frames_present = 0;
    std::uint32_t frames_missed = 0;  // accepted frames in a row without it
    double snr_mean = 0.0;
    bool is_known = false;  // there from the start, or its coming was told
  };
  struct RuleState {
    AlertRule rule;
    std::vector<Watch> watches;
  };

  void watch_scalar(std::uint16_t rule, std::uint64_t seq, Measurements& out);
  void watch_spots(std::uint16_t rule, std::uint64_t seq, Measurements& out);
  void watch_presence(std::uint16_t rule, std::uint64_t seq, Measurements& out);
  void observe(std::uint16_t rule, Watch& watch, double value, double sigma, double sigma_sys,
               std::uint64_t seq, Measurements& out);
  [[nodiscard]] Watch* find(RuleState& state, std::uint32_t spot_id, std::uint64_t seq);
  /// False when this frame's list is full: the caller keeps its state and tells it with the next.
  [[nodiscard]] static bool emit(std::uint16_t rule, const Watch& watch, bool is_raised,
                                 double value, double sigma, Measurements& out);

  std::vector<RuleState> rules_;
  Vector2 last_drift_px_;
  bool has_last_drift_ = false;
  double drift_speed_px_ = 0.0;
  std::uint64_t accepted_frames_ = 0;
};

}  // namespace latticed
