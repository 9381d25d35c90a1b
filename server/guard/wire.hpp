// SPDX-License-Identifier: GPL-3.0-or-later
// The protocol's pieces as JSON, for both ends of the guard's socket. What is not a number is null.
// Reading throws nlohmann's exceptions, but for command(): the caller catches them where a line
// came in.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "server/guard/holder_core.hpp"
#include "server/guard/protocol.hpp"

namespace latticed::wire {

nlohmann::json range(const HolderRange& range);
HolderRange range(const nlohmann::json& json);

nlohmann::json limits(const HolderLimits& limits);
HolderLimits limits(const nlohmann::json& json);

nlohmann::json capabilities(const HolderCapabilities& can);
HolderCapabilities capabilities(const nlohmann::json& json);

nlohmann::json setpoints(const HolderSetpoints& setpoints);
HolderSetpoints setpoints(const nlohmann::json& json);

/// [time_ns, bias_v, current_a, temperature_k, flags]; flags: 1 output on, 2 heater on, 4 held back
/// by the compliance.
nlohmann::json sample(const HolderSample& sample);
HolderSample sample(const nlohmann::json& json);

/// Without an id.
nlohmann::json command(const HolderCommand& command);
/// Refuses what is not a command, in words.
Result<HolderCommand> command(const nlohmann::json& json);

double number(const nlohmann::json& json);
nlohmann::json number(double value);

/// "set_source 12 V: above holder limit 10 V".
std::string message(const HolderCommand& command, const CoreAnswer& answer);
ErrorCode code_of(Refusal reason) noexcept;

}  // namespace latticed::wire
