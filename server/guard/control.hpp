// SPDX-License-Identifier: GPL-3.0-or-later
// The guard's heart: a thread (latd-guard) that steps every holder's core a hundred times a second.
// It never allocates, logs or waits for a driver; where a driver hangs it makes the device safe
// itself. Everything reaches it by atomics and bounded queues.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "server/base/doorbell.hpp"
#include "server/base/named_thread.hpp"
#include "server/guard/channel.hpp"

namespace latticed {

class Control {
 public:
  using Clock = std::chrono::steady_clock;
  struct Options {
    std::chrono::milliseconds heartbeat_timeout{500};
    std::chrono::milliseconds driver_patience{1000};  // a call that takes longer hangs
  };
  /// `on_news` wakes the server; it must neither wait nor allocate.
  Control(std::vector<std::shared_ptr<Channel>> channels, Options options,
          std::function<void()> on_news);
  ~Control() { stop(); }

  void start();
  void stop();  // joins; outputs are left as they are

  // Any thread.
  void wake() noexcept { bell_.ring(); }
  void heartbeat() noexcept { heartbeat_ns_.store(Clock::now().time_since_epoch().count()); }
  /// Every holder, by ramp or at once. Gives the number of the demand.
  std::uint64_t demand_safe() noexcept;
  std::uint64_t demand_off() noexcept;
  /// The orders of this demand have gone out to the drivers' threads.
  [[nodiscard]] bool is_issued(std::uint64_t safe, std::uint64_t off) const noexcept {
    return safe_issued_.load() >= safe && off_issued_.load() >= off;
  }

  /// One round; the thread's, or a test's own.
  void tick(Clock::time_point now) noexcept;

 private:
  void serve(Channel& channel, std::size_t index, Clock::time_point now) noexcept;
  void take_reports(Channel& channel, std::size_t index, Clock::time_point now) noexcept;
  void watch_driver(Channel& channel, std::size_t index, Clock::time_point now) noexcept;

  /// What was last said of a holder.
  struct Said {
    std::uint32_t link = 0;
    Orders orders;
    CoreStatus status;
    std::int64_t made_safe_in_ns = 0;  // the driver's call in which we did it
  };
  const std::vector<std::shared_ptr<Channel>> channels_;
  const Options options_;
  const std::function<void()> on_news_;
  std::vector<Said> said_;
  bool has_news_ = false;

  Doorbell bell_;
  std::atomic<bool> stopping_{false};
  std::atomic<std::int64_t> heartbeat_ns_{0};
  std::atomic<std::uint64_t> safe_demands_{0}, off_demands_{0}, safe_issued_{0}, off_issued_{0};
  NamedThread thread_;
};

}  // namespace latticed
