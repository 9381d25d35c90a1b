// SPDX-License-Identifier: GPL-3.0-or-later
// Where a measured frame goes: a file, a screen, a client. A sink has a quota of frames of its own,
// and a thread of its own unless it shares one with others of its kind; what happens when it is
// slow is its policy's business and nobody else's.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "drivers/kit/detector.hpp"
#include "server/base/edge_counters.hpp"
#include "server/base/shared_thread.hpp"
#include "server/frame/frame.hpp"
#include "server/process/alert_rules.hpp"
#include "server/signal/bin_image.hpp"

namespace latticed {

/// What does not change during a run of one detector.
struct RunInfo {
  std::uint32_t epoch = 0;
  DeviceInfo detector;
  DetectorConfiguration configuration;
  signal::AnalysisGrid grid;
  double pixel_size_nm = 0.0;            // raw pixel; 0 = unknown
  double pixel_size_sigma_ratio = 0.0;   // relative uncertainty of it; 0 = unknown
  std::string pixel_size_source;         // who measured it, and when; empty = as configured
  double frame_period_s = 0.0;           // what rates are computed with; never 0
  bool is_frame_period_assumed = false;  // neither the detector nor the user said one
  std::uint64_t first_seq = 0;           // of the first frame (a replay may begin later)
  RuleBook rules;                        // AlertEvent::rule is a number in it
  const signal::CorrectionMaps* maps =
      nullptr;  // what frames are corrected with; lives for the run
};

struct SinkOptions {
  LossPolicy policy = LossPolicy::block;
  std::size_t quota = 4;  // frames that may wait for it, besides the one it works on, >= 1
};

class Sink {
 public:
  virtual ~Sink() = default;
  [[nodiscard]] virtual std::string_view name() const noexcept = 0;
  [[nodiscard]] virtual SinkOptions options() const noexcept = 0;

  /// Before the first frame; the control thread. An error keeps the run from starting.
  virtual Result<void> begin(const RunInfo&) { return {}; }
  /// The thread that serves this sink, together with others; null: it gets one of its own
  /// ("latd-<name>"). A sink that hangs there keeps waiting whoever shares it. Asked once.
  [[nodiscard]] virtual std::shared_ptr<SharedThread> thread() const { return nullptr; }

  /// Frames and lost entries in order, never the end. The sink's thread. To keep a frame, copy the
  /// lease, on any thread; read only. Every kept one is a slot the detector has not (a run has
  /// LineConfig::frame_slots), so keep few, and none longer than this sink lives. May throw; the
  /// run then goes on without this sink, does not call finish(), and ends with its error.
  virtual void consume(const FrameLease& frame) = 0;
  /// With policy drop_newest: this frame, or entry, will not come. Who has the ring's turn, so
  /// brief, without waiting, and beside consume().
  virtual void missed(const Frame&) noexcept {}
  /// Nothing came for a tenth of a second. On the terms of consume(); only with a thread of its
  /// own.
  virtual void idle() {}
  /// After the last frame; the sink's thread.
  virtual Result<void> finish() { return {}; }
};

}  // namespace latticed
