// SPDX-License-Identifier: GPL-3.0-or-later
// Values a user writes as one short text, on the command line as in the configuration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "drivers/kit/result.hpp"
#include "drivers/replay/replay_detector.hpp"
#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"

namespace latticed {

struct FrameRange {
  std::uint64_t first = 0;
  std::uint64_t end = ReplayOptions::kToTheEnd;  // not included
};

/// "a:b"; either may be empty: from the first frame, to the last.
Result<FrameRange> parse_frame_range(std::string_view text);
std::string to_string(const FrameRange& range);

/// "X,Y,W,H" in raw pixels, W and H at least 1.
Result<signal::Region> parse_region(std::string_view text);

/// "h k", each a fraction ("1/3", "-2/3") or a decimal number, from -16 to 16 and not both whole:
/// a place between the reflections of a lattice.
Result<Vector2> parse_fractional_index(std::string_view text);
/// The fractions that read back to the same values where small whole numbers make them.
std::string to_fractional_index(Vector2 index);

}  // namespace latticed
