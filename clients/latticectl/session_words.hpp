// SPDX-License-Identifier: GPL-3.0-or-later
// "sample=NMO-7" and the like as the fields of a session.
#pragma once

#include <latticed/v1/session.pb.h>

#include <string>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed::latticectl {

/// "sample, elements, ..."
[[nodiscard]] std::string session_keys();

/// Words of the form key=value. Elements are separated by commas.
Result<v1::SessionInfo> parse_session(const std::vector<std::string>& words);

}  // namespace latticed::latticectl
