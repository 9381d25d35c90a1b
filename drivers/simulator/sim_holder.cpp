// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/simulator/sim_holder.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace latticed {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kLongestSafe{80};
constexpr std::string_view kSafe = "{\"cmd\":\"safe_holder\"}\n";

HolderRange range_of(const Json& reply, const char* key) {
  return {reply.at(key).at(0).get<double>(), reply.at(key).at(1).get<double>()};
}

HolderSample sample_of(const Json& line) {
  return {line.at(0).get<std::int64_t>(), line.at(1).get<double>(), line.at(2).get<double>(),
          line.at(3).get<double>(),       line.at(4).get<bool>(),   line.at(5).get<bool>(),
          line.at(6).get<bool>()};
}

}  // namespace

Result<std::unique_ptr<SimHolder>> SimHolder::open(SimHolderOptions options) {
  std::unique_ptr<SimHolder> holder(new SimHolder(std::move(options)));
  if (auto connected = holder->reconnect(); !connected) return connected.error();
  return holder;
}

Result<void> SimHolder::reconnect() {
  make_safe();
  link_.reset();
  state_.store(DeviceState::fault);
  const Clock::time_point deadline = Clock::now() + options_.timeout;
  auto link = sim::LineClient::open(options_.socket, options_.timeout);
  if (!link) return link.error();
  auto opened = link->request({{"cmd", "open_holder"}}, options_.timeout);
  // The world may not have noticed yet that our last link is closed.
  while (!opened && opened.error().code == ErrorCode::failed_precondition &&
         Clock::now() < deadline) {
    poll(nullptr, 0, 5);
    opened = link->request({{"cmd", "open_holder"}}, options_.timeout);
  }
  if (!opened) return opened.error();
  auto safe_link = sim::LineClient::open(options_.socket, options_.timeout);
  if (!safe_link) return safe_link.error();
  try {
    can_ = {range_of(*opened, "voltage_v"),
            range_of(*opened, "current_a"),
            range_of(*opened, "temperature_k"),
            true,
            true,
            OnLinkLoss::outputs_off};
    next_ = opened->at("next").get<std::uint64_t>();
    info_ = {opened->value("holder", ""), "simulator", "sim-world " + opened->value("scenario", ""),
             fmt::format("seed {}", opened->value("seed", 0))};
  } catch (const Json::exception& error) {
    return Error{ErrorCode::data_loss,
                 fmt::format("open holder at {}: {}", options_.socket, error.what())};
  }
  link_.emplace(std::move(*link));
  {
    const std::lock_guard lock(safe_mutex_);
    safe_link_.emplace(std::move(*safe_link));
  }
  state_.store(DeviceState::configured);
  return {};
}

Result<Json> SimHolder::request(const Json& command, std::chrono::milliseconds timeout) {
  if (!link_ || state_.load() != DeviceState::configured) {
    return Error{ErrorCode::unavailable,
                 fmt::format("simulated holder at {}: not connected", options_.socket)};
  }
  auto reply = link_->request(command, timeout);
  if (!reply && reply.error().code == ErrorCode::unavailable) {
    // Closing our end is what makes the device turn its outputs off, whatever it still does.
    link_.reset();
    state_.store(DeviceState::fault);
  }
  return reply;
}

Result<void> SimHolder::command(const Json& command) {
  auto reply = request(command, options_.timeout);
  if (!reply) return reply.error();
  return {};
}

Result<HolderReading> SimHolder::read(std::span<HolderSample> samples,
                                      std::chrono::milliseconds timeout) {
  auto reply = request({{"cmd", "samples"}, {"after", next_}}, timeout);
  if (!reply) return reply.error();
  try {
    const Json& lines = reply->at("samples");
    const std::size_t count = std::min(lines.size(), samples.size());
    for (std::size_t i = 0; i < count; ++i) samples[i] = sample_of(lines[i]);
    next_ = reply->at("next").get<std::uint64_t>() - (lines.size() - count);
    return HolderReading{count, reply->at("clock").get<std::uint32_t>()};
  } catch (const Json::exception& error) {
    return Error{ErrorCode::data_loss,
                 fmt::format("read holder at {}: {}", options_.socket, error.what())};
  }
}

Result<void> SimHolder::set_source(const SourceSetpoint& wanted) {
  const bool is_voltage = wanted.mode == SourceMode::voltage;
  const HolderRange& level = is_voltage ? can_.voltage_v : can_.current_a;
  const HolderRange& other = is_voltage ? can_.current_a : can_.voltage_v;
  // JSON has no word for what is not a number.
  if (!level.contains(wanted.level)) {
    const char* unit = is_voltage ? "V" : "A";
    return Error{ErrorCode::out_of_range,
                 fmt::format("set_source {} {}: the device does {} to {} {}", wanted.level, unit,
                             level.low, level.high, unit)};
  }
  if (!(wanted.compliance > 0.0) || !other.contains(wanted.compliance)) {
    const char* unit = is_voltage ? "A" : "V";
    return Error{ErrorCode::out_of_range,
                 fmt::format("set_source compliance {} {}: the device does above 0 to {} {}",
                             wanted.compliance, unit, other.high, unit)};
  }
  return command({{"cmd", "source"},
                  {"mode", to_string(wanted.mode)},
                  {"level", wanted.level},
                  {"compliance", wanted.compliance}});
}

Result<void> SimHolder::set_output(Switch wanted) {
  return command({{"cmd", "output"}, {"on", wanted == Switch::on}});
}

Result<void> SimHolder::set_temperature(double temperature_k) {
  if (!can_.temperature_k.contains(temperature_k)) {
    return Error{ErrorCode::out_of_range,
                 fmt::format("set_temperature {} K: the device does {} to {} K", temperature_k,
                             can_.temperature_k.low, can_.temperature_k.high)};
  }
  return command({{"cmd", "temperature"}, {"temperature_k", temperature_k}});
}

Result<void> SimHolder::set_heater(Switch wanted) {
  return command({{"cmd", "heater"}, {"on", wanted == Switch::on}});
}

void SimHolder::make_safe() noexcept {
  const std::lock_guard lock(safe_mutex_);
  // Where the link is broken the world has turned the outputs off by itself.
  if (safe_link_) safe_link_->urge(kSafe, kLongestSafe);
}

}  // namespace latticed
