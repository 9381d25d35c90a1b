// SPDX-License-Identifier: GPL-3.0-or-later
// Where a measured frame goes: a file, a screen, a client. A sink has a thread and a quota of
// frames of its own; what happens when it is slow is its policy's business and nobody else's.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "drivers/kit/detector.hpp"
#include "server/base/edge_counters.hpp"
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
  double frame_period_s = 0.0;           // what rates are computed with; never 0
  bool is_frame_period_assumed = false;  // neither the detector nor the user said one
  std::uint64_t first_seq = 0;           // of the first frame (a replay may begin later)
  std::vector<AlertRule> rules;
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
  /// Frames and lost entries in order, never the end. The sink's own thread. May throw; the run
  /// then goes on without this sink, does not call finish(), and ends with its error.
  virtual void consume(const Frame& frame) = 0;
  /// Nothing came for a tenth of a second. The sink's own thread, on the terms of consume().
  virtual void idle() {}
  /// After the last frame; the sink's own thread.
  virtual Result<void> finish() { return {}; }
};

}  // namespace latticed
