// SPDX-License-Identifier: GPL-3.0-or-later
// The recording's `events`. A long text goes over several rows with the same id, so that a changed
// configuration is kept whole.
#pragma once

#include "server/record/described_table.hpp"
#include "server/record/recorded_event.hpp"

namespace latticed::record {

struct EventRow {
  std::int64_t time_ns = kUnknownTime;
  std::uint64_t id = 0, frame_first = kNoFrame, frame_last = kNoFrame;
  char kind[16] = {}, severity[16] = {}, source[64] = {};
  std::uint32_t part = 0, parts = 1;
  char text[512] = {};
};

class EventTable {
 public:
  static EventTable create(Hdf5Author& author, hid_t group);
  void add(const RecordedEvent& event);
  Result<void> write() { return rows_.write(); }
  /// Events, not rows.
  [[nodiscard]] std::uint64_t count() const noexcept { return count_; }
  [[nodiscard]] bool has_news() const noexcept { return rows_.has_news(); }

 private:
  DescribedTable<EventRow> rows_;
  std::uint64_t count_ = 0;
};

}  // namespace latticed::record
