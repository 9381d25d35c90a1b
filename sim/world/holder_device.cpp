// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/world/holder_device.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace latticed::sim {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kBetweenLooks{10};

Error out_of_range(const char* what, double value, std::array<double, 2> range) {
  return {ErrorCode::out_of_range,
          fmt::format("{} {}: must be from {} to {}", what, value, range[0], range[1])};
}

bool is_within(double value, std::array<double, 2> range) {
  return value >= range[0] && value <= range[1];  // false for NaN
}

void put(const SourceSetpoint& source, Step& step) {
  if (source.mode == SourceMode::current) {
    step.current_a = source.level;
    step.compliance_v = source.compliance;
  } else {
    step.source_v = source.level;
    step.compliance_a = source.compliance;
  }
}

}  // namespace

std::vector<StimulusStep> stimulus_of(const Scenario& scenario) {
  std::vector<StimulusStep> steps;
  for (const Step& step : scenario.steps) {
    if (!step.current_a && !step.temperature_k) continue;
    const std::uint64_t frame = first_frame_of(step, scenario.frame_period_s);
    if (steps.empty() || steps.back().frame != frame) steps.push_back({frame, {}, {}});
    if (step.current_a) steps.back().current_a = step.current_a;
    if (step.temperature_k) steps.back().temperature_k = step.temperature_k;
  }
  return steps;
}

Scenario without_stimulus(Scenario scenario) {
  for (Step& step : scenario.steps) step.current_a = step.temperature_k = std::nullopt;
  return scenario;
}

HolderDevice::HolderDevice(const Scenario& scenario, Options options, CommandLog& log)
    : steps_(stimulus_of(scenario)),
      options_(options),
      rest_temperature_k_(scenario.heat.temperature_k),
      fixed_start_ns_(scenario.start_time_unix_s * 1'000'000'000),
      log_(log),
      temperature_k_(rest_temperature_k_) {
  told_ = effect();
}

HolderDevice::Effect HolderDevice::effect() const {
  return {is_output_on_ ? source_ : kNoSource,
          is_heater_on_ ? temperature_k_ : rest_temperature_k_};
}

/// Tells the specimen what changed.
std::uint64_t HolderDevice::emit() {
  const Effect now = effect();
  std::uint64_t frame = log_.next_frame();
  Step step;
  if (now.source != told_.source) put(now.source, step);
  if (now.temperature_k != told_.temperature_k) step.temperature_k = now.temperature_k;
  if (step != Step{}) frame = log_.add(step);
  told_ = now;
  changed_.notify_all();
  return frame;
}

Result<std::uint64_t> HolderDevice::set_source(const SourceSetpoint& wanted) {
  const bool is_voltage = wanted.mode == SourceMode::voltage;
  const auto& range = is_voltage ? kVoltageV : kCurrentA;
  const double most = is_voltage ? kCurrentA[1] : kVoltageV[1];
  if (!is_within(wanted.level, range))
    return out_of_range(is_voltage ? "source level, V:" : "source level, A:", wanted.level, range);
  if (!(wanted.compliance > 0.0) || wanted.compliance > most) {
    return Error{ErrorCode::out_of_range,
                 fmt::format("source compliance {} {}: must be above 0, at most {}",
                             wanted.compliance, is_voltage ? "A" : "V", most)};
  }
  const std::lock_guard lock(mutex_);
  if (is_output_on_ && wanted.mode != source_.mode) {
    return Error{ErrorCode::failed_precondition,
                 fmt::format("source mode {}: the output is on and holds a {}, turn it off first",
                             to_string(wanted.mode), to_string(source_.mode))};
  }
  source_ = wanted;
  return emit();
}

Result<std::uint64_t> HolderDevice::set_temperature(double temperature_k) {
  if (!is_within(temperature_k, kTemperatureK))
    return out_of_range("temperature temperature_k", temperature_k, kTemperatureK);
  const std::lock_guard lock(mutex_);
  temperature_k_ = temperature_k;
  return emit();
}

std::uint64_t HolderDevice::set_output(bool is_on) {
  const std::lock_guard lock(mutex_);
  is_output_on_ = is_on;
  return emit();
}

std::uint64_t HolderDevice::set_heater(bool is_on) {
  const std::lock_guard lock(mutex_);
  is_heater_on_ = is_on;
  return emit();
}

std::uint64_t HolderDevice::make_safe() {
  const std::lock_guard lock(mutex_);
  is_output_on_ = is_heater_on_ = false;
  return emit();
}

HolderDevice::Present HolderDevice::present() const {
  const std::lock_guard lock(mutex_);
  return {told_.source, told_.temperature_k, is_output_on_, is_heater_on_};
}

HolderDevice::Samples HolderDevice::samples(std::uint64_t after, std::size_t limit) const {
  const std::lock_guard lock(mutex_);
  const std::uint64_t oldest = next_sample_ - history_.size();
  Samples out{{}, std::clamp(after, oldest, next_sample_), clock_};
  while (out.next < next_sample_ && out.samples.size() < limit) {
    const Kept& kept = history_[out.next - oldest];
    if (out.samples.empty()) out.clock = kept.clock;
    if (kept.clock != out.clock) break;  // a reply is of one clock
    out.samples.push_back(kept.sample);
    ++out.next;
  }
  return out;
}

std::uint64_t HolderDevice::next_sample() const {
  const std::lock_guard lock(mutex_);
  return next_sample_;
}

std::optional<StimulusStep> HolderDevice::waiting_for() const {
  const std::lock_guard lock(mutex_);
  return waiting_for_;
}

std::int64_t HolderDevice::begin_experiment(std::int64_t now_ns) {
  const std::lock_guard lock(mutex_);
  const std::int64_t last_ns = history_.empty() ? kUnknownTime : history_.back().sample.time_ns;
  start_ns_ = fixed_start_ns_ > 0 ? fixed_start_ns_ : now_ns;
  if (start_ns_ <= last_ns) {
    if (fixed_start_ns_ > 0)
      ++clock_;
    else
      start_ns_ = last_ns + 1;  // a world faster than time is ahead of the clock
  }
  next_frame_ = 0;
  released_ = 0;
  waiting_for_.reset();
  return start_ns_;
}

std::int64_t HolderDevice::start_ns() const {
  const std::lock_guard lock(mutex_);
  return start_ns_;
}

Step HolderDevice::standing() const {
  const std::lock_guard lock(mutex_);
  Step step;
  if (is_output_on_) put(told_.source, step);
  if (is_heater_on_) step.temperature_k = told_.temperature_k;
  return step;
}

bool HolderDevice::is_played(const StimulusStep& step) const {
  const bool holds_current = told_.source.mode == SourceMode::current;
  return (!step.current_a || (holds_current && *step.current_a == told_.source.level)) &&
         (!step.temperature_k || *step.temperature_k == told_.temperature_k);
}

HolderDevice::Awaited HolderDevice::await_step(std::uint64_t frame,
                                               const std::function<bool()>& is_stopped) {
  if (options_.stimulus != Stimulus::client) return Awaited::nothing;
  const auto step = std::find_if(steps_.begin(), steps_.end(),
                                 [&](const StimulusStep& s) { return s.frame == frame; });
  if (step == steps_.end()) return Awaited::nothing;
  const Clock::time_point deadline = Clock::now() + options_.patience;
  std::unique_lock lock(mutex_);
  for (;;) {
    if (frame < released_) return Awaited::nothing;  // another detector has waited for it
    const bool played = is_played(*step);
    const bool is_over = played || Clock::now() >= deadline;
    const bool stopped = !is_over && is_stopped();
    if (is_over || stopped) {
      waiting_for_.reset();
      if (stopped) return Awaited::stopped;
      released_ = frame + 1;
      return played ? Awaited::played : Awaited::not_played;
    }
    waiting_for_ = *step;
    changed_.wait_for(lock, kBetweenLooks);
  }
}

void HolderDevice::add_sample(const SpecimenState& state) {
  const std::lock_guard lock(mutex_);
  if (state.frame < next_frame_) return;  // another detector was first
  next_frame_ = state.frame + 1;
  HolderSample sample;
  sample.time_ns = start_ns_ + static_cast<std::int64_t>(std::llround(state.t_s * 1e9));
  sample.bias_v = state.bias_v;
  sample.current_a = state.current_a;
  sample.temperature_k = state.temperature_k;
  sample.is_output_on = is_output_on_;
  sample.is_heater_on = is_heater_on_;
  sample.is_in_compliance = is_output_on_ && state.is_held_back;
  history_.push_back({sample, clock_});
  if (history_.size() > kHistory) history_.pop_front();
  ++next_sample_;
}

}  // namespace latticed::sim
