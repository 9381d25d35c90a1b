// SPDX-License-Identifier: GPL-3.0-or-later
// The last answers by request id: a call that comes again gets the first one's answer and does
// nothing. Any thread.
#pragma once

#include <google/protobuf/message_lite.h>
#include <grpcpp/support/status.h>

#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include "server/rpc/refusal.hpp"

namespace latticed {

class Answers {
 public:
  explicit Answers(std::size_t kept = 256) : kept_(kept) {}

  /// Answers as the first time, or does `task`, which fills `reply`. Without an id it is always
  /// done. Calls with the same id that come at once must be the caller's to keep apart.
  template <class Task>
  grpc::Status once(const std::string& request_id, google::protobuf::MessageLite& reply,
                    const Task& task) {
    if (request_id.empty()) return task();
    if (grpc::Status wrong = rpc::check_request_id(request_id); !wrong.ok()) return wrong;
    {
      const std::lock_guard lock(mutex_);
      for (const Answer& answer : answers_) {
        if (answer.request_id != request_id) continue;
        if (answer.status.ok()) reply.ParseFromString(answer.reply);
        return answer.status;
      }
    }
    const grpc::Status status = task();
    const std::lock_guard lock(mutex_);
    answers_.push_back({request_id, status, reply.SerializeAsString()});
    if (answers_.size() > kept_) answers_.pop_front();
    return status;
  }

 private:
  struct Answer {
    std::string request_id;
    grpc::Status status;
    std::string reply;
  };
  const std::size_t kept_;
  std::mutex mutex_;  // guards answers_
  std::deque<Answer> answers_;
};

}  // namespace latticed
