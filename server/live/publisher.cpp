// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/publisher.hpp"

#include <latticed/v1/frame.pb.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
#include <future>
#include <utility>

#include "server/live/to_proto.hpp"
#include "server/rpc/refusal.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr auto kTick = 50ms;  // holder batches, new subscriptions of ZeroMQ: 20 a second
constexpr auto kPatience = 5s;
constexpr std::size_t kPostLimit = 1024;
constexpr std::size_t kSamplesPerBatch = 4096;

/// How many of first .. first+count-1 are multiples of n.
std::uint64_t multiples(std::uint64_t first, std::uint64_t count, std::uint64_t n) {
  if (count == 0) return 0;
  const std::uint64_t last = first + count - 1;
  return last / n - (first == 0 ? 0 : (first - 1) / n) + (first == 0 ? 1 : 0);
}

std::string_view bytes_of(const grpc::Slice& slice) {
  return {reinterpret_cast<const char*>(slice.begin()), slice.size()};
}

}  // namespace

/// A detector's frames in one run, on the publisher's thread.
class PublishSink final : public Sink {
 public:
  PublishSink(std::shared_ptr<Publisher> publisher, Feed& feed)
      : publisher_(std::move(publisher)),
        feed_(feed),
        loans_(std::make_shared<FrameLoans>(publisher_->options_.zmq_lease_quota)) {
    const std::lock_guard lock(publisher_->mutex_);
    std::erase_if(publisher_->loans_, [](const auto& loans) { return loans.expired(); });
    publisher_->loans_.push_back(loans_);
  }
  // The run's pools go after us, so everything that is lent must be home.
  ~PublishSink() override {
    if (loans_->out() == 0) return;
    const auto ok = publisher_->reopen_zmq();
    if (loans_->wait_until_home(kPatience)) return;
    spdlog::critical("frames lent to ZeroMQ did not come back{}{}", ok ? "" : ": ",
                     ok ? "" : ok.error().message);
    std::abort();  // they point into memory that is about to go
  }

  [[nodiscard]] std::string_view name() const noexcept override { return "publish"; }
  [[nodiscard]] SinkOptions options() const noexcept override {
    return {LossPolicy::drop_oldest, publisher_->options_.sink_quota};
  }
  [[nodiscard]] std::shared_ptr<SharedThread> thread() const override {
    return publisher_->thread_;
  }
  Result<void> begin(const RunInfo& run) override {
    return publisher_->run_there("the run's begin", [&feed = feed_, run] { feed.begin(run); });
  }
  void consume(const FrameLease& frame) override { publisher_->consume(feed_, frame, loans_); }
  Result<void> finish() override {
    feed_.settle(publisher_->holders_);
    return {};
  }

 private:
  const std::shared_ptr<Publisher> publisher_;
  Feed& feed_;
  const std::shared_ptr<FrameLoans> loans_;
};

bool Publisher::MeasurementWatch::wants(const Event& event, const std::string& detector) const {
  if (!wanted.detector().empty() && wanted.detector() != detector) return false;
  if (!is_about_frames(event)) return true;
  const bool is_before =
      wanted.has_from_seq() && event.epoch == from_epoch && last_seq_of(event) < wanted.from_seq();
  if (is_before) return false;
  if (event.kind == LiveEventKind::holder_update && !wanted.holder_updates()) return false;
  if (event.kind == LiveEventKind::lost || event.kind == LiveEventKind::missed) return true;
  return event.is_news || wanted.decimation() < 2 || event.seq % wanted.decimation() == 0;
}

std::uint64_t Publisher::MeasurementWatch::count_missed(const Event& missed) const {
  return multiples(missed.seq, missed.count, std::max(1u, wanted.decimation()));
}

void Publisher::MeasurementWatch::push(const EventRef& event, const std::string& detector) const {
  if (!wants(*event, detector)) return;
  if (event->kind == LiveEventKind::missed)
    stream->add_missed(count_missed(*event));
  else
    stream->push(event);
}

Publisher::Publisher(PublisherOptions options, Parts parts)
    : options_(std::move(options)),
      stamper_(*parts.stamper),
      book_(std::move(parts.book)),
      holders_now_(std::move(parts.holders)),
      zmq_(std::move(parts.zmq)) {
  for (const std::string& detector : options_.detectors) {
    Feed::Parts feed;
    feed.detector = detector;
    feed.stamper = &stamper_;
    feed.book = book_;
    feed.history_events = options_.history_events;
    feed.emit = [this, detector](const EventRef& event) { emit(event, detector); };
    feeds_.emplace(detector, std::make_unique<Feed>(std::move(feed)));
  }
  refresh_holders();
  thread_ = std::make_shared<SharedThread>(
      ThreadOptions{"latd-publish", options_.nice},
      [this](std::chrono::nanoseconds now) { return tick(now); }, kPostLimit);
}

Publisher::~Publisher() = default;

std::unique_ptr<Sink> Publisher::make_sink(const std::shared_ptr<Publisher>& publisher,
                                           const std::string& detector) {
  return std::make_unique<PublishSink>(publisher, *publisher->feed_of(detector));
}

Feed* Publisher::feed_of(const std::string& detector) const {
  const auto found = feeds_.find(detector);
  return found == feeds_.end() ? nullptr : found->second.get();
}

Result<void> Publisher::run_there(const char* what, std::function<void()> task) {
  // Shared: the task may come to be run after we have given up.
  const auto done = std::make_shared<std::promise<void>>();
  const auto is_done = done->get_future();
  const bool is_posted = thread_->post([task = std::move(task), done] {
    task();
    done->set_value();
  });
  if (!is_posted || is_done.wait_for(kPatience) != std::future_status::ready)
    return Error{ErrorCode::unavailable,
                 std::string("publisher: no time for ") + what + " within 5 s"};
  return {};
}

bool Publisher::subscribe(std::shared_ptr<EventStream> stream,
                          const v1::WatchMeasurementsRequest& wanted) {
  return thread_->post([this, stream = std::move(stream), wanted]() mutable {
    add(MeasurementWatch{std::move(stream), wanted, 0});
  });
}

bool Publisher::subscribe(std::shared_ptr<EventStream> stream,
                          const v1::WatchAlertsRequest& wanted) {
  return thread_->post(
      [this, stream = std::move(stream), wanted]() mutable { add(std::move(stream), wanted); });
}

void Publisher::add(MeasurementWatch watch) {
  const auto& wanted = watch.wanted;
  std::vector<EventRef> past;
  if (wanted.has_from_seq()) {
    const Feed& feed =
        wanted.detector().empty() ? *feeds_.begin()->second : *feed_of(wanted.detector());
    const History& history = feed.history();
    watch.from_epoch = history.epoch();
    if (!history.reaches(wanted.from_seq())) {
      watch.stream->cut(rpc::to_status(rpc::Refusal{
          {ErrorCode::out_of_range,
           feed.detector() + " from frame " + std::to_string(wanted.from_seq()) +
               ": the history begins with frame " + std::to_string(history.oldest_seq())},
          "HISTORY_GONE",
          {{"oldest", std::to_string(history.oldest_seq())}}}));
      return;
    }
    for (const EventRef& event : history.from(wanted.from_seq())) {
      if (!watch.wants(*event, feed.detector())) continue;
      if (event->kind == LiveEventKind::missed)
        watch.stream->add_missed(watch.count_missed(*event));
      else
        past.push_back(event);
    }
  }
  watch.stream->accept();
  watch.stream->preload(std::move(past));
  measurement_watches_.push_back(std::move(watch));
}

EventRef Publisher::alert_event(const v1::Alert& alert, const std::string& what) const {
  v1::AlertEvent message;
  stamper_.stamp(*message.mutable_stamp(), alert.epoch());
  *message.mutable_alert() = alert;
  message.set_what(what);
  auto event = std::make_shared<Event>();
  event->epoch = alert.epoch();
  event->body = slice_of(message.SerializeAsString());
  return event;
}

void Publisher::add(std::shared_ptr<EventStream> stream, const v1::WatchAlertsRequest& wanted) {
  const AlertBook::Snapshot now = book_->snapshot();
  std::vector<EventRef> past;
  for (const v1::Alert& alert : now.alerts) {
    const bool is_news = wanted.after_id() > 0 && alert.id() > wanted.after_id();
    if (is_news || (wanted.include_active() && alert.active()))
      past.push_back(alert_event(alert, alert.active() ? "stands" : "cleared"));
  }
  stream->accept();
  stream->preload(std::move(past));
  alert_watches_.push_back({std::move(stream), now.last_news});
}

void Publisher::emit(const EventRef& event, const std::string& detector) {
  std::erase_if(measurement_watches_, [](const auto& watch) { return watch.stream->is_over(); });
  for (const MeasurementWatch& watch : measurement_watches_) watch.push(event, detector);
  if (event->kind != LiveEventKind::missed)
    send("measurement." + detector + "/", event->epoch, bytes_of(event->body));
}

void Publisher::send(const std::string& topic, std::uint32_t epoch, std::string_view body) {
  const std::uint64_t counter = zmq_->next_counter(topic);
  if (!zmq_->is_wanted(topic)) return;
  v1::MessageHeader header;
  stamper_.stamp(*header.mutable_stamp(), epoch);
  header.set_counter(counter);
  zmq_->send(topic, header.SerializeAsString(), body);
}

void Publisher::consume(Feed& feed, const FrameLease& frame,
                        const std::shared_ptr<FrameLoans>& loans) {
  zmq_->poll();
  publish_alerts();
  if (frame->has_pixels()) publish_frame(feed, frame, loans);
  feed.frame(*frame, holders_);
}

void Publisher::publish_frame(const Feed& feed, const FrameLease& frame,
                              const std::shared_ptr<FrameLoans>& loans) {
  const std::string topic = "frame." + feed.detector() + "/";
  const std::uint64_t counter = zmq_->next_counter(topic);
  if (!zmq_->is_wanted(topic)) return;
  v1::FrameHeader header;
  stamper_.stamp(*header.mutable_stamp(), frame->epoch);
  header.set_counter(counter);
  fill(header, *frame, feed.run());
  header.set_detector(feed.detector());
  for (const auto& [name, state] : states_at(holders_, frame->header.time_ns))
    *header.add_holders() = to_proto(name, state);
  zmq_->send_frame(topic, header.SerializeAsString(), frame, loans);
}

void Publisher::publish_alerts() {
  const auto all_news = book_->take_news();
  if (all_news.empty()) return;
  std::erase_if(alert_watches_, [](const auto& watch) { return watch.stream->is_over(); });
  for (const AlertNews& news : all_news) {
    const EventRef event = alert_event(news.alert, news.what);
    for (AlertWatch& watch : alert_watches_) {
      if (news.number <= watch.last_news) continue;
      watch.stream->add_missed(news.number - watch.last_news - 1);
      watch.last_news = news.number;
      watch.stream->push(event);
    }
    send("alert/", event->epoch, bytes_of(event->body));
  }
}

void Publisher::publish_holder(const std::string& name, v1::HolderEvent& event) {
  stamper_.stamp(*event.mutable_stamp());
  event.set_holder(name);
  send("holder." + name + "/", event.stamp().epoch(), event.SerializeAsString());
}

void Publisher::publish_holders() {
  for (const auto& log : holders_) {
    auto [progress, is_new] = holder_progress_.try_emplace(log->name());
    std::uint64_t& next = progress->second.next;
    if (is_new || !zmq_->is_wanted("holder." + log->name() + "/")) {
      next = log->count();
      continue;
    }
    const HolderLog::Batch batch = log->read(next, kSamplesPerBatch);
    if (batch.samples.empty()) continue;
    v1::HolderEvent event;
    event.set_skipped(batch.first - next);
    for (const HolderSample& sample : batch.samples) *event.add_samples() = to_proto(sample);
    next = batch.first + batch.samples.size();
    publish_holder(log->name(), event);
  }
}

void Publisher::refresh_holders() {
  if (holders_now_) holders_ = holders_now_();
}

std::chrono::nanoseconds Publisher::tick(std::chrono::nanoseconds now) {
  zmq_->poll();
  refresh_holders();
  publish_alerts();
  publish_holders();
  for (const auto& [name, feed] : feeds_) feed->settle(holders_);
  std::erase_if(measurement_watches_, [](const auto& watch) { return watch.stream->is_over(); });
  std::erase_if(alert_watches_, [](const auto& watch) { return watch.stream->is_over(); });
  return now + kTick;
}

Result<void> Publisher::run_ended(const std::string& ended, const std::vector<RunTotals>& totals) {
  return run_there("the run's end", [this, ended, totals] {
    publish_alerts();
    for (const auto& [name, feed] : feeds_) {
      const auto total = std::find_if(totals.begin(), totals.end(),
                                      [&](const auto& t) { return t.detector == name; });
      if (total != totals.end()) feed->set_totals(total->measured, total->lost);
      feed->end(ended, holders_);
    }
  });
}

void Publisher::holder_changed(const std::string& holder, v1::HolderDescription description) {
  // A change that finds no room is no loss: the next one, or a Read, says how it is.
  (void)thread_->post([this, holder, description = std::move(description)] {
    v1::HolderEvent event;
    *event.mutable_changed() = description;
    publish_holder(holder, event);
  });
}

void Publisher::alerts_changed() {
  // Without room the tick does it.
  (void)thread_->post([this] { publish_alerts(); });
}

Result<void> Publisher::reopen_zmq() {
  auto outcome = std::make_shared<Result<void>>();
  auto ok = run_there("a new ZeroMQ socket", [this, outcome] { *outcome = zmq_->reopen(); });
  return ok ? *outcome : ok;
}

std::optional<LastFrame> Publisher::last(const std::string& detector) const {
  const Feed* feed = feed_of(detector);
  return feed ? feed->last() : std::nullopt;
}

Result<Publisher::LastFrames> Publisher::last_frames(const std::string& detector,
                                                     std::size_t frames) {
  const Feed* feed = feed_of(detector);
  if (!feed) return Error{ErrorCode::not_found, "there is no detector \"" + detector + "\""};
  // Shared: the thread may come to it after we have given up. Events are read here, not there.
  const auto events = std::make_shared<std::vector<EventRef>>();
  if (auto ok = run_there("the last frames", [feed, events] { *events = feed->history().from(0); });
      !ok)
    return ok.error();
  LastFrames out;
  std::size_t skip = 0;
  for (const EventRef& event : *events) skip += event->kind == LiveEventKind::measurement ? 1 : 0;
  skip -= std::min(skip, frames);
  v1::MeasurementEvent message;
  for (const EventRef& event : *events) {
    const bool is_frame = event->kind == LiveEventKind::measurement;
    if (is_frame && skip > 0) {
      --skip;
      continue;
    }
    if (!is_frame && event->kind != LiveEventKind::run_begins) continue;
    if (!message.ParseFromArray(event->body.begin(), static_cast<int>(event->body.size())))
      return Error{ErrorCode::internal, "a measurement of the history cannot be read"};
    out.epoch = event->epoch;
    if (is_frame)
      out.measured.push_back(std::move(*message.mutable_measurement()));
    else
      out.run = message.run_begins();
  }
  return out;
}

std::vector<std::shared_ptr<FrameLoans>> Publisher::loans() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::shared_ptr<FrameLoans>> out;
  for (const auto& weak : loans_)
    if (auto loans = weak.lock()) out.push_back(std::move(loans));
  return out;
}

}  // namespace latticed
