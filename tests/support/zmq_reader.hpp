// SPDX-License-Identifier: GPL-3.0-or-later
// A ZeroMQ subscriber for tests, on a real socket.
#pragma once

#include <zmq.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/deadline.hpp"

namespace latticed::test {

class ZmqReader {
 public:
  explicit ZmqReader(const std::string& endpoint, int receive_mark = 0) {
    set(ZMQ_LINGER, 0);
    set(ZMQ_RCVHWM, receive_mark);
    set(ZMQ_RECONNECT_IVL, 5);
    if (receive_mark > 0) set(ZMQ_RCVBUF, 65536);
    zmq_connect(socket_, endpoint.c_str());
  }
  ~ZmqReader() {
    zmq_close(socket_);
    zmq_ctx_term(context_);
  }
  ZmqReader(const ZmqReader&) = delete;
  ZmqReader& operator=(const ZmqReader&) = delete;

  void subscribe(const std::string& prefix) {
    zmq_setsockopt(socket_, ZMQ_SUBSCRIBE, prefix.data(), prefix.size());
  }
  void unsubscribe(const std::string& prefix) {
    zmq_setsockopt(socket_, ZMQ_UNSUBSCRIBE, prefix.data(), prefix.size());
  }

  /// topic, header, body; nothing within `limit`.
  std::optional<std::vector<std::string>> read(std::chrono::milliseconds limit = kPatience) {
    set(ZMQ_RCVTIMEO, static_cast<int>(limit.count()));
    std::vector<std::string> parts;
    int more = 1;
    while (more != 0) {
      zmq_msg_t message;
      zmq_msg_init(&message);
      if (zmq_msg_recv(&message, socket_, 0) < 0) {
        zmq_msg_close(&message);
        return std::nullopt;
      }
      parts.emplace_back(static_cast<const char*>(zmq_msg_data(&message)), zmq_msg_size(&message));
      more = zmq_msg_more(&message);
      zmq_msg_close(&message);
    }
    return parts;
  }

 private:
  void set(int option, int value) { zmq_setsockopt(socket_, option, &value, sizeof(value)); }
  void* context_ = zmq_ctx_new();
  void* socket_ = zmq_socket(context_, ZMQ_SUB);
};

}  // namespace latticed::test
