// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/event_table.hpp"

#include <array>

namespace latticed::record {

namespace {

template <std::size_t Bytes>
std::array<char, Bytes> text(const char (&from)[Bytes]) {
  return std::to_array(from);
}

const std::vector<Column<EventRow>>& columns() {
  static const std::vector<Column<EventRow>> all = {
      {"time_ns", [](const EventRow& row) { return row.time_ns; }},
      {"id", [](const EventRow& row) { return row.id; }},
      {"frame_first", [](const EventRow& row) { return row.frame_first; }},
      {"frame_last", [](const EventRow& row) { return row.frame_last; }},
      {"kind", [](const EventRow& row) { return text(row.kind); }},
      {"severity", [](const EventRow& row) { return text(row.severity); }},
      {"source", [](const EventRow& row) { return text(row.source); }},
      {"part", [](const EventRow& row) { return row.part; }},
      {"parts", [](const EventRow& row) { return row.parts; }},
      {"text", [](const EventRow& row) { return text(row.text); }},
  };
  return all;
}

}  // namespace

EventTable EventTable::create(Hdf5Author& author, hid_t group) {
  EventTable table;
  table.rows_ = DescribedTable<EventRow>::create(
      author, group,
      {"events", 64,
       "what happened: kind is tag, span, alert, command, parameter or state; frame_first and "
       "frame_last are frame_ids, the largest integer: about no frame; a text longer than a row "
       "goes on in the next one with the same id"},
      columns());
  return table;
}

void EventTable::add(const RecordedEvent& event) {
  EventRow row;
  row.time_ns = event.time_ns;
  row.id = count_++;
  row.frame_first = event.frame_first;
  row.frame_last = event.frame_last;
  fill_text(row.kind, to_string(event.kind));
  fill_text(row.severity, to_string(event.severity));
  fill_text(row.source, event.source);
  std::vector<EventRow> parts;
  std::string_view left = event.text;
  do {
    left = fill_text(row.text, left);
    row.part = static_cast<std::uint32_t>(parts.size());
    parts.push_back(row);
  } while (!left.empty());
  for (EventRow& part : parts) {
    part.parts = static_cast<std::uint32_t>(parts.size());
    rows_.add(part);
  }
}

}  // namespace latticed::record
