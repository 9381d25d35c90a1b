// SPDX-License-Identifier: GPL-3.0-or-later
// A whole guard in the test's own process, with fake devices behind it and real sockets before it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/guard/guard.hpp"
#include "tests/sim/support/temporary_directory.hpp"
#include "tests/support/fake_holder.hpp"

namespace latticed::test {

class FakeGuard {
 public:
  explicit FakeGuard(std::vector<std::string> names = {"bias"}) {
    config_.socket = directory_.file("guard.sock");
    config_.safe_off_socket = directory_.file("safe-off.sock");
    config_.audit = directory_.file("audit.jsonl");
    config_.driver_patience_ms = 200;
    config_.heartbeat_ms = 1000;  // a loaded machine is no dead daemon
    for (const std::string& name : names) {
      GuardedHolder holder;
      holder.name = name;
      HolderLimits& limits = holder.policy.limits;
      limits.voltage_v = {-1.0, 10.0};
      limits.current_a = {-1e-3, 1e-3};
      limits.temperature_k = {280.0, 600.0};
      limits.voltage_v_per_s = 100.0;
      limits.current_a_per_s = 1.0;
      limits.temperature_k_per_s = 1000.0;
      holder.policy.stale_after = std::chrono::milliseconds(20000);
      config_.holders.push_back(holder);
      devices_.push_back(std::make_shared<FakeDevice>());
    }
  }
  ~FakeGuard() { stop(); }

  [[nodiscard]] GuardConfig& config() { return config_; }
  [[nodiscard]] FakeDevice& device(std::size_t i = 0) { return *devices_[i]; }
  [[nodiscard]] Guard& guard() { return *guard_; }

  void start() {
    std::vector<Worker::Open> open;
    for (const auto& device : devices_) {
      open.push_back([device]() -> Result<std::unique_ptr<Holder>> {
        if (device->is_lost.load()) return Error{ErrorCode::unavailable, "the fake device is lost"};
        return Result<std::unique_ptr<Holder>>(std::make_unique<FakeHolder>(device));
      });
    }
    auto guard = Guard::start(config_, std::move(open));
    if (!guard) {
      ADD_FAILURE() << guard.error().message;
      return;
    }
    guard_ = std::move(*guard);
  }
  void stop() {
    for (const auto& device : devices_) device->hangs.store(false);
    guard_.reset();
  }

 private:
  sim::test::TemporaryDirectory directory_;
  GuardConfig config_;
  std::vector<std::shared_ptr<FakeDevice>> devices_;
  std::unique_ptr<Guard> guard_;
};

}  // namespace latticed::test
