// SPDX-License-Identifier: GPL-3.0-or-later
// The last samples of one holder, and what it was doing at a given moment. The guard's link adds;
// publisher and recorder read, each at its own pace. Any thread; a mutex guards the ring.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "drivers/kit/holder_sample.hpp"

namespace latticed {

/// A holder at one frame's mid-exposure.
struct HolderState {
  double bias_v = kNotMeasured;
  double current_a = kNotMeasured;
  double temperature_k = kNotMeasured;
  double age_s = 0.0;          // provisional: from the sample used to the moment asked for, >= 0
  bool is_provisional = true;  // the last sample before; false: between two samples, linear
  bool is_output_on = false;   // of the sample before
};

class HolderLog {
 public:
  /// Two samples further apart than `longest_gap_s` are not interpolated between: the state stays
  /// provisional, with the age of the sample before. `capacity` samples are kept, >= 2.
  HolderLog(std::string name, double longest_gap_s, std::size_t capacity = 65536);

  /// Samples come in order of time; one that does not is left out and counted.
  void add(const HolderSample& sample);
  /// The holder's clock begins anew (a simulated experiment that starts again): what comes next may
  /// be older than the last sample, and at() knows nothing from before. Numbers go on.
  void restart_clock();

  /// Nothing when no sample is as old as `time_ns`, or it is unknown.
  [[nodiscard]] std::optional<HolderState> at(std::int64_t time_ns) const;
  /// The state at `time_ns` will not change any more: a sample from then or later is there, or the
  /// time is unknown.
  [[nodiscard]] bool is_final_at(std::int64_t time_ns) const;
  [[nodiscard]] std::optional<HolderSample> latest() const;

  /// Samples from number `from` on (the first ever is 0), at most `limit`. `first` is the number of
  /// the first one returned: greater than `from` when older ones were overwritten.
  struct Batch {
    std::uint64_t first = 0;
    std::vector<HolderSample> samples;
  };
  [[nodiscard]] Batch read(std::uint64_t from, std::size_t limit) const;
  /// Samples ever added: the number of the next one.
  [[nodiscard]] std::uint64_t count() const;
  [[nodiscard]] std::uint64_t out_of_order() const;

  [[nodiscard]] const std::string& name() const noexcept { return name_; }

 private:
  // Under the mutex.
  [[nodiscard]] std::uint64_t oldest() const noexcept {
    return count_ > ring_.size() ? count_ - ring_.size() : 0;
  }
  [[nodiscard]] const HolderSample& number(std::uint64_t i) const noexcept {
    return ring_[i % ring_.size()];
  }

  const std::string name_;
  const std::int64_t longest_gap_ns_;
  mutable std::mutex mutex_;  // guards all below
  std::vector<HolderSample> ring_;
  std::uint64_t count_ = 0, clock_start_ = 0, out_of_order_ = 0;
};

/// One log per holder of the configuration, in its order.
using HolderLogs = std::vector<std::shared_ptr<HolderLog>>;

}  // namespace latticed
