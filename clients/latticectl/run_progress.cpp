// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/run_progress.hpp"

#include <algorithm>
#include <chrono>

namespace latticed::latticectl {

RunProgress::RunProgress(std::uint32_t epoch, const std::vector<std::string>& detectors)
    : epoch_(epoch) {
  for (const auto& name : detectors) detectors_[name];
}

void RunProgress::take(const v1::MeasurementEvent& event) {
  const auto found = detectors_.find(event.detector());
  if (event.stamp().epoch() != epoch_ || found == detectors_.end()) return;
  {
    const std::lock_guard lock(mutex_);
    Detector& d = found->second;
    std::uint64_t through = d.frames;
    if (event.has_measurement()) through = event.measurement().seq() + 1;
    if (event.has_lost()) through = event.lost().seq() + event.lost().count();
    d.frames = std::max(d.frames, through);
    if (event.has_run_ends()) {
      d.end = event.run_ends();
      d.has_ended = true;
    }
  }
  changed_.notify_all();
}

void RunProgress::close() {
  {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
  }
  changed_.notify_all();
}

template <class Condition>
bool RunProgress::wait(double at_most_s, const std::stop_token& stop, const Condition& condition) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, stop, std::chrono::duration<double>(at_most_s), condition);
}

Waited RunProgress::wait_for_frame(std::uint64_t frame, double at_most_s,
                                   const std::stop_token& stop) {
  const bool is_over = wait(at_most_s, stop, [&] {
    return frames_unlocked() >= frame || has_ended_unlocked() || is_closed_;
  });
  if (frames() >= frame) return Waited::reached;
  if (stop.stop_requested()) return Waited::stopped;
  if (!is_over) return Waited::too_long;
  return has_ended() ? Waited::run_ended : Waited::closed;
}

Waited RunProgress::wait_for_end(double at_most_s, const std::stop_token& stop) {
  const bool is_over = wait(at_most_s, stop, [&] { return has_ended_unlocked() || is_closed_; });
  if (has_ended()) return Waited::reached;
  if (stop.stop_requested()) return Waited::stopped;
  return is_over ? Waited::closed : Waited::too_long;
}

std::uint64_t RunProgress::frames_unlocked() const {
  if (detectors_.empty()) return 0;
  return std::min_element(
             detectors_.begin(), detectors_.end(),
             [](const auto& a, const auto& b) { return a.second.frames < b.second.frames; })
      ->second.frames;
}

bool RunProgress::has_ended_unlocked() const {
  return std::all_of(detectors_.begin(), detectors_.end(),
                     [](const auto& d) { return d.second.has_ended; });
}

std::uint64_t RunProgress::frames() const {
  const std::lock_guard lock(mutex_);
  return frames_unlocked();
}

bool RunProgress::has_ended(const std::string& detector) const {
  const std::lock_guard lock(mutex_);
  const auto found = detectors_.find(detector);
  return found != detectors_.end() && found->second.has_ended;
}

bool RunProgress::has_ended() const {
  const std::lock_guard lock(mutex_);
  return has_ended_unlocked();
}

std::string RunProgress::ended() const {
  const std::lock_guard lock(mutex_);
  std::string worst;
  for (const auto& [name, d] : detectors_) {
    const bool is_worse = worst.empty() || worst == "completed";
    if (d.has_ended && is_worse) worst = d.end.ended();
  }
  return worst;
}

std::uint64_t RunProgress::measured() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [name, d] : detectors_) sum += d.end.measured();
  return sum;
}

std::uint64_t RunProgress::lost() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t sum = 0;
  for (const auto& [name, d] : detectors_) sum += d.end.lost();
  return sum;
}

}  // namespace latticed::latticectl
