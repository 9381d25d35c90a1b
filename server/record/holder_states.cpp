// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/holder_states.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::record {

HolderStates::State HolderStates::at(std::int64_t time_ns) const {
  State out;
  for (const auto& holder : holders_) {
    const auto state = holder->at(time_ns);
    if (!state) continue;
    bool is_used = false;
    const auto take = [&](double& column, double value) {
      if (!std::isnan(column) || std::isnan(value)) return;
      column = value;
      is_used = true;
    };
    take(out.columns.bias_v, state->bias_v);
    take(out.columns.current_a, state->current_a);
    take(out.columns.temperature_k, state->temperature_k);
    if (!is_used || !state->is_provisional) continue;
    out.is_provisional = true;
    out.columns.age_s = std::max(out.columns.age_s, static_cast<float>(state->age_s));
  }
  return out;
}

bool HolderStates::is_final_at(std::int64_t time_ns) const {
  return std::all_of(holders_.begin(), holders_.end(),
                     [&](const auto& holder) { return holder->is_final_at(time_ns); });
}

void HolderStates::enter(FrameRow& row, std::uint64_t number) {
  // Asked first: a sample that comes in between makes the values better, not wrong.
  const bool is_final = is_final_at(row.time_ns);
  const State state = at(row.time_ns);
  if (!is_final) {
    if (pending_.size() == kMostPending) {
      pending_.pop_front();
      ++given_up_;
    }
    pending_.push_back({number, row.time_ns, row.flags});
  }
  row.holder = state.columns;
  if (state.is_provisional) row.flags |= kInfoHolderProvisional;
}

void HolderStates::correct(FrameTable& table, const Pending& one) const {
  const State state = at(one.time_ns);
  table.correct(one.row, state.columns,
                one.flags | (state.is_provisional ? kInfoHolderProvisional : 0u));
}

void HolderStates::settle(FrameTable& table) {
  // All of them, not only the oldest: one frame with a wrong time must not hold up the others.
  std::erase_if(pending_, [&](const Pending& one) {
    if (!is_final_at(one.time_ns)) return false;
    correct(table, one);
    return true;
  });
}

void HolderStates::settle_for_good(FrameTable& table) {
  for (const Pending& one : pending_) correct(table, one);
  pending_.clear();
}

}  // namespace latticed::record
