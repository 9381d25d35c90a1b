// SPDX-License-Identifier: GPL-3.0-or-later
// The guard's own Unix socket for switching off: one line there, one line back. Works with the
// daemon hung or gone.
#pragma once

#include <chrono>
#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::latticectl {

/// The guard's answer to `verb` ("safe-off" or "off"), without its newline.
Result<std::string> ask_guard(const std::string& socket_path, const std::string& verb,
                              std::chrono::milliseconds patience);

}  // namespace latticed::latticectl
