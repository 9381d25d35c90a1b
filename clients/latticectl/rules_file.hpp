// SPDX-License-Identifier: GPL-3.0-or-later
// Alert rules as a TOML file of [[rule]] tables, with the keys of the server's configuration. What
// is printed reads back the same. Whether the rules make sense is the server's to say.
#pragma once

#include <latticed/v1/alerts.pb.h>

#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::latticectl {

[[nodiscard]] std::string to_toml(const v1::RulesReply& rules);

/// `file` is only for the messages.
Result<v1::SetRulesRequest> parse_rules(const std::string& toml, const std::string& file);
Result<v1::SetRulesRequest> read_rules(const std::string& path);

}  // namespace latticed::latticectl
