// SPDX-License-Identifier: GPL-3.0-or-later
// The one thread that talks to one holder's driver: opens it, tells it the latest orders, reads it,
// opens it again when it was lost. It may hang in the driver; the control thread then does without.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

#include "drivers/kit/holder.hpp"
#include "server/guard/channel.hpp"

namespace latticed {

class Worker {
 public:
  using Open = std::function<Result<std::unique_ptr<Holder>>()>;

  /// `on_report` wakes the control thread, `on_samples` the server.
  struct Wakes {
    std::function<void()> on_report;
    std::function<void()> on_samples;
  };
  Worker(std::shared_ptr<Channel> channel, Open open, Wakes wakes);
  /// The device is made safe, and closed if its driver returns within `patience`; else it is left
  /// to the end of the process.
  void stop(std::chrono::milliseconds patience);
  ~Worker() { stop(std::chrono::milliseconds(1000)); }

 private:
  struct State;
  static void run(State& state);
  std::shared_ptr<State> state_;  // also the thread's: it may outlive us
  std::thread thread_;
};

}  // namespace latticed
