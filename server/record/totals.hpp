// SPDX-License-Identifier: GPL-3.0-or-later
// What a recording's file says at its end: how much is in it, and how it ended.
#pragma once

#include <hdf5.h>

#include <cstdint>
#include <string>

#include "drivers/kit/frame_header.hpp"
#include "drivers/kit/result.hpp"

namespace latticed::record {

/// What is known when everything has been written.
struct RecordingTotals {
  std::int64_t ended_ns = kUnknownTime;  // unknown: the time of the last image
  std::string ended_by;                  // "end of the run", or what went wrong
  bool is_recovered = false;             // by others than its writer
  std::uint64_t images = 0;
  std::uint64_t damaged = 0;  // of them: other bytes than were written, see frame_info/flags
  std::uint64_t lost = 0, events = 0, events_missed = 0;
  std::uint64_t holder_samples = 0, holder_samples_missed = 0;
};

/// Enters the totals, and HyperSpy's time axis as the median of the frame periods, in a file that
/// is reopened.
Result<void> enter_totals(hid_t file, const RecordingTotals& totals);

/// For a file whose writer did not get to its end: cuts off the images and rows that are not
/// complete, and counts what is there.
Result<void> trim_and_count(hid_t file, RecordingTotals& totals);

/// Images of which every column has a row too.
Result<std::uint64_t> complete_images(hid_t file);
/// Cuts images and their rows to the first `images`.
Result<void> cut_images(hid_t file, std::uint64_t images);

}  // namespace latticed::record
