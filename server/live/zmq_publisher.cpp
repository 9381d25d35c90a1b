// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/zmq_publisher.hpp"

#include <zmq.h>

#include <algorithm>
#include <array>
#include <thread>
#include <utility>

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr auto kBindAgainFor = 2s;  // the old socket leaves its port within moments

bool set(void* socket, int option, int value) {
  return zmq_setsockopt(socket, option, &value, sizeof(value)) == 0;
}

/// ZeroMQ wants "*" for any port.
std::string as_zmq_writes(std::string endpoint) {
  if (endpoint.rfind("tcp://", 0) == 0 && endpoint.size() > 2 &&
      endpoint.compare(endpoint.size() - 2, 2, ":0") == 0)
    endpoint.replace(endpoint.size() - 1, 1, "*");
  return endpoint;
}

/// A further endpoint with any port gets the first one's: who knows that one knows all.
std::string with_port_of(const std::string& first, std::string endpoint) {
  const auto port = first.rfind(':');
  const auto host = endpoint.rfind(':');
  if (endpoint.substr(host + 1) != "*" || first.substr(0, port) == endpoint.substr(0, host))
    return endpoint;
  return endpoint.substr(0, host) + first.substr(port);
}

Error error_of(const std::string& endpoint, int error) {
  const bool is_wrong = error == EINVAL || error == EPROTONOSUPPORT || error == ENOCOMPATPROTO;
  const std::string why =
      error == EADDRINUSE ? "the address is in use by another program" : zmq_strerror(error);
  return {is_wrong ? ErrorCode::invalid_argument : ErrorCode::unavailable,
          "ZeroMQ endpoint " + endpoint + ": " + why};
}

}  // namespace

struct ZmqPublisher::Context {
  void* handle = zmq_ctx_new();
  ~Context() { zmq_ctx_term(handle); }
};

struct ZmqPublisher::Socket {
  void* handle = nullptr;
  int linger_ms = 0;
  ~Socket() {
    if (!handle) return;
    set(handle, ZMQ_LINGER, linger_ms);
    zmq_close(handle);
  }
};

ZmqPublisher::ZmqPublisher(ZmqOptions options)
    : options_(std::move(options)), context_(std::make_unique<Context>()) {}

ZmqPublisher::~ZmqPublisher() = default;

Result<std::unique_ptr<ZmqPublisher>> ZmqPublisher::open(const ZmqOptions& options) {
  std::unique_ptr<ZmqPublisher> publisher(new ZmqPublisher(options));
  if (options.endpoints.empty()) return publisher;
  auto socket = publisher->bind(options.endpoints, publisher->bound_);
  if (!socket) return socket.error();
  publisher->socket_ = std::move(*socket);
  publisher->endpoint_ = publisher->bound_.front();
  return publisher;
}

Result<std::unique_ptr<ZmqPublisher::Socket>> ZmqPublisher::bind(
    const std::vector<std::string>& endpoints, std::vector<std::string>& bound) {
  auto socket = std::make_unique<Socket>();
  socket->handle = zmq_socket(context_->handle, ZMQ_XPUB);
  if (!socket->handle) return error_of(endpoints.front(), zmq_errno());
  // Options count only for those that come after they were set. Without the linger, what waits for
  // a subscriber that was cut off would wait for ever.
  const bool is_set =
      set(socket->handle, ZMQ_SNDHWM, options_.hwm) &&
      set(socket->handle, ZMQ_LINGER, static_cast<int>(options_.linger.count())) &&
      set(socket->handle, ZMQ_TCP_MAXRT, static_cast<int>(options_.stalled_after.count()));
  if (!is_set) return error_of(endpoints.front(), zmq_errno());
  bound.clear();
  for (const std::string& endpoint : endpoints) {
    std::string address = as_zmq_writes(endpoint);
    if (!bound.empty()) address = with_port_of(bound.front(), std::move(address));
    if (zmq_bind(socket->handle, address.c_str()) != 0) return error_of(endpoint, zmq_errno());
    std::array<char, 512> name{};
    std::size_t size = name.size();
    if (zmq_getsockopt(socket->handle, ZMQ_LAST_ENDPOINT, name.data(), &size) != 0)
      return error_of(endpoint, zmq_errno());
    bound.emplace_back(name.data());
  }
  socket->linger_ms = static_cast<int>(options_.linger.count());
  return socket;
}

Result<void> ZmqPublisher::bind_again() {
  std::vector<std::string> bound;
  auto socket = bind(bound_, bound);
  if (!socket) return socket.error();
  socket_ = std::move(*socket);
  return {};
}

Result<void> ZmqPublisher::reopen() {
  if (bound_.empty()) return {};
  if (socket_) socket_->linger_ms = 0;
  socket_.reset();
  wanted_.clear();
  const auto deadline = std::chrono::steady_clock::now() + kBindAgainFor;
  while (true) {
    auto ok = bind_again();
    if (ok || std::chrono::steady_clock::now() > deadline) return ok;
    std::this_thread::sleep_for(2ms);
  }
}

void ZmqPublisher::poll() {
  if (!socket_ && (bound_.empty() || !bind_again())) return;
  std::array<char, 256> said{};
  while (true) {
    const int size = zmq_recv(socket_->handle, said.data(), said.size(), ZMQ_DONTWAIT);
    if (size < 1) return;
    // 1 or 0, then the prefix. One longer than any topic of ours matches none.
    const auto length = std::min(static_cast<std::size_t>(size), said.size());
    const std::string prefix(said.data() + 1, length - 1);
    if (said[0] == 1)
      wanted_.insert(prefix);
    else if (said[0] == 0)
      wanted_.erase(prefix);
  }
}

bool ZmqPublisher::is_wanted(std::string_view topic) const {
  return std::any_of(wanted_.begin(), wanted_.end(), [&](const std::string& prefix) {
    return topic.substr(0, prefix.size()) == prefix;
  });
}

std::uint64_t ZmqPublisher::next_counter(const std::string& topic) {
  if (bound_.empty()) return 0;
  const bool wanted = is_wanted(topic);
  const std::lock_guard lock(mutex_);
  Topic& entry = topics_[topic];
  if (wanted) ++entry.wanted;
  return ++entry.counter;
}

bool ZmqPublisher::send_part(std::string_view bytes, int flags) {
  return zmq_send(socket_->handle, bytes.data(), bytes.size(), flags | ZMQ_DONTWAIT) >= 0;
}

void ZmqPublisher::send(const std::string& topic, std::string_view header, std::string_view body) {
  if (!socket_ || !is_wanted(topic)) return;
  const bool is_sent =
      send_part(topic, ZMQ_SNDMORE) && send_part(header, ZMQ_SNDMORE) && send_part(body, 0);
  const std::lock_guard lock(mutex_);
  if (is_sent) ++topics_[topic].sent;
}

void ZmqPublisher::send_frame(const std::string& topic, std::string_view header,
                              const FrameLease& frame, const std::shared_ptr<FrameLoans>& loans) {
  if (!socket_ || !is_wanted(topic)) return;
  if (!loans->has_room()) return;  // a gap in the topic's numbers
  auto loan = std::make_unique<FrameLoan>(frame, loans);
  const auto raw = frame->raw();
  // ZeroMQ only reads: its signature is C's.
  void* const pixels = const_cast<std::byte*>(raw.data());
  zmq_msg_t message;
  const auto give_back = [](void*, void* hint) { delete static_cast<FrameLoan*>(hint); };
  if (zmq_msg_init_data(&message, pixels, raw.size(), give_back, loan.get()) != 0) return;
  (void)loan.release();  // the message's now
  const bool is_sent = send_part(topic, ZMQ_SNDMORE) && send_part(header, ZMQ_SNDMORE) &&
                       zmq_msg_send(&message, socket_->handle, ZMQ_DONTWAIT) >= 0;
  if (!is_sent) zmq_msg_close(&message);
  const std::lock_guard lock(mutex_);
  if (is_sent) ++topics_[topic].sent;
}

std::vector<v1::Edge> ZmqPublisher::edges() const {
  const std::lock_guard lock(mutex_);
  std::vector<v1::Edge> out;
  for (const auto& [topic, counts] : topics_) {
    v1::Edge& edge = out.emplace_back();
    edge.set_name("zmq " + topic);
    edge.set_policy("drop_newest");
    edge.set_in(counts.wanted);
    edge.set_out(counts.sent);
    edge.set_dropped(counts.wanted - counts.sent);
    if (topic.rfind("frame.", 0) == 0)
      edge.set_detector(topic.substr(6, topic.size() - 7));
    else if (topic.rfind("measurement.", 0) == 0)
      edge.set_detector(topic.substr(12, topic.size() - 13));
  }
  return out;
}

}  // namespace latticed
