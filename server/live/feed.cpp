// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/feed.hpp"

#include <latticed/v1/measurements.pb.h>

#include <algorithm>
#include <utility>

#include "server/live/to_proto.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

// The alert sink has the frame as long as we have and does next to nothing with it.
constexpr auto kPatienceForAlerts = 100ms;

}  // namespace

std::vector<std::pair<std::string, HolderState>> states_at(const HolderLogs& holders,
                                                           std::int64_t time_ns) {
  std::vector<std::pair<std::string, HolderState>> out;
  for (const auto& log : holders)
    if (const auto state = log->at(time_ns)) out.emplace_back(log->name(), *state);
  return out;
}

template <class Message>
void Feed::publish(Event event, Message& message) {
  event.epoch = run_.epoch;
  parts_.stamper->stamp(*message.mutable_stamp(), run_.epoch);
  message.set_detector(parts_.detector);
  event.body = slice_of(message.SerializeAsString());
  const bool is_begin = event.kind == LiveEventKind::run_begins;
  const auto shared = std::make_shared<const Event>(std::move(event));
  if (is_begin)
    history_.begin(shared);
  else
    history_.add(shared);
  parts_.emit(shared);
}

void Feed::begin(const RunInfo& run) {
  run_ = run;
  is_running_ = true;
  next_seq_ = run.first_seq;
  measured_ = lost_ = 0;
  pending_.clear();
  {
    const std::lock_guard lock(mutex_);
    last_.reset();
  }
  v1::MeasurementEvent message;
  fill(*message.mutable_run_begins(), run);
  publish({.kind = LiveEventKind::run_begins}, message);
}

void Feed::frame(const Frame& frame, const HolderLogs& holders) {
  if (frame.seq > next_seq_) {
    const auto missed = std::make_shared<const Event>(Event{
        LiveEventKind::missed, run_.epoch, next_seq_, frame.seq - next_seq_, false, grpc::Slice()});
    history_.add(missed);
    parts_.emit(missed);
  }
  if (frame.has_pixels()) {
    next_seq_ = frame.seq + 1;
    measured(frame, holders);
    return;
  }
  next_seq_ = frame.seq + frame.header.lost_count;
  lost_ += frame.header.lost_count;
  v1::MeasurementEvent message;
  fill(*message.mutable_lost(), frame);
  publish({.kind = LiveEventKind::lost, .seq = frame.seq, .count = frame.header.lost_count},
          message);
}

void Feed::measured(const Frame& frame, const HolderLogs& holders) {
  ++measured_;
  std::vector<std::uint64_t> ids;
  if (!frame.measurements.alerts.empty())
    ids = parts_.book->ids_of(parts_.detector, frame.epoch, frame.seq, kPatienceForAlerts);
  v1::MeasurementEvent message;
  fill(*message.mutable_measurement(), frame, run_, ids);
  for (const auto& [name, state] : states_at(holders, frame.header.time_ns))
    *message.mutable_measurement()->add_holders() = to_proto(name, state);
  const bool is_news = !frame.measurements.alerts.empty() || frame.change;
  publish({.kind = LiveEventKind::measurement, .seq = frame.seq, .is_news = is_news}, message);
  {
    const std::lock_guard lock(mutex_);
    last_ = LastFrame{frame.epoch, frame.seq, frame.header.time_ns};
  }
  if (holders.empty() || frame.header.time_ns == kUnknownTime) return;
  pending_.push_back({frame.seq, frame.header.time_ns});
  if (pending_.size() > parts_.pending_frames) {
    update(pending_.front(), holders);
    pending_.pop_front();
  }
  settle(holders);
}

void Feed::update(const Pending& pending, const HolderLogs& holders) {
  v1::MeasurementEvent message;
  v1::HolderUpdate& update = *message.mutable_holder_update();
  update.set_seq(pending.seq);
  update.set_time_ns(pending.time_ns);
  for (const auto& [name, state] : states_at(holders, pending.time_ns))
    *update.add_holders() = to_proto(name, state);
  publish({.kind = LiveEventKind::holder_update, .seq = pending.seq}, message);
}

void Feed::settle(const HolderLogs& holders) {
  const auto is_final = [&](const auto& log) { return log->is_final_at(pending_.front().time_ns); };
  while (!pending_.empty() && std::all_of(holders.begin(), holders.end(), is_final)) {
    update(pending_.front(), holders);
    pending_.pop_front();
  }
}

void Feed::end(const std::string& ended, const HolderLogs& holders) {
  if (!std::exchange(is_running_, false)) return;
  settle(holders);
  for (const Pending& pending : std::exchange(pending_, {})) update(pending, holders);
  v1::MeasurementEvent message;
  v1::RunEnds& ends = *message.mutable_run_ends();
  ends.set_measured(measured_);
  ends.set_lost(lost_);
  ends.set_ended(ended);
  publish({.kind = LiveEventKind::run_ends}, message);
}

std::optional<LastFrame> Feed::last() const {
  const std::lock_guard lock(mutex_);
  return last_;
}

}  // namespace latticed
