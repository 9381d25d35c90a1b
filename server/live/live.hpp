// SPDX-License-Identifier: GPL-3.0-or-later
// What remote clients see while it happens: measurements, alarms and images by gRPC, and all of it
// with raw frames by ZeroMQ. One object for the server's life; the daemon's control makes it before
// the gRPC server and ends it in this order: stop() this, shut the server down, destroy this.
#pragma once

#include <grpcpp/impl/service_type.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/live/alerts_service.hpp"
#include "server/live/measurements_service.hpp"
#include "server/live/preview_service.hpp"
#include "server/live/publisher.hpp"
#include "server/live/zmq_publisher.hpp"
#include "server/rpc/gate.hpp"

namespace latticed {

struct LiveOptions {
  std::vector<std::string> detectors;  // of the configuration
  ZmqOptions zmq;
  std::size_t zmq_lease_quota = 4;    // frames ZeroMQ may keep, by detector
  std::size_t history_events = 4096;  // by detector
  std::size_t sink_quota = 16;        // frames that may wait for the publisher, by detector
  QueueLimits subscriber;             // what may wait for one subscriber
  std::size_t alerts_kept = 10000;
  int nice = 0;           // of the publisher's and the alerts' thread
  int preview_nice = 10;  // of the preview's, as the pipeline's
};

class Live {
 public:
  struct Parts {
    const rpc::Stamper* stamper = nullptr;  // outlive this, as the gate
    const rpc::Gate* gate = nullptr;
    std::function<HolderLogs()> holders;  // asked now and then, on threads of ours; may be none
    RulesControl* rules = nullptr;        // outlives this; may be none
  };
  /// Its threads run and ZeroMQ is bound. Error: an endpoint that is busy, or none.
  static Result<std::unique_ptr<Live>> start(LiveOptions options, const Parts& parts);
  /// No run is on and no gRPC server serves it.
  ~Live();

  /// Frames of one detector that may be in the hands of all this at once, at the worst: slots the
  /// detector has not meanwhile. A line wants as many more.
  [[nodiscard]] static std::size_t frames_held(const LiveOptions& options) noexcept;

  /// For one run of a detector of the options: alarms, publisher, preview. They keep what they need
  /// alive. Destroying them waits for the frames ZeroMQ has.
  std::vector<std::unique_ptr<Sink>> make_sinks(const std::string& detector);
  /// After the run's lines have ended, also when it never started; before the next is made.
  /// `ended` as in RunEnds; totals of lines that are there, else what the publisher saw.
  Result<void> run_ended(const std::string& ended, const std::vector<RunTotals>& totals = {});
  /// No frame of a finished run is held any more: what ZeroMQ still has after half the time is
  /// taken back by a new socket. Before the run's lines are destroyed.
  Result<void> drain(std::chrono::milliseconds timeout);

  /// For the gRPC server's builder; ours.
  [[nodiscard]] std::vector<grpc::Service*> services();
  [[nodiscard]] AlertBook& alerts() noexcept { return *book_; }
  /// Every subscriber and every ZeroMQ topic.
  [[nodiscard]] std::vector<v1::Edge> counters() const;
  /// Where ZeroMQ is really bound; empty without.
  [[nodiscard]] const std::string& zmq_endpoint() const noexcept;
  /// The last frame measured in the present or last run.
  [[nodiscard]] std::optional<LastFrame> last_frame(const std::string& detector) const;
  /// See Publisher::last_frames.
  [[nodiscard]] Result<Publisher::LastFrames> last_frames(const std::string& detector,
                                                          std::size_t frames);

  /// Any thread: a holder's state has changed.
  void holder_changed(const std::string& holder, v1::HolderDescription description);
  /// Ends every stream with UNAVAILABLE and takes no more. False: some did not end in time.
  bool stop(std::chrono::milliseconds timeout);

 private:
  Live() = default;

  LiveOptions options_;
  std::function<HolderLogs()> holders_;
  StreamList streams_;
  std::shared_ptr<AlertBook> book_;
  std::shared_ptr<SharedThread> alerts_thread_;
  std::shared_ptr<Publisher> publisher_;
  std::shared_ptr<Preview> preview_;
  std::unique_ptr<MeasurementsService> measurements_service_;
  std::unique_ptr<AlertsService> alerts_service_;
  std::unique_ptr<PreviewService> preview_service_;
};

}  // namespace latticed
