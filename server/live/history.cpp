// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/history.hpp"

#include <algorithm>
#include <utility>

namespace latticed {

void History::begin(EventRef run_begins) {
  events_.clear();
  oldest_seq_ = 0;
  begins_ = std::move(run_begins);
}

void History::add(EventRef event) {
  events_.push_back(std::move(event));
  while (events_.size() > limit_) {
    const Event& gone = *events_.front();
    // What was said of a frame is gone in part: the history begins behind it.
    if (is_about_frames(gone)) oldest_seq_ = std::max(oldest_seq_, last_seq_of(gone) + 1);
    events_.pop_front();
  }
}

std::vector<EventRef> History::from(std::uint64_t seq) const {
  std::vector<EventRef> out;
  if (begins_) out.push_back(begins_);
  for (const EventRef& event : events_)
    if (!is_about_frames(*event) || last_seq_of(*event) >= seq) out.push_back(event);
  return out;
}

}  // namespace latticed
