// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/event_stream.hpp"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <array>
#include <utility>

#include "server/live/to_proto.hpp"
#include "server/rpc/refusal.hpp"

namespace latticed {

namespace {

grpc::Status shutting_down() {
  return rpc::to_status(grpc::StatusCode::UNAVAILABLE, "stream: the server is shutting down",
                        "UNAVAILABLE");
}

/// One varint field by itself: appended to a message it counts as part of it.
grpc::Slice field_of(std::uint32_t number, std::uint64_t value) {
  std::array<std::uint8_t, 16> bytes{};
  std::uint8_t* end =
      google::protobuf::io::CodedOutputStream::WriteVarint32ToArray(number << 3, bytes.data());
  end = google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(value, end);
  return {bytes.data(), static_cast<std::size_t>(end - bytes.data())};
}

}  // namespace

std::vector<std::shared_ptr<EventStream>> StreamList::open() const {
  const std::lock_guard lock(mutex_);
  return streams_;
}

std::vector<v1::Edge> StreamList::edges() const {
  std::vector<v1::Edge> out;
  for (const auto& stream : open()) out.push_back(stream->edge());
  return out;
}

bool StreamList::add(std::shared_ptr<EventStream> stream) {
  const std::lock_guard lock(mutex_);
  stream->number_ = ++opened_;  // nobody else has it yet
  streams_.push_back(std::move(stream));
  return !is_stopped_;
}

void StreamList::remove(const EventStream* stream) {
  std::shared_ptr<EventStream> last;  // goes after the lock
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(streams_.begin(), streams_.end(),
                                  [&](const auto& other) { return other.get() == stream; });
  last = std::move(*found);
  streams_.erase(found);
  changed_.notify_all();
}

bool StreamList::stop(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  {
    const std::lock_guard lock(mutex_);
    is_stopped_ = true;
  }
  for (const auto& stream : open()) stream->cut(shutting_down());
  std::unique_lock lock(mutex_);
  const auto is_empty = [this] { return streams_.empty(); };
  if (changed_.wait_until(lock, deadline - timeout / 2, is_empty)) return true;
  const auto left = streams_;
  lock.unlock();
  for (const auto& stream : left) stream->cut_off();
  lock.lock();
  return changed_.wait_until(lock, deadline, is_empty);
}

std::shared_ptr<EventStream> EventStream::open(grpc::CallbackServerContext& call, Options options,
                                               StreamList& list) {
  options.name += " " + call.peer();
  std::shared_ptr<EventStream> stream(new EventStream(call, std::move(options), list));
  if (!list.add(stream)) stream->cut(shutting_down());
  return stream;
}

void EventStream::accept() {
  {
    const std::lock_guard lock(mutex_);
    if (is_busy_ || has_finished_) return;
    is_busy_ = true;
  }
  StartSendInitialMetadata();
}

void EventStream::push(EventRef event) {
  queue_.push(std::move(event));
  advance();
}

void EventStream::preload(std::vector<EventRef> events) {
  queue_.preload(std::move(events));
  advance();  // the initial metadata may have gone already: nobody else would begin
}

void EventStream::end(grpc::Status status) {
  {
    const std::lock_guard lock(mutex_);
    if (!end_) end_ = std::move(status);
  }
  advance();
}

void EventStream::cut(grpc::Status status) {
  queue_.close();
  end(std::move(status));
}

void EventStream::cut_off() {
  const std::lock_guard lock(call_mutex_);
  if (call_) call_->TryCancel();
}

bool EventStream::is_idle() const {
  const std::lock_guard lock(mutex_);
  return !is_busy_ && !has_finished_ && queue_.is_empty();
}

bool EventStream::is_over() const {
  const std::lock_guard lock(mutex_);
  return end_.has_value();
}

grpc::ByteBuffer EventStream::message_of(const EventQueue::Taken& taken) const {
  const std::uint64_t skipped =
      options_.skipped == Skipped::so_far ? taken.skipped_so_far : taken.skipped_of_late;
  if (skipped == 0) return {&taken.event->body, 1};
  const std::array<grpc::Slice, 2> parts{taken.event->body,
                                         field_of(options_.skipped_field, skipped)};
  return {parts.data(), parts.size()};
}

// gRPC has one operation of ours at a time, and Finish is the last: so nothing is started on a call
// that is gone. Nothing of gRPC's is called under the mutex.
void EventStream::advance() {
  std::optional<grpc::Status> finish;
  {
    const std::lock_guard lock(mutex_);
    if (is_busy_ || has_finished_) return;
    if (const auto taken = queue_.take()) {
      outgoing_ = message_of(*taken);
      is_busy_ = true;
    } else if (end_) {
      has_finished_ = true;
      finish = *end_;
    } else {
      return;
    }
  }
  if (finish)
    Finish(*finish);
  else
    StartWrite(&outgoing_);
}

void EventStream::operation_done(bool ok) {
  {
    const std::lock_guard lock(mutex_);
    is_busy_ = false;
  }
  if (ok)
    advance();
  else
    cut({grpc::StatusCode::CANCELLED, "the client has gone"});
}

void EventStream::OnSendInitialMetadataDone(bool ok) { operation_done(ok); }

void EventStream::OnWriteDone(bool ok) { operation_done(ok); }

void EventStream::OnCancel() { cut({grpc::StatusCode::CANCELLED, "the client has gone"}); }

void EventStream::OnDone() {
  {
    const std::lock_guard lock(call_mutex_);
    call_ = nullptr;
  }
  list_.remove(this);  // may be the last share: nothing of ours after this
}

v1::Edge EventStream::edge() const {
  const EventQueue::Counters counters = queue_.counters();
  v1::Edge edge;
  edge.set_detector(options_.detector);
  edge.set_name(options_.name + " #" + std::to_string(number_));
  edge.set_policy(options_.policy);
  fill(edge, counters);
  return edge;
}

grpc::ServerWriteReactor<grpc::ByteBuffer>* refuse_stream(const grpc::Status& status) {
  class Refused final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
   public:
    explicit Refused(const grpc::Status& why) { Finish(why); }
    void OnDone() override { delete this; }
  };
  return new Refused(status);
}

}  // namespace latticed
