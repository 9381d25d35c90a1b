// SPDX-License-Identifier: GPL-3.0-or-later
// Every alarm of the server's life: raised by frames, cleared by frames or by the end of the run,
// acknowledged by people. Bounded: the oldest that no longer stand are forgotten, and counted. What
// happens is also news, in order, for whoever watches. Any thread; a mutex guards all.
#pragma once

#include <latticed/v1/alerts.pb.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed {

/// Something that happened to an alarm: as it is now, and a word of alerts.proto.
struct AlertNews {
  std::uint64_t number = 0;  // from 1, without gaps
  v1::Alert alert;
  std::string what;
};

class AlertBook {
 public:
  /// Keeps `kept` alarms, >= 1. `now_ns`: UTC, for acknowledgements.
  AlertBook(std::size_t kept, std::function<std::int64_t()> now_ns);

  /// Called after there was news, on the thread that made it; must not call back. Before the first.
  void set_listener(std::function<void()> listener) { listener_ = std::move(listener); }

  /// What one frame brought: an alarm as it would be when raised, or which one is cleared (by rule
  /// and spot). One thread per detector, every frame in order, also those that brought nothing.
  struct Change {
    bool is_raised = true;
    v1::Alert alert;  // without id, detector and epoch
  };
  void note(const std::string& detector, std::uint32_t epoch, std::uint64_t seq,
            std::vector<Change> changes);
  /// Likewise what is not about a frame: alarms of the system itself. Any thread.
  void note_own(const std::string& detector, std::uint32_t epoch, Change change);
  /// No frame of this run comes any more: what still stands is cleared, as of its last frame.
  void end_run(const std::string& detector, std::uint32_t epoch);

  /// Numbers of the alarms that a frame's changes were about, in their order; waits for note() to
  /// come to that frame, at most `timeout`. Empty when it did not, or that is too long ago.
  [[nodiscard]] std::vector<std::uint64_t> ids_of(const std::string& detector, std::uint32_t epoch,
                                                  std::uint64_t seq,
                                                  std::chrono::milliseconds timeout) const;

  /// As alerts.proto says it: newest first.
  [[nodiscard]] std::vector<v1::Alert> list(const v1::ListAlertsRequest& wanted) const;
  [[nodiscard]] std::uint64_t forgotten() const;
  [[nodiscard]] std::size_t standing() const;

  /// `id` 0 = all that stand. As they are then: one that was acknowledged before keeps its name.
  /// Error invalid_argument: nobody's name; not_found: no such alarm.
  Result<std::vector<v1::Alert>> acknowledge(std::uint64_t id, const std::string& who,
                                             const std::string& comment);

  /// What has happened since the last call. One reader. When it does not come, the oldest is lost,
  /// which shows in the numbers.
  [[nodiscard]] std::deque<AlertNews> take_news();
  /// All that is kept, oldest first, and the number of the last news in it.
  struct Snapshot {
    std::uint64_t last_news = 0;
    std::vector<v1::Alert> alerts;
  };
  [[nodiscard]] Snapshot snapshot() const;

 private:
  struct Noted {
    std::uint64_t seq = 0;
    std::vector<std::uint64_t> ids;
  };
  struct Progress {  // of one detector
    std::uint32_t epoch = 0;
    bool has_seq = false;
    std::uint64_t seq = 0;
    std::deque<Noted> noted;  // the last frames that brought something
  };
  std::uint64_t raise(v1::Alert alert);
  std::uint64_t clear(const v1::Alert& which, std::uint64_t seq);
  void tell(const v1::Alert& alert, const char* what);
  void forget();
  void listen() const {
    if (listener_) listener_();
  }

  const std::size_t kept_;
  const std::function<std::int64_t()> now_ns_;
  std::function<void()> listener_;
  mutable std::mutex mutex_;  // guards all below
  mutable std::condition_variable noted_;
  std::map<std::uint64_t, v1::Alert> alerts_;  // by number
  std::map<std::string, Progress> progress_;
  std::deque<AlertNews> news_;
  std::uint64_t last_id_ = 0, last_news_ = 0, forgotten_ = 0;
};

}  // namespace latticed
