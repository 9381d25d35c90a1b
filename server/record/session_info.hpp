// SPDX-License-Identifier: GPL-3.0-or-later
// What the experiment is about, as the people at the microscope say it. Goes into every recording;
// the session service keeps it. What nobody said is empty, and the recording does not claim it.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace latticed {

struct SessionInfo {
  std::string sample;                 // name of the specimen
  std::vector<std::string> elements;  // symbols: "Na", "Mn", "O"
  std::optional<double> electrode_mass_kg;
  std::string zone_axis;  // "[0 1 0]"
  std::optional<double> high_tension_v;
  std::string operator_name;
  std::string preparation_date;  // ISO 8601
  std::string comment;
};

}  // namespace latticed
