// SPDX-License-Identifier: GPL-3.0-or-later
// The daemon's end of the link to latticed-guard, which alone talks to the holders: heartbeats and
// commands out, samples and states in. It connects again for ever; while it cannot, every holder is
// `unreachable`. Keeps no policy: leases are the caller's, limits and ramps the guard's.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/guard/protocol.hpp"
#include "server/holder/holder_log.hpp"

namespace latticed {

/// What a holder is and what the guard's file allows it; known from the first connection on.
struct HolderDescription {
  std::string name;
  std::string driver;
  std::string model;
  std::string serial;
  HolderCapabilities can;  // the device's
  HolderLimits limits;     // the guard's file, narrower
  double safe_temperature_k = 0.0;
};

struct HolderStatus {
  std::string name;
  ArmingState state = ArmingState::unreachable;
  TripCause cause = TripCause::none;  // of the last trip, until it is armed again
  std::string armed_by;               // empty unless armed
  HolderSetpoints present;            // what the device is told now
  HolderSetpoints target;             // where the ramp goes
  bool is_ramping = false;
  bool is_holding = false;  // ramps stand still after `hold`
  std::optional<HolderSample> last;
  std::optional<std::chrono::steady_clock::time_point> last_came_at;  // here, by our clock
};

/// As Error, with what a client needs to show it: the limit, the value, the unit.
struct GuardError {
  ErrorCode code = ErrorCode::internal;
  Refusal reason = Refusal::none;  // none: the guard could not be asked
  std::string message;             // "set_source 12 V: above holder limit 10 V"
  std::optional<double> limit;
  std::optional<double> value;
  std::string unit;  // "V", "A", "K"; empty without value
};

/// Nothing, or why it was not done.
using GuardResult = std::optional<GuardError>;

struct HolderEvent {
  enum class Kind : std::uint8_t {
    connected,     // to the guard; descriptions() are there
    disconnected,  // from the guard; all holders are unreachable
    state,         // status() of this holder changed
    trip,          // the same, and it is an alarm: see status().cause
    samples,       // its log has more
  };
  Kind kind = Kind::state;
  std::string holder;  // empty with connected, disconnected
};

struct GuardLinkOptions {
  std::string socket;                        // of the guard
  std::vector<std::string> holders;          // to make logs of before the guard answers
  std::chrono::milliseconds heartbeat{100};  // the guard waits for `missed_heartbeats` of its own
  std::chrono::milliseconds longest_backoff{1000};
  std::chrono::milliseconds request_timeout{2000};
  double longest_gap_s = 5.0;                        // of the logs
  std::size_t log_capacity = 65536;                  // of the logs
  std::function<void(const HolderEvent&)> on_event;  // latd-hold; must not wait; may read us
};

class GuardLink {
 public:
  /// Starts latd-hold. Does not wait for the guard; refuses a path no socket can have.
  static Result<std::unique_ptr<GuardLink>> start(GuardLinkOptions options);
  ~GuardLink();  // stops
  GuardLink(const GuardLink&) = delete;
  GuardLink& operator=(const GuardLink&) = delete;

  /// Ends latd-hold: no event and no answer comes from it any more. Requests that wait are answered
  /// with cancelled, later ones with unavailable. Not on latd-hold.
  void stop();

  // Any thread.
  [[nodiscard]] bool is_connected() const;
  /// Why it is not connected, in words; empty while it is.
  [[nodiscard]] std::string problem() const;
  /// Of the holders named in the options and of those the guard told of; logs are never taken away.
  [[nodiscard]] HolderLogs logs() const;
  [[nodiscard]] std::vector<HolderDescription> descriptions() const;
  [[nodiscard]] std::vector<HolderStatus> status() const;

  /// `done` is called once, on latd-hold or, when it cannot be sent, on the caller's thread: with
  /// the guard's answer, with timeout after request_timeout, or with unavailable. An answer means
  /// that the guard has taken it; a ramp has then begun, not ended.
  void request(const HolderCommand& command, std::function<void(GuardResult)> done);
  /// The same, waiting for the answer. Not on latd-hold.
  GuardResult request(const HolderCommand& command);

 private:
  class Loop;
  explicit GuardLink(std::unique_ptr<Loop> loop);
  std::unique_ptr<Loop> loop_;
};

}  // namespace latticed
