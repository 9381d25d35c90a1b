// SPDX-License-Identifier: GPL-3.0-or-later
// Bounded waiting in tests: for a thread to have done something, never for time to pass.
#pragma once

#include <chrono>
#include <thread>

namespace latticed::test {

/// Long enough for any machine; a test that comes near it has failed.
inline constexpr std::chrono::seconds kPatience{30};

/// True when `condition` became true within `limit`.
template <class Condition>
[[nodiscard]] bool happens(const Condition& condition, std::chrono::nanoseconds limit = kPatience) {
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

}  // namespace latticed::test
