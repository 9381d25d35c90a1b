// SPDX-License-Identifier: GPL-3.0-or-later
// SIGINT and SIGTERM as a request to end well. The first is remembered; if the program has not
// ended 4 s later (someone does not read our output), it says so and ends. A second one kills at
// once.
#pragma once

namespace latticed {

/// Also turns SIGPIPE into the write's error. Once, before any thread.
void watch_stop_signals();

/// 0, SIGINT or SIGTERM. Any thread.
int stop_signal() noexcept;

/// What a shell expects of a program that ended because of it.
constexpr int exit_status_of(int signal) noexcept { return 128 + signal; }

}  // namespace latticed
