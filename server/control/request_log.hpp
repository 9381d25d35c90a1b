// SPDX-License-Identifier: GPL-3.0-or-later
// Answers by request id, so that a client that repeats a call because it lost the answer does
// nothing twice. The last 256. Control thread.
#pragma once

#include <grpcpp/support/status.h>

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace latticed {

class RequestLog {
 public:
  struct Outcome {
    grpc::Status status;
    std::string reply;  // serialised; empty unless status is OK
  };
  using Again = std::function<void(const Outcome&)>;

  /// True: it is new; do it and call finish(). False: it was asked before, and `again` gets the
  /// outcome, now or when it is there. `key`: method and id.
  bool begin(const std::string& key, Again again);
  void finish(const std::string& key, Outcome outcome);

 private:
  struct Entry {
    bool is_done = false;
    Outcome outcome;
    std::vector<Again> waiting;
  };
  std::map<std::string, Entry> entries_;
  std::deque<std::string> order_;  // of those that are done
};

}  // namespace latticed
