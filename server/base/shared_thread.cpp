// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/shared_thread.hpp"

#include <algorithm>
#include <utility>

#include "server/base/stage_clock.hpp"

namespace latticed {

using namespace std::chrono_literals;

SharedThread::SharedThread(ThreadOptions options, Timer timer, std::size_t post_limit)
    : timer_(std::move(timer)),
      post_limit_(post_limit),
      thread_(std::move(options), [this] { run(); }) {}

SharedThread::~SharedThread() {
  is_stopping_.store(true, std::memory_order_release);
  bell_->ring();
}

bool SharedThread::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (posted_.size() >= post_limit_) return false;
    posted_.push_back(std::move(task));
  }
  bell_->ring();
  return true;
}

void SharedThread::add(Guest& guest) {
  {
    const std::lock_guard lock(mutex_);
    guests_.push_back(&guest);
  }
  bell_->ring();
}

void SharedThread::wait_until_left(Guest& guest) {
  std::unique_lock lock(mutex_);
  somebody_left_.wait(lock, [&] {
    return served_ != &guest && std::find(guests_.begin(), guests_.end(), &guest) == guests_.end();
  });
}

bool SharedThread::serve_guests() {
  bool did_something = false;
  for (std::size_t i = 0;;) {
    std::unique_lock lock(mutex_);
    if (i >= guests_.size()) return did_something;
    Guest* const guest = guests_[i];
    served_ = guest;
    lock.unlock();
    const Guest::Turn turn = guest->serve();
    lock.lock();
    served_ = nullptr;
    did_something |= turn != Guest::Turn::nothing;
    if (turn == Guest::Turn::leaves) {
      // Guests are only added at the back meanwhile: this one is where it was.
      guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i));
      somebody_left_.notify_all();
    } else {
      ++i;
    }
  }
}

bool SharedThread::run_posted() {
  std::deque<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (const auto& task : tasks) task();
  return !tasks.empty();
}

void SharedThread::run() {
  auto due = steady_now();
  while (!is_stopping_.load(std::memory_order_acquire)) {
    const auto seen = bell_->listen();
    const bool has_posted = run_posted();
    const bool did_something = serve_guests() || has_posted;
    if (timer_ && (has_posted || steady_now() >= due)) due = timer_(steady_now());
    if (did_something) continue;
    const auto until_due = timer_ ? due - steady_now() : std::chrono::nanoseconds(200ms);
    bell_->wait(seen, std::min(until_due, std::chrono::nanoseconds(200ms)));
  }
  (void)run_posted();  // what was posted before the end is done
}

}  // namespace latticed
