// SPDX-License-Identifier: GPL-3.0-or-later
// One call that makes every holder safe, for programs on the same machine. It needs neither the
// daemon nor a token; whoever may open the socket may turn everything off.
#pragma once

#include <chrono>
#include <string>

#include "drivers/kit/result.hpp"

namespace latticed {

enum class SafeOff : unsigned char { ramp, at_once };

/// The guard's answer, or why there is none.
Result<std::string> safe_off(const std::string& socket, SafeOff how,
                             std::chrono::milliseconds timeout = std::chrono::milliseconds(3000));

}  // namespace latticed
