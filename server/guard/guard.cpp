// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/guard.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

namespace latticed {
namespace {

Worker::Open opener_of(const GuardedHolder& holder) {
  return [options = holder.simulator]() -> Result<std::unique_ptr<Holder>> {
    auto opened = SimHolder::open(options);
    if (!opened) return opened.error();
    return Result<std::unique_ptr<Holder>>(std::move(*opened));
  };
}

}  // namespace

Result<std::unique_ptr<Guard>> Guard::start(const GuardConfig& config) {
  std::vector<Worker::Open> open;
  for (const GuardedHolder& holder : config.holders) open.push_back(opener_of(holder));
  return start(config, std::move(open));
}

Result<std::unique_ptr<Guard>> Guard::start(const GuardConfig& config,
                                            std::vector<Worker::Open> open) {
  std::unique_ptr<Guard> guard(new Guard);
  Guard& self = *guard;
  auto audit = Audit::open(config.audit, self.wake_);
  if (!audit) return audit.error();
  self.audit_ = std::move(*audit);
  for (const GuardedHolder& holder : config.holders)
    self.channels_.push_back(std::make_shared<Channel>(holder.name, holder.policy));
  Control::Options options;
  options.heartbeat_timeout =
      std::chrono::milliseconds(config.heartbeat_ms * config.missed_heartbeats);
  options.driver_patience = std::chrono::milliseconds(config.driver_patience_ms);
  self.control_ =
      std::make_unique<Control>(self.channels_, options, [&self] { self.wake_.ring(); });
  // The sockets first: a second guard must not come near the devices.
  auto server =
      GuardServer::start(config.socket, *self.control_, self.channels_, *self.audit_, self.wake_);
  if (!server) return server.error();
  self.server_ = std::move(*server);
  auto safe_off = SafeOffServer::start(
      config.safe_off_socket, *self.control_, self.channels_, [&self](const char* what) {
        self.audit_->append(fmt::format("{{\"event\":\"safe_off\",\"how\":\"{}\"}}", what));
      });
  if (!safe_off) return safe_off.error();
  self.safe_off_ = std::move(*safe_off);
  self.audit_->append("{\"event\":\"start\"}");
  self.control_->start();
  for (std::size_t i = 0; i < self.channels_.size(); ++i) {
    self.workers_.push_back(std::make_unique<Worker>(
        self.channels_[i], std::move(open[i]),
        Worker::Wakes{[&self] { self.control_->wake(); }, [&self] { self.wake_.ring(); }}));
  }
  return guard;
}

Guard::~Guard() { shut_down(std::chrono::milliseconds(0)); }

bool Guard::is_energised() const {
  return std::any_of(channels_.begin(), channels_.end(),
                     [](const auto& channel) { return channel->is_energised.load(); });
}

void Guard::shut_down(std::chrono::milliseconds patience) {
  if (std::exchange(is_over_, true)) return;
  if (!control_ || workers_.empty()) return;
  const auto deadline = Control::Clock::now() + patience;
  const std::uint64_t safe = control_->demand_safe();
  const auto is_pending = [&] { return !control_->is_issued(safe, 0) || is_energised(); };
  while (is_pending() && Control::Clock::now() < deadline) poll(nullptr, 0, 5);
  audit_->append("{\"event\":\"end\"}");
  safe_off_.reset();
  server_.reset();
  for (const auto& worker : workers_) worker->stop(std::chrono::milliseconds(500));
  control_->stop();
}

}  // namespace latticed
