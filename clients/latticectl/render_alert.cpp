// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include "clients/latticectl/numbers.hpp"
#include "clients/latticectl/render.hpp"
#include "clients/latticectl/text_table.hpp"

namespace latticed::latticectl {

namespace {

std::string seen_text(const v1::Alert& a) {
  if (a.acknowledged_by().empty()) return "nobody";
  return a.acknowledged_by() + (a.comment().empty() ? "" : ": " + a.comment());
}

std::string state_text(const v1::Alert& a) {
  return a.active() ? "STANDS" : fmt::format("cleared in {}", a.cleared_seq());
}

std::string value_text(double value, double sigma, const std::string& unit) {
  return fmt::format("{}{}", plus_minus(value, sigma), unit == "1" ? "" : " " + unit);
}

// ", spot #3 of the running sum": spots of sums have numbers of their own.
template <class Alert>
std::string about(const Alert& alert) {
  const std::string spot = alert.spot_id() > 0 ? fmt::format(", spot #{}", alert.spot_id()) : "";
  if constexpr (requires { alert.text(); })
    if (!alert.text().empty()) return ": " + alert.text();
  return spot + (alert.of() != "sum" ? ""
                 : spot.empty()      ? ", of the running sum"
                                     : " of the running sum");
}

template <class Alerts>
std::string table_of(const Alerts& alerts) {
  TextTable table(
      {"id", "detector", "rule", "value", "raised in", "since", "at", "state", "seen by"});
  for (const v1::Alert& a : alerts) {
    table.add({fmt::format("{}", a.id()), a.detector(), a.rule(),
               a.text().empty() ? value_text(a.value(), a.sigma(), a.unit()) : a.quantity(),
               fmt::format("{}", a.raised_seq()), fmt::format("{}", a.since_seq()),
               utc(a.raised_ns()), state_text(a), seen_text(a)});
  }
  if (table.is_empty()) return "no alerts\n";
  std::string out = table.text();
  for (const v1::Alert& a : alerts)  // of the system itself: no value says it
    if (!a.text().empty()) out += fmt::format("{}: {}\n", a.id(), a.text());
  return out;
}

}  // namespace

std::string to_text(const v1::ListAlertsReply& reply) {
  std::string out = table_of(reply.alerts());
  if (reply.forgotten() > 0) {
    out += fmt::format("{} older alerts are no longer kept\n", reply.forgotten());
  }
  return out;
}

std::string to_text(const v1::AlertReply& reply) { return table_of(reply.alerts()); }

std::string to_line(const v1::AlertEvent& event) {
  const v1::Alert& a = event.alert();
  std::string out =
      fmt::format("{}alert {} {}: {} of {}, {}{}, frame {} (since {})", mark(event.stamp()), a.id(),
                  event.what(), a.rule(), a.detector(), a.quantity(),
                  a.text().empty() ? " = " + value_text(a.value(), a.sigma(), a.unit()) : "",
                  a.raised_seq(), a.since_seq());
  out += about(a);
  for (const auto& holder : a.holders()) {
    out += fmt::format("; {} {}", holder.holder(), to_text(holder));
  }
  if (!a.acknowledged_by().empty()) out += "; seen by " + seen_text(a);
  if (event.skipped() > 0) out += fmt::format(" ({} missed: alerts list)", event.skipped());
  return out + "\n";
}

std::string to_line(const v1::AlertChange& change) {
  std::string out = fmt::format(
      "alert {} {}: {} = {}, since frame {}", change.id(), change.raised() ? "RAISED" : "cleared",
      change.rule(), value_text(change.value(), change.sigma(), change.unit()), change.since_seq());
  out += about(change);
  return out;
}

}  // namespace latticed::latticectl
