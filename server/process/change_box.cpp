// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/change_box.hpp"

#include <string>
#include <utility>

#include "server/base/stage_clock.hpp"

namespace latticed {

bool PendingChange::is_settled() const noexcept {
  const State state = state_.load(std::memory_order_acquire);
  return state != State::waiting && state != State::taken;
}

Result<std::shared_ptr<const AppliedChange>> PendingChange::wait(std::chrono::nanoseconds timeout) {
  const auto deadline = steady_now() + timeout;
  while (!is_settled()) {
    const auto seen = settled_.listen();
    if (is_settled()) break;
    const auto left = deadline - steady_now();
    if (left.count() > 0) {
      settled_.wait(seen, left);
      continue;
    }
    const std::string what(name_of(record->change));
    State waiting = State::waiting;
    if (state_.compare_exchange_strong(waiting, State::withdrawn, std::memory_order_acq_rel))
      return Error{ErrorCode::timeout, what + ": no frame came in time; it was not made"};
    if (waiting == State::taken)
      return Error{ErrorCode::timeout, what + ": no frame came in time; it holds from the next"};
  }
  switch (state_.load(std::memory_order_acquire)) {
    case State::made:
      return std::shared_ptr<const AppliedChange>(record);
    case State::failed:
      return error_;
    default:
      return Error{ErrorCode::cancelled, std::string(name_of(record->change)) + ": was withdrawn"};
  }
}

ChangeBox::Node* ChangeBox::closed() noexcept {
  static Node mark;
  return &mark;
}

ChangeBox::~ChangeBox() {
  close({ErrorCode::cancelled, "the run was given up"});
  free_retired();
}

bool ChangeBox::post(std::shared_ptr<PendingChange> change) {
  free_retired();
  auto node = std::make_unique<Node>(Node{std::move(change)});
  node->next = inbox_.load(std::memory_order_relaxed);
  do {
    if (node->next == closed()) return false;
    // Release: the track thread sees what the poster prepared.
  } while (!inbox_.compare_exchange_weak(node->next, node.get(), std::memory_order_release,
                                         std::memory_order_relaxed));
  (void)node.release();
  return true;
}

void ChangeBox::free_retired() noexcept {
  for (Node* node = retired_.exchange(nullptr, std::memory_order_acq_rel); node;)
    delete std::exchange(node, node->next);
}

void ChangeBox::pull() noexcept {
  if (const Node* newest = inbox_.load(std::memory_order_relaxed); !newest || newest == closed())
    return;
  Node* node = inbox_.exchange(nullptr, std::memory_order_acquire);
  Node* reversed = nullptr;
  Node* const newest = node;
  while (node) {
    Node* const next = std::exchange(node->next, reversed);
    reversed = node;
    node = next;
  }
  (last_ ? last_->next : first_) = reversed;
  last_ = newest;
}

PendingChange* ChangeBox::front() noexcept {
  pull();
  while (first_ && first_->change->is_settled()) retire_front();  // withdrawn
  return first_ ? first_->change.get() : nullptr;
}

PendingChange* ChangeBox::next(std::uint64_t seq) noexcept {
  PendingChange* const change = front();
  return change && change->from_seq_ <= seq ? change : nullptr;
}

bool ChangeBox::take(PendingChange& front) noexcept {
  auto waiting = PendingChange::State::waiting;
  if (front.state_.compare_exchange_strong(waiting, PendingChange::State::taken,
                                           std::memory_order_acq_rel) ||
      waiting == PendingChange::State::taken)
    return true;
  retire_front();
  return false;
}

void ChangeBox::retire_front() noexcept {
  Node* const node = std::exchange(first_, first_->next);
  if (!first_) last_ = nullptr;
  node->next = retired_.load(std::memory_order_relaxed);
  while (!retired_.compare_exchange_weak(node->next, node, std::memory_order_release,
                                         std::memory_order_relaxed)) {
  }
}

void ChangeBox::settle_made(PendingChange& front) noexcept {
  front.state_.store(PendingChange::State::made, std::memory_order_release);
  front.settled_.ring();
  retire_front();
}

void ChangeBox::settle_failed(PendingChange& front, Error why) {
  front.error_ = std::move(why);
  front.state_.store(PendingChange::State::failed, std::memory_order_release);
  front.settled_.ring();
  retire_front();
}

void ChangeBox::close(const Error& why) {
  pull();
  Node* late = inbox_.exchange(closed(), std::memory_order_acq_rel);
  if (late == closed()) late = nullptr;
  while (PendingChange* const change = front())
    if (take(*change)) settle_failed(*change, why);
  // What came between the two lines above, newest first: nobody sees its order any more.
  while (late) {
    first_ = last_ = std::exchange(late, late->next);
    first_->next = nullptr;
    if (take(*first_->change)) settle_failed(*first_->change, why);
  }
}

}  // namespace latticed
