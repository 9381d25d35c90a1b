// SPDX-License-Identifier: GPL-3.0-or-later
// What may be changed while a run goes on. A change takes effect between two frames and is part of
// the record of the first one it holds for (Frame::change), so that a recorder can write it and a
// replay repeat it.
#pragma once

#include <cstdint>
#include <string_view>
#include <variant>
#include <vector>

#include "server/process/alert_rules.hpp"
#include "server/signal/analysis_grid.hpp"

namespace latticed {

/// These alert rules and no others. A rule that stays, in every value, keeps its baseline; open
/// alarms of a rule that goes are cleared.
struct SetRules {
  std::vector<AlertRule> rules;
};
/// Template, spots and baselines are forgotten; drift goes on from where the specimen is: it stays
/// relative to the acquisition's first frame. Watched spots begin anew.
struct ResetTracking {};
/// The template as it is now is what frames are held to; drift goes on.
struct SetReference {};
/// The spot at `g` is reported in every good frame, however faint, until it is forgotten.
struct WatchSpot {
  Vector2 g_per_nm;  // 1/px while the pixel size is unknown
  // How far from there it may be; raised to half a bin, at most 12; 0 = three.
  double tolerance_per_nm = 0.0;
};
struct ForgetSpot {
  std::uint32_t spot_id = 0;
};
/// The part of the raw frame that is analysed; width 0 = all of it. Begins anew as ResetTracking.
struct SetRegion {
  signal::Region region;
};

using TrackChange =
    std::variant<SetRules, ResetTracking, SetReference, WatchSpot, ForgetSpot, SetRegion>;
/// "set_rules", "reset_tracking", ...
[[nodiscard]] constexpr std::string_view name_of(const TrackChange& change) noexcept {
  constexpr std::string_view kNames[] = {"set_rules",  "reset_tracking", "set_reference",
                                         "watch_spot", "forget_spot",    "set_region"};
  return kNames[change.index()];
}

/// A change that has been made, in the record of the first frame it holds for.
struct AppliedChange {
  std::uint64_t seq = 0;  // of that frame
  TrackChange change;
  std::uint32_t spot_id = 0;                // watch_spot, forget_spot: which
  std::vector<std::uint16_t> rule_numbers;  // set_rules: their numbers in RunInfo::rules
  signal::AnalysisGrid grid;                // set_region: what is analysed now
};

}  // namespace latticed
