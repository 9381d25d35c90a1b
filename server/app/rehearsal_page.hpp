// SPDX-License-Identifier: GPL-3.0-or-later
// A rehearsal on one page, from the files sim-score wrote: what was true, what was measured, and
// whether the errors are what their sigmas promise.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "server/app/csv_table.hpp"
#include "server/figure/page.hpp"

namespace latticed {

/// `summary` may lack anything; what it lacks is not shown.
[[nodiscard]] Page rehearsal_page(const CsvTable& series, const nlohmann::json& summary);

}  // namespace latticed
