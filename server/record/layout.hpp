// SPDX-License-Identifier: GPL-3.0-or-later
// What a recording contains, object by object: the NeXus application definition NXem with the
// tables beside it, and the same images once more as HyperSpy stores signals. Everything is made
// here, before the first frame: a file that is read while it grows can take no new objects.
//
//   /entry/measurement/event1/image1/stack_2d/real   the images
//   /entry/measurement/event1/frame_info/...         one row per image
//   /entry/measurement/event1/lost/frames                   frames that never came
//   /entry/measurement/event1/instrument/sensor_...  what the holders read back
//   /entry/processing/lattice/found/spots                  reflections
//   /entry/processing/running_sum/found/sums, spots        sums of aligned frames, their
//   reflections /entry/events                                    tags, alerts, changes
//   /entry/latticed                                  configuration, versions, totals
//   /Experiments/frames                              HyperSpy's view of the images
#pragma once

#include <string>

#include "server/process/sink.hpp"
#include "server/record/event_table.hpp"
#include "server/record/frame_table.hpp"
#include "server/record/holder_logs_writer.hpp"
#include "server/record/measured_tables.hpp"
#include "server/record/record_choices.hpp"
#include "server/record/session_info.hpp"

namespace latticed::record {

/// All a recording says that does not come from its frames.
struct RecordingFacts {
  std::string name;
  RunInfo run;
  SessionInfo session;
  std::string config_toml;
  RecordingProfile profile = RecordingProfile::portable;
  std::string continues;  // the file this one goes on from; empty: it is a beginning
  HolderLogs holders;
  bool is_simulation = false;
  std::int64_t started_ns = 0;  // UTC, ns since the Unix epoch
};

/// What grows.
struct RecordingTables {
  Handle images;
  FrameTable frames;
  SpotTable spots;
  LatticeTable lattices;
  SuperlatticeTable superlattice;
  SumTable sums;
  SpotTable sum_spots;
  LatticeTable sum_lattices;
  LostTable lost;
  EventTable events;
  HolderLogsWriter holders;
};

Result<RecordingTables> make_layout(hid_t file, const RecordingFacts& facts);

/// Of a dataset of packed images, and how to read it, in words.
void set_compact_filter(hid_t creation, std::size_t pixel_bytes, std::size_t image_bytes);
inline constexpr const char* kCompactWords =
    "Blosc (HDF5 filter 32001) with bitshuffle and LZ4. To read it: Debian's "
    "hdf5-filter-plugin-blosc-serial, or Python's hdf5plugin (import hdf5plugin)";

[[nodiscard]] Handle image_type(PixelType type);

}  // namespace latticed::record
