// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/report.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

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

std::string losses(const Json& summary) {
  std::string out = fmt::format("{} lost", summary["lost"].get<std::uint64_t>());
  for (const auto& [reason, count] : summary["lost_by_reason"].items())
    out += fmt::format(", {} {}", count.get<std::uint64_t>(), reason);
  if (const auto unlisted = summary["unlisted_loss"].get<std::uint64_t>(); unlisted > 0)
    out += fmt::format(", {} vanished", unlisted);
  return out;
}

std::string alert(const Json& alert) {
  const auto text = fmt::format("frame {}: {}", alert["seq"].get<std::uint64_t>(),
                                alert["rule"].get<std::string>());
  if (alert["truth_seq"].is_null()) return text + ", caused by nothing that the truth knows";
  return fmt::format("{}, caused by {} at frame {}", text, alert["truth_event"].get<std::string>(),
                     alert["truth_seq"].get<std::uint64_t>());
}

}  // namespace

std::string describe(const Json& summary) {
  const Json& drift = summary["drift"];
  const Json& d = summary["d"];
  std::string out =
      row("frames", fmt::format("{}, {}", summary["frames"].get<std::uint64_t>(), losses(summary)));
  out += row("drift", fmt::format("{:.4f} px rms ({} and {} of its sigmas), locked in {:.1f} %",
                                  summary["drift_rms_px"].get<double>(), sigmas(drift["z_rms"][0]),
                                  sigmas(drift["z_rms"][1]),
                                  100.0 * drift["locked_fraction"].get<double>()));
  out += row("d", fmt::format("{:.2g} nm rms ({} of its sigmas), {} spots",
                              summary["d_rms_nm"].get<double>(), sigmas(d["z_rms"]),
                              d["matched"].get<std::uint64_t>()));
  const char* name = "alerts";
  for (const Json& raised : summary["alerts"]) {
    out += row(name, alert(raised));
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
