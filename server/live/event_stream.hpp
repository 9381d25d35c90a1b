// SPDX-License-Identifier: GPL-3.0-or-later
// One server-streaming call: its queue, and the writes that empty it. Messages come serialised and
// go out as they are; only the count of skipped ones is appended, since a field of a message may
// stand in a piece of bytes of its own. Who pushes never waits: gRPC takes one message at a time
// and says when it wants the next. A client that vanishes frees everything.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>
#include <latticed/v1/acquisition.pb.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/live/event_queue.hpp"

namespace latticed {

class EventStream;

/// The streams that are open, of all services.
class StreamList {
 public:
  [[nodiscard]] std::vector<std::shared_ptr<EventStream>> open() const;
  /// One edge per stream.
  [[nodiscard]] std::vector<v1::Edge> edges() const;
  /// Ends them all with UNAVAILABLE and takes no more. What a client does not take in half the time
  /// is cut off. False: some are still there.
  bool stop(std::chrono::milliseconds timeout);

 private:
  friend class EventStream;
  bool add(std::shared_ptr<EventStream> stream);
  void remove(const EventStream* stream);

  mutable std::mutex mutex_;  // guards all below
  std::condition_variable changed_;
  std::vector<std::shared_ptr<EventStream>> streams_;
  bool is_stopped_ = false;
  std::uint64_t opened_ = 0;
};

class EventStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  enum class Skipped { so_far, since_the_last };  // what the field counts
  struct Options {
    std::string name;      // of its edge: "measurements"
    std::string detector;  // of its edge; empty = all
    std::string policy = "drop_oldest";
    std::uint32_t skipped_field = 15;
    Skipped skipped = Skipped::so_far;
    QueueLimits limits;
  };

  /// A stream for this call. It lives while the call or anybody with a share does.
  static std::shared_ptr<EventStream> open(grpc::CallbackServerContext& call, Options options,
                                           StreamList& list);
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;

  /// The client learns that from here on it misses nothing unsaid: initial metadata. Before the
  /// first push. Any thread, as all below.
  void accept();
  void push(EventRef event);
  void preload(std::vector<EventRef> events);
  void add_missed(std::uint64_t count) { queue_.add_missed(count); }
  /// Ends when what waits has been sent.
  void end(grpc::Status status);
  /// Ends as soon as gRPC lets it; what waits is dropped.
  void cut(grpc::Status status);

  /// Nothing waits and nothing is being written.
  [[nodiscard]] bool is_idle() const;
  /// It ends or has ended: nothing more need be pushed.
  [[nodiscard]] bool is_over() const;
  [[nodiscard]] EventQueue::Counters counters() const { return queue_.counters(); }
  [[nodiscard]] v1::Edge edge() const;

  void OnSendInitialMetadataDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

 private:
  friend class StreamList;
  EventStream(grpc::CallbackServerContext& call, Options options, StreamList& list)
      : options_(std::move(options)), list_(list), queue_(options_.limits), call_(&call) {}
  void advance();
  void operation_done(bool ok);
  void cut_off();
  [[nodiscard]] grpc::ByteBuffer message_of(const EventQueue::Taken& taken) const;

  const Options options_;
  StreamList& list_;
  EventQueue queue_;
  grpc::ByteBuffer outgoing_;  // gRPC's while is_busy_
  mutable std::mutex mutex_;   // guards all below
  std::uint64_t number_ = 0;   // of the stream, for its edge; by the list
  bool is_busy_ = false;       // an operation of gRPC's is under way
  bool has_finished_ = false;
  std::optional<grpc::Status> end_;
  std::mutex call_mutex_;  // guards call_
  grpc::CallbackServerContext* call_;
};

/// A call that is refused at once.
grpc::ServerWriteReactor<grpc::ByteBuffer>* refuse_stream(const grpc::Status& status);

}  // namespace latticed
