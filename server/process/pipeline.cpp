// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/pipeline.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
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

namespace {

// How long a line's threads may take to notice that it was abandoned. One that has not returned
// then hangs in a driver or a sink and cannot be ended.
constexpr std::chrono::nanoseconds kGrace = 2s;

/// Lines with a thread that has not returned: freeing what it uses would be worse than keeping it.
std::vector<std::unique_ptr<Line>>& wrecks() {
  static auto& kept = *new std::vector<std::unique_ptr<Line>>;
  return kept;
}

}  // namespace

Pipeline::~Pipeline() {
  is_stopping_.store(true, std::memory_order_release);
  work_->ring();
  workers_.clear();
  for (auto& line : lines_)
    line->abandon(
        {ErrorCode::cancelled, "detector " + line->run().detector.name + ": the run was given up"});
  const auto deadline = steady_now() + kGrace;
  for (auto& line : lines_) {
    while (!line->has_ended() && steady_now() < deadline) std::this_thread::sleep_for(5ms);
    if (!line->has_ended()) wrecks().push_back(std::move(line));
  }
  std::erase_if(wrecks(), [](const auto& line) { return line->has_ended(); });
}

std::size_t Pipeline::hung_lines() { return wrecks().size(); }

Result<Line*> Pipeline::add(Line::Parts parts, std::uint32_t epoch) {
  if (config_.workers < 1 || config_.workers > 64)
    return Error{ErrorCode::invalid_argument,
                 fmt::format("workers {}: expected 1 to 64", config_.workers)};
  auto line = Line::make(std::move(parts), {epoch, config_.workers, config_.stall, work_});
  if (!line) return line.error();
  lines_.push_back(std::move(*line));
  abandoned_at_.emplace_back(0);
  return lines_.back().get();
}

Result<void> Pipeline::start() {
  was_started_.store(true, std::memory_order_release);
  const std::vector<int> cpus = usable_cpus();
  // All before the first worker reads them.
  for (int w = 0; w < config_.workers; ++w) {
    Worker& worker = *worker_states_.emplace_back(std::make_unique<Worker>());
    const int cpu =
        config_.pin_workers && !cpus.empty() ? cpus[static_cast<std::size_t>(w) % cpus.size()] : -1;
    workers_.emplace_back(ThreadOptions{"latd-prep-" + std::to_string(w), config_.nice, cpu},
                          [this, &worker, w] { work(worker, static_cast<std::size_t>(w)); });
  }
  for (auto& line : lines_) {
    auto ok = line->start(config_.nice, -1);
    if (ok) continue;
    for (auto& other : lines_) other->abandon(ok.error());
    return ok;
  }
  return {};
}

void Pipeline::work(Worker& self, std::size_t number) {
  while (!is_stopping_.load(std::memory_order_acquire)) {
    const auto seen = work_->listen();
    bool did_something = false;
    // Each worker begins at another line, so that no detector waits behind a busier one.
    for (std::size_t i = 0; i < lines_.size(); ++i) {
      const std::size_t at = (number + i) % lines_.size();
      self.line.store(lines_[at].get(), std::memory_order_relaxed);
      did_something |= lines_[at]->prepare_one(number, self.activity);
    }
    if (!did_something) work_->wait(seen, 200ms);
  }
}

void Pipeline::stop() noexcept {
  for (auto& line : lines_) line->stop();
}

std::optional<Error> Pipeline::find_stall(const Line& line, std::chrono::nanoseconds now) const {
  if (auto stall = line.find_stall_at_end(now)) return stall;
  for (std::size_t w = 0; w < worker_states_.size(); ++w) {
    const Worker& worker = *worker_states_[w];
    if (worker.line.load(std::memory_order_relaxed) != &line) continue;
    if (auto stall = line.deadlines().find_stall(line.run().detector.name,
                                                 fmt::format("worker {}", w), worker.activity, now))
      return stall;
  }
  return line.find_stall_of_source(now);
}

void Pipeline::check_stalls() {
  const auto now = steady_now();
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    Line& line = *lines_[i];
    if (abandoned_at_[i].count() != 0 || line.has_ended()) continue;
    auto stall = find_stall(line, now);
    if (!stall && !line.why_abandoned()) continue;
    if (stall) line.abandon(std::move(*stall));
    abandoned_at_[i] = now;
  }
}

std::chrono::nanoseconds Pipeline::poll_period() const {
  const std::chrono::duration<double> wanted(config_.stall.min_s / 4);
  return std::clamp(std::chrono::duration_cast<std::chrono::nanoseconds>(wanted),
                    std::chrono::nanoseconds(5ms), std::chrono::nanoseconds(100ms));
}

Result<void> Pipeline::wait(const std::function<void()>& poll) {
  if (!was_started_.load(std::memory_order_acquire))
    return Error{ErrorCode::failed_precondition, "wait for a run: it was not started"};
  const auto is_over = [this](std::size_t i) {
    return lines_[i]->has_ended() ||
           (abandoned_at_[i].count() != 0 && steady_now() - abandoned_at_[i] > kGrace);
  };
  const auto all_over = [&] {
    for (std::size_t i = 0; i < lines_.size(); ++i)
      if (!is_over(i)) return false;
    return true;
  };
  while (!all_over()) {
    std::this_thread::sleep_for(poll_period());
    check_stalls();
    if (poll) poll();
  }
  std::optional<Error> first;
  for (auto& line : lines_) {
    if (!line->has_ended() && !first) first = line->why_abandoned();
    if (!line->has_ended()) continue;
    if (auto ok = line->join(); !ok && !first) first = ok.error();
  }
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
