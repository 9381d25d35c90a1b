// SPDX-License-Identifier: GPL-3.0-or-later
// One detector's frames as events: what was measured with the holders' last sample, the holders'
// final values when they are known, frames that never came, the run's begin and end. Publisher's
// thread only, but for last().
#pragma once

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/holder/holder_log.hpp"
#include "server/live/alert_book.hpp"
#include "server/live/history.hpp"
#include "server/process/sink.hpp"
#include "server/rpc/stamper.hpp"

namespace latticed {

/// The last frame that was measured.
struct LastFrame {
  std::uint32_t epoch = 0;
  std::uint64_t seq = 0;
  std::int64_t time_ns = kUnknownTime;  // mid-exposure, UTC
};

class Feed {
 public:
  struct Parts {
    std::string detector;
    const rpc::Stamper* stamper = nullptr;
    std::shared_ptr<AlertBook> book;
    std::function<void(const EventRef&)> emit;  // to whoever listens now
    std::size_t history_events = 4096;
    std::size_t pending_frames = 4096;  // that may wait for their holders' final values
  };
  explicit Feed(Parts parts) : parts_(std::move(parts)), history_(parts_.history_events) {}

  void begin(const RunInfo& run);
  /// A frame, or an entry of lost ones. What should have come before it and did not was dropped on
  /// the way to here, and becomes a `missed` event.
  void frame(const Frame& frame, const HolderLogs& holders);
  /// Holder values that have become final since.
  void settle(const HolderLogs& holders);
  /// What the run came to, by those who saw every frame; without it, by what came here.
  void set_totals(std::uint64_t measured, std::uint64_t lost) noexcept {
    measured_ = measured;
    lost_ = lost;
  }
  /// What still waits for the holders is sent as it is. `ended` as in RunEnds. Nothing if no run
  /// was on.
  void end(const std::string& ended, const HolderLogs& holders);

  [[nodiscard]] const History& history() const noexcept { return history_; }
  [[nodiscard]] const std::string& detector() const noexcept { return parts_.detector; }
  [[nodiscard]] const RunInfo& run() const noexcept { return run_; }
  /// Any thread.
  [[nodiscard]] std::optional<LastFrame> last() const;

 private:
  struct Pending {
    std::uint64_t seq = 0;
    std::int64_t time_ns = 0;
  };
  template <class Message>
  void publish(Event event, Message& message);
  void measured(const Frame& frame, const HolderLogs& holders);
  void update(const Pending& pending, const HolderLogs& holders);

  const Parts parts_;
  History history_;
  RunInfo run_;
  bool is_running_ = false;
  std::uint64_t next_seq_ = 0, measured_ = 0, lost_ = 0;
  std::deque<Pending> pending_;
  mutable std::mutex mutex_;  // guards last_
  std::optional<LastFrame> last_;
};

/// The holders at this moment, by their last sample before it or between two.
std::vector<std::pair<std::string, HolderState>> states_at(const HolderLogs& holders,
                                                           std::int64_t time_ns);

}  // namespace latticed
