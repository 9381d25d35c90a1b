// SPDX-License-Identifier: GPL-3.0-or-later
// From NAME.nxs.part to NAME.nxs: by its writer, after an error, or when the writer is gone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "server/record/hdf5_file.hpp"
#include "server/record/image_progress.hpp"
#include "server/record/totals.hpp"

namespace latticed::record {

/// Of a file whose writer got to its end. The final path.
Result<std::string> complete(const std::string& part_path, const RecordingTotals& totals);
/// After an error: cuts rows that are not complete, and corrects `totals`.
Result<std::string> complete_what_is_there(const std::string& part_path, RecordingTotals& totals);

struct RecoverOptions {
  bool checks_all = true;  // else the last frames only, which are all that a crash can damage
  ImageProgress progress;  // may be none
  /// The machine was switched off while it was written: its structures are put back as they were at
  /// the last sync. Not said: the page log knows the boot it was written in.
  std::optional<bool> was_switched_off;
};
struct Recovered {
  std::string path;                    // where it is now
  std::uint64_t images = 0, lost = 0;  // in it; listed as lost
  std::uint64_t cut = 0;               // at the end, not complete
  std::uint64_t damaged = 0;           // before: kept, flagged kInfoDamaged
};
/// Of a .part whose writer was killed, or whose machine was switched off: cuts what is not complete
/// at its end, flags what is damaged, enters the totals, marks it as recovered, renames it. Errors:
/// failed_precondition: somebody writes it; data_loss: no recording of ours, or its writer was
/// killed before it could hold a frame; cancelled by `progress`. Its images and
/// tables are then as they were.
Result<Recovered> recover(const std::string& part_path, const RecoverOptions& options = {});

}  // namespace latticed::record
