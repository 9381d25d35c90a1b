// SPDX-License-Identifier: GPL-3.0-or-later
// One message on its way to many clients: serialised once, shared by every subscriber, the history
// and ZeroMQ. Beside the bytes stands what a subscriber's filter asks.
#pragma once

#include <grpcpp/support/slice.h>

#include <cstdint>
#include <memory>
#include <string>

namespace latticed {

enum class LiveEventKind : std::uint8_t {
  measurement,
  lost,           // frames that never came
  holder_update,  // final holder values of a frame
  run_begins,
  run_ends,
  missed,  // frames the publisher itself was too slow for: no bytes, subscribers count them
  other,   // alerts, images: nothing to filter by
};

struct Event {
  LiveEventKind kind = LiveEventKind::other;
  std::uint32_t epoch = 0;
  std::uint64_t seq = 0;    // measurement, holder_update; first of lost and missed
  std::uint64_t count = 1;  // lost, missed: so many from seq on
  bool is_news = false;     // measurement: with alarms or changes, which no decimation leaves out
  grpc::Slice body{};       // the serialised message
};
using EventRef = std::shared_ptr<const Event>;

/// The bytes become the slice's own; nothing is copied, now or later.
inline grpc::Slice slice_of(std::string bytes) {
  auto* const owned = new std::string(std::move(bytes));
  return {owned->data(), owned->size(), [](void* text) { delete static_cast<std::string*>(text); },
          owned};
}

}  // namespace latticed
