// SPDX-License-Identifier: GPL-3.0-or-later
// Alert rules over the measurements of each frame. Frames with bad drift or bad quality do not
// feed change detection: they are no evidence about the specimen. Rules about running sums are
// judged when a frame brings one. Rules may be replaced between two
// frames; whatever was raised and is no longer watched is told as cleared, with the last value it
// had.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "server/process/alert_rules.hpp"
#include "server/process/stage.hpp"

namespace latticed {

class AlertStage final : public TrackStage {
  /// One rule watching one series: a scalar, or one spot.
  struct Watch {
    std::uint32_t spot_id = 0;  // 0 = free, for rules about spots
    signal::ChangeDetector change;
    int dwell = 0;
    bool is_raised = false;
    std::uint64_t since_seq = 0, last_seq = 0, first_seq = 0;
    std::uint64_t last_dated_seq = 0;  // that its last picture stood for
    std::uint32_t frames_present = 0;
    std::uint32_t frames_missed = 0;  // accepted frames in a row without it
    double snr_mean = 0.0;
    double value = 0.0, sigma = 0.0;  // as last judged
    bool is_known = false;            // there from the start, or its coming was told
  };
  struct RuleState {
    AlertRule rule;
    std::uint16_t number = 0;  // in the run's book
    std::vector<Watch> watches;
    std::vector<AlertEvent> told;  // presence: what was raised about which spot; room for all
  };

 public:
  /// Rules with all the memory that watching them takes.
  class RuleSet {
   public:
    RuleSet() = default;
    /// Any thread. frame_period_s turns false alarms per hour into per frame (<= 0: taken as 0.1
    /// s), and with the frames of a running sum into per sum.
    RuleSet(const std::vector<AlertRule>& rules, double frame_period_s, int frames_per_sum = 16);

   private:
    friend class AlertStage;
    std::vector<RuleState> rules_;
    std::vector<std::unique_ptr<const AlertRule>> entries_;  // for the book, one a rule
    std::vector<AlertEvent> owed_;  // room for every series of these rules to be cleared
  };

  /// Watches the rules of `book`, and adds to it what replace_rules() brings.
  AlertStage(const RuleBook& book, double frame_period_s, int frames_per_sum = 16);

  [[nodiscard]] Stage stage() const noexcept override { return Stage::alert; }
  void process(const Frame& frame, const Prepared& prepared, Measurements& out) noexcept override;
  void skip(const Frame&) noexcept override {}

  /// Between two frames, while it owes() nothing. A rule that stays, in every value, goes on as it
  /// was; open alarms of one that goes are cleared. `rules` is left with what is to be freed.
  /// False: the book has no room, and nothing is changed. Does not allocate.
  bool replace_rules(RuleSet& rules) noexcept;
  /// Between two frames, while it owes() nothing: baselines are learnt anew, open alarms cleared.
  /// Does not allocate.
  void restart() noexcept;
  /// Alarms are still to be told as cleared: a frame has room for kMaxAlertEvents.
  [[nodiscard]] bool owes() const noexcept { return !set_.owed_.empty(); }
  /// Of the rules that are watched now, in the book.
  void list_numbers(std::vector<std::uint16_t>& out) const;

 private:
  /// What rules judge: a frame's measurements, or a running sum's.
  struct Picture {
    const FixedVector<Spot, kMaxSpots>& spots;
    std::uint64_t seq = 0;              // of the frame that brought it
    std::uint64_t dated_seq = 0;        // that it stands for
    std::uint32_t frames_apart = 1;     // from one to the next
    std::uint64_t accepted = 0;         // so many so far
    bool is_evidence_of_change = true;  // shares nothing with the last one that was
  };
  struct Value {
    double value = 0.0, sigma = 0.0, sigma_sys = 0.0;
  };

  void judge_frame(RuleState& state, const Frame& frame, Measurements& out);
  void judge_sums(const Frame& frame, Measurements& out);
  void watch_scalar(RuleState& state, std::uint64_t seq, Measurements& out);
  void watch_sum(RuleState& state, const Picture& picture, Measurements& out);
  void watch_spots(RuleState& state, const Picture& picture, Measurements& out);
  void watch_presence(RuleState& state, const Picture& picture, Measurements& out);
  void observe(RuleState& state, Watch& watch, const Value& value, const Picture& picture,
               Measurements& out);
  [[nodiscard]] static std::optional<Value> lattice_value(Quantity quantity,
                                                          const Lattice* lattice) noexcept;
  void begin_anew(RuleState& state) noexcept;
  template <class Act>
  void for_each_watched(RuleState& state, const Picture& picture, const Act& act);
  [[nodiscard]] static Watch* find(RuleState& state, std::uint32_t spot_id, std::uint64_t seq);
  /// False when this frame's list is full: the caller keeps its state and tells it with the next.
  [[nodiscard]] static bool emit(const RuleState& state, const Watch& watch, bool is_raised,
                                 Measurements& out);
  [[nodiscard]] static bool tell_presence(RuleState& state, const Watch& watch, double presence,
                                          Measurements& out);
  void owe_what_is_open(const RuleState& state) noexcept;
  void pay(Measurements& out) noexcept;

  RuleBook book_;
  RuleSet set_;
  Vector2 last_drift_px_;
  bool has_last_drift_ = false;
  double drift_speed_px_ = 0.0;
  std::uint64_t accepted_frames_ = 0;
  std::uint32_t frames_per_sum_, frames_from_sum_to_sum_;
  std::uint64_t accepted_sums_ = 0;        // since they began
  std::uint64_t last_sum_seq_ = 0;         // the frame that brought it
  std::uint64_t change_judged_until_ = 0;  // the last frame of the sum that was evidence of change
};

}  // namespace latticed
