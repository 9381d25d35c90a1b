// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/run_events.hpp"

#include <nlohmann/json.hpp>

namespace latticed::record {
namespace {

using nlohmann::json;

// Text that came from people may not be UTF-8; what is not is replaced, never thrown over.
std::string text_of(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// Limits that are not set are infinite, and null here.
json to_json(const AlertRule& rule, std::size_t number) {
  return {{"number", number},
          {"name", rule.name},
          {"quantity", to_string(rule.quantity)},
          {"of", to_string(rule.of)},
          {"kind", rule.kind == RuleKind::limit ? "limit" : "change"},
          {"above", rule.above},
          {"below", rule.below},
          {"hysteresis", rule.hysteresis},
          {"dwell_frames", rule.dwell_frames},
          {"false_alarms_per_hour", rule.false_alarms_per_hour},
          {"d_min_nm", rule.d_min_nm},
          {"d_max_nm", rule.d_max_nm}};
}

struct ChangeText {
  const AppliedChange& applied;
  json out;

  void operator()(const SetRules& change) {
    out["rules"] = json::array();
    for (std::size_t i = 0; i < change.rules.size(); ++i)
      out["rules"].push_back(
          to_json(change.rules[i], i < applied.rule_numbers.size() ? applied.rule_numbers[i] : i));
  }
  void operator()(const ResetTracking&) {}
  void operator()(const SetReference&) {}
  void operator()(const WatchSpot& change) {
    out["g_per_nm"] = {change.g_per_nm.x, change.g_per_nm.y};
    out["tolerance_per_nm"] = change.tolerance_per_nm;
    out["spot_id"] = applied.spot_id;
  }
  void operator()(const ForgetSpot& change) { out["spot_id"] = change.spot_id; }
  void operator()(const SetRegion& change) {
    out["region_px"] = {change.region.x, change.region.y, change.region.width,
                        change.region.height};
    out["grid"] = {{"bin", applied.grid.bin},
                   {"x0", applied.grid.x0},
                   {"y0", applied.grid.y0},
                   {"width", applied.grid.width},
                   {"height", applied.grid.height}};
  }
};

RecordedEvent parameter(std::int64_t time_ns, std::uint64_t seq, std::string text) {
  RecordedEvent event;
  event.time_ns = time_ns;
  event.frame_first = seq;
  event.kind = EventKind::parameter;
  event.source = "track";
  event.text = std::move(text);
  return event;
}

}  // namespace

RecordedEvent event_of(const AlertEvent& alert, const Frame& frame, const RuleBook& rules) {
  const AlertRule& rule = rules[alert.rule];
  json text{{"state", alert.is_raised ? "raised" : "cleared"},
            {"value", alert.value},
            {"unit", unit_of(rule.quantity)},
            {"sigma", alert.sigma},
            {"since_seq", alert.since_seq},
            {"rule_number", alert.rule}};
  if (alert.spot_id) text["spot_id"] = alert.spot_id;
  if (rule.of == RuleOf::sum) text["of"] = to_string(rule.of);
  RecordedEvent event;
  event.time_ns = frame.header.time_ns;
  event.frame_first = frame.seq;
  event.kind = EventKind::alert;
  event.severity = alert.is_raised ? EventSeverity::warning : EventSeverity::info;
  event.source = rule.name;
  event.text = text_of(text);
  return event;
}

RecordedEvent event_of_change(const Frame& frame) {
  const AppliedChange& applied = *frame.change;
  ChangeText text{applied, {{"change", name_of(applied.change)}}};
  std::visit(text, applied.change);
  return parameter(frame.header.time_ns, applied.seq, text_of(text.out));
}

RecordedEvent event_of_first_rules(const RunInfo& run, std::int64_t started_ns) {
  json rules = json::array();
  for (std::size_t i = 0; i < run.rules.size(); ++i) rules.push_back(to_json(run.rules[i], i));
  return parameter(started_ns, run.first_seq,
                   text_of({{"change", "set_rules"}, {"rules", std::move(rules)}}));
}

}  // namespace latticed::record
