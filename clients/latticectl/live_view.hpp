// SPDX-License-Identifier: GPL-3.0-or-later
// What `watch` shows of the measurements: one detector after the other as a table that is
// repainted, or as lines. Events in, text out; no clock of its own and no terminal.
#pragma once

#include <latticed/v1/measurements.pb.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace latticed::latticectl {

class LiveView {
 public:
  using Clock = std::chrono::steady_clock;

  /// `every`: of how many frames one has a line.
  explicit LiveView(std::uint64_t every) : every_(every == 0 ? 1 : every) {}

  /// What has to be said once, as lines: alerts, lost frames, a run's begin and end.
  std::string take(const v1::MeasurementEvent& event, Clock::time_point now);
  /// The event's frame as a line, if it is one of those; else nothing.
  [[nodiscard]] std::string frame_line(const v1::MeasurementEvent& event) const;
  /// All detectors as they are now.
  [[nodiscard]] std::string table() const;

 private:
  struct Detector {
    v1::Stamp stamp;
    v1::Measurement last;
    v1::SumMeasurement sum;  // the last one, while it is recent
    std::string spacing_unit = "nm";
    std::uint64_t measured = 0;  // as seen by this client, in this run
    std::uint64_t lost = 0;
    std::uint64_t skipped = 0;
    double frames_per_s = 0.0;
    std::uint64_t rated_frames = 0;
    std::optional<Clock::time_point> rated_at;
    std::map<std::uint64_t, std::string> standing;  // alerts by id
    std::string ended;
  };

  std::string take_measurement(Detector& d, const v1::Measurement& m, Clock::time_point now);
  [[nodiscard]] std::string table_of(const std::string& name, const Detector& d) const;

  std::uint64_t every_;
  std::map<std::string, Detector> detectors_;
};

}  // namespace latticed::latticectl
