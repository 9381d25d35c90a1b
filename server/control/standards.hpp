// SPDX-License-Identifier: GPL-3.0-or-later
// Specimens whose spacings are known well enough to calibrate by, and where the numbers are from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/signal/scale_fit.hpp"

namespace latticed {

struct Standard {
  std::string name;
  std::string source;        // of the cell, and why its sigma
  double sigma_ratio = 0.0;  // of all its spacings alike: preparation, temperature, purity
  std::vector<signal::KnownSpacing> spacings;  // above 0.1 nm, largest first
};

/// "Si", "Au", ...; error not_found names those there are.
Result<Standard> find_standard(std::string_view name);
[[nodiscard]] std::vector<Standard> standards();

}  // namespace latticed
