// SPDX-License-Identifier: GPL-3.0-or-later
// How far one run is: listening threads report events, another waits until all detectors have
// measured or lost the frames it names. No clock but the wait's deadline, no gRPC.
#pragma once

#include <latticed/v1/measurements.pb.h>

#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

namespace latticed::latticectl {

enum class Waited { reached, run_ended, too_long, stopped, closed };

class RunProgress {
 public:
  RunProgress(std::uint32_t epoch, const std::vector<std::string>& detectors);

  /// A listening thread. Events of other runs are left out.
  void take(const v1::MeasurementEvent& event);
  /// A listening thread: nothing more comes of its detector.
  void close();

  /// Until every detector is through with all frames before `frame`.
  Waited wait_for_frame(std::uint64_t frame, double at_most_s, const std::stop_token& stop);
  /// Until every detector's run has ended (`reached`).
  Waited wait_for_end(double at_most_s, const std::stop_token& stop);

  /// Frames all detectors are through with.
  [[nodiscard]] std::uint64_t frames() const;
  [[nodiscard]] bool has_ended() const;
  /// This one's run. False for a detector nobody named.
  [[nodiscard]] bool has_ended(const std::string& detector) const;
  /// The worst of the detectors' words; empty = it goes on.
  [[nodiscard]] std::string ended() const;
  [[nodiscard]] std::uint64_t measured() const;
  [[nodiscard]] std::uint64_t lost() const;

 private:
  struct Detector {
    std::uint64_t frames = 0;
    v1::RunEnds end;
    bool has_ended = false;
  };
  [[nodiscard]] std::uint64_t frames_unlocked() const;
  [[nodiscard]] bool has_ended_unlocked() const;
  template <class Condition>
  bool wait(double at_most_s, const std::stop_token& stop, const Condition& condition);

  std::uint32_t epoch_;
  mutable std::mutex mutex_;  // guards all below
  std::condition_variable_any changed_;
  std::map<std::string, Detector> detectors_;
  bool is_closed_ = false;
};

}  // namespace latticed::latticectl
