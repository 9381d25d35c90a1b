// SPDX-License-Identifier: GPL-3.0-or-later
// A holder without a device: does at once what it is told, can be told to hang, refuse or get lost,
// and says in every sample whatever the test wants.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "drivers/kit/holder.hpp"

namespace latticed::test {

/// What the test sees and turns; shared with the holder, which the guard owns.
struct FakeDevice {
  std::mutex mutex;  // guards the next three
  SourceSetpoint source;
  double temperature_k = 0.0;
  std::vector<double> levels;  // ever written

  std::atomic<bool> is_output_on{false}, is_heater_on{false};
  std::atomic<double> bias_v{0.0};
  std::atomic<bool> hangs{false}, refuses{false}, is_lost{false};
  std::atomic<int> made_safe{0}, opened{0};
  std::atomic<std::int64_t> time_ns{1'000'000'000};
  std::atomic<std::uint32_t> clock{1};
};

class FakeHolder final : public Holder {
 public:
  explicit FakeHolder(std::shared_ptr<FakeDevice> device) : device_(std::move(device)) {
    can_ = {{-20.0, 20.0}, {-1.0, 1.0}, {1.0, 2000.0}, true, true, OnLinkLoss::outputs_off};
    ++device_->opened;
  }
  ~FakeHolder() override { make_safe(); }

  [[nodiscard]] const DeviceInfo& info() const noexcept override { return info_; }
  [[nodiscard]] const HolderCapabilities& capabilities() const noexcept override { return can_; }
  [[nodiscard]] DeviceState state() const noexcept override {
    return is_fault_.load() ? DeviceState::fault : DeviceState::configured;
  }
  Result<void> reconnect() override {
    if (device_->is_lost.load()) return lost();
    is_fault_.store(false);
    ++device_->opened;
    make_safe();
    return {};
  }
  Result<HolderReading> read(std::span<HolderSample> samples, std::chrono::milliseconds) override {
    hang();
    if (device_->is_lost.load()) return lost();
    HolderSample& sample = samples[0];
    sample = {};
    sample.time_ns = device_->time_ns.fetch_add(10'000'000);
    sample.bias_v = device_->bias_v.load();
    sample.current_a = 0.0;
    sample.temperature_k = 293.0;
    sample.is_output_on = device_->is_output_on.load();
    sample.is_heater_on = device_->is_heater_on.load();
    return HolderReading{1, device_->clock.load()};
  }
  Result<void> set_source(const SourceSetpoint& wanted) override {
    return write([&] {
      const std::lock_guard lock(device_->mutex);
      device_->source = wanted;
      device_->levels.push_back(wanted.level);
    });
  }
  Result<void> set_output(Switch wanted) override {
    return write([&] { device_->is_output_on.store(wanted == Switch::on); });
  }
  Result<void> set_temperature(double temperature_k) override {
    return write([&] {
      const std::lock_guard lock(device_->mutex);
      device_->temperature_k = temperature_k;
    });
  }
  Result<void> set_heater(Switch wanted) override {
    return write([&] { device_->is_heater_on.store(wanted == Switch::on); });
  }
  void make_safe() noexcept override {
    device_->is_output_on.store(false);
    device_->is_heater_on.store(false);
    ++device_->made_safe;
  }

 private:
  Error lost() {
    is_fault_.store(true);
    return {ErrorCode::unavailable, "the fake device is lost"};
  }
  void hang() const {
    while (device_->hangs.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  template <class Do>
  Result<void> write(const Do& act) {
    hang();
    if (device_->is_lost.load()) return lost();
    if (device_->refuses.load()) return Error{ErrorCode::internal, "the fake device refuses"};
    act();
    return {};
  }

  const std::shared_ptr<FakeDevice> device_;
  DeviceInfo info_{"fake", "fake", "none", "1"};
  HolderCapabilities can_;
  std::atomic<bool> is_fault_{false};
};

}  // namespace latticed::test
