// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace latticed::sim {
namespace {

using Json = nlohmann::ordered_json;

std::string row(const char* name, const std::string& text) {
  return fmt::format("{:<9}{}\n", name, text);
}

/// "1.3": how many sigmas the errors are, "?" where a sigma of zero left no number.
std::string sigmas(const Json& value) {
  return value.is_number() ? fmt::format("{:.1f}", value.get<double>()) : "?";
}

/// ", 1.2 x the bound", or nothing where there is none.
std::string against_bound(const Json& part) {
  const auto ratio = part.find("bound_ratio");
  if (ratio == part.end() || !ratio->is_number()) return "";
  return fmt::format(", {:.2f} x the bound", ratio->get<double>());
}

std::string losses(const Json& summary) {
  std::string out = fmt::format("{} lost", summary["lost"].get<std::uint64_t>());
  for (const auto& [reason, count] : summary["lost_by_reason"].items())
    out += fmt::format(", {} {}", count.get<std::uint64_t>(), reason);
  if (const auto unlisted = summary["unlisted_loss"].get<std::uint64_t>(); unlisted > 0)
    out += fmt::format(", {} vanished", unlisted);
  return out;
}

/// Alerts of one rule about one event are one line: every spot raises its own.
struct AlertGroup {
  std::string rule, cause;
  std::uint64_t first = 0, last = 0, count = 0;
};

std::vector<AlertGroup> grouped(const Json& alerts) {
  std::vector<AlertGroup> groups;
  for (const Json& alert : alerts) {
    const auto seq = alert["seq"].get<std::uint64_t>();
    AlertGroup one{alert["rule"].get<std::string>(), "no event of the truth near it", seq, seq, 1};
    if (!alert["truth_seq"].is_null())
      one.cause = fmt::format("caused by {} at frame {}", alert["truth_event"].get<std::string>(),
                              alert["truth_seq"].get<std::uint64_t>());
    const auto same = std::find_if(groups.begin(), groups.end(), [&](const AlertGroup& group) {
      return group.rule == one.rule && group.cause == one.cause;
    });
    if (same == groups.end()) {
      groups.push_back(std::move(one));
    } else {
      same->last = seq;
      ++same->count;
    }
  }
  return groups;
}

std::string line(const AlertGroup& group) {
  if (group.count == 1)
    return fmt::format("frame {}: {}, {}", group.first, group.rule, group.cause);
  return fmt::format("frames {} to {}: {} times {}, {}", group.first, group.last, group.count,
                     group.rule, group.cause);
}

}  // namespace

std::string describe(const Json& summary) {
  const Json& drift = summary["drift"];
  const Json& d = summary["d"];
  std::string out =
      row("frames", fmt::format("{}, {}", summary["frames"].get<std::uint64_t>(), losses(summary)));
  out += row("drift", fmt::format("{:.4f} px rms ({} and {} of its sigmas{}), locked in {:.1f} %",
                                  summary["drift_rms_px"].get<double>(), sigmas(drift["z_rms"][0]),
                                  sigmas(drift["z_rms"][1]), against_bound(drift),
                                  100.0 * drift["locked_fraction"].get<double>()));
  std::vector<std::string> spots;
  if (summary["d_rms_nm"].is_number())
    spots.push_back(fmt::format("{:.2g} nm rms ({} of its sigmas{}), {} spots",
                                summary["d_rms_nm"].get<double>(), sigmas(d["z_rms"]),
                                against_bound(d), d["matched"].get<std::uint64_t>()));
  if (const auto unresolved = d["unresolved"].get<std::uint64_t>(); unresolved > 0)
    spots.push_back(fmt::format("{} spots on several reflections, {} not between them", unresolved,
                                d["unresolved_outside"].get<std::uint64_t>()));
  out += row("d", spots.empty() ? "no spots" : fmt::format("{}", fmt::join(spots, "; ")));
  const char* name = "alerts";
  for (const AlertGroup& group : grouped(summary["alerts"])) {
    out += row(name, line(group));
    name = "";
  }
  if (summary["alerts"].empty()) out += row(name, "none");
  name = "unseen";
  for (const Json& event : summary["events_without_alert"]) {
    out +=
        row(name, fmt::format("{} at frame {} raised no alert", event["event"].get<std::string>(),
                              event["seq"].get<std::uint64_t>()));
    name = "";
  }
  return out + row("verdict", summary["verdict"].get<std::string>());
}

}  // namespace latticed::sim
