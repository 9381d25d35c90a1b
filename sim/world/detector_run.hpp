// SPDX-License-Identifier: GPL-3.0-or-later
// One detector of the world: its own copy of the specimen, its renderer, its ring, and while it
// runs the thread that fills the ring. Control calls come from one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "sim/link/ring.hpp"
#include "sim/render/renderer.hpp"
#include "sim/specimen/specimen.hpp"
#include "sim/truth/truth_writer.hpp"
#include "sim/world/command_log.hpp"
#include "sim/world/holder_device.hpp"

namespace latticed::sim {

struct RunOptions {
  double speed = 1.0;              // experiment seconds a second; 0 = as fast as frames are taken
  int threads = 1;                 // that render, for each detector
  std::uint32_t slots = 16;        // of the ring
  std::uint32_t prefetch = 0;      // frames rendered once and for all; 0 = live
  std::string truth;               // file; empty = none
  std::uint64_t bounds_every = 0;  // frames of the truth with their bounds: every so many; 0 = none
  HolderDevice::Options holder;
};

struct RunStatus {
  std::uint64_t next_frame = 0;
  std::uint64_t lost = 0;
  std::uint64_t late = 0;  // published after they were due: this machine is too slow for the speed
  bool is_running = false;
};

class DetectorRun {
 public:
  /// What a scripted fault asks of whoever owns the connection: FaultKind::close.
  using CloseLink = std::function<void()>;

  static Result<std::unique_ptr<DetectorRun>> create(const Scenario& scenario,
                                                     const PhaseTable& phases, std::size_t index,
                                                     const RunOptions& options, CommandLog& log,
                                                     HolderDevice& holder);
  ~DetectorRun();

  [[nodiscard]] const DetectorModel& model() const noexcept { return model_; }
  [[nodiscard]] const Ring& ring() const noexcept { return ring_; }
  [[nodiscard]] RunStatus status() const noexcept;

  Result<void> start(std::uint64_t frames, CloseLink close_link);
  void stop() noexcept;

 private:
  DetectorRun(const Scenario& scenario, const PhaseTable& phases, std::size_t index,
              const RunOptions& options, CommandLog& log, HolderDevice& holder, Ring ring);
  void run(std::uint64_t frames);
  void prefetch();
  /// False when the run was stopped. `start` moves by the time it took: frames are then not late.
  bool await_client(std::uint64_t frame, std::chrono::steady_clock::time_point& start);
  bool wait_until(std::chrono::steady_clock::time_point due);
  bool wait_for_space(std::chrono::steady_clock::time_point until);
  /// False when the run is over.
  bool deliver(const SpecimenState& state, std::chrono::steady_clock::time_point due,
               LossReason& gap);
  const Fault* fault_at(std::uint64_t frame) const noexcept;
  void fill(const SpecimenState& state, LossReason gap, bool is_complete);

  const Scenario& scenario_;
  const PhaseTable& phases_;
  const std::size_t index_;
  const RunOptions options_;
  const DetectorModel model_;
  CommandLog& log_;
  HolderDevice& holder_;
  Ring ring_;
  Renderer renderer_;
  CloseLink close_link_;
  std::unique_ptr<TruthWriter> truth_;
  std::int64_t start_ns_ = 0;
  bool was_not_played_ = false;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> running_{false};
  std::atomic<std::uint64_t> next_frame_{0};
  std::atomic<std::uint64_t> lost_{0};
  std::atomic<std::uint64_t> late_{0};
  std::thread thread_;
};

/// e/nm^2 that one frame costs the specimen: the first detector's dose is the beam's.
[[nodiscard]] double fluence_per_frame(const Scenario& scenario) noexcept;

}  // namespace latticed::sim
