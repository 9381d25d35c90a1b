// SPDX-License-Identifier: GPL-3.0-or-later
// A run in the foreground of a program: SIGINT and SIGTERM end it well.
#pragma once

#include "server/control/run.hpp"

namespace latticed {

/// Starts and returns when all has ended: by itself, by a signal, or by an error. `poll` is called
/// about ten times a second.
Result<void> run_until_stopped(Run& run, const std::function<void()>& poll = {});

}  // namespace latticed
