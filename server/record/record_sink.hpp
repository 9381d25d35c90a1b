// SPDX-License-Identifier: GPL-3.0-or-later
// Records one detector's run. Loses nothing by itself: its policy is `block`, so a disk that is too
// slow makes the source lose frames, which counts and lists them. A disk that fails ends the
// recording with an error, and what is on it stays a complete file.
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
#include "server/record/recorded_event.hpp"
#include "server/record/session_info.hpp"

namespace latticed {

namespace record {
class DiskSync;
class Recording;
}  // namespace record

struct RecordingOptions {
  std::string directory;
  std::string name;       // of the file, without extension: letters, digits, '_', '-', '.'
  std::size_t quota = 8;  // frames that may wait for the disk, >= 1
  HolderLogs holders;
  SessionInfo session;
  std::string config_toml;      // the effective configuration
  bool is_rehearsal = false;    // the specimen is simulated
  std::int64_t started_ns = 0;  // UTC, ns since the Unix epoch, by the frames' clock
  std::uint64_t least_free_bytes = 1ull << 30;  // the recording ends before the disk has less
  /// What `directory` has free; empty: as the system says.
  std::function<Result<std::uint64_t>(const std::string& directory)> free_bytes;
};

struct RecordingProgress {
  std::string file;          // as it is called now: NAME.nxs.part, or NAME.nxs when complete
  bool is_complete = false;  // nothing more will be written
  std::uint64_t frames = 0, lost = 0, bytes = 0;
  std::int64_t flushed_ns = 0;         // UTC; readers see what came before. 0: not yet
  std::optional<Error> error;          // what ended it early
  double bytes_per_s = 0.0;            // over the last seconds
  std::optional<double> minutes_left;  // until least_free_bytes; nothing when nothing flows
  std::uint64_t events_missed = 0;
};

class RecordSink final : public Sink {
 public:
  /// Error invalid_argument: a setting outside its range.
  static Result<std::unique_ptr<RecordSink>> create(RecordingOptions options);
  /// A recording without a frame that was never finished is removed.
  ~RecordSink() override;

  /// Any thread; never waits for the disk. At most kMostEvents may be on their way; one more is
  /// left out and counted.
  void add_event(RecordedEvent event);
  static constexpr std::size_t kMostEvents = 1024;

  /// Any thread.
  [[nodiscard]] RecordingProgress progress() const;

  [[nodiscard]] std::string_view name() const noexcept override { return "record"; }
  [[nodiscard]] SinkOptions options() const noexcept override {
    return {LossPolicy::block, options_.quota};
  }
  /// Makes the file. Refuses when the directory is missing, not writable or too full.
  Result<void> begin(const RunInfo& run) override;
  void consume(const FrameLease& frame) override;
  void idle() override;
  Result<void> finish() override;

 private:
  explicit RecordSink(RecordingOptions options);
  Result<void> write(const Frame& frame);
  Result<void> flush_when_due();
  Result<void> flush();
  Result<void> check_disk(std::chrono::nanoseconds now);
  void take_events();
  void await_holders();
  void note_progress();
  /// Ends the recording, and keeps the error for everyone.
  Error give_up(const Error& error);
  void complete_as(const Result<std::string>& path);

  const RecordingOptions options_;

  // The sink's thread.
  std::unique_ptr<record::Recording> recording_;
  std::unique_ptr<record::DiskSync> sync_;
  std::chrono::nanoseconds unflushed_since_{0};  // steady; 0 = nothing is
  std::chrono::nanoseconds checked_at_{0};       // steady
  std::uint64_t checked_bytes_ = 0;

  mutable std::mutex events_mutex_;  // guards events_, events_missed_
  std::vector<RecordedEvent> events_;
  std::uint64_t events_missed_ = 0;

  mutable std::mutex progress_mutex_;  // guards progress_
  RecordingProgress progress_;
};

}  // namespace latticed
