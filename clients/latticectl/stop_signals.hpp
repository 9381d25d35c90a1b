// SPDX-License-Identifier: GPL-3.0-or-later
// SIGINT, SIGTERM and SIGHUP as a stop token: the first one ends what waits (streams, pauses,
// calls), the second ends the program at once. Made in main() before any other thread.
#pragma once

#include <atomic>
#include <stop_token>
#include <thread>

namespace latticed::latticectl {

class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }
  /// 0, or the signal. Any thread.
  [[nodiscard]] int signal() const noexcept { return signal_.load(); }

 private:
  void wait();

  std::stop_source source_;
  std::atomic<int> signal_{0};
  std::atomic<bool> is_over_{false};
  std::thread thread_;
};

}  // namespace latticed::latticectl
