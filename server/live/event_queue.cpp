// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/event_queue.hpp"

#include <algorithm>
#include <utility>

#include "server/base/stage_clock.hpp"

namespace latticed {

void EventQueue::drop_oldest() {
  bytes_ -= waiting_.front().event->body.size();
  waiting_.pop_front();
  ++dropped_;
}

void EventQueue::push(EventRef event) {
  const std::lock_guard lock(mutex_);
  ++in_;
  if (is_closed_) {
    ++dropped_;
    return;
  }
  const std::size_t size = event->body.size();
  while (!waiting_.empty() && (waiting_.size() >= limits_.events || bytes_ + size > limits_.bytes))
    drop_oldest();
  bytes_ += size;
  waiting_.push_back({std::move(event), steady_now()});
  level_max_ = std::max<std::uint64_t>(level_max_, backlog_.size() + waiting_.size());
}

void EventQueue::preload(std::vector<EventRef> events) {
  const std::lock_guard lock(mutex_);
  in_ += events.size();
  if (is_closed_) {
    dropped_ += events.size();
    return;
  }
  const auto now = steady_now();
  for (EventRef& event : events) backlog_.push_back({std::move(event), now});
  level_max_ = std::max<std::uint64_t>(level_max_, backlog_.size() + waiting_.size());
}

void EventQueue::add_missed(std::uint64_t count) {
  const std::lock_guard lock(mutex_);
  missed_ += count;
}

std::optional<EventQueue::Taken> EventQueue::take() {
  const std::lock_guard lock(mutex_);
  std::deque<Waiting>& from = backlog_.empty() ? waiting_ : backlog_;
  if (from.empty()) return std::nullopt;
  Waiting first = std::move(from.front());
  from.pop_front();
  if (&from == &waiting_) bytes_ -= first.event->body.size();
  ++out_;
  duration_.record(steady_now() - first.since);
  Taken taken;
  taken.event = std::move(first.event);
  taken.skipped_so_far = dropped_ + missed_;
  taken.skipped_of_late = taken.skipped_so_far - skipped_said_;
  skipped_said_ = taken.skipped_so_far;
  return taken;
}

void EventQueue::close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  dropped_ += backlog_.size() + waiting_.size();
  backlog_.clear();
  waiting_.clear();
  bytes_ = 0;
}

EventQueue::Counters EventQueue::counters() const {
  const std::lock_guard lock(mutex_);
  Counters out;
  out.in = in_;
  out.out = out_;
  out.dropped = dropped_;
  out.missed = missed_;
  out.level = backlog_.size() + waiting_.size();
  out.level_max = level_max_;
  out.bytes = bytes_;
  const auto& oldest = backlog_.empty() ? waiting_ : backlog_;
  if (!oldest.empty())
    out.oldest_age_s = std::chrono::duration<double>(steady_now() - oldest.front().since).count();
  out.duration = duration_.summary();
  return out;
}

bool EventQueue::is_empty() const {
  const std::lock_guard lock(mutex_);
  return backlog_.empty() && waiting_.empty();
}

}  // namespace latticed
