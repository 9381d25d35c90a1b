// SPDX-License-Identifier: GPL-3.0-or-later
// The stamp in every message: rehearsal or not, when, which run.
#pragma once

#include <latticed/v1/types.pb.h>

#include <atomic>
#include <chrono>
#include <cstdint>

#include "server/base/utc_clock.hpp"

namespace latticed::rpc {

class Stamper {
 public:
  explicit Stamper(bool is_rehearsal) : is_rehearsal_(is_rehearsal) {}

  /// A new run has begun. Control thread.
  void set_epoch(std::uint32_t epoch) noexcept { epoch_.store(epoch, std::memory_order_relaxed); }
  [[nodiscard]] std::uint32_t epoch() const noexcept {
    return epoch_.load(std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_rehearsal() const noexcept { return is_rehearsal_; }

  /// Any thread. Messages about one frame give its own run.
  void stamp(v1::Stamp& stamp) const { this->stamp(stamp, epoch()); }
  void stamp(v1::Stamp& stamp, std::uint32_t epoch) const {
    stamp.set_rehearsal(is_rehearsal_);
    stamp.set_time_ns(utc_now_ns());
    stamp.set_epoch(epoch);
  }

 private:
  const bool is_rehearsal_;
  std::atomic<std::uint32_t> epoch_{0};
};

}  // namespace latticed::rpc
