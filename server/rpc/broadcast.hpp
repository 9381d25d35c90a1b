// SPDX-License-Identifier: GPL-3.0-or-later
// One source of small messages, many gRPC streams that get them: each with a bounded queue of its
// own, so that a client that does not read changes nothing but its own stream, which then misses
// the oldest. For states and samples; frames' measurements have server/live.
#pragma once

#include <grpcpp/support/server_callback.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <utility>
#include <vector>

namespace latticed::rpc {

template <class Message>
class Broadcast {
 public:
  /// What a stream makes of a message: false = it does not want it. `skipped`: messages it has
  /// missed so far. Called by whoever publishes, one at a time for each stream.
  using Shape = std::function<bool(Message& message, std::uint64_t skipped)>;

  explicit Broadcast(std::size_t queue_messages = 256) : limit_(queue_messages) {}
  Broadcast(const Broadcast&) = delete;
  Broadcast& operator=(const Broadcast&) = delete;

  /// A new stream that begins with `first`. gRPC owns it; it must end before this does.
  grpc::ServerWriteReactor<Message>* open(std::vector<Message> first, Shape shape = {}) {
    auto* stream = new Stream(*this, std::move(shape));
    {
      const std::lock_guard lock(mutex_);
      if (!is_closed_) {
        streams_.push_back(stream);
        for (Message& message : first) stream->push(message);
        return stream;
      }
    }
    stream->close(end_);
    return stream;
  }

  /// Any thread; never waits for a client.
  void publish(const Message& message) {
    const std::lock_guard lock(mutex_);
    for (Stream* stream : streams_) stream->push(message);
  }

  /// All streams end with `status`, and every later one at once.
  void close(const grpc::Status& status) {
    const std::lock_guard lock(mutex_);
    is_closed_ = true;
    end_ = status;
    for (Stream* stream : streams_) stream->close(status);
  }

 private:
  class Stream final : public grpc::ServerWriteReactor<Message> {
   public:
    Stream(Broadcast& owner, Shape shape) : owner_(owner), shape_(std::move(shape)) {}

    void push(const Message& message) {
      const std::lock_guard lock(mutex_);
      if (is_closing_) return;
      Message own = message;
      if (shape_ && !shape_(own, skipped_)) return;
      if (waiting_.size() >= owner_.limit_) {
        waiting_.pop_front();
        ++skipped_;
      }
      waiting_.push_back(std::move(own));
      go_on();
    }
    void close(const grpc::Status& status) {
      const std::lock_guard lock(mutex_);
      end_with(status);
    }

    void OnWriteDone(bool ok) override {
      const std::lock_guard lock(mutex_);
      is_writing_ = false;
      if (!ok) end_with(grpc::Status::CANCELLED);
      go_on();
    }
    void OnCancel() override { close(grpc::Status::CANCELLED); }
    void OnDone() override {
      owner_.forget(this);
      delete this;
    }

   private:
    void end_with(const grpc::Status& status) {
      if (!is_closing_) status_ = status;
      is_closing_ = true;
      waiting_.clear();
      go_on();
    }
    /// Nothing may be started after Finish, and one write is on its way at a time. gRPC calls back
    /// on its own threads, never from inside these calls.
    void go_on() {
      if (is_writing_ || is_finished_) return;
      if (is_closing_) {
        is_finished_ = true;
        this->Finish(status_);
      } else if (!waiting_.empty()) {
        current_ = std::move(waiting_.front());
        waiting_.pop_front();
        is_writing_ = true;
        this->StartWrite(&current_);
      }
    }

    Broadcast& owner_;
    const Shape shape_;
    std::mutex mutex_;  // guards all below
    std::deque<Message> waiting_;
    Message current_;
    std::uint64_t skipped_ = 0;
    bool is_writing_ = false, is_closing_ = false, is_finished_ = false;
    grpc::Status status_;
  };

  void forget(Stream* stream) {
    const std::lock_guard lock(mutex_);
    streams_.erase(std::remove(streams_.begin(), streams_.end(), stream), streams_.end());
  }

  const std::size_t limit_;
  std::mutex mutex_;  // guards what follows; taken before a stream's
  std::vector<Stream*> streams_;
  bool is_closed_ = false;
  grpc::Status end_;
};

/// A stream that ends at once: the call was refused.
template <class Message>
grpc::ServerWriteReactor<Message>* refused_stream(const grpc::Status& status) {
  class Refused final : public grpc::ServerWriteReactor<Message> {
   public:
    explicit Refused(const grpc::Status& why) { this->Finish(why); }
    void OnDone() override { delete this; }
  };
  return new Refused(status);
}

}  // namespace latticed::rpc
