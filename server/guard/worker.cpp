// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/guard/worker.hpp"

#include <pthread.h>

#include <array>

namespace latticed {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto kPeriod = 10ms;  // between two reads
constexpr auto kReadTimeout = 900ms;
constexpr auto kBetweenAttempts = 250ms;  // to open a device

}  // namespace

struct Worker::State {
  std::shared_ptr<Channel> channel;
  Open open;
  Wakes wakes;
  std::atomic<bool> stopping{false}, is_over{false};

  std::unique_ptr<Holder> holder;
  std::uint32_t link = 0;  // counts openings
  Orders orders;
  HolderSetpoints applied;  // what the device was told
  std::uint32_t applied_cuts = 0;
  std::uint32_t device_clock = 0, clock = 1;
  std::int64_t last_time_ns = kUnknownTime;

  /// One call to the driver, during which the control thread sees that we are in it.
  template <class Call>
  auto in_driver(const Call& call) {
    channel->busy_since_ns.store(Clock::now().time_since_epoch().count());
    auto result = call();
    channel->busy_since_ns.store(0);
    return result;
  }
  void report(DriverReport::Kind kind) {
    DriverReport report;
    report.kind = kind;
    push(report);
  }
  void push(DriverReport& report) {
    report.link = link;
    // Full only when the control thread stands still: then nothing we could say matters.
    channel->reports.push(report);
    // Who was asked to stop may be late, out of a driver that hung: nobody may be there any more.
    if (!stopping.load()) wakes.on_report();
  }
  void note(const Error& error) {
    const std::lock_guard lock(channel->mutex);
    channel->last_error =
        error.message.empty() ? std::string(to_string(error.code)) : error.message;
  }
  void wait(std::uint32_t seen, std::chrono::nanoseconds time) {
    if (!stopping.load()) channel->for_worker.wait(seen, time);
  }

  bool connect();
  void obey_orders();
  [[nodiscard]] bool is_overruled() const {
    return channel->cuts.load() != applied_cuts || stopping.load();
  }
  void cut_now();
  bool write(const HolderSetpoints& wanted);
  void read();
};

Worker::Worker(std::shared_ptr<Channel> channel, Open open, Wakes wakes)
    : state_(std::make_shared<State>()) {
  state_->channel = std::move(channel);
  state_->open = std::move(open);
  state_->wakes = std::move(wakes);
  thread_ = std::thread([state = state_] {
    pthread_setname_np(pthread_self(), ("drv-" + state->channel->name).substr(0, 15).c_str());
    run(*state);
    state->is_over.store(true);
  });
}

void Worker::stop(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return;
  state_->stopping.store(true);
  state_->channel->for_worker.ring();
  const auto deadline = Clock::now() + patience;
  while (!state_->is_over.load() && Clock::now() < deadline) std::this_thread::sleep_for(1ms);
  if (state_->is_over.load()) {
    thread_.join();
    return;
  }
  if (Holder* const holder = state_->channel->holder.load()) holder->make_safe();
  thread_.detach();  // it hangs in the driver; its state stays with it
}

void Worker::run(State& state) {
  while (!state.stopping.load()) {
    const auto seen = state.channel->for_worker.listen();  // before we look at the orders
    if (!state.connect()) {
      state.wait(seen, kBetweenAttempts);
      continue;
    }
    state.obey_orders();
    if (state.holder->state() == DeviceState::configured) state.read();
    state.wait(seen, kPeriod);
  }
  state.cut_now();
}

/// True when there is a device. One that was lost has been told of.
bool Worker::State::connect() {
  if (holder && holder->state() == DeviceState::configured) return true;
  if (!holder) {
    auto opened = open();
    if (!opened) {
      note(opened.error());
      return false;
    }
    holder = std::move(*opened);
    channel->holder.store(holder.get());
  } else if (auto again = holder->reconnect(); !again) {
    note(again.error());
    return false;
  }
  ++link;
  applied = {};
  applied_cuts = channel->cuts.load();
  channel->cuts_done.store(applied_cuts);  // it was off when it was opened
  {
    const std::lock_guard lock(channel->mutex);
    channel->info = holder->info();
    channel->can = holder->capabilities();
    channel->last_error.clear();
  }
  DriverReport opened;
  opened.kind = DriverReport::Kind::opened;
  opened.can = holder->capabilities();
  push(opened);
  return true;
}

void Worker::State::cut_now() {
  if (!holder) return;
  applied_cuts = channel->cuts.load();
  holder->make_safe();
  applied.is_output_on = applied.is_heater_on = false;
  channel->cuts_done.store(applied_cuts);
}

void Worker::State::obey_orders() {
  channel->orders.take(orders);
  if (channel->cuts.load() != applied_cuts) cut_now();
  // Orders from before the last cut, or for the device as it was before it was lost.
  if (orders.link != link || orders.cuts != applied_cuts) return;
  if (orders.setpoints == applied || write(orders.setpoints)) return;
  report(holder->state() == DeviceState::configured ? DriverReport::Kind::write_failed
                                                    : DriverReport::Kind::lost);
}

/// False when the device refused or is lost. Off comes first, on comes last.
bool Worker::State::write(const HolderSetpoints& wanted) {
  const auto tell = [&](const auto& call) {
    if (is_overruled()) return true;  // the next round cuts
    const Result<void> done = in_driver(call);
    if (!done) note(done.error());
    return done.has_value();
  };
  // A mode is changed with the output off, also when we were too busy to see it go off in between.
  if (applied.is_output_on && (!wanted.is_output_on || wanted.source.mode != applied.source.mode)) {
    if (!tell([&] { return holder->set_output(Switch::off); })) return false;
    applied.is_output_on = false;
  }
  if (applied.is_heater_on && !wanted.is_heater_on) {
    if (!tell([&] { return holder->set_heater(Switch::off); })) return false;
    applied.is_heater_on = false;
  }
  if (wanted.is_output_on) {
    if (wanted.source != applied.source || !applied.is_output_on) {
      if (!tell([&] { return holder->set_source(wanted.source); })) return false;
      applied.source = wanted.source;
    }
    if (!applied.is_output_on) {
      if (!tell([&] { return holder->set_output(Switch::on); })) return false;
      applied.is_output_on = true;
    }
  }
  if (wanted.is_heater_on) {
    if (wanted.temperature_k != applied.temperature_k || !applied.is_heater_on) {
      if (!tell([&] { return holder->set_temperature(wanted.temperature_k); })) return false;
      applied.temperature_k = wanted.temperature_k;
    }
    if (!applied.is_heater_on) {
      if (!tell([&] { return holder->set_heater(Switch::on); })) return false;
      applied.is_heater_on = true;
    }
  }
  return true;
}

void Worker::State::read() {
  std::array<HolderSample, 128> samples;
  for (;;) {
    const auto reading = in_driver([&] { return holder->read(samples, kReadTimeout); });
    if (!reading) {
      note(reading.error());
      if (holder->state() != DeviceState::configured) report(DriverReport::Kind::lost);
      return;
    }
    if (reading->count > 0) {
      // A device that came back may count its clocks anew: then time tells.
      const bool is_anew = reading->clock != device_clock || samples[0].time_ns <= last_time_ns;
      if (is_anew && last_time_ns != kUnknownTime) ++clock;
      device_clock = reading->clock;
      last_time_ns = samples[reading->count - 1].time_ns;
    }
    for (std::size_t i = 0; i < reading->count; ++i) {
      DriverReport sample;
      sample.kind = DriverReport::Kind::sample;
      sample.sample = samples[i];
      push(sample);
      if (!channel->samples.push({samples[i], clock})) channel->samples_dropped.fetch_add(1);
    }
    report(DriverReport::Kind::answered);
    if (reading->count > 0 && !stopping.load()) wakes.on_samples();
    if (reading->count < samples.size() || is_overruled()) return;
  }
}

}  // namespace latticed
