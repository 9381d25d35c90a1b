// SPDX-License-Identifier: GPL-3.0-or-later
// Changes on their way from any thread to the track thread, in order of posting. Posting never
// waits, and while there is nothing in the box the track thread reads one word a frame. What a
// change no longer needs is freed by those who post, not by the track thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>

#include "drivers/kit/result.hpp"
#include "server/base/doorbell.hpp"
#include "server/process/alert_stage.hpp"
#include "server/process/analysis_setup.hpp"
#include "server/process/track_change.hpp"

namespace latticed {

/// One change, shared by who posted it and the box.
class PendingChange {
 public:
  explicit PendingChange(std::uint64_t from_seq) : from_seq_(from_seq) {}

  /// Any thread: the change as it was made. Error timeout: it was not made in time and will not be;
  /// otherwise why it could not be made.
  Result<std::shared_ptr<const AppliedChange>> wait(std::chrono::nanoseconds timeout);
  /// wait() will not wait.
  [[nodiscard]] bool is_settled() const noexcept;

  // What the poster prepares and the track thread uses.
  AlertStage::RuleSet rules;             // set_rules
  std::unique_ptr<AnalysisSetup> setup;  // set_region; afterwards the one that was replaced
  std::shared_ptr<AppliedChange> record = std::make_shared<AppliedChange>();

 private:
  friend class ChangeBox;
  enum class State : std::uint8_t { waiting, taken, made, failed, withdrawn };

  const std::uint64_t from_seq_;
  std::atomic<State> state_{State::waiting};
  Error error_;  // written before state_ is failed
  Doorbell settled_;
};

class ChangeBox {
 public:
  ChangeBox() = default;
  /// What has not been made has failed.
  ~ChangeBox();
  ChangeBox(const ChangeBox&) = delete;
  ChangeBox& operator=(const ChangeBox&) = delete;

  /// Any thread. False: the box is closed.
  [[nodiscard]] bool post(std::shared_ptr<PendingChange> change);

  // Track thread.
  /// The next change that may hold from `seq` on, or null. It stays the next until settled.
  [[nodiscard]] PendingChange* next(std::uint64_t seq) noexcept;
  /// The next change, whenever it is to hold.
  [[nodiscard]] PendingChange* front() noexcept;
  [[nodiscard]] static std::uint64_t from_seq(const PendingChange& change) noexcept {
    return change.from_seq_;
  }
  /// It is being made: wait() no longer withdraws it. False: it was withdrawn, and is gone.
  [[nodiscard]] bool take(PendingChange& front) noexcept;
  /// The front one holds, its record says from where; or it could not be made.
  void settle_made(PendingChange& front) noexcept;
  void settle_failed(PendingChange& front, Error why);
  /// No more: what waits, or comes, has failed.
  void close(const Error& why);

 private:
  struct Node {
    std::shared_ptr<PendingChange> change;
    Node* next = nullptr;
  };
  void pull() noexcept;
  void retire_front() noexcept;
  void free_retired() noexcept;

  static Node* closed() noexcept;
  std::atomic<Node*> inbox_{nullptr};    // newest first; closed() = nothing more
  std::atomic<Node*> retired_{nullptr};  // freed by the next who posts
  Node* first_ = nullptr;                // track thread: oldest first
  Node* last_ = nullptr;
};

}  // namespace latticed
