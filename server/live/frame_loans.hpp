// SPDX-License-Identifier: GPL-3.0-or-later
// How many frames of one run are lent to ZeroMQ, which gives them back on a thread of its own when
// the last byte has gone. A run's pools may only be destroyed when all are home.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <utility>

#include "server/base/doorbell.hpp"
#include "server/base/stage_clock.hpp"
#include "server/frame/frame.hpp"

namespace latticed {

class FrameLoans {
 public:
  explicit FrameLoans(std::size_t quota) : quota_(quota) {}

  [[nodiscard]] std::size_t out() const noexcept { return out_.load(std::memory_order_acquire); }
  [[nodiscard]] bool has_room() const noexcept { return out() < quota_; }
  /// False: some are still out. Any thread.
  [[nodiscard]] bool wait_until_home(std::chrono::nanoseconds timeout) noexcept {
    const auto deadline = steady_now() + timeout;
    while (true) {
      const auto seen = home_.listen();
      if (out() == 0) return true;
      const auto left = deadline - steady_now();
      if (left.count() <= 0) return false;
      home_.wait(seen, left);
    }
  }

 private:
  friend class FrameLoan;
  const std::size_t quota_;
  std::atomic<std::size_t> out_{0};
  Doorbell home_;
};

/// One of them. Any thread may destroy it.
class FrameLoan {
 public:
  FrameLoan(FrameLease frame, std::shared_ptr<FrameLoans> loans)
      : frame_(std::move(frame)), loans_(std::move(loans)) {
    loans_->out_.fetch_add(1, std::memory_order_acq_rel);
  }
  FrameLoan(const FrameLoan&) = delete;
  FrameLoan& operator=(const FrameLoan&) = delete;
  ~FrameLoan() {
    frame_.reset();  // before it is counted as home
    loans_->out_.fetch_sub(1, std::memory_order_acq_rel);
    loans_->home_.ring();
  }
  [[nodiscard]] const Frame& frame() const noexcept { return *frame_; }

 private:
  FrameLease frame_;
  std::shared_ptr<FrameLoans> loans_;
};

}  // namespace latticed
