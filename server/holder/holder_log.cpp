// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/holder/holder_log.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace latticed {

HolderLog::HolderLog(std::string name, double longest_gap_s, std::size_t capacity)
    : name_(std::move(name)),
      longest_gap_ns_(static_cast<std::int64_t>(std::llround(longest_gap_s * 1e9))),
      ring_(std::max<std::size_t>(capacity, 2)) {}

void HolderLog::add(const HolderSample& sample) {
  const std::lock_guard lock(mutex_);
  const bool is_first = count_ == clock_start_;
  if (sample.time_ns == kUnknownTime ||
      (!is_first && sample.time_ns <= number(count_ - 1).time_ns)) {
    ++out_of_order_;
    return;
  }
  ring_[count_ % ring_.size()] = sample;
  ++count_;
}

void HolderLog::restart_clock() {
  const std::lock_guard lock(mutex_);
  clock_start_ = count_;
}

std::optional<HolderState> HolderLog::at(std::int64_t time_ns) const {
  const std::lock_guard lock(mutex_);
  std::uint64_t low = std::max(oldest(), clock_start_);
  if (time_ns == kUnknownTime || low == count_ || number(low).time_ns > time_ns)
    return std::nullopt;
  // The last sample that is not after time_ns: low is one, high is none.
  std::uint64_t high = count_;
  while (high - low > 1) {
    const std::uint64_t middle = low + (high - low) / 2;
    (number(middle).time_ns <= time_ns ? low : high) = middle;
  }
  const HolderSample& before = number(low);
  HolderState state{before.bias_v, before.current_a,   before.temperature_k, 0.0,
                    false,         before.is_output_on};
  if (before.time_ns == time_ns) return state;
  const auto since = static_cast<double>(time_ns - before.time_ns);
  if (high < count_ && number(high).time_ns - before.time_ns <= longest_gap_ns_) {
    const HolderSample& after = number(high);
    const double part = since / static_cast<double>(after.time_ns - before.time_ns);
    state.bias_v = std::lerp(before.bias_v, after.bias_v, part);
    state.current_a = std::lerp(before.current_a, after.current_a, part);
    state.temperature_k = std::lerp(before.temperature_k, after.temperature_k, part);
    return state;
  }
  state.age_s = 1e-9 * since;
  state.is_provisional = true;
  return state;
}

bool HolderLog::is_final_at(std::int64_t time_ns) const {
  const std::lock_guard lock(mutex_);
  if (time_ns == kUnknownTime) return true;
  return count_ > clock_start_ && number(count_ - 1).time_ns >= time_ns;
}

std::optional<HolderSample> HolderLog::latest() const {
  const std::lock_guard lock(mutex_);
  if (count_ == 0) return std::nullopt;
  return number(count_ - 1);
}

HolderLog::Batch HolderLog::read(std::uint64_t from, std::size_t limit) const {
  const std::lock_guard lock(mutex_);
  Batch batch;
  batch.first = std::clamp(from, oldest(), count_);
  const std::uint64_t end = batch.first + std::min<std::uint64_t>(limit, count_ - batch.first);
  batch.samples.reserve(end - batch.first);
  for (std::uint64_t i = batch.first; i < end; ++i) batch.samples.push_back(number(i));
  return batch;
}

std::uint64_t HolderLog::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

std::uint64_t HolderLog::out_of_order() const {
  const std::lock_guard lock(mutex_);
  return out_of_order_;
}

}  // namespace latticed
