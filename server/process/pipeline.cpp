// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/pipeline.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <thread>

#include "server/base/stage_clock.hpp"

namespace latticed {

using namespace std::chrono_literals;

std::vector<int> usable_cpus() {
  std::vector<int> cpus;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof(set), &set) == 0)
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
      if (CPU_ISSET(static_cast<unsigned>(cpu), &set)) cpus.push_back(cpu);
  return cpus;
}

Pipeline::~Pipeline() {
  stop();
  is_stopping_.store(true, std::memory_order_release);
  work_.ring();
  workers_.clear();
  lines_.clear();
}

Result<Line*> Pipeline::add(Line::Parts parts, std::uint32_t epoch) {
  auto line = Line::make(std::move(parts), epoch, config_.workers, work_);
  if (!line) return line.error();
  lines_.push_back(std::move(*line));
  return lines_.back().get();
}

Result<void> Pipeline::start() {
  const std::vector<int> cpus = usable_cpus();
  // All before the first worker reads them.
  for (int w = 0; w < config_.workers; ++w) {
    worker_activity_.push_back(std::make_unique<Activity>());
    worker_activity_.back()->idle();
  }
  for (int w = 0; w < config_.workers; ++w) {
    const int cpu = config_.pin_workers && !cpus.empty()
                        ? cpus[static_cast<std::size_t>(w) % cpus.size()]
                        : -1;
    workers_.emplace_back(ThreadOptions{"latd-prep-" + std::to_string(w), config_.nice, cpu},
                          [this, w] { work(static_cast<std::size_t>(w)); });
  }
  for (auto& line : lines_)
    if (auto ok = line->start(config_.nice, -1); !ok) return ok.error();
  return {};
}

void Pipeline::work(std::size_t worker) {
  std::vector<Preparer::Scratch> scratch;
  for (auto& line : lines_) scratch.push_back(line->make_scratch());
  Activity& activity = *worker_activity_[worker];
  while (!is_stopping_.load(std::memory_order_acquire)) {
    const auto seen = work_.listen();
    bool did_something = false;
    // Each worker begins at another line, so that no detector waits behind a busier one.
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const std::size_t at = (worker + i) % lines_.size();
      did_something |= lines_[at]->prepare_one(scratch[at], activity);
    }
    if (!did_something) work_.wait(seen, 200ms);
  }
}

void Pipeline::stop() noexcept {
  for (auto& line : lines_) line->stop();
}

void Pipeline::check_stalls() {
  for (auto& line : lines_) {
    if (line->is_finished()) continue;
    const auto check = [&](const char* part, const Activity& activity) {
      const std::int64_t since = activity.since_ns.load(std::memory_order_acquire);
      if (since == 0) return;
      const auto waited = steady_now() - std::chrono::nanoseconds(since);
      if (waited <= line->stall_deadline()) return;
      line->abandon({ErrorCode::timeout,
                     fmt::format("detector {}: {} {} (frame {}) since {:.1f} s, deadline {:.1f} s "
                                 "from exposure {:.3g} s and period {:.3g} s",
                                 line->run().detector.name, part, activity.what.load(),
                                 activity.seq.load(), static_cast<double>(waited.count()) * 1e-9,
                                 static_cast<double>(line->stall_deadline().count()) * 1e-9,
                                 line->run().configuration.exposure_s,
                                 line->run().configuration.frame_period_s)});
    };
    for (const Line::Watched& watched : line->watched()) check(watched.part, *watched.activity);
    for (const auto& activity : worker_activity_) check("worker", *activity);
  }
}

Result<void> Pipeline::wait(const std::function<void()>& poll) {
  const auto all_finished = [this] {
    for (const auto& line : lines_)
      if (!line->is_finished()) return false;
    return true;
  };
  while (!all_finished()) {
    std::this_thread::sleep_for(100ms);
    check_stalls();
    if (poll) poll();
  }
  std::optional<Error> first;
  for (auto& line : lines_)
    if (auto ok = line->join(); !ok && !first) first = ok.error();
  if (poll) poll();
  if (first) return *first;
  return {};
}

std::string Pipeline::counters_table() const {
  std::string out = fmt::format("{:<24}{:>10}{:>10}{:>8}{:>8}{:>7}{:>9}{:>9}{:>9}\n", "edge", "in",
                                "out", "lost", "dropped", "level", "p50 ms", "p99 ms", "max ms");
  const auto row = [&](const std::string& name, const EdgeCounters& c) {
    const DurationSummary d = c.duration.summary();
    out += fmt::format("{:<24}{:>10}{:>10}{:>8}{:>8}{:>7}{:>9.2f}{:>9.2f}{:>9.2f}\n", name,
                       c.in.load(), c.out.load(), c.lost_total(), c.dropped(), c.level_max.load(),
                       d.p50_ms, d.p99_ms, d.max_ms);
    for (std::size_t r = 1; r < kLossReasons; ++r)
      if (const auto n = c.lost[r].load())
        out += fmt::format("  lost, {}: {}\n", to_string(static_cast<LossReason>(r)), n);
  };
  for (const auto& line : lines_) {
    row(line->run().detector.name + " source", line->source().counters());
    row(line->run().detector.name + " ring", line->ring().counters());
    for (const auto& sink : line->sinks())
      row(line->run().detector.name + " " + std::string(sink->sink().name()), sink->counters());
  }
  return out;
}

}  // namespace latticed
