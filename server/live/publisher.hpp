// SPDX-License-Identifier: GPL-3.0-or-later
// The publisher thread ("latd-publish") between the frames and everybody who listens: it makes the
// events, keeps their history, hands them to gRPC's streams and to ZeroMQ. Its sinks drop their own
// oldest frames when it is too slow: it costs neither recorder nor pipeline a frame.
#pragma once

#include <latticed/v1/alerts.pb.h>
#include <latticed/v1/holder.pb.h>
#include <latticed/v1/measurements.pb.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/shared_thread.hpp"
#include "server/live/event_stream.hpp"
#include "server/live/feed.hpp"
#include "server/live/zmq_publisher.hpp"
#include "server/rpc/stamper.hpp"

namespace latticed {

/// What a run came to, of one detector.
struct RunTotals {
  std::string detector;
  std::uint64_t measured = 0, lost = 0;
};

struct PublisherOptions {
  std::vector<std::string> detectors;
  std::size_t history_events = 4096;
  std::size_t sink_quota = 16;      // frames that may wait for this thread, by detector
  std::size_t zmq_lease_quota = 4;  // frames ZeroMQ may keep, by detector and run
  int nice = 0;
};

class Publisher {
 public:
  struct Parts {
    const rpc::Stamper* stamper = nullptr;
    std::shared_ptr<AlertBook> book;
    std::function<HolderLogs()> holders;
    std::unique_ptr<ZmqPublisher> zmq;
  };
  Publisher(PublisherOptions options, Parts parts);
  /// No sink of it is left.
  ~Publisher();

  /// Of a detector of the options, for one run. The sink keeps a share of the publisher.
  static std::unique_ptr<Sink> make_sink(const std::shared_ptr<Publisher>& publisher,
                                         const std::string& detector);

  // Any other thread, all of these. False or Error: the thread has too much to do.

  /// The stream gets what is wanted from now on, or from a frame of the history on; it is refused
  /// with HISTORY_GONE when that does not reach back.
  bool subscribe(std::shared_ptr<EventStream> stream, const v1::WatchMeasurementsRequest& wanted);
  bool subscribe(std::shared_ptr<EventStream> stream, const v1::WatchAlertsRequest& wanted);
  /// Returns when every stream has been handed the run's end.
  Result<void> run_ended(const std::string& ended, const std::vector<RunTotals>& totals);
  void holder_changed(const std::string& holder, v1::HolderDescription description);
  /// There is news in the book.
  void alerts_changed();
  /// Takes back the frames that ZeroMQ keeps.
  Result<void> reopen_zmq();

  [[nodiscard]] std::optional<LastFrame> last(const std::string& detector) const;
  /// The run's beginning and the measurements of its last frames, at most `frames`, oldest first;
  /// of the present or the last run, as far as the history reaches.
  struct LastFrames {
    std::uint32_t epoch = 0;  // 0 = no run yet
    v1::RunBegins run;
    std::vector<v1::Measurement> measured;
  };
  [[nodiscard]] Result<LastFrames> last_frames(const std::string& detector, std::size_t frames);
  [[nodiscard]] const ZmqPublisher& zmq() const noexcept { return *zmq_; }
  /// Frames lent to ZeroMQ, of all runs; those of runs whose sinks still live.
  [[nodiscard]] std::vector<std::shared_ptr<FrameLoans>> loans() const;

 private:
  friend class PublishSink;
  struct MeasurementWatch {
    std::shared_ptr<EventStream> stream;
    v1::WatchMeasurementsRequest wanted;
    std::uint32_t from_epoch = 0;  // from_seq is of this run
    [[nodiscard]] bool wants(const Event& event, const std::string& detector) const;
    [[nodiscard]] std::uint64_t count_missed(const Event& missed) const;
    void push(const EventRef& event, const std::string& detector) const;
  };
  struct AlertWatch {
    std::shared_ptr<EventStream> stream;
    std::uint64_t last_news = 0;
  };
  struct HolderProgress {
    std::uint64_t next = 0;  // number of the next sample to be sent
  };

  // The publisher's thread.
  std::chrono::nanoseconds tick(std::chrono::nanoseconds now);
  void add(MeasurementWatch watch);
  void add(std::shared_ptr<EventStream> stream, const v1::WatchAlertsRequest& wanted);
  void emit(const EventRef& event, const std::string& detector);
  void consume(Feed& feed, const FrameLease& frame, const std::shared_ptr<FrameLoans>& loans);
  void publish_frame(const Feed& feed, const FrameLease& frame,
                     const std::shared_ptr<FrameLoans>& loans);
  void publish_alerts();
  void publish_holders();
  void publish_holder(const std::string& name, v1::HolderEvent& event);
  void send(const std::string& topic, std::uint32_t epoch, std::string_view body);
  [[nodiscard]] EventRef alert_event(const v1::Alert& alert, const std::string& what) const;
  void refresh_holders();

  [[nodiscard]] Feed* feed_of(const std::string& detector) const;
  /// On the publisher's thread, waited for.
  Result<void> run_there(const char* what, std::function<void()> task);

  const PublisherOptions options_;
  const rpc::Stamper& stamper_;
  const std::shared_ptr<AlertBook> book_;
  const std::function<HolderLogs()> holders_now_;
  std::map<std::string, std::unique_ptr<Feed>> feeds_;  // the map never changes after the start
  // The publisher's thread only:
  std::unique_ptr<ZmqPublisher> zmq_;
  HolderLogs holders_;
  std::vector<MeasurementWatch> measurement_watches_;
  std::vector<AlertWatch> alert_watches_;
  std::map<std::string, HolderProgress> holder_progress_;
  mutable std::mutex mutex_;  // guards loans_
  mutable std::vector<std::weak_ptr<FrameLoans>> loans_;
  std::shared_ptr<SharedThread> thread_;  // last: ends before the rest goes
};

}  // namespace latticed
