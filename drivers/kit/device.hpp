// SPDX-License-Identifier: GPL-3.0-or-later
// What every device has: a name, a state, and one table of legal transitions.
//
//   closed ──► configured ──► armed ──► running ──► configured      fault: from any state
//
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace latticed {

struct DeviceInfo {
  std::string name;    // unique in a configuration: "haadf"
  std::string driver;  // "simulator", "replay", ...
  std::string model;   // what the device calls itself
  std::string serial;
};

enum class DeviceState : std::uint8_t { closed, configured, armed, running, fault };

[[nodiscard]] constexpr std::string_view to_string(DeviceState state) noexcept {
  constexpr std::string_view kNames[] = {"closed", "configured", "armed", "running", "fault"};
  return kNames[static_cast<std::size_t>(state)];
}

[[nodiscard]] constexpr bool is_legal(DeviceState from, DeviceState to) noexcept {
  using enum DeviceState;
  if (to == fault || to == closed) return true;
  switch (from) {
    case closed:
      return to == configured;
    case configured:
      return to == configured || to == armed;
    case armed:
      return to == running || to == configured;
    case running:
      return to == configured;
    case fault:
      return to == configured;
  }
  return false;
}

}  // namespace latticed
