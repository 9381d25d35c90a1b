// SPDX-License-Identifier: GPL-3.0-or-later
// A thread for commands: services post to it, so what it commands needs no locks and things happen
// one after the other. Runs have one, holders another, since a detector that is slow to configure
// must not keep a voltage waiting. Safe-off uses neither: it waits for nobody.
#pragma once

#include <functional>
#include <memory>

namespace latticed {

class ControlThread {
 public:
  /// `name`: of the thread.
  explicit ControlThread(const char* name);
  ~ControlThread();  // as finish()

  /// Any thread; `task` runs on this one, after what was posted before.
  void post(std::function<void()> task);
  /// Runs what was posted, then ends the thread; later posts are dropped.
  void finish();

 private:
  class Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace latticed
