// SPDX-License-Identifier: GPL-3.0-or-later
// One recording: NAME.nxs.part while it is written, NAME.nxs when it is complete. Raw frames go
// from their slot to the file without a copy; numbers wait in memory until flush(). Knows no
// threads and no clock: RecordSink says when to flush. One thread.
#pragma once

#include <memory>
#include <string>

#include "server/record/holder_states.hpp"
#include "server/record/layout.hpp"
#include "server/record/stored_image.hpp"
#include "server/record/totals.hpp"

namespace latticed::record {

class Recording {
 public:
  /// Makes `directory`/NAME.nxs.part with everything in it but frames, NAME from the facts; with a
  /// number behind it when that name is taken: nothing is ever overwritten.
  static Result<std::unique_ptr<Recording>> create(const std::string& directory,
                                                   RecordingFacts facts);
  ~Recording();

  /// A frame with its measurements, or the entry of lost ones. After an Error: rescue().
  Result<void> add(const Frame& frame) { return add(frame, stored_raw(frame)); }
  /// `image`: what stored_raw(frame) gives, or the same packed; only where the profile is compact.
  Result<void> add(const Frame& frame, const StoredImage& image);
  void add(const RecordedEvent& event) { tables_.events.add(event); }
  /// Takes in the holders' samples, writes what waits, and shows it to readers.
  Result<void> flush();
  /// There is something that flush() would write.
  [[nodiscard]] bool has_news() const;

  /// Why it ends, in words, and what the caller counted.
  struct End {
    std::string why = "end of the run";
    std::uint64_t events_missed = 0;
    std::int64_t ended_ns = kUnknownTime;  // unknown: the time of the last image
  };
  /// Completes the file and gives it its name, which is returned.
  Result<std::string> finish(const End& end);
  /// After an error: completes what readers could see last, and gives it its name.
  Result<std::string> rescue(const End& end);
  /// Removes the file: a run that never began.
  void discard();

  /// Whether somebody moved the file meanwhile; path() then says where it is. data_loss: it was
  /// removed.
  Result<bool> follow();
  /// Rows whose holder values may still become final.
  [[nodiscard]] std::size_t pending_holder_rows() const noexcept { return states_.pending(); }
  /// Where it is now.
  [[nodiscard]] const std::string& path() const noexcept { return part_path_; }
  [[nodiscard]] std::string directory() const;
  [[nodiscard]] std::uint64_t images() const noexcept { return images_; }
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_frames_; }
  /// Of the images, as they are stored.
  [[nodiscard]] std::uint64_t bytes() const noexcept { return stored_bytes_; }
  /// What the page log needs of the last flush(): pages written since the last call, or all.
  [[nodiscard]] Pages structure_pages(bool all) const { return file_.structure_pages(all); }
  [[nodiscard]] int descriptor() const noexcept { return file_.descriptor(); }

 private:
  Recording(Hdf5File file, RecordingTables tables, RecordingFacts facts, std::string part_path);
  Result<void> add_image(const Frame& frame, const StoredImage& image);
  [[nodiscard]] RecordingTotals totals(const End& end) const;

  RecordingFacts facts_;
  std::string part_path_;
  Hdf5File file_;
  RecordingTables tables_;  // after the file: closed before it
  HolderStates states_;
  std::uint64_t images_ = 0, stored_bytes_ = 0;
  std::uint64_t lost_frames_ = 0;
  bool follows_gap_ = false;
};

}  // namespace latticed::record
