// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/guard_server.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/guard/wire.hpp"

namespace latticed {
namespace {

using Json = nlohmann::json;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::size_t kMostPending = 256;
constexpr auto kBetweenRampStates = 100ms;
// A daemon that reads this slowly gets no samples; at LineSocket::kMostWaiting it is let go.
constexpr std::size_t kNoSamplesAbove = 4 << 20;
constexpr std::size_t kSamplesALine = 256;

std::string text_of(const Json& line) {
  // Whatever bytes the daemon sent may be quoted in it.
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

/// What people must hear of at once; a ramp's numbers may wait.
bool is_as_discrete(const CoreStatus& a, const CoreStatus& b) {
  return a.state == b.state && a.cause == b.cause && a.trips == b.trips && a.target == b.target &&
         a.is_ramping == b.is_ramping && a.is_holding == b.is_holding &&
         a.present.is_output_on == b.present.is_output_on &&
         a.present.is_heater_on == b.present.is_heater_on;
}

}  // namespace

struct GuardServer::Holding {
  std::shared_ptr<Channel> channel;
  CoreStatus status;
  CoreStatus told;
  Clock::time_point told_at{};
  bool is_news = false;
  std::string armed_by;
  std::uint64_t samples_not_sent = 0;
};

Result<std::unique_ptr<GuardServer>> GuardServer::start(
    const std::string& path, Control& control, std::vector<std::shared_ptr<Channel>> channels,
    Audit& audit, WakeUp& wake) {
  auto listener = listen_at(path);
  if (!listener) return listener.error();
  return std::unique_ptr<GuardServer>(
      new GuardServer(path, std::move(*listener), control, std::move(channels), audit, wake));
}

GuardServer::GuardServer(std::string path, OwnedFd listener, Control& control,
                         std::vector<std::shared_ptr<Channel>> channels, Audit& audit, WakeUp& wake)
    : path_(std::move(path)),
      listener_(std::move(listener)),
      control_(control),
      audit_(audit),
      wake_(wake) {
  for (auto& channel : channels) {
    holdings_.push_back(std::make_unique<Holding>());
    holdings_.back()->channel = std::move(channel);
  }
  thread_ = NamedThread({"latd-guard-io"}, [this] { run(); });
}

GuardServer::~GuardServer() {
  stopping_.store(true);
  wake_.ring();
  thread_.join();
  unlink(path_.c_str());
}

void GuardServer::run() {
  while (!stopping_.load()) {
    const bool is_waiting = std::any_of(holdings_.begin(), holdings_.end(),
                                        [](const auto& holding) { return holding->is_news; });
    const short wanted = daemon_ && daemon_->waiting() > 0 ? POLLIN | POLLOUT : POLLIN;
    pollfd ready[] = {{wake_.fd(), POLLIN, 0},
                      {listener_.get(), POLLIN, 0},
                      {daemon_ ? daemon_->fd() : -1, wanted, 0}};
    poll(ready, 3, is_waiting ? 20 : 1000);
    wake_.clear();
    if (daemon_ && ready[2].revents != 0 && ready[2].fd == daemon_->fd()) {
      const bool is_there = daemon_->receive([this](std::string_view line) { hear(line); });
      if (!is_there || !daemon_->flush()) part("closed");
    }
    // After the old link's end: a daemon that closed it and connects at once is not refused.
    if (ready[1].revents != 0) welcome();
    take_audits();
    take_answers();
    take_status(Clock::now());
    send_samples();
    if (is_parting_) part("does not read");
  }
}

void GuardServer::welcome() {
  OwnedFd fd = accept_one(listener_.get());
  if (!fd.is_open()) return;
  if (daemon_) {
    LineSocket second(std::move(fd));
    second.send(text_of({{"event", "refused"},
                         {"reason", to_string(Refusal::busy)},
                         {"message", "another daemon has the guard"}}));
    note({{"event", "daemon_refused"}});
    return;
  }
  daemon_.emplace(std::move(fd));
  ++link_;
  note({{"event", "daemon_connected"}});
}

/// Its heartbeats end with it: what that means is the control thread's to say.
void GuardServer::part(const char* why) {
  is_parting_ = false;
  if (!daemon_) return;
  daemon_.reset();
  note({{"event", "daemon_gone"}, {"why", why}});
}

void GuardServer::hear(std::string_view line) {
  control_.heartbeat();
  const Json request = Json::parse(line, nullptr, false);
  if (!request.is_object()) {
    tell({{"ok", false},
          {"id", nullptr},
          {"code", to_string(ErrorCode::invalid_argument)},
          {"reason", to_string(Refusal::malformed)},
          {"message", fmt::format("request {:.80}: not a JSON object", line)}});
    return;
  }
  const Json id = request.contains("id") ? request["id"] : Json(nullptr);
  if (request.contains("do") && request["do"] == "heartbeat") return;
  if (request.contains("do") && request["do"] == "list") {
    tell({{"id", id}, {"ok", true}, {"holders", list()}});
    return;
  }
  ask(request, id.dump());
}

void GuardServer::ask(const Json& request, const std::string& id) {
  Pending pending;
  pending.link = link_;
  pending.id = id;
  auto command = wire::command(request);
  if (!command) return refuse(pending, Refusal::malformed, command.error().message);
  pending.command = std::move(*command);
  CoreCommand& core = pending.core;
  core.verb = pending.command.verb;
  core.wanted = pending.command.wanted;
  core.is_somebody = !pending.command.who.empty();
  core.token = pending.command.token;
  core.source = pending.command.source;
  core.temperature_k = pending.command.temperature_k;
  core.rate_per_s = pending.command.rate_per_s;
  pending.is_raising = is_raising(core.verb, core.wanted);
  const bool is_for_all = pending.command.holder.empty() && !pending.is_raising &&
                          core.verb != HolderVerb::set_output &&
                          core.verb != HolderVerb::set_heater;
  if (is_for_all) {
    pending.missing = holdings_.size();
    const std::uint64_t number = next_number_++;
    for (const auto& holding : holdings_) {
      if (!holding->channel->commands.push({number, core})) --pending.missing;
    }
    if (pending.missing == 0) return refuse(pending, Refusal::busy);
    asked_.emplace(number, std::move(pending));
    control_.wake();
    return;
  }
  for (std::size_t i = 0; i < holdings_.size(); ++i) {
    if (holdings_[i]->channel->name == pending.command.holder)
      return ask_one(std::move(pending), i);
  }
  refuse(pending, Refusal::no_such_holder);
}

void GuardServer::ask_one(Pending pending, std::size_t index) {
  pending.holder = index;
  pending.core.lowered_seen = holdings_[index]->channel->lowered.load();
  if (!pending.is_raising) return submit(next_number_++, std::move(pending));
  Json line = wire::command(pending.command);
  line["event"] = "intent";
  const std::uint64_t ticket =
      intended_.size() < kMostPending
          ? audit_.append(line.dump(-1, ' ', false, Json::error_handler_t::replace))
          : 0;
  if (ticket == 0) return refuse(pending, Refusal::busy);
  intended_.emplace(ticket, std::move(pending));
}

void GuardServer::submit(std::uint64_t number, Pending pending) {
  Channel& channel = *holdings_[pending.holder]->channel;
  if (!channel.commands.push({number, pending.core})) return refuse(pending, Refusal::busy);
  asked_.emplace(number, std::move(pending));
  control_.wake();
}

void GuardServer::take_audits() {
  for (const Audit::Done& done : audit_.completed()) {
    const auto found = intended_.find(done.ticket);
    if (found == intended_.end()) continue;
    Pending pending = std::move(found->second);
    intended_.erase(found);
    if (pending.link != link_ || !daemon_)
      continue;  // who asked is gone: nothing is raised for nobody
    if (done.is_durable)
      submit(next_number_++, std::move(pending));
    else
      refuse(pending, Refusal::audit_failed);
  }
}

void GuardServer::take_answers() {
  std::vector<std::pair<Pending, CoreAnswer>> answered;
  for (const auto& holding : holdings_) {
    NumberedAnswer answer;
    while (holding->channel->answers.pop(answer)) {
      const auto found = asked_.find(answer.number);
      if (found == asked_.end()) continue;
      if (found->second.core.verb == HolderVerb::arm && answer.answer.reason == Refusal::none) {
        holding->armed_by = found->second.command.who;
        holding->is_news = true;
      }
      if (--found->second.missing > 0) continue;
      answered.emplace_back(std::move(found->second), answer.answer);
      asked_.erase(found);
    }
  }
  if (answered.empty()) return;
  // The state a command led to is told before its answer: who has the answer knows the state.
  take_status(Clock::now());
  for (const auto& [pending, answer] : answered) finish(pending, answer);
}

void GuardServer::finish(const Pending& pending, const CoreAnswer& answer) {
  const bool is_done = answer.reason == Refusal::none;
  Json outcome = wire::command(pending.command);
  outcome["event"] = "outcome";
  outcome["done"] = is_done;
  if (!is_done) outcome["reason"] = to_string(answer.reason);
  note(std::move(outcome));
  if (pending.link != link_) return;
  if (is_done) {
    tell({{"id", Json::parse(pending.id)}, {"ok", true}});
    return;
  }
  Json line{{"id", Json::parse(pending.id)},
            {"ok", false},
            {"code", to_string(wire::code_of(answer.reason))},
            {"reason", to_string(answer.reason)},
            {"message", wire::message(pending.command, answer)}};
  if (answer.unit != ' ') {
    line["value"] = wire::number(answer.value);
    line["limit"] = wire::number(answer.limit);
    line["unit"] = std::string(1, answer.unit);
  }
  tell(line);
}

void GuardServer::refuse(const Pending& pending, Refusal reason, const std::string& message) {
  CoreAnswer answer;
  answer.reason = reason;
  note({{"event", "refused"}, {"holder", pending.command.holder}, {"reason", to_string(reason)}});
  tell({{"id", Json::parse(pending.id)},
        {"ok", false},
        {"code", to_string(wire::code_of(reason))},
        {"reason", to_string(reason)},
        {"message", message.empty() ? wire::message(pending.command, answer) : message}});
}

void GuardServer::take_status(Clock::time_point now) {
  for (const auto& holding : holdings_) {
    CoreStatus status;
    Json trip;
    if (holding->channel->status.take(status)) {
      if (status.state != ArmingState::armed) holding->armed_by.clear();
      if (status.trips != holding->status.trips) {
        trip = {{"event", "trip"},
                {"holder", holding->channel->name},
                {"cause", to_string(status.cause)},
                {"value", wire::number(status.trip_value)},
                {"limit", wire::number(status.trip_limit)}};
      }
      if (status.state != holding->status.state) {
        note({{"event", "state"},
              {"holder", holding->channel->name},
              {"state", to_string(status.state)},
              {"cause", to_string(status.cause)}});
      }
      holding->status = status;
      holding->is_news = true;
    }
    if (!holding->is_news) continue;
    if (is_as_discrete(holding->status, holding->told) &&
        now - holding->told_at < kBetweenRampStates)
      continue;
    Json line = status_line(*holding);
    line["event"] = "state";
    tell(line);
    holding->told = holding->status;
    holding->told_at = now;
    holding->is_news = false;
    if (trip.is_null()) continue;
    tell(trip);  // after the state it is explained by
    note(std::move(trip));
  }
}

void GuardServer::send_samples() {
  for (const auto& holding : holdings_) {
    ClockedSample sample;
    Json samples = Json::array();
    std::uint32_t clock = 0;
    const auto send = [&] {
      if (samples.empty()) return;
      if (daemon_ && daemon_->waiting() > kNoSamplesAbove)
        holding->samples_not_sent += samples.size();
      else
        tell({{"event", "samples"},
              {"holder", holding->channel->name},
              {"clock", clock},
              {"samples", samples}});
      samples = Json::array();
    };
    while (holding->channel->samples.pop(sample)) {
      if (!daemon_) continue;
      if (sample.clock != clock || samples.size() >= kSamplesALine) send();
      clock = sample.clock;
      samples.push_back(wire::sample(sample.sample));
    }
    send();
  }
}

void GuardServer::tell(const Json& line) {
  if (daemon_ && !is_parting_ && !daemon_->send(text_of(line))) is_parting_ = true;
}

void GuardServer::note(Json line) {
  // Not waited for: what lowers has happened already.
  audit_.append(line.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Json GuardServer::list() const {
  Json holders = Json::array();
  for (const auto& holding : holdings_) {
    const Channel& channel = *holding->channel;
    const std::lock_guard lock(channel.mutex);
    holders.push_back(
        {{"name", channel.name},
         {"driver", channel.info.driver},
         {"model", channel.info.model},
         {"serial", channel.info.serial},
         {"can", wire::capabilities(channel.can)},
         {"limits", wire::limits(channel.policy.limits)},
         {"safe_temperature_k", channel.policy.safe_temperature_k},
         {"last_error", channel.last_error},
         {"samples_dropped", channel.samples_dropped.load() + holding->samples_not_sent},
         {"status", status_line(*holding)}});
  }
  return holders;
}

Json GuardServer::status_line(const Holding& holding) const {
  const CoreStatus& status = holding.status;
  return {{"holder", holding.channel->name},
          {"state", to_string(status.state)},
          {"cause", to_string(status.cause)},
          {"armed_by", holding.armed_by},
          {"present", wire::setpoints(status.present)},
          {"target", wire::setpoints(status.target)},
          {"ramping", status.is_ramping},
          {"holding", status.is_holding}};
}

}  // namespace latticed
