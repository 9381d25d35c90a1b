// SPDX-License-Identifier: GPL-3.0-or-later
// A sink that keeps what it saw where the test can read it, and can be made to wait or to fail.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "server/process/sink.hpp"

namespace latticed::test {

/// What one frame brought, without its pixels.
struct SeenFrame {
  std::uint64_t seq = 0;
  std::uint32_t epoch = 0;
  FrameHeader header;
  Measurements measurements;
  std::shared_ptr<const AppliedChange> change;
};

/// Written by the sink's thread, read by the test; lives longer than the pipeline.
class Collection {
 public:
  void add(const Frame& frame) {
    const std::lock_guard lock(guard_);
    frames_.push_back({frame.seq, frame.epoch, frame.header, frame.measurements, frame.change});
  }
  [[nodiscard]] std::vector<SeenFrame> frames() const {
    const std::lock_guard lock(guard_);
    return frames_;
  }
  [[nodiscard]] std::vector<std::uint64_t> seqs() const {
    std::vector<std::uint64_t> out;
    for (const SeenFrame& frame : frames()) out.push_back(frame.seq);
    return out;
  }
  [[nodiscard]] std::size_t size() const {
    const std::lock_guard lock(guard_);
    return frames_.size();
  }

  /// Until open() the sink waits in its first frame from `hold()` on.
  void hold() {
    const std::lock_guard lock(guard_);
    is_held_ = true;
  }
  void open() {
    const std::lock_guard lock(guard_);
    is_held_ = false;
    changed_.notify_all();
  }
  void pass() {
    std::unique_lock lock(guard_);
    ++arrived_;
    changed_.wait(lock, [this] { return !is_held_; });
  }
  [[nodiscard]] int arrived() const {
    const std::lock_guard lock(guard_);
    return arrived_;
  }

  RunInfo run;       // begin()
  int finished = 0;  // finish(); read it after the run
  SinkOptions options{.policy = LossPolicy::block, .quota = 4};
  std::string name = "collect";
  std::optional<Error> begin_error, finish_error;
  std::function<void(const Frame&)> on_frame;  // sink's thread
  std::shared_ptr<SharedThread> thread;        // null = one of its own
  std::function<void()> on_idle;               // sink's thread

 private:
  mutable std::mutex guard_;
  std::condition_variable changed_;
  std::vector<SeenFrame> frames_;
  bool is_held_ = false;
  int arrived_ = 0;
};

class CollectingSink final : public Sink {
 public:
  explicit CollectingSink(Collection& into) : into_(into) {}
  [[nodiscard]] std::string_view name() const noexcept override { return into_.name; }
  [[nodiscard]] SinkOptions options() const noexcept override { return into_.options; }
  [[nodiscard]] std::shared_ptr<SharedThread> thread() const override { return into_.thread; }
  Result<void> begin(const RunInfo& run) override {
    into_.run = run;
    if (into_.begin_error) return *into_.begin_error;
    return {};
  }
  void consume(const FrameLease& frame) override {
    into_.pass();
    if (into_.on_frame) into_.on_frame(*frame);
    into_.add(*frame);
  }
  void idle() override {
    if (into_.on_idle) into_.on_idle();
  }
  Result<void> finish() override {
    ++into_.finished;
    if (into_.finish_error) return *into_.finish_error;
    return {};
  }

 private:
  Collection& into_;
};

}  // namespace latticed::test
