// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/alert_log_sink.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace latticed {

void AlertBoard::note(const AlertEvent& event) {
  const std::lock_guard lock(mutex_);
  std::erase_if(raised_, [&](const AlertEvent& other) {
    return other.rule == event.rule && other.spot_id == event.spot_id;
  });
  if (!event.is_raised) return;
  raised_.push_back(event);
  ++raised_so_far_;
}

std::vector<AlertEvent> AlertBoard::raised() const {
  const std::lock_guard lock(mutex_);
  return raised_;
}

std::size_t AlertBoard::raised_so_far() const {
  const std::lock_guard lock(mutex_);
  return raised_so_far_;
}

std::string describe(const AlertEvent& alert, const RuleBook& rules) {
  const AlertRule& rule = rules[alert.rule];
  std::string spot = rule.of == RuleOf::sum ? "running sum, " : "";
  if (alert.spot_id) spot += fmt::format("spot {} at ", alert.spot_id);
  const std::string_view unit = unit_of(rule.quantity);
  return fmt::format("{}: {}{:.5g} ± {:.2g}{}{} since frame {}", rule.name, spot, alert.value,
                     alert.sigma, unit == "1" ? "" : " ", unit == "1" ? "" : unit, alert.since_seq);
}

Result<void> AlertLogSink::begin(const RunInfo& run) {
  rules_ = run.rules;
  return {};
}

void AlertLogSink::consume(const FrameLease& frame) {
  for (const AlertEvent& alert : frame->measurements.alerts) {
    board_->note(alert);
    spdlog::warn("{} frame {}: {} {}", detector_, frame->seq,
                 alert.is_raised ? "alert raised," : "alert cleared,", describe(alert, rules_));
  }
}

}  // namespace latticed
