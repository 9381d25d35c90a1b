// SPDX-License-Identifier: GPL-3.0-or-later
// Whether runs are recorded, and what their recordings are told besides frames: tags, commands,
// changes, states. Any thread but for what is marked; a mutex guards all.
#pragma once

#include <latticed/v1/recording.pb.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/config/config.hpp"
#include "server/control/session_store.hpp"
#include "server/record/record_sink.hpp"

namespace latticed {

class Recorder {
 public:
  struct Parts {
    RecordConfig config;
    const SessionStore& session;
    std::function<HolderLogs()> holders;
    std::string config_toml;  // the effective configuration
    bool is_rehearsal = false;
    /// Spans of this detector's run that have not ended when its last frame is written; on the
    /// sink's thread. May be none.
    std::function<std::vector<RecordedEvent>(const std::string& detector)> open_spans;
    /// What goes wrong, and when it is over; on the sink's thread. May be none.
    std::function<void(const std::string& detector, const RecordTrouble&)> on_trouble;
  };
  explicit Recorder(Parts parts);

  /// Of the runs armed from now on. invalid_argument: a name that is none.
  Result<void> enable(const std::string& name);
  void disable();

  /// Control thread: a sink for this run, or null where nothing is to be recorded. It may go before
  /// the run does, when the run cannot be made. `waits_for_us`: the detector does.
  Result<std::unique_ptr<Sink>> make_sink(const std::string& detector, bool waits_for_us,
                                          std::int64_t now_ns);
  /// Frames a recorder may hold at a time.
  [[nodiscard]] static std::size_t frames_held(const RecordConfig& config) noexcept;
  /// Into every recording that is on.
  void add(const RecordedEvent& event);
  /// Of one detector, with its frames.
  void add(const std::string& detector, const RecordedEvent& event);
  /// Control thread: the sinks are about to go; what they came to is kept.
  void release();

  [[nodiscard]] v1::RecordingStatus status() const;

 private:
  class RunSink;
  void forget(const RecordSink& sink);

  struct Member {
    std::string detector;
    RecordSink* sink = nullptr;  // null: gone, `last` is what it came to
    RecordingProgress last;
  };

  const Parts parts_;
  mutable std::mutex mutex_;  // guards all below
  bool is_wanted_;
  std::string name_;
  std::vector<Member> members_;  // of the present run, or the last one
};

}  // namespace latticed
