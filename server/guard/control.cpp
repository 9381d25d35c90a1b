// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/control.hpp"

#include <cstring>
#include <utility>

namespace latticed {
namespace {

using namespace std::chrono_literals;
constexpr auto kPeriod = 10ms;
constexpr auto kPatienceWithACut = 20ms;  // the driver's thread is in another call: we do it

CoreCommand bare(HolderVerb verb) noexcept {
  CoreCommand command;
  command.verb = verb;
  return command;
}

/// Set-points as numbers change a hundred times a second on a ramp; NaN equals NaN here.
bool is_same(const CoreStatus& a, const CoreStatus& b) noexcept {
  const auto same = [](double x, double y) { return std::memcmp(&x, &y, sizeof x) == 0; };
  return a.state == b.state && a.cause == b.cause && a.trips == b.trips &&
         same(a.trip_value, b.trip_value) && same(a.trip_limit, b.trip_limit) &&
         a.present == b.present && a.target == b.target && a.is_ramping == b.is_ramping &&
         a.is_holding == b.is_holding;
}

}  // namespace

Control::Control(std::vector<std::shared_ptr<Channel>> channels, Options options,
                 std::function<void()> on_news)
    : channels_(std::move(channels)),
      options_(options),
      on_news_(std::move(on_news)),
      said_(channels_.size()) {}

void Control::start() {
  thread_ = NamedThread({"latd-guard"}, [this] {
    while (!stopping_.load()) {
      const auto seen = bell_.listen();
      tick(Clock::now());
      bell_.wait(seen, kPeriod);
    }
  });
}

void Control::stop() {
  stopping_.store(true);
  bell_.ring();
  thread_.join();
}

std::uint64_t Control::demand_safe() noexcept {
  const std::uint64_t number = safe_demands_.fetch_add(1) + 1;
  bell_.ring();
  return number;
}

std::uint64_t Control::demand_off() noexcept {
  const std::uint64_t number = off_demands_.fetch_add(1) + 1;
  bell_.ring();
  return number;
}

void Control::tick(Clock::time_point now) noexcept {
  has_news_ = false;
  const std::uint64_t safe = safe_demands_.load();
  const std::uint64_t off = off_demands_.load();
  const bool wants_safe = safe != safe_issued_.load();
  const bool wants_off = off != off_issued_.load();
  const auto beat = Clock::time_point(Clock::duration(heartbeat_ns_.load()));
  const bool is_beating = now - beat <= options_.heartbeat_timeout;
  for (std::size_t i = 0; i < channels_.size(); ++i) {
    Channel& channel = *channels_[i];
    take_reports(channel, i, now);
    if (wants_safe) channel.core.obey(bare(HolderVerb::safe), now);
    if (wants_off) channel.core.obey(bare(HolderVerb::off), now);
    if (!is_beating) channel.core.heartbeat_lost(now);
    serve(channel, i, now);
  }
  safe_issued_.store(safe);
  off_issued_.store(off);
  if (has_news_) on_news_();
}

void Control::take_reports(Channel& channel, std::size_t index, Clock::time_point now) noexcept {
  DriverReport report;
  while (channel.reports.pop(report)) {
    switch (report.kind) {
      case DriverReport::Kind::opened:
        said_[index].link = report.link;
        if (channel.core.is_reachable()) channel.core.device_lost();  // its loss had no room
        channel.core.device_opened(report.can, now);
        break;
      case DriverReport::Kind::answered:
        channel.core.device_answered(now);
        break;
      case DriverReport::Kind::sample:
        channel.core.take_sample(report.sample, now);
        break;
      case DriverReport::Kind::write_failed:
        channel.core.trip(TripCause::write_failed);
        break;
      case DriverReport::Kind::lost:
        channel.core.device_lost();
        break;
    }
  }
}

/// Orders go out before answers: who hears `off` done must find it on its way.
void Control::serve(Channel& channel, std::size_t index, Clock::time_point now) noexcept {
  Said& said = said_[index];
  HolderCore& core = channel.core;
  NumberedCommand command;
  std::array<NumberedAnswer, 64> answers;
  std::size_t count = 0;
  while (count < answers.size() && channel.commands.pop(command))
    answers[count++] = {command.number, core.obey(command.command, now)};
  core.step(now);
  watch_driver(channel, index, now);
  channel.lowered.store(core.lowered());
  channel.cuts.store(core.cuts());
  channel.is_energised.store(core.is_energised());
  const Orders orders{core.present(), core.cuts(), said.link};
  const bool is_new = !(orders.setpoints == said.orders.setpoints) ||
                      orders.cuts != said.orders.cuts || orders.link != said.orders.link;
  if (is_new) {
    said.orders = orders;
    channel.orders.put(orders);
    channel.for_worker.ring();
  }
  const CoreStatus status = core.status();
  if (!is_same(status, said.status) || count > 0) {
    said.status = status;
    channel.status.put(status);
    has_news_ = true;
  }
  for (std::size_t i = 0; i < count; ++i) channel.answers.push(answers[i]);
}

void Control::watch_driver(Channel& channel, std::size_t index, Clock::time_point now) noexcept {
  Said& said = said_[index];
  const std::int64_t since_ns = channel.busy_since_ns.load();
  if (since_ns == 0 || since_ns == said.made_safe_in_ns) return;
  const auto busy = now - Clock::time_point(Clock::duration(since_ns));
  HolderCore& core = channel.core;
  const bool hangs = busy > options_.driver_patience && (core.is_armed() || core.is_energised());
  if (hangs) core.trip(TripCause::driver_hung);
  const bool has_cut = core.cuts() != channel.cuts_done.load();
  if (!hangs && !(has_cut && busy > kPatienceWithACut)) return;
  if (Holder* const holder = channel.holder.load()) holder->make_safe();
  said.made_safe_in_ns = since_ns;
}

}  // namespace latticed
