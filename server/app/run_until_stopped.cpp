// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/run_until_stopped.hpp"

#include "server/app/stop_signals.hpp"

namespace latticed {

Result<void> run_until_stopped(Run& run, const std::function<void()>& poll) {
  if (auto ok = run.start(); !ok) return ok;
  return run.wait([&] {
    if (stop_signal() != 0) run.stop();
    if (poll) poll();
  });
}

}  // namespace latticed
