// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/score.hpp"

namespace latticed::sim {

FrameScore score_frames(const Truth& truth, const Measurements& measurements,
                        const ScoreLimits& limits) {
  FrameScore score;
  score.repeated = measurements.repeated;
  const bool is_empty = measurements.frames.empty();
  const std::uint64_t last = is_empty ? 0 : measurements.frames.rbegin()->first;
  for (const auto& [seq, frame] : truth.frames) {
    if (limits.may_end_early && (is_empty || seq > last)) break;
    ++score.frames;
    score.blanked += frame.blanked ? 1 : 0;
    score.empty += !frame.blanked && !frame.specimen_in ? 1 : 0;
    const auto found = measurements.frames.find(seq);
    if (found == measurements.frames.end()) {
      score.unlisted.push_back(seq);
    } else if (!found->second.lost.empty()) {
      ++score.lost[found->second.lost];
    } else {
      ++score.measured;
      if (!frame.lost.empty()) score.unknown.push_back(seq);
    }
  }
  for (const auto& [seq, frame] : measurements.frames) {
    if (!truth.frames.contains(seq)) score.unknown.push_back(seq);
  }
  return score;
}

}  // namespace latticed::sim
