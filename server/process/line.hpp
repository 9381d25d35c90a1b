// SPDX-License-Identifier: GPL-3.0-or-later
// Everything one detector needs in a run: its pools, source, ring, ordered track and sinks. The
// prepare workers are shared by all lines and belong to the Pipeline.
#pragma once

#include <array>
#include <atomic>
#include <memory>
#include <vector>

#include "server/acquire/frame_source.hpp"
#include "server/base/named_thread.hpp"
#include "server/process/alert_stage.hpp"
#include "server/process/analysis_setup.hpp"
#include "server/process/change_box.hpp"
#include "server/process/sequence_ring.hpp"
#include "server/process/sink_runner.hpp"
#include "server/process/stall.hpp"

namespace latticed {

struct LineConfig {
  DetectorSettings detector;
  PrepareConfig prepare;
  signal::DriftConfig drift;
  LatticeSettings lattice;
  SumConfig sum;
  double pixel_size_nm = 0.0;  // overrides what the detector says; 0 = as the detector says
  double pixel_size_sigma_ratio = 0.0;
  std::string pixel_size_source;  // a calibration, in words; empty = nobody measured it
  double frame_period_s = 0.0;    // likewise
  int frame_slots = 16;           // raw frames in memory, 2 to 65536
  LossPolicy source_policy = LossPolicy::drop_newest;
  std::uint64_t first_seq = 0;
  std::vector<AlertRule> rules;

  /// What is not said here about the pixel size is as the detector says: sigma and source only with
  /// its own size, since of another one they say nothing.
  void take_scale(const DetectorConfiguration& device) {
    if (pixel_size_nm > 0.0) return;
    pixel_size_nm = device.pixel_size_nm;
    if (pixel_size_sigma_ratio == 0.0) pixel_size_sigma_ratio = device.pixel_size_sigma_ratio;
    if (pixel_size_source.empty()) pixel_size_source = device.pixel_size_source;
  }
};

class Line {
 public:
  struct Parts {
    std::unique_ptr<Detector> detector;
    LineConfig config;
    signal::CorrectionMaps maps;
    std::vector<std::unique_ptr<Sink>> sinks;
  };

  /// Of the run it is part of. `work` wakes the shared workers.
  struct Surroundings {
    std::uint32_t epoch = 1;
    int workers = 1;
    StallLimits stall;
    std::shared_ptr<Doorbell> work;
  };

  /// Configures the detector, allocates and touches all memory, begins the sinks, arms. No thread
  /// yet. Error invalid_argument: a setting outside its range.
  static Result<std::unique_ptr<Line>> make(Parts parts, Surroundings surroundings);
  /// Ends what still runs, and waits for it.
  ~Line();

  /// Starts the threads behind the source, then the detector, then the source.
  Result<void> start(int nice, int track_cpu);
  /// Any thread: ends the acquisition; frames already taken are still measured.
  void stop() noexcept;

  /// Worker `number`'s turn: prepares one frame if there is one and a place to put it.
  bool prepare_one(std::size_t number, Activity& activity) noexcept;

  /// Any thread but the sinks' and the track's: makes the change at the next frame with pixels and
  /// waits for that, at most `timeout`. What it needs is made here first; a new region may take
  /// seconds of planning. Errors: invalid_argument, out_of_range, not_found, resource_exhausted of
  /// the change itself; failed_precondition: the run has ended, or there is nothing to measure yet;
  /// timeout: no frame came.
  Result<std::shared_ptr<const AppliedChange>> apply(TrackChange change,
                                                     std::chrono::nanoseconds timeout);
  /// The same without waiting. It holds from the first frame with pixels whose number is at least
  /// `from_seq`: a replay that posts before that frame is read repeats what was recorded. Changes
  /// are made in order of posting, at most one a frame.
  Result<std::shared_ptr<PendingChange>> post(TrackChange change, std::uint64_t from_seq = 0);

  [[nodiscard]] bool is_finished() const noexcept {
    return is_finished_.load(std::memory_order_acquire);
  }
  /// When the last frame was handed out; steady clock, after is_finished().
  [[nodiscard]] std::chrono::nanoseconds finished_at() const noexcept { return finished_at_; }
  /// Every thread of this line has ended, or none was started and it was abandoned.
  [[nodiscard]] bool has_ended() const noexcept;
  /// After has_ended(). First error wins.
  Result<void> join();

  /// Control thread: gives up. Sinks end without their remaining frames, nobody waits any more.
  void abandon(Error why);
  /// Why it was abandoned. Control thread.
  [[nodiscard]] const std::optional<Error>& why_abandoned() const noexcept {
    return abandoned_for_;
  }

  /// Who has stalled of the sinks and the track, the one nearest the end first.
  [[nodiscard]] std::optional<Error> find_stall_at_end(std::chrono::nanoseconds now) const;
  [[nodiscard]] std::optional<Error> find_stall_of_source(std::chrono::nanoseconds now) const;
  [[nodiscard]] const StallDeadlines& deadlines() const noexcept { return deadlines_; }

  [[nodiscard]] const RunInfo& run() const noexcept { return run_; }
  [[nodiscard]] const PixelPool& pixels() const noexcept { return *pixels_; }
  [[nodiscard]] const FramePool& frames() const noexcept { return *frames_; }
  /// Only while no region is being changed.
  [[nodiscard]] const PreparedPool& prepared() const noexcept { return *setup_->prepared; }
  [[nodiscard]] const FrameSource& source() const noexcept { return *source_; }
  [[nodiscard]] LossPolicy source_policy() const noexcept { return config_.source_policy; }
  [[nodiscard]] const SequenceRing& ring() const noexcept { return *ring_; }
  [[nodiscard]] const std::vector<std::unique_ptr<SinkRunner>>& sinks() const noexcept {
    return sinks_;
  }
  [[nodiscard]] const DurationHistogram& latency() const noexcept { return latency_; }
  /// How long workers were kept from new frames, once a change of region.
  [[nodiscard]] const DurationHistogram& held() const noexcept { return held_; }
  [[nodiscard]] std::uint64_t measured() const noexcept {
    return measured_.load(std::memory_order_relaxed);
  }
  /// CPU spent per stage so far, all threads.
  [[nodiscard]] std::array<std::chrono::nanoseconds, kStages> stage_cpu() const noexcept;

 private:
  Line() = default;
  Result<void> allocate();
  Result<void> check() const;
  void track();
  [[nodiscard]] bool track_by_worker(SequenceRing::Cell& cell) noexcept;
  [[nodiscard]] bool take_next(SequenceRing::Cell& cell) noexcept;
  void look_for_region() noexcept;
  void end_track() noexcept;
  void measure(Frame& frame, const Prepared* prepared) noexcept;
  void run_stage(TrackStage& stage, const Frame& frame, const Prepared& prepared,
                 Measurements& out) noexcept;
  [[nodiscard]] AnalysisSetup::Wish wish() const;
  Result<void> ready(PendingChange& change) const;
  void change_before(Frame& frame) noexcept;
  bool make(PendingChange& change);
  void begin_region() noexcept;
  void swap_region() noexcept;
  void hand_out(const FrameLease& frame) noexcept;

  std::unique_ptr<Detector> detector_;
  LineConfig config_;
  Surroundings surroundings_;
  StallDeadlines deadlines_;
  RunInfo run_;
  // Pools before everything that holds leases on them: destroyed last.
  std::unique_ptr<PixelPool> pixels_;
  std::unique_ptr<FramePool> frames_;
  std::shared_ptr<const signal::CorrectionMaps> maps_;
  std::unique_ptr<AnalysisSetup> setup_;  // replaced while the ring is held and preparing_ is 0
  std::unique_ptr<SequenceRing> ring_;
  std::unique_ptr<FrameSource> source_;
  std::unique_ptr<AlertStage> alerts_;
  // From here on, if nothing else is said: of who has the ring's turn.
  ChangeBox changes_;
  std::atomic<int> preparing_{0};           // workers that may be looking at setup_
  PendingChange* region_change_ = nullptr;  // it has begun
  bool is_region_swapped_ = false;          // and holds from the next frame
  bool has_taken_ = false;                  // a frame, or an entry
  std::uint64_t last_seq_ = 0;              // its number
  FrameLease boundary_;                     // the last frame of the old region
  std::vector<std::unique_ptr<SinkRunner>> sinks_;

  DurationHistogram held_;  // how long the ring was held
  std::chrono::nanoseconds held_since_{0};
  DurationHistogram latency_;  // slot filled -> measurement handed to the sinks
  std::atomic<std::uint64_t> measured_{0};
  std::array<std::atomic<std::int64_t>, kStages> stage_cpu_ns_{};
  Activity track_activity_;
  std::atomic<bool> is_finished_{false}, is_abandoned_{false}, was_started_{false};
  std::atomic<int> threads_{0};  // source and track, while they run
  std::chrono::nanoseconds finished_at_{0};
  std::optional<Error> failure_;        // track thread's; read after it has ended
  std::optional<Error> abandoned_for_;  // control thread's
  NamedThread track_thread_, source_thread_;
};

}  // namespace latticed
