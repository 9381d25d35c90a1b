// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/holder_service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>

#include "server/control/describe_holder.hpp"
#include "server/live/to_proto.hpp"
#include "server/rpc/stamper.hpp"

namespace latticed {

namespace {

constexpr std::size_t kSamplesPerEvent = 1024;

grpc::Status no_holder() {
  return rpc::to_status(rpc::Refusal{{ErrorCode::failed_precondition,
                                      "this server's configuration has no holder ([holder] "
                                      "guard_socket)"},
                                     "NOT_FOUND",
                                     {}});
}

/// What every command says: which holder, and who asks.
template <class Request>
HolderCommand asked(HolderVerb verb, const Request& request) {
  HolderCommand out;
  out.verb = verb;
  out.holder = request.holder();
  out.who = request.who();
  return out;
}

std::string words_of(const HolderCommand& c) {
  const std::string base =
      fmt::format("{} {}", c.holder.empty() ? "all holders" : c.holder, to_string(c.verb));
  switch (c.verb) {
    case HolderVerb::set_source: {
      const bool is_voltage = c.source.mode == SourceMode::voltage;
      return fmt::format("{} {} {} compliance {} {}", base, c.source.level, is_voltage ? "V" : "A",
                         c.source.compliance, is_voltage ? "A" : "V");
    }
    case HolderVerb::set_temperature:
      return fmt::format("{} {} K", base, c.temperature_k);
    case HolderVerb::set_output:
    case HolderVerb::set_heater:
      return fmt::format("{} {}", base, c.wanted == Switch::on ? "on" : "off");
    default:
      return base;
  }
}

}  // namespace

HolderService::HolderService(Parts parts)
    : parts_(std::move(parts)), token_(static_cast<std::uint64_t>(utc_now_ns())) {}

Result<std::string> HolderService::resolve(const std::string& name) const {
  const auto all = parts_.guard->descriptions();
  if (name.empty() && all.size() == 1) return all.front().name;
  std::string known;
  for (const HolderDescription& one : all) {
    if (one.name == name) return name;
    known += (known.empty() ? "" : ", ") + one.name;
  }
  if (all.empty()) return Error{ErrorCode::unavailable, "the guard has not told its holders yet"};
  if (name.empty())
    return Error{ErrorCode::invalid_argument,
                 fmt::format("holder: missing (expected one of {})", known)};
  return Error{ErrorCode::not_found,
               fmt::format("there is no holder \"{}\" (the guard has {})", name, known)};
}

// --- reading -----------------------------------------------------------------------------------

grpc::ServerUnaryReactor* HolderService::List(Call* call, const v1::ListHoldersRequest*,
                                              v1::ListHoldersReply* reply) {
  return read_call(parts_.context, call, reply, [&] {
    if (!parts_.guard) return grpc::Status();
    for (v1::HolderDescription& one : describe_holders(*parts_.guard))
      *reply->add_holders() = std::move(one);
    reply->set_guard_reachable(parts_.guard->is_connected());
    return grpc::Status();
  });
}

grpc::ServerUnaryReactor* HolderService::Read(Call* call, const v1::ReadHolderRequest* request,
                                              v1::HolderReply* reply) {
  return read_call(parts_.context, call, reply, [&] {
    if (!parts_.guard) return no_holder();
    const auto name = resolve(request->holder());
    if (!name) return rpc::to_status(name.error());
    if (auto one = describe_holder(*parts_.guard, *name))
      *reply->mutable_holder() = std::move(*one);
    return grpc::Status();
  });
}

grpc::ServerWriteReactor<v1::HolderEvent>* HolderService::Watch(
    Call* call, const v1::WatchHolderRequest* request) {
  grpc::Status denied = parts_.context.gate.reading(*call);
  if (denied.ok() && !parts_.guard) denied = no_holder();
  if (denied.ok() && !(request->max_rate_hz() >= 0.0))
    denied = rpc::to_status(Error{
        ErrorCode::invalid_argument,
        fmt::format("watch holder: max_rate_hz {}: expected 0 or more", request->max_rate_hz())});
  std::string name = request->holder();
  if (denied.ok() && !name.empty()) {
    if (const auto resolved = resolve(name); !resolved) denied = rpc::to_status(resolved.error());
  }
  if (!denied.ok()) return rpc::refused_stream<v1::HolderEvent>(denied);

  std::vector<v1::HolderEvent> first;
  for (v1::HolderDescription& one : describe_holders(*parts_.guard)) {
    if (!name.empty() && one.name() != name) continue;
    v1::HolderEvent& event = first.emplace_back();
    parts_.context.stamper.stamp(*event.mutable_stamp());
    event.set_holder(one.name());
    *event.mutable_changed() = std::move(one);
  }
  const auto least_ns =
      request->max_rate_hz() > 0.0
          ? static_cast<std::int64_t>(std::min(1e9 / request->max_rate_hz(), 1e18))
          : std::int64_t{0};
  auto shape = [name, least_ns, last = std::map<std::string, std::optional<std::int64_t>>()](
                   v1::HolderEvent& event, std::uint64_t skipped) mutable {
    if (!name.empty() && event.holder() != name) return false;
    event.set_skipped(skipped);
    if (least_ns == 0) return true;
    auto& kept = *event.mutable_samples();
    std::optional<std::int64_t>& seen = last[event.holder()];
    kept.erase(std::remove_if(kept.begin(), kept.end(),
                              [&](const v1::HolderSample& sample) {
                                if (seen && sample.time_ns() > *seen &&
                                    sample.time_ns() - *seen < least_ns)
                                  return true;
                                seen = sample.time_ns();
                                return false;
                              }),
               kept.end());
    return !kept.empty() || event.has_changed();
  };
  return watchers_.open(std::move(first), std::move(shape));
}

void HolderService::on_event(const HolderEvent& event) {
  const auto publish = [&](const std::string& holder, auto fill) {
    v1::HolderEvent out;
    parts_.context.stamper.stamp(*out.mutable_stamp());
    out.set_holder(holder);
    if (fill(out)) watchers_.publish(out);
  };
  const auto publish_state = [&](const std::string& holder) {
    publish(holder, [&](v1::HolderEvent& out) {
      auto now = describe_holder(*parts_.guard, holder);
      if (!now) return false;
      *out.mutable_changed() = std::move(*now);
      return true;
    });
  };
  switch (event.kind) {
    case HolderEvent::Kind::connected:
    case HolderEvent::Kind::disconnected:
      for (const HolderDescription& one : parts_.guard->descriptions()) publish_state(one.name);
      return;
    case HolderEvent::Kind::state:
    case HolderEvent::Kind::trip:
      publish_state(event.holder);
      return;
    case HolderEvent::Kind::samples:
      break;
  }
  for (const auto& log : parts_.guard->logs()) {
    if (log->name() != event.holder) continue;
    publish(event.holder, [&](v1::HolderEvent& out) {
      std::uint64_t& told = told_[event.holder];
      const auto batch = log->read(told, kSamplesPerEvent);
      told = batch.first + batch.samples.size();
      for (const HolderSample& sample : batch.samples) *out.add_samples() = to_proto(sample);
      return out.samples_size() > 0;
    });
  }
}

// --- commands ----------------------------------------------------------------------------------

grpc::ServerUnaryReactor* HolderService::command(Call* call, const char* method,
                                                 const std::string& request_id,
                                                 std::vector<HolderCommand> commands,
                                                 v1::HolderReply* reply) {
  return control_call(parts_.context, call, method, request_id, reply,
                      [this, commands = std::move(commands), reply](const Answer& answer) {
                        if (!parts_.guard) return answer(no_holder());
                        const auto name = resolve(commands.front().holder);
                        if (!name) return answer(rpc::to_status(name.error()));
                        for (HolderCommand one : commands) {
                          one.holder = *name;
                          one.token = token_;
                          // On the holders' thread: the next command must not overtake this one.
                          if (const GuardResult refused = parts_.guard->request(one))
                            return answer(to_status(*refused));
                          parts_.note(words_of(one), one.who);
                        }
                        if (auto now = describe_holder(*parts_.guard, *name))
                          *reply->mutable_holder() = std::move(*now);
                        answer({});
                      });
}

grpc::ServerUnaryReactor* HolderService::refused(Call* call, const grpc::Status& why) {
  auto* reactor = call->DefaultReactor();
  const grpc::Status denied = parts_.context.gate.control(*call);
  reactor->Finish(denied.ok() ? why : denied);
  return reactor;
}

grpc::ServerUnaryReactor* HolderService::Arm(Call* call, const v1::ArmHolderRequest* request,
                                             v1::HolderReply* reply) {
  HolderCommand arm = asked(HolderVerb::arm, *request);
  return command(call, "Holder.Arm", request->request_id(), {arm}, reply);
}

grpc::ServerUnaryReactor* HolderService::Disarm(Call* call, const v1::DisarmHolderRequest* request,
                                                v1::HolderReply* reply) {
  HolderCommand disarm = asked(HolderVerb::disarm, *request);
  return command(call, "Holder.Disarm", request->request_id(), {disarm}, reply);
}

grpc::ServerUnaryReactor* HolderService::SetSource(Call* call, const v1::SetSourceRequest* request,
                                                   v1::HolderReply* reply) {
  HolderCommand set = asked(HolderVerb::set_source, *request);
  set.source.mode =
      request->mode() == v1::SOURCE_MODE_CURRENT ? SourceMode::current : SourceMode::voltage;
  set.source.level = request->level();
  set.source.compliance = request->compliance();
  set.rate_per_s = request->rate_per_s();
  if (request->mode() != v1::SOURCE_MODE_VOLTAGE && request->mode() != v1::SOURCE_MODE_CURRENT)
    return refused(call, rpc::to_status(Error{ErrorCode::invalid_argument,
                                              "set source: mode: expected VOLTAGE or CURRENT"}));
  if (set.source.compliance == 0.0 && parts_.guard) {
    // The guard's limit of the other quantity.
    const auto name = resolve(set.holder);
    for (const HolderDescription& one : parts_.guard->descriptions())
      if (name && one.name == *name) {
        const HolderRange& other =
            set.source.mode == SourceMode::voltage ? one.limits.current_a : one.limits.voltage_v;
        set.source.compliance = std::max(std::abs(other.low), std::abs(other.high));
      }
  }
  return command(call, "SetSource", request->request_id(), {set}, reply);
}

grpc::ServerUnaryReactor* HolderService::SetOutput(Call* call, const v1::SetOutputRequest* request,
                                                   v1::HolderReply* reply) {
  HolderCommand set = asked(HolderVerb::set_output, *request);
  set.wanted = request->on() ? Switch::on : Switch::off;
  return command(call, "SetOutput", request->request_id(), {set}, reply);
}

grpc::ServerUnaryReactor* HolderService::SetTemperature(Call* call,
                                                        const v1::SetTemperatureRequest* request,
                                                        v1::HolderReply* reply) {
  HolderCommand heater = asked(HolderVerb::set_heater, *request);
  heater.wanted = request->temperature_k() == 0.0 ? Switch::off : Switch::on;
  std::vector<HolderCommand> commands;
  if (heater.wanted == Switch::on) {
    HolderCommand set = heater;
    set.verb = HolderVerb::set_temperature;
    set.temperature_k = request->temperature_k();
    set.rate_per_s = request->rate_k_per_s();
    commands.push_back(set);
  }
  commands.push_back(heater);
  return command(call, "SetTemperature", request->request_id(), std::move(commands), reply);
}

grpc::ServerUnaryReactor* HolderService::Hold(Call* call, const v1::HoldRequest* request,
                                              v1::HolderReply* reply) {
  auto* reactor = call->DefaultReactor();
  grpc::Status denied = parts_.context.gate.safety(*call);
  if (denied.ok() && !parts_.guard) denied = no_holder();
  if (!denied.ok()) {
    reactor->Finish(denied);
    return reactor;
  }
  HolderCommand hold = asked(HolderVerb::hold, *request);
  parts_.guard->request(hold, [this, reactor, reply, hold](const GuardResult& refused) {
    if (refused) return reactor->Finish(to_status(*refused));
    parts_.note(words_of(hold), hold.who);
    parts_.context.stamper.stamp(*reply->mutable_stamp());
    if (auto now = describe_holder(*parts_.guard, hold.holder))
      *reply->mutable_holder() = std::move(*now);
    reactor->Finish({});
  });
  return reactor;
}

grpc::ServerUnaryReactor* HolderService::SafeOff(Call* call, const v1::SafeOffRequest* request,
                                                 v1::SafeOffReply* reply) {
  auto* reactor = call->DefaultReactor();
  grpc::Status denied = parts_.context.gate.safety(*call);
  if (denied.ok() && !parts_.guard) denied = no_holder();
  if (!denied.ok()) {
    reactor->Finish(denied);
    return reactor;
  }
  const HolderCommand off =
      asked(request->immediately() ? HolderVerb::off : HolderVerb::safe, *request);
  parts_.guard->request(off, [this, reactor, reply, off](const GuardResult& refused) {
    if (refused) return reactor->Finish(to_status(*refused));
    parts_.note(words_of(off), off.who);
    parts_.context.stamper.stamp(*reply->mutable_stamp());
    for (v1::HolderDescription& one : describe_holders(*parts_.guard))
      if (off.holder.empty() || one.name() == off.holder) *reply->add_holders() = std::move(one);
    reactor->Finish({});
  });
  return reactor;
}

}  // namespace latticed
