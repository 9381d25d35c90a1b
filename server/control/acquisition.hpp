// SPDX-License-Identifier: GPL-3.0-or-later
// The state machine around runs; the only caller of detectors' control calls.
//
//   idle -configure-> configured -arm-> armed -start-> running -> stopping -> idle
//   stop, cancel: configured, armed -> idle. abort: any -> idle. fault: a device or a part failed;
//   configure and abort leave it.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/base/named_thread.hpp"
#include "server/config/config.hpp"
#include "server/control/control_thread.hpp"
#include "server/control/run.hpp"
#include "server/process/track_change.hpp"

namespace latticed {

enum class RunState : std::uint8_t { idle, configured, armed, running, stopping, fault };
[[nodiscard]] constexpr std::string_view to_string(RunState state) noexcept {
  constexpr std::string_view kNames[] = {"idle",    "configured", "armed",
                                         "running", "stopping",   "fault"};
  return kNames[static_cast<std::size_t>(state)];
}

/// How a run ended; none = it has not.
enum class RunEnd : std::uint8_t { none, completed, stopped, cancelled, aborted, failed };
[[nodiscard]] constexpr std::string_view to_string(RunEnd end) noexcept {
  constexpr std::string_view kNames[] = {"",          "completed", "stopped",
                                         "cancelled", "aborted",   "failed"};
  return kNames[static_cast<std::size_t>(end)];
}

struct DetectorProgress {
  std::string name;
  std::uint64_t measured = 0;
  std::uint64_t lost = 0;
  std::uint64_t frame_count = 0;  // 0 = endless
  std::uint64_t last_seq = 0;     // of the last frame measured or lost
  double frames_per_s = 0.0;      // over the last seconds
  double latency_p99_s = 0.0;     // slot filled -> handed out
};

struct AcquisitionStatus {
  RunState state = RunState::idle;
  std::string fault;  // why the last run failed
  RunEnd ended = RunEnd::none;
  std::uint32_t epoch = 0;      // 0 also while a reference is taken: that is no run
  std::int64_t started_ns = 0;  // UTC; 0 = not yet
  std::vector<DetectorProgress> detectors;
};

struct WantedSettings {
  std::string detector;
  DetectorSettings settings;
};

struct KnownDetector {
  std::string name, driver;
  DeviceInfo info;  // empty before the first configure
  DeviceState state = DeviceState::closed;
  std::optional<DetectorConfiguration> configuration;
  double pixel_size_sigma_ratio = 0.0;  // as configured
  std::string pixel_size_source;        // likewise
};

/// What the rest of the daemon does for a run; all on the control thread.
class RunParticipants {
 public:
  virtual ~RunParticipants() = default;
  /// A detector says what it will do; its run may be told another pixel size.
  virtual void configured(ConfiguredDetector&) {}
  /// While it is armed. An error keeps it from being armed.
  virtual Result<std::vector<std::unique_ptr<Sink>>> make_sinks(Run& run,
                                                                const ConfiguredDetector& detector,
                                                                std::uint32_t epoch) = 0;
  /// It will never start, or has ended; its lines are still there.
  virtual void run_ended(std::uint32_t epoch, RunEnd how, const std::string& fault) = 0;
  /// Its lines go away now: whoever still holds frames gives them back.
  virtual void run_released() = 0;
  /// state() is another one.
  virtual void state_changed() = 0;
};

class Acquisition {
 public:
  /// Borrows all for its life.
  Acquisition(const Config& config, ControlThread& control, RunParticipants& participants);
  ~Acquisition();  // aborts, and waits for the run

  // Control thread.
  Result<std::vector<ConfiguredDetector>*> configure(const std::vector<WantedSettings>& wanted);
  Result<void> arm();
  Result<void> start();
  /// `done` when the run has ended, or at once where there is none.
  using Done = std::function<void()>;
  void stop(RunEnd how, Done done);  // stopped or cancelled
  void abort(Done done);
  /// References and regions in here are those of the next run that is armed.
  [[nodiscard]] std::vector<DetectorConfig>& detectors() noexcept { return detectors_; }
  /// As it was last configured, else as the configuration has it.
  [[nodiscard]] DetectorSettings settings_of(const std::string& detector) const;

  /// A run of one detector for itself, without the participants: `sinks` get its frames. From idle
  /// or fault. `done` is called on the control thread when it has ended.
  Result<void> run_alone(DetectorConfig detector, std::vector<std::unique_ptr<Sink>> sinks,
                         std::function<void(const Result<void>&)> done);

  /// Nothing is configured, armed or started any more: the server ends.
  void close() noexcept { is_closed_ = true; }
  /// Ends what still runs and gives everything back. When the control thread has ended.
  void release();

  // Any thread; these wait for a frame of the running run, at most `timeout`.
  struct Changed {
    std::uint64_t from_seq = 0;  // the first frame it holds for
    std::uint32_t spot_id = 0;   // watch_spot, forget_spot: which
  };
  /// In the armed or running run; error failed_precondition without one. What needs a frame that
  /// has been measured, a spot or a reference: only in the running one.
  Result<Changed> change(const std::string& detector, TrackChange change,
                         std::chrono::milliseconds timeout) const;
  /// In the armed or running run, and for those that follow. The first frame they hold for, by
  /// detector; empty without a run.
  Result<std::map<std::string, std::uint64_t>> set_rules(std::vector<AlertRule> rules,
                                                         std::chrono::milliseconds timeout);

  // Any thread.
  [[nodiscard]] std::vector<AlertRule> rules() const;
  [[nodiscard]] AcquisitionStatus status() const;
  [[nodiscard]] std::vector<KnownDetector> known_detectors() const;
  /// The present run, or the last one. Null before the first. Its lines end on the control thread,
  /// which waits for whoever holds it: look, and let go.
  [[nodiscard]] std::shared_ptr<const Run> run() const;
  [[nodiscard]] RunState state() const;
  /// Waits until nothing runs. False at the deadline.
  bool wait_idle(std::chrono::milliseconds timeout) const;

 private:
  Error wrong_state(std::string_view verb, std::string_view expected) const;
  Result<void> is_open(std::string_view verb) const;
  void set_state(RunState state, const std::vector<std::string>& faulty = {});
  void release_run();
  void fail(const std::string& fault, const std::vector<std::string>& detectors);
  void watch(const std::shared_ptr<Run>& run, std::function<void(Result<void>)> ended);
  void run_has_ended(const Result<void>& outcome);
  void note_rates(const Run& run);

  const Config& config_;
  ControlThread& control_;
  RunParticipants& participants_;

  // Control thread.
  std::vector<DetectorConfig> detectors_;
  std::vector<DetectorSettings> settings_;  // by detector
  std::vector<ConfiguredDetector> configured_;
  std::vector<Done> waiting_;
  RunEnd wanted_end_ = RunEnd::completed;
  bool is_closed_ = false;

  // Held while a run is armed and while rules are changed: neither may miss the other. Before
  // mutex_.
  std::mutex rules_mutex_;
  mutable std::mutex mutex_;                 // guards what follows: read by any thread
  mutable std::condition_variable changed_;  // state_, readers_
  std::shared_ptr<Run> run_;
  mutable int readers_ = 0;  // who hold what run() gave them
  bool is_alone_ = false;    // run_ is that of a reference
  std::vector<AlertRule> rules_;
  std::vector<KnownDetector> known_;
  RunState state_ = RunState::idle;
  std::string fault_;
  RunEnd ended_ = RunEnd::none;
  std::uint32_t epoch_ = 0;
  std::int64_t started_ns_ = 0;
  struct Rate {
    std::chrono::steady_clock::time_point at;
    std::uint64_t measured = 0;
    double per_s = 0.0;
  };
  std::vector<Rate> rates_;  // by line

  NamedThread watcher_;  // latd-run: waits for the run
};

}  // namespace latticed
