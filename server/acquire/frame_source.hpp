// SPDX-License-Identifier: GPL-3.0-or-later
// A detector's frames into pooled slots, numbered, with every gap an entry. One thread per
// detector (latd-acq) runs it until the end of the acquisition, which it sends down the same way.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "drivers/kit/detector.hpp"
#include "server/base/edge_counters.hpp"
#include "server/frame/frame.hpp"

namespace latticed {

/// Which deadline an activity has: a part's own, a sink's, or the longer one of those who can only
/// wait for what sinks hold, so that the sink is named before them.
enum class Patience : std::uint8_t { own, sink, behind_sinks };

/// What a thread is doing, for the stall monitor: one writer, any reader.
struct Activity {
  std::atomic<const char*> what{"not started"};  // static text: "waits for a frame"
  std::atomic<std::uint64_t> seq{0};
  std::atomic<std::int64_t> since_ns{0};  // steady clock; 0 = idle, never a stall
  std::atomic<Patience> patience{Patience::own};

  void now(const char* text, std::uint64_t at_seq, Patience whose = Patience::own) noexcept;
  void idle() noexcept { since_ns.store(0, std::memory_order_relaxed); }
};

struct SourceConfig {
  LossPolicy policy = LossPolicy::drop_newest;  // block (recordings), drop_newest, stop_run
  std::uint32_t epoch = 1;
  std::uint64_t first_seq = 0;
};

class FrameSource {
 public:
  using Push = std::function<void(FrameLease)>;

  /// Borrows everything for its life; `detector` is armed and started by the owner.
  FrameSource(Detector& detector, const DetectorConfiguration& configuration,
              const SourceConfig& config, PixelPool& pixels, FramePool& frames, Push push);

  /// latd-acq: returns after the end was pushed.
  void run();
  /// Any thread: the acquisition ends as soon as the detector has stopped.
  void stop() noexcept;
  /// Any thread: as stop(), and what finds no free entry any more is thrown away, the end included.
  /// Only when nobody takes frames any longer.
  void abandon() noexcept;

  [[nodiscard]] const EdgeCounters& counters() const noexcept { return counters_; }
  [[nodiscard]] const Activity& activity() const noexcept { return activity_; }
  /// The detector's fault, after run() returned.
  [[nodiscard]] const std::optional<Error>& error() const noexcept { return error_; }
  [[nodiscard]] std::chrono::nanoseconds cpu_time() const noexcept {
    return std::chrono::nanoseconds(cpu_ns_.load(std::memory_order_relaxed));
  }

 private:
  [[nodiscard]] bool find_memory(PixelLease& lease);
  void take_frame(const FrameHeader& header, PixelLease pixels);
  void take_lost(const FrameHeader& header);
  [[nodiscard]] bool is_plausible(const FrameHeader& header);
  void note_gap_before(std::uint64_t hardware_sequence);
  void no_slot();
  void note_lost(std::uint64_t count, LossReason reason);
  void flush_lost();
  void send(const FrameHeader& header, std::uint64_t seq, PixelLease pixels);
  void finish();

  Detector& detector_;
  DetectorConfiguration configuration_;
  SourceConfig config_;
  PixelPool& pixels_;
  FramePool& frames_;
  Push push_;
  PixelBuffer spare_;  // where a frame goes that has no slot: read, counted, thrown away
  std::uint64_t next_seq_;
  std::uint64_t next_hardware_sequence_ = 0;
  struct {
    std::uint64_t first_seq = 0, count = 0;
    LossReason reason = LossReason::none;
  } pending_lost_;
  std::atomic<bool> stop_requested_{false}, is_abandoned_{false};
  std::chrono::nanoseconds filled_at_{0};
  std::atomic<std::int64_t> cpu_ns_{0};
  EdgeCounters counters_;
  Activity activity_;
  std::optional<Error> error_;
};

}  // namespace latticed
