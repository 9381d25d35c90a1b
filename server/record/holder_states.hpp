// SPDX-License-Identifier: GPL-3.0-or-later
// What the holders did at each frame's mid-exposure. Samples arrive later than frames, so a row
// first gets the last sample, marked provisional, and the interpolated value when that is final.
// With several holders each quantity is that of the first one that measures it.
#pragma once

#include <cstdint>
#include <deque>

#include "server/holder/holder_log.hpp"
#include "server/record/frame_table.hpp"

namespace latticed::record {

class HolderStates {
 public:
  explicit HolderStates(HolderLogs holders) : holders_(std::move(holders)) {}

  /// Fills the row's holder columns and its flag; remembers it when they are not final.
  void enter(FrameRow& row, std::uint64_t number);
  /// Corrects in `table` what has become final.
  void settle(FrameTable& table);
  /// No sample follows: what is not final gets the last one there is.
  void settle_for_good(FrameTable& table);

  /// Rows whose values are not final yet.
  [[nodiscard]] std::size_t pending() const noexcept { return pending_.size(); }
  /// Rows that stayed provisional because too many waited: a holder that sends nothing any more.
  [[nodiscard]] std::uint64_t given_up() const noexcept { return given_up_; }

  static constexpr std::size_t kMostPending = 65536;

 private:
  struct Pending {
    std::uint64_t row = 0;
    std::int64_t time_ns = kUnknownTime;
    std::uint32_t flags = 0;  // without kInfoHolderProvisional
  };
  struct State {
    HolderColumns columns;
    bool is_provisional = false;
  };
  [[nodiscard]] State at(std::int64_t time_ns) const;
  void correct(FrameTable& table, const Pending& one) const;
  [[nodiscard]] bool is_final_at(std::int64_t time_ns) const;

  HolderLogs holders_;
  std::deque<Pending> pending_;
  std::uint64_t given_up_ = 0;
};

}  // namespace latticed::record
