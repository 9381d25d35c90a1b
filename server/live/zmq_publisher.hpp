// SPDX-License-Identifier: GPL-3.0-or-later
// The ZeroMQ side: topic | header | body as proto/latticed/v1/frame.proto says. An XPUB socket, to
// a subscriber the same as PUB, which tells us what anybody wants: what nobody wants is not even
// made. Every message of a topic has its number, sent or not, so that whoever comes back sees what
// it missed. One thread, but for what is marked.
#pragma once

#include <latticed/v1/acquisition.pb.h>
#include <latticed/v1/types.pb.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/live/frame_loans.hpp"

namespace latticed {

struct ZmqOptions {
  std::vector<std::string> endpoints{"tcp://127.0.0.1:7441"};  // port 0 or *: any; none = no ZeroMQ
  int hwm = 1000;  // messages that may wait for a subscriber; it misses those beyond
  std::chrono::milliseconds linger{200};  // for what is under way at the end
  // A subscriber that takes nothing for so long is cut off: it would keep the frames it waits for.
  std::chrono::milliseconds stalled_after{5000};
};

class ZmqPublisher {
 public:
  /// Binds. Error unavailable names the endpoint that is busy, invalid_argument one that is none.
  static Result<std::unique_ptr<ZmqPublisher>> open(const ZmqOptions& options);
  /// Every lent frame is back when it returns, within the linger.
  ~ZmqPublisher();
  ZmqPublisher(const ZmqPublisher&) = delete;
  ZmqPublisher& operator=(const ZmqPublisher&) = delete;

  /// Where it is really bound, the first one; empty without ZeroMQ. Any thread.
  [[nodiscard]] const std::string& endpoint() const noexcept { return endpoint_; }
  [[nodiscard]] const std::vector<std::string>& endpoints() const noexcept { return bound_; }

  /// Takes note of who wants what, and gives back what was meant for those cut off. Now and then.
  void poll();
  [[nodiscard]] bool is_wanted(std::string_view topic) const;

  /// The number of the topic's next message: call it for every one, also those that are not sent.
  std::uint64_t next_counter(const std::string& topic);
  void send(const std::string& topic, std::string_view header, std::string_view body);
  /// The pixels are not copied; over its quota of loans the frame is not sent, and counted.
  void send_frame(const std::string& topic, std::string_view header, const FrameLease& frame,
                  const std::shared_ptr<FrameLoans>& loans);

  /// Takes back everything that is lent, by a new socket at the same endpoints: subscribers come
  /// back by themselves, and miss what was under way. After an Error poll() tries again.
  Result<void> reopen();

  /// Any thread: an edge per topic.
  [[nodiscard]] std::vector<v1::Edge> edges() const;

 private:
  struct Context;
  struct Socket;
  struct Topic {
    std::uint64_t counter = 0, wanted = 0, sent = 0;
  };
  explicit ZmqPublisher(ZmqOptions options);
  Result<std::unique_ptr<Socket>> bind(const std::vector<std::string>& endpoints,
                                       std::vector<std::string>& bound);
  Result<void> bind_again();
  bool send_part(std::string_view bytes, int flags);

  const ZmqOptions options_;
  std::unique_ptr<Context> context_;  // before the socket: terminated after it
  std::unique_ptr<Socket> socket_;
  std::string endpoint_;
  std::vector<std::string> bound_;
  std::set<std::string, std::less<>> wanted_;  // prefixes
  mutable std::mutex mutex_;                   // guards topics_
  std::map<std::string, Topic> topics_;
};

}  // namespace latticed
