// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/event_table.hpp"

#include <cstddef>

namespace latticed::record {

EventTable EventTable::create(Hdf5Author& author, hid_t group) {
  const Handle word = text_type(sizeof EventRow::kind), name = text_type(sizeof EventRow::source),
               text = text_type(sizeof EventRow::text);
  const Member members[] = {
      {"time_ns", offsetof(EventRow, time_ns), H5T_NATIVE_INT64},
      {"id", offsetof(EventRow, id), H5T_NATIVE_UINT64},
      {"frame_first", offsetof(EventRow, frame_first), H5T_NATIVE_UINT64},
      {"frame_last", offsetof(EventRow, frame_last), H5T_NATIVE_UINT64},
      {"kind", offsetof(EventRow, kind), word},
      {"severity", offsetof(EventRow, severity), word},
      {"source", offsetof(EventRow, source), name},
      {"part", offsetof(EventRow, part), H5T_NATIVE_UINT32},
      {"parts", offsetof(EventRow, parts), H5T_NATIVE_UINT32},
      {"text", offsetof(EventRow, text), text},
  };
  EventTable table;
  table.rows_ = make_compound_rows(
      author, group,
      {"events", sizeof(EventRow), 64,
       "what happened: kind is tag, span, alert, command, parameter or state; frame_first and "
       "frame_last are frame_ids, the largest integer: about no frame; a text longer than a row "
       "goes on in the next one with the same id"},
      members);
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
  const std::size_t first = waiting_.size();
  std::string_view left = event.text;
  do {
    left = fill_text(row.text, left);
    row.part = static_cast<std::uint32_t>(waiting_.size() - first);
    waiting_.push_back(row);
  } while (!left.empty());
  for (std::size_t i = first; i < waiting_.size(); ++i)
    waiting_[i].parts = static_cast<std::uint32_t>(waiting_.size() - first);
}

Result<void> EventTable::write() {
  Result<void> ok = rows_.append(waiting_.data(), waiting_.size());
  if (ok) waiting_.clear();
  return ok;
}

}  // namespace latticed::record
