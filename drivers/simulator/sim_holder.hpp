// SPDX-License-Identifier: GPL-3.0-or-later
// The holder of the simulated world: an ordinary driver whose device is the process sim-world. It
// holds a current or a voltage within a compliance of the other, and heats. Its samples carry the
// world's time, which need not pass at the pace of ours.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "drivers/kit/holder.hpp"
#include "sim/link/line_client.hpp"

namespace latticed {

struct SimHolderOptions {
  std::string socket;                       // of the world
  std::chrono::milliseconds timeout{2000};  // of every command, and of connecting
};

class SimHolder final : public Holder {
 public:
  static Result<std::unique_ptr<SimHolder>> open(SimHolderOptions options);
  ~SimHolder() override { make_safe(); }

  [[nodiscard]] const DeviceInfo& info() const noexcept override { return info_; }
  [[nodiscard]] const HolderCapabilities& capabilities() const noexcept override { return can_; }
  [[nodiscard]] DeviceState state() const noexcept override { return state_.load(); }

  Result<void> reconnect() override;
  Result<HolderReading> read(std::span<HolderSample> samples,
                             std::chrono::milliseconds timeout) override;
  Result<void> set_source(const SourceSetpoint& wanted) override;
  Result<void> set_output(Switch wanted) override;
  Result<void> set_temperature(double temperature_k) override;
  Result<void> set_heater(Switch wanted) override;
  void make_safe() noexcept override;

 private:
  explicit SimHolder(SimHolderOptions options) : options_(std::move(options)) {}
  Result<nlohmann::json> request(const nlohmann::json& command, std::chrono::milliseconds timeout);
  Result<void> command(const nlohmann::json& command);

  const SimHolderOptions options_;
  DeviceInfo info_;
  HolderCapabilities can_;
  std::atomic<DeviceState> state_{DeviceState::closed};
  std::optional<sim::LineClient> link_;
  std::uint64_t next_ = 0;  // number of the first sample not read

  std::mutex safe_mutex_;  // guards safe_link_, for 100 ms at most
  std::optional<sim::LineClient> safe_link_;
};

}  // namespace latticed
