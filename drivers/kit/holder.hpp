// SPDX-License-Identifier: GPL-3.0-or-later
// The contract between latticed-guard and anything that puts volts, amperes or heat on a specimen.
// A driver keeps no policy: limits, ramps, arming and retries are the guard's, tested once.
// tests/conformance holds every driver to it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "drivers/kit/device.hpp"
#include "drivers/kit/holder_sample.hpp"
#include "drivers/kit/result.hpp"

namespace latticed {

/// What a device can; low >= high: it cannot do this at all.
struct HolderRange {
  double low = 0.0;
  double high = 0.0;

  [[nodiscard]] constexpr bool is_absent() const noexcept { return !(low < high); }
  [[nodiscard]] constexpr bool contains(double value) const noexcept {
    return value >= low && value <= high;  // false for NaN
  }
  bool operator==(const HolderRange&) const = default;
};

/// What the device itself does when nobody talks to it any more: the last layer when the guard
/// dies. The driver's declaration; `unknown` must be shown to people.
enum class OnLinkLoss : std::uint8_t { outputs_off, outputs_stay, unknown };
[[nodiscard]] constexpr std::string_view to_string(OnLinkLoss what) noexcept {
  constexpr std::string_view kNames[] = {"outputs_off", "outputs_stay", "unknown"};
  return kNames[static_cast<std::size_t>(what)];
}

struct HolderCapabilities {
  HolderRange voltage_v;      // of the source: its level, or its compliance
  HolderRange current_a;      // the same
  HolderRange temperature_k;  // of the heater's set-point
  bool holds_voltage = false;
  bool holds_current = false;
  OnLinkLoss on_link_loss = OnLinkLoss::unknown;
};

struct SourceSetpoint {
  SourceMode mode = SourceMode::voltage;
  double level = 0.0;       // V or A, by mode
  double compliance = 0.0;  // A or V: the other quantity's largest magnitude, > 0
  bool operator==(const SourceSetpoint&) const = default;
};

enum class Switch : std::uint8_t { off, on };

/// What one read brought.
struct HolderReading {
  std::size_t count = 0;    // samples written, oldest first; 0 is news too: the device answered
  std::uint32_t clock = 0;  // another number than last time: time stamps may go back
};

/// Outputs are off when it is opened. One thread calls, except make_safe() and state().
class Holder {
 public:
  virtual ~Holder() = default;  // make_safe() first
  Holder() = default;
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  [[nodiscard]] virtual const DeviceInfo& info() const noexcept = 0;
  [[nodiscard]] virtual const HolderCapabilities& capabilities() const noexcept = 0;
  /// configured = connected; fault = the device is lost, until reconnect(). Any thread.
  [[nodiscard]] virtual DeviceState state() const noexcept = 0;

  /// Talks to the device again; its outputs are off afterwards. In any state.
  virtual Result<void> reconnect() = 0;

  /// All samples since the last read, as many as there is room for; the rest stays for the next
  /// one. A device without a buffer gives one. Waits at most `timeout` for the device's answer;
  /// unavailable: the device is lost.
  virtual Result<HolderReading> read(std::span<HolderSample> samples,
                                     std::chrono::milliseconds timeout) = 0;

  // Each is done when it returns, at the device, within the driver's declared timeout. Not a number
  // and what the device cannot do is refused (out_of_range or invalid_argument) and changes
  // nothing.
  virtual Result<void> set_source(const SourceSetpoint& wanted) = 0;
  virtual Result<void> set_output(Switch wanted) = 0;
  virtual Result<void> set_temperature(double temperature_k) = 0;
  virtual Result<void> set_heater(Switch wanted) = 0;

  /// Output and heater off at once, in every state, also while another call hangs. Any thread,
  /// twice is harmless; returns within 100 ms and does not allocate.
  virtual void make_safe() noexcept = 0;
};

}  // namespace latticed
