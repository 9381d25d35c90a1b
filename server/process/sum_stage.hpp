// SPDX-License-Identifier: GPL-3.0-or-later
// What the last K frames show together, aligned by their drift, where one frame shows too little:
// spots of the sum with their own ids and sigmas, at every K/4 frames. Comes after the lattice
// stage, which says whether single frames are too poor.
//
// Only frames that are locked and whose cell is not in doubt are added, the others are counted.
// Scanned frames are each distorted by their own velocity; the sum is corrected by the mean of
// them. A lattice that changes within the K frames is smeared: the sum says which frames it is made
// of. Sums that share frames share noise: a spot is confirmed when it is seen again in a sum that
// shares no frame with the one it was first seen in.
#pragma once

#include <vector>

#include "server/process/lattice_stage.hpp"
#include "server/process/stage.hpp"
#include "server/signal/mean_velocity.hpp"
#include "server/signal/peak_detect.hpp"
#include "server/signal/running_sum.hpp"

namespace latticed {

/// automatic: only while single frames show fewer than two confirmed spots of SNR 8 or more (on
/// the average over the last eight frames: on below one frame in two, off above nine in ten).
enum class SumWhen : std::uint8_t { automatic, always, never };

struct SumConfig {
  int frames = 16;  // K, 0 (off) to 1024; taken up to a multiple of RunningSum::kParts
  SumWhen when = SumWhen::automatic;
  [[nodiscard]] bool is_on() const noexcept { return frames > 0 && when != SumWhen::never; }
};

class SumStage final : public TrackStage {
 public:
  struct Config {
    SumConfig sum;
    signal::DetectConfig detect;
    LatticeConfig lattice;
  };
  /// Allocates five spectra. `config.sum` is on.
  SumStage(const signal::FrameFft& fft, const FrameGeometry& geometry, const Config& config);

  [[nodiscard]] Stage stage() const noexcept override { return Stage::sum; }
  void process(const Frame& frame, const Prepared& prepared, Measurements& out) noexcept override;
  void skip(const Frame& lost) noexcept override;

  // Between two frames; none allocates.
  /// Nothing is summed or followed yet.
  void restart() noexcept;
  /// Goes on with the ids of `other`, which measured another region; as new.
  void take_over(const SumStage& other) noexcept;

 private:
  /// What a part is made of.
  struct Tally {
    std::uint32_t added = 0, left_out = 0, timed = 0;
    std::uint64_t first_seq = 0, last_seq = 0;
    double mean_seq = 0.0;
    std::int64_t first_time_ns = 0;
    double mean_after_first_ns = 0.0;  // of those with a time
    double counts = 0.0;               // sum of the frames' mean counts
    Vector2 place_sum, place;          // cells; place: of the first one added
  };

  void judge(const Measurements& out) noexcept;
  void take(const Frame& frame, const Prepared& prepared, const Measurements& out) noexcept;
  [[nodiscard]] signal::MeanVelocity velocity(std::uint32_t parts) noexcept;
  void advance(std::uint64_t frames) noexcept;
  void close_part() noexcept;
  void forget_frames() noexcept;
  void measure(Measurements& out) noexcept;
  void detect() noexcept;
  [[nodiscard]] bool is_near(Vector2 a, Vector2 b) const noexcept;

  static constexpr std::size_t kParts = signal::RunningSum::kParts;
  signal::AnalysisGrid grid_;
  SumConfig config_;
  std::uint64_t frames_per_part_;
  signal::RunningSum sum_;
  signal::PeakDetector detector_;
  signal::PeakDetector::Workspace work_;
  LatticeStage lattice_;
  Prepared prepared_;  // of the sum
  Measurements seen_;  // in the sum

  std::array<Tally, kParts> tallies_;
  std::vector<signal::AddedFrame> added_;  // part by part, frames_per_part_ places each
  std::vector<signal::AddedFrame> row_;    // those of a sum, in order
  std::size_t open_ = 0;                   // the part that frames go into
  std::uint64_t frames_in_part_ = 0;
  std::uint64_t parts_closed_ = 0;   // since it began anew
  std::uint64_t frames_unused_ = 0;  // in a row
  bool is_due_ = false;              // a part was closed and the sum not measured
  bool is_summing_ = false;
  double richness_ = 1.0;  // share of rich frames, recent ones
};

}  // namespace latticed
