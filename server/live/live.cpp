// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/live.hpp"

#include <utility>

#include "server/live/alert_sink.hpp"

namespace latticed {

Result<std::unique_ptr<Live>> Live::start(LiveOptions options, const Parts& parts) {
  auto zmq = ZmqPublisher::open(options.zmq);
  if (!zmq) return zmq.error();
  std::unique_ptr<Live> live(new Live);
  live->options_ = std::move(options);
  const LiveOptions& o = live->options_;
  live->holders_ = parts.holders ? parts.holders : [] { return HolderLogs{}; };
  live->book_ = std::make_shared<AlertBook>(o.alerts_kept, utc_now_ns);
  live->alerts_thread_ = std::make_shared<SharedThread>(ThreadOptions{"latd-alerts", o.nice});
  live->publisher_ = std::make_shared<Publisher>(
      PublisherOptions{o.detectors, o.history_events, o.sink_quota, o.zmq_lease_quota, o.nice},
      Publisher::Parts{parts.stamper, live->book_, live->holders_, std::move(*zmq)});
  live->book_->set_listener([weak = std::weak_ptr(live->publisher_)] {
    if (const auto publisher = weak.lock()) publisher->alerts_changed();
  });
  live->preview_ = std::make_shared<Preview>(o.detectors, *parts.stamper, o.preview_nice);
  live->measurements_service_ = std::make_unique<MeasurementsService>(MeasurementsService::Parts{
      parts.gate, live->publisher_, &live->streams_, o.detectors, o.subscriber});
  live->alerts_service_ = std::make_unique<AlertsService>(AlertsService::Parts{
      parts.gate, parts.stamper, live->publisher_, live->book_, &live->streams_, o.subscriber});
  live->alerts_service_->set_rules_control(parts.rules);
  live->preview_service_ = std::make_unique<PreviewService>(
      PreviewService::Parts{parts.gate, live->preview_, &live->streams_, o.detectors});
  return live;
}

Live::~Live() = default;

std::size_t Live::frames_held(const LiveOptions& options) noexcept {
  constexpr std::size_t kPreview = 2;  // one that waits, and the last one it looked at
  return (AlertSink::kQuota + 1) + (options.sink_quota + 1) + options.zmq_lease_quota + kPreview;
}

std::vector<std::unique_ptr<Sink>> Live::make_sinks(const std::string& detector) {
  std::vector<std::unique_ptr<Sink>> sinks;
  // The alarms first: the publisher asks the book for their numbers.
  sinks.push_back(
      std::make_unique<AlertSink>(AlertSink::Parts{detector, book_, holders_, alerts_thread_}));
  sinks.push_back(Publisher::make_sink(publisher_, detector));
  sinks.push_back(Preview::make_sink(preview_, detector));
  return sinks;
}

Result<void> Live::run_ended(const std::string& ended, const std::vector<RunTotals>& totals) {
  return publisher_->run_ended(ended, totals);
}

Result<void> Live::drain(std::chrono::milliseconds timeout) {
  const auto deadline = steady_now() + timeout;
  const auto are_home = [&](std::chrono::nanoseconds until) {
    for (const auto& loans : publisher_->loans())
      if (!loans->wait_until_home(until - steady_now())) return false;
    return true;
  };
  if (are_home(deadline - timeout / 2)) return {};
  const auto reopened = publisher_->reopen_zmq();
  if (are_home(deadline)) return {};
  if (!reopened) return reopened;
  return Error{ErrorCode::timeout, "frames lent to ZeroMQ: not all came back in " +
                                       std::to_string(timeout.count()) + " ms"};
}

std::vector<grpc::Service*> Live::services() {
  return {measurements_service_.get(), alerts_service_.get(), preview_service_.get()};
}

std::vector<v1::Edge> Live::counters() const {
  std::vector<v1::Edge> out = streams_.edges();
  for (v1::Edge& edge : publisher_->zmq().edges()) out.push_back(std::move(edge));
  return out;
}

const std::string& Live::zmq_endpoint() const noexcept { return publisher_->zmq().endpoint(); }

std::optional<LastFrame> Live::last_frame(const std::string& detector) const {
  return publisher_->last(detector);
}

Result<Publisher::LastFrames> Live::last_frames(const std::string& detector, std::size_t frames) {
  return publisher_->last_frames(detector, frames);
}

void Live::holder_changed(const std::string& holder, v1::HolderDescription description) {
  publisher_->holder_changed(holder, std::move(description));
}

bool Live::stop(std::chrono::milliseconds timeout) { return streams_.stop(timeout); }

}  // namespace latticed
