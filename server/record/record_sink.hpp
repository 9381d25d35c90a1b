// SPDX-License-Identifier: GPL-3.0-or-later
// Records one detector's run. Frames come from its queue, are packed (or not), written in order and
// shown to readers; whatever was not yet shown when a disk fails is still here and goes into a file
// in the second directory. Where there is none, the recording ends with an error, and what is on
// the disk stays a complete file. A disk that is only too slow: see WhenBehind.
//
//   auto sink = RecordSink::create(options);        // Result<std::unique_ptr<RecordSink>>
//   RecordSink* recorder = sink->get();             // lives as long as the line that gets it
//   parts.sinks.push_back(std::move(*sink));
//   ... recorder->add_event(tag); recorder->progress();
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/holder/holder_log.hpp"
#include "server/process/sink.hpp"
#include "server/record/clock_watch.hpp"
#include "server/record/disk_room.hpp"
#include "server/record/missed_frames.hpp"
#include "server/record/record_choices.hpp"
#include "server/record/record_trouble.hpp"
#include "server/record/recorded_event.hpp"
#include "server/record/session_info.hpp"

namespace latticed {

namespace record {
class DiskSync;
class ImagePacker;
class Recording;
struct StoredImage;
}  // namespace record

struct RecordingOptions {
  std::string directory;
  std::string second_directory;  // where it goes on when `directory` fails; empty: nowhere
  std::string name;              // of the file, without extension: letters, digits, '_', '-', '.'
  RecordingProfile profile = RecordingProfile::portable;
  int packers = 2;                             // threads that pack, of profile compact
  std::size_t quota = 8;                       // frames that may wait for the disk, >= 1
  LossPolicy when_behind = LossPolicy::block;  // block, drop_newest or stop_run
  HolderLogs holders;
  SessionInfo session;
  std::string config_toml;      // the effective configuration
  bool is_rehearsal = false;    // the specimen is simulated
  std::int64_t started_ns = 0;  // UTC, ns since the Unix epoch, by the frames' clock
  std::uint64_t least_free_bytes = 1ull << 30;  // the recording leaves a disk before it has less
  double warn_minutes = 10.0;                   // said when the disk will do for less
  /// What goes wrong, when it does and when it is over; on the thread of begin() or the sink's. May
  /// be none.
  std::function<void(const RecordTrouble&)> on_trouble;
  record::FreeBytes free_bytes;           // empty: as the system says
  std::function<std::int64_t()> utc_now;  // empty: the system's
};

struct RecordingProgress {
  std::string file;          // as it is called now: NAME.nxs.part, or NAME.nxs when complete
  bool is_complete = false;  // nothing more will be written
  std::uint64_t frames = 0, lost = 0;
  std::uint64_t durable_frames = 0;    // of frames: those that a pulled plug would leave
  std::uint64_t bytes = 0;             // of images, as they are stored
  std::uint64_t raw_bytes = 0;         // of the same before packing
  std::uint64_t relieved = 0;          // frames stored as they are because packing was too slow
  std::uint64_t not_recorded = 0;      // measured, but the disk was too slow; counted in lost
  std::vector<std::string> earlier;    // files of this run that this one goes on from
  std::int64_t flushed_ns = 0;         // UTC; readers see what came before. 0: not yet
  std::optional<Error> error;          // what ended it early
  double bytes_per_s = 0.0;            // over the last seconds
  std::optional<double> minutes_left;  // until least_free_bytes; nothing when no rate is known
  std::uint64_t events_missed = 0;
};

class RecordSink final : public Sink {
 public:
  /// Error invalid_argument: a setting outside its range.
  static Result<std::unique_ptr<RecordSink>> create(RecordingOptions options);
  /// A recording without a frame that was never finished is removed.
  ~RecordSink() override;

  /// Frames a recorder may hold at a time, those that wait for it included.
  [[nodiscard]] static std::size_t frames_held(std::size_t quota, RecordingProfile profile,
                                               int packers) noexcept;

  /// Any thread; never waits for the disk. At most kMostEvents may be on their way; one more is
  /// left out and counted.
  void add_event(RecordedEvent event);
  static constexpr std::size_t kMostEvents = 1024;

  /// Any thread.
  [[nodiscard]] RecordingProgress progress() const;

  [[nodiscard]] std::string_view name() const noexcept override { return "record"; }
  [[nodiscard]] SinkOptions options() const noexcept override {
    return {options_.when_behind, options_.quota};
  }
  /// Makes the file, in the first directory that will do. Error of the first one when none does:
  /// missing, not writable or too full.
  Result<void> begin(const RunInfo& run) override;
  void consume(const FrameLease& frame) override;
  void missed(const Frame& frame) noexcept override;
  void idle() override;
  Result<void> finish() override;

 private:
  /// A frame that readers cannot see yet, or a stretch of missed ones, and the row of the file it
  /// is or follows.
  struct Unshown {
    FrameLease frame;  // empty: missed
    record::MissedFrames::Stretch missed;
    std::uint64_t row = 0;
  };
  explicit RecordSink(RecordingOptions options);

  // The sink's thread, all of them.
  Result<void> open_in(const std::string& directory);
  Result<void> store(const FrameLease& frame, const record::StoredImage& image);
  Result<void> store(const record::MissedFrames::Stretch& missed);
  Result<void> flush();
  void begin_sync();
  void request_sync();
  Result<void> look_around(std::chrono::nanoseconds now);
  void store_oldest();
  void store_ready();
  void flush_or_go_on();
  /// After `error`: in the next directory, with all that was not shown yet. Throws where there is
  /// none.
  void go_on_after(const Error& error);
  Result<void> repeat_unshown(std::uint64_t first_row);
  void add_missed_before(std::uint64_t seq);
  void take_events();
  void await_holders();
  void note_progress();
  void note_clock();
  void note_durable();
  void note_behind();
  void note_minutes_left();
  void tell(RecordTrouble trouble);
  /// Ends the recording, and keeps the error for everyone.
  Error give_up(const Error& error);
  Result<std::string> rescue(const Error& error);
  [[nodiscard]] std::uint64_t events_missed() const;
  void complete_as(const Result<std::string>& path);

  const RecordingOptions options_;

  // The sink's thread.
  RunInfo run_;
  std::vector<std::string> directories_;  // still to be tried, the next one first
  std::string directory_;                 // the present one
  std::unique_ptr<record::ImagePacker> packer_;
  std::unique_ptr<record::Recording> recording_;
  std::unique_ptr<record::DiskSync> sync_;
  std::optional<record::DiskRoom> room_;
  record::ClockWatch clock_;
  std::vector<Unshown> unshown_;
  std::vector<RecordedEvent> unshown_events_;    // likewise
  std::vector<RecordedEvent> parameters_;        // what a file must know that goes on
  std::chrono::nanoseconds unflushed_since_{0};  // steady; 0 = nothing is
  std::chrono::nanoseconds looked_at_{0};        // steady
  std::uint64_t last_seq_ = kNoFrame;
  std::uint64_t told_not_recorded_ = 0;
  std::chrono::nanoseconds missed_at_{0};  // steady: when the last ones were noticed
  bool is_unsynced_ = false;               // flushed, but not asked of the disk yet
  bool is_idle_ = false;                   // nothing comes
  bool is_behind_ = false, is_nearly_full_ = false;
  RecordingProgress earlier_;  // totals of the files before this one
  std::string continues_;      // the last of them, also where it is gone

  record::MissedFrames missed_;

  mutable std::mutex events_mutex_;  // guards events_, events_missed_
  std::vector<RecordedEvent> events_;
  std::uint64_t events_missed_ = 0;

  mutable std::mutex progress_mutex_;  // guards progress_
  RecordingProgress progress_;
};

}  // namespace latticed
