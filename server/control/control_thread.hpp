// SPDX-License-Identifier: GPL-3.0-or-later
// The one thread that commands runs: services post to it, so the state machine needs no locks and
// commands happen one after the other. Never used for safe-off, which waits for nobody.
#pragma once

#include <functional>
#include <memory>

namespace latticed {

class ControlThread {
 public:
  ControlThread();
  ~ControlThread();  // as finish()

  /// Any thread; `task` runs on latd-control, after what was posted before.
  void post(std::function<void()> task);
  /// Runs what was posted, then ends the thread; later posts are dropped.
  void finish();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace latticed
