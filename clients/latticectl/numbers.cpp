// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/numbers.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ctime>

namespace latticed::latticectl {

namespace {

constexpr std::int64_t kNsPerS = 1'000'000'000;

int decimals_for(double sigma) {
  if (!std::isfinite(sigma) || sigma <= 0.0) return 4;
  return std::clamp(1 - static_cast<int>(std::floor(std::log10(sigma))), 0, 9);
}

std::string plus_minus(double value, double sigma, const char* sign) {
  const int decimals = decimals_for(sigma);
  const std::string number = *sign == '+' ? fmt::format("{:+.{}f}", value, decimals)
                                          : fmt::format("{:.{}f}", value, decimals);
  if (!std::isfinite(sigma) || sigma < 0.0) return number + " ± ?";
  return fmt::format("{} ± {:.{}f}", number, sigma, decimals);
}

}  // namespace

std::string with_prefix(double value, std::string_view unit) {
  struct Prefix {
    double factor;
    const char* name;
  };
  static constexpr Prefix kPrefixes[] = {{1e9, "G"},  {1e6, "M"},  {1e3, "k"},  {1.0, ""},
                                         {1e-3, "m"}, {1e-6, "µ"}, {1e-9, "n"}, {1e-12, "p"}};
  if (value == 0.0 || !std::isfinite(value)) return fmt::format("{} {}", value, unit);
  const double rounded = std::abs(value) * (1.0 + 5e-5);  // 0.99999 is 1, not 1000 m
  for (const Prefix& prefix : kPrefixes) {
    if (rounded < prefix.factor && prefix.factor > 1e-12) continue;
    return fmt::format("{:.4g} {}{}", value / prefix.factor, prefix.name, unit);
  }
  return fmt::format("{:.4g} {}", value, unit);
}

std::string plus_minus(double value, double sigma) { return plus_minus(value, sigma, ""); }

std::string signed_plus_minus(double value, double sigma) { return plus_minus(value, sigma, "+"); }

std::string utc(std::int64_t time_ns) {
  if (time_ns == 0) return "-";
  std::int64_t whole_s = time_ns / kNsPerS;
  std::int64_t rest_ns = time_ns % kNsPerS;
  if (rest_ns < 0) {
    rest_ns += kNsPerS;
    --whole_s;
  }
  const std::time_t seconds = whole_s;
  std::tm parts{};
  if (gmtime_r(&seconds, &parts) == nullptr) return "-";
  char text[40];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &parts);
  return fmt::format("{}.{:03} UTC", text, rest_ns / 1'000'000);
}

std::string bytes_text(std::uint64_t bytes) {
  return bytes < 1000 ? fmt::format("{} B", bytes) : with_prefix(static_cast<double>(bytes), "B");
}

std::string duration_text(double duration_s) {
  if (duration_s < 120.0) return fmt::format("{:.0f} s", duration_s);
  if (duration_s < 7200.0) return fmt::format("{:.0f} min", duration_s / 60.0);
  return fmt::format("{:.1f} h", duration_s / 3600.0);
}

}  // namespace latticed::latticectl
