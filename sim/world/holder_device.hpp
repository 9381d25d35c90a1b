// SPDX-License-Identifier: GPL-3.0-or-later
// The holder of the simulated world: a source that holds a current or a voltage, within a
// compliance of the other, and a heater. Its set-points become commands to the specimen, stamped
// with a frame as all are; each frame begun gives one sample. With Stimulus::client it also makes
// the detectors wait until a client has played the scenario's step. Clients' calls come from one
// thread, detectors' from theirs.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <limits>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "drivers/kit/holder.hpp"
#include "drivers/kit/result.hpp"
#include "sim/specimen/specimen.hpp"
#include "sim/world/command_log.hpp"

namespace latticed::sim {

/// Who plays the scenario's current and temperature: the world; a client with the holder, for whom
/// the world waits; or nobody, and clients do what they like.
enum class Stimulus : std::uint8_t { scenario, client, free };
[[nodiscard]] constexpr std::string_view word_of(Stimulus stimulus) noexcept {
  constexpr std::string_view kNames[] = {"scenario", "client", "free"};
  return kNames[static_cast<std::size_t>(stimulus)];
}

/// What the scenario's steps ask of the holder at one frame.
struct StimulusStep {
  std::uint64_t frame = 0;
  std::optional<double> current_a;
  std::optional<double> temperature_k;
};

/// One for each frame that asks something.
[[nodiscard]] std::vector<StimulusStep> stimulus_of(const Scenario& scenario);
/// The scenario without them: beam and jumps stay the world's.
[[nodiscard]] Scenario without_stimulus(Scenario scenario);

class HolderDevice {
 public:
  static constexpr std::array<double, 2> kCurrentA{-1.0, 1.0};
  static constexpr std::array<double, 2> kVoltageV{-10.0, 10.0};
  static constexpr std::array<double, 2> kTemperatureK{1.0, 2000.0};
  static constexpr std::size_t kHistory = 65536;

  struct Options {
    Stimulus stimulus = Stimulus::scenario;
    std::chrono::milliseconds patience{20000};  // with a client that does not play a step
  };
  HolderDevice(const Scenario& scenario, Options options, CommandLog& log);

  // Clients. Each gives the frame at which it takes effect.
  /// Of the other mode than before only while the output is off.
  Result<std::uint64_t> set_source(const SourceSetpoint& wanted);
  Result<std::uint64_t> set_temperature(double temperature_k);
  std::uint64_t set_output(bool is_on);
  std::uint64_t set_heater(bool is_on);
  std::uint64_t make_safe();

  struct Samples {
    std::vector<HolderSample> samples;
    std::uint64_t next = 0;   // number of the one after them
    std::uint32_t clock = 0;  // changes where the experiment began anew at an earlier time
  };
  /// From number `after` on, at most `limit`; older than the history are left out.
  [[nodiscard]] Samples samples(std::uint64_t after, std::size_t limit) const;
  [[nodiscard]] std::uint64_t next_sample() const;
  [[nodiscard]] const std::vector<StimulusStep>& steps() const noexcept { return steps_; }
  [[nodiscard]] Stimulus stimulus() const noexcept { return options_.stimulus; }
  [[nodiscard]] std::optional<StimulusStep> waiting_for() const;
  struct Present {
    SourceSetpoint source;  // 0 A when the output is off
    double temperature_k = 0.0;
    bool is_output_on = false, is_heater_on = false;
  };
  [[nodiscard]] Present present() const;

  // Detectors.
  /// A new experiment: gives its start, not before `now_ns` nor before the last one's end unless
  /// the scenario fixes it.
  std::int64_t begin_experiment(std::int64_t now_ns);
  [[nodiscard]] std::int64_t start_ns() const;
  /// What the specimen finds at frame 0.
  [[nodiscard]] Step standing() const;

  enum class Awaited : std::uint8_t { nothing, played, not_played, stopped };
  /// Before `frame` begins. `is_stopped` is asked every few milliseconds.
  Awaited await_step(std::uint64_t frame, const std::function<bool()>& is_stopped);
  void add_sample(const SpecimenState& state);

 private:
  static constexpr SourceSetpoint kNoSource{SourceMode::current, 0.0,
                                            std::numeric_limits<double>::infinity()};
  struct Effect {  // of the set-points on the specimen
    SourceSetpoint source = kNoSource;
    double temperature_k = 0.0;
  };
  struct Kept {
    HolderSample sample;
    std::uint32_t clock = 0;
  };
  // Under the mutex.
  [[nodiscard]] Effect effect() const;
  std::uint64_t emit();
  [[nodiscard]] bool is_played(const StimulusStep& step) const;

  const std::vector<StimulusStep> steps_;
  const Options options_;
  const double rest_temperature_k_;
  const std::int64_t fixed_start_ns_;  // 0 = none
  CommandLog& log_;

  mutable std::mutex mutex_;  // guards all below; taken before the log's
  std::condition_variable changed_;
  SourceSetpoint source_ = kNoSource;
  double temperature_k_;
  bool is_output_on_ = false, is_heater_on_ = false;
  Effect told_;  // to the specimen
  std::optional<StimulusStep> waiting_for_;
  std::uint64_t released_ = 0;  // frames before this one need not wait any more
  std::int64_t start_ns_ = 0;
  std::uint64_t next_frame_ = 0;  // whose sample is not there yet
  std::deque<Kept> history_;
  std::uint64_t next_sample_ = 0;
  std::uint32_t clock_ = 1;
};

}  // namespace latticed::sim
