// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/world/link_server.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio.hpp>
#include <csignal>
#include <cstring>

namespace latticed::sim {
namespace {

namespace asio = boost::asio;
using Socket = asio::local::stream_protocol::socket;
using boost::system::error_code;

constexpr std::size_t kLongestLine = 65536;

/// The reply and a descriptor in one message; the client reads both with one recvmsg.
error_code send_with_fd(int socket, const std::string& line, int fd) {
  iovec place{const_cast<char*>(line.data()), line.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &place;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  // Replies go one at a time and are short, so an empty socket buffer always takes one whole.
  const ssize_t sent = sendmsg(socket, &message, MSG_NOSIGNAL);
  if (sent == static_cast<ssize_t>(line.size())) return {};
  return sent < 0 ? error_code(errno, boost::system::system_category())
                  : asio::error::make_error_code(asio::error::no_buffer_space);
}

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(World& world, Socket socket) : world_(world), socket_(std::move(socket)) {}
  ~Connection() { world_.leave(client_); }

  void begin() {
    // A scripted fault closes the link from the detector's thread: hand it over to this one.
    client_.close_link = [weak = weak_from_this(), executor = socket_.get_executor()] {
      asio::post(executor, [weak] {
        if (const auto self = weak.lock()) self->close();
      });
    };
    read();
  }

 private:
  void read() {
    asio::async_read_until(socket_, asio::dynamic_buffer(input_, kLongestLine), '\n',
                           [self = shared_from_this()](error_code error, std::size_t length) {
                             if (!error) self->answer(length);
                           });
  }

  void answer(std::size_t length) {
    World::Reply reply = world_.answer(client_, input_.substr(0, length - 1));
    input_.erase(0, length);
    if (reply.fd >= 0) {
      if (!send_with_fd(socket_.native_handle(), reply.line, reply.fd)) read();
      return;
    }
    output_ = std::move(reply.line);
    asio::async_write(socket_, asio::buffer(output_),
                      [self = shared_from_this()](error_code error, std::size_t) {
                        if (!error) self->read();
                      });
  }

  void close() {
    error_code ignored;  // closing is all that can be done here
    socket_.close(ignored);
  }

  World& world_;
  Socket socket_;
  Client client_;
  std::string input_;
  std::string output_;
};

class AsioLinkServer final : public LinkServer {
 public:
  AsioLinkServer(World& world, std::string path) : world_(world), path_(std::move(path)) {}
  ~AsioLinkServer() override { unlink(path_.c_str()); }

  Result<void> open() {
    const asio::local::stream_protocol::endpoint endpoint(path_);
    error_code error;
    Socket probe(context_);
    probe.connect(endpoint, error);
    if (!error) {
      return Error{ErrorCode::unavailable,
                   fmt::format("listen at {}: another world answers there", path_)};
    }
    unlink(path_.c_str());
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
      return Error{ErrorCode::unavailable, fmt::format("listen at {}: {}", path_, error.message())};
    }
    return {};
  }

  void run() override {
    signals_.async_wait([this](error_code, int) { context_.stop(); });
    accept();
    context_.run();
  }

 private:
  void accept() {
    acceptor_.async_accept([this](error_code error, Socket socket) {
      if (error) return;
      std::make_shared<Connection>(world_, std::move(socket))->begin();
      accept();
    });
  }

  World& world_;
  std::string path_;
  asio::io_context context_{1};
  asio::local::stream_protocol::acceptor acceptor_{context_};
  asio::signal_set signals_{context_, SIGINT, SIGTERM};
};

}  // namespace

Result<std::unique_ptr<LinkServer>> LinkServer::listen(World& world, const std::string& path) {
  if (path.empty() || path.size() > 107) {
    return Error{ErrorCode::invalid_argument,
                 fmt::format("listen at \"{}\": the path must have 1 to 107 characters", path)};
  }
  auto server = std::make_unique<AsioLinkServer>(world, path);
  if (auto opened = server->open(); !opened) return opened.error();
  return Result<std::unique_ptr<LinkServer>>(std::move(server));
}

}  // namespace latticed::sim
