// SPDX-License-Identifier: GPL-3.0-or-later
// Numbers as people read them: with prefixes, with as many digits as their sigma allows, times.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace latticed::latticectl {

/// "1.2 nA", "3.412 V", "0 A"; at most four digits.
[[nodiscard]] std::string with_prefix(double value, std::string_view unit);
/// "0.27192 ± 0.00003": two digits of the sigma at most. An unknown sigma is a question mark.
[[nodiscard]] std::string plus_minus(double value, double sigma);
/// "+3.01 ± 0.29": always with its sign.
[[nodiscard]] std::string signed_plus_minus(double value, double sigma);
/// "2026-11-22 14:06:35.123 UTC"; "-" for 0.
[[nodiscard]] std::string utc(std::int64_t time_ns);
/// "3.1 GB"
[[nodiscard]] std::string bytes_text(std::uint64_t bytes);
/// "42 s", "12 min", "3.5 h"
[[nodiscard]] std::string duration_text(double duration_s);

}  // namespace latticed::latticectl
