// SPDX-License-Identifier: GPL-3.0-or-later
// A recording of ours read back: its facts, its images by row, its tables. Also a .part, while it
// is written. Exports and whoever needs more than the images call it; for the images of any movie
// there is drivers/files. Changes nothing, and does not follow a file that grows: what was there
// when it was opened is what it reads. One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "drivers/files/hdf5_handle.hpp"
#include "drivers/kit/frame_header.hpp"
#include "server/record/recorded_table.hpp"

namespace latticed::record {

struct ReadFacts {
  std::string path;
  std::string name;
  std::string sample, operator_name, comment, detector;
  std::string started;                     // ISO 8601, UTC
  std::int64_t started_ns = kUnknownTime;  // the same
  FrameGeometry geometry;
  std::uint64_t images = 0;     // rows whose image and numbers are there
  double pixel_size_nm = 0.0;   // 0: unknown
  double frame_period_s = 0.0;  // median once complete, else as configured; 0: unknown
  std::optional<double> high_tension_v;
  std::string latticed_version;
  std::string ended_by;      // empty: as it should, or not yet
  bool is_complete = false;  // its writer, or recovery, came to the end
  bool is_simulation = false;
};

/// Frames that never came.
struct ReadLoss {
  std::uint64_t seq = 0, count = 0;
  std::uint64_t before_image = 0;  // the row of the image that came next
  std::string reason;
};

/// One row for one thing that happened, its text in one piece.
struct ReadEvent {
  std::int64_t time_ns = kUnknownTime;
  std::uint64_t id = 0;
  std::uint64_t frame_first = 0, frame_last = 0;  // kNoFrame: about no frame
  std::string kind, severity, source, text;
};

/// Everything one sensor of a holder said, at its own rate.
struct SensorLog {
  std::string sensor;       // its group's name: sensor_bias_voltage, ..._bias2
  std::string holder;       // which one it belongs to
  std::string measurement;  // voltage, current, temperature
  std::string units;
  std::vector<double> time_s;  // since the run's start
  std::vector<std::int64_t> time_ns;
  std::vector<std::uint64_t> state;
  std::vector<double> value;
};

class RecordingReader {
 public:
  /// Errors: unavailable: no such file, or not to be read; data_loss: damaged; invalid_argument: it
  /// is no recording of ours, or of a layout this version does not know.
  static Result<RecordingReader> open(const std::string& path);

  [[nodiscard]] const ReadFacts& facts() const noexcept { return facts_; }

  /// The image of a row as the detector delivered it; `out` has geometry.bytes(). Errors:
  /// out_of_range; failed_precondition: its compression is not known on this machine; data_loss.
  Result<void> read_image(std::uint64_t row, std::span<std::byte> out) const;

  /// All columns of frame_info, facts().images rows.
  [[nodiscard]] Result<RecordedTable> frame_info() const;
  /// Any table with named members, by its path: /entry/processing/lattice/found/spots and others.
  [[nodiscard]] Result<RecordedTable> table(const std::string& path) const;

  [[nodiscard]] Result<std::vector<ReadLoss>> lost() const;
  [[nodiscard]] Result<std::vector<ReadEvent>> events() const;
  [[nodiscard]] Result<std::vector<SensorLog>> sensors() const;
  /// The effective configuration the run had, TOML.
  [[nodiscard]] std::string configuration() const;

 private:
  RecordingReader(files::Handle file, ReadFacts facts, files::Handle images);
  static Result<RecordingReader> open_unprobed(const std::string& path);

  files::Handle file_;
  ReadFacts facts_;
  files::Handle images_;
  std::string missing_filter_;  // why images cannot be unpacked; empty: they can
};

}  // namespace latticed::record
