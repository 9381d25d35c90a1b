// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/acquire/frame_source.hpp"

#include "server/base/stage_clock.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {
constexpr auto kPoll = 50ms;  // how long one wait lasts before stop requests are looked at
}

void Activity::now(const char* text, std::uint64_t at_seq) noexcept {
  what.store(text, std::memory_order_relaxed);
  seq.store(at_seq, std::memory_order_relaxed);
  since_ns.store(steady_now().count(), std::memory_order_release);
}

FrameSource::FrameSource(Detector& detector, const DetectorConfiguration& configuration,
                         const SourceConfig& config, PixelPool& pixels, FramePool& frames,
                         Push push)
    : detector_(detector),
      configuration_(configuration),
      config_(config),
      pixels_(pixels),
      frames_(frames),
      push_(std::move(push)),
      next_seq_(config.first_seq) {
  if (config_.policy != LossPolicy::block) spare_.allocate(configuration.geometry.bytes());
}

void FrameSource::stop() noexcept {
  stop_requested_.store(true, std::memory_order_release);
  detector_.stop();
}

FrameLease FrameSource::make_frame(const FrameHeader& header) {
  FrameLease frame = frames_.try_acquire();
  if (!frame) return frame;
  frame->epoch = config_.epoch;
  frame->seq = next_seq_;
  frame->header = header;
  frame->geometry = configuration_.geometry;
  frame->filled_at = steady_now();
  return frame;
}

void FrameSource::wait_for_entry(std::uint64_t seq) noexcept {
  if (config_.policy == LossPolicy::block)
    activity_.idle();
  else
    activity_.now("waits for a free entry", seq);
}

// Losses are gathered while there is no entry to carry them, then sent as one.
void FrameSource::note_lost(std::uint64_t count, LossReason reason) {
  counters_.lost[static_cast<std::size_t>(reason)].fetch_add(count, std::memory_order_relaxed);
  if (pending_lost_.count > 0 && pending_lost_.reason != reason) flush_lost();
  if (pending_lost_.count == 0) pending_lost_ = {next_seq_, 0, reason};
  pending_lost_.count += count;
  next_seq_ += count;
}

void FrameSource::flush_lost() {
  if (pending_lost_.count == 0) return;
  FrameHeader header;
  header.kind = FrameKind::lost;
  header.loss = pending_lost_.reason;
  header.lost_count = pending_lost_.count;
  wait_for_entry(pending_lost_.first_seq);
  // Entries outnumber pixel slots, so one comes free as soon as the track thread moves on.
  FrameLease frame;
  while (!(frame = frames_.acquire(kPoll))) {
  }
  frame->epoch = config_.epoch;
  frame->seq = pending_lost_.first_seq;
  frame->header = header;
  frame->geometry = configuration_.geometry;
  frame->filled_at = steady_now();
  pending_lost_ = {};
  push_(std::move(frame));
}

void FrameSource::take_frame(const FrameHeader& header, PixelLease pixels) {
  if (header.hardware_sequence > next_hardware_sequence_)
    note_lost(header.hardware_sequence - next_hardware_sequence_, LossReason::sequence_gap);
  if (header.hardware_sequence < next_hardware_sequence_) {
    // A frame that was here already, or of another run: not part of this sequence.
    counters_.lost[static_cast<std::size_t>(LossReason::stale_epoch)].fetch_add(
        1, std::memory_order_relaxed);
    return;
  }
  next_hardware_sequence_ = header.hardware_sequence + 1;
  if (!pixels) {
    note_lost(1, LossReason::no_free_slot);
    if (config_.policy == LossPolicy::stop_run && !error_) {
      error_ = Error{ErrorCode::resource_exhausted,
                     "detector " + detector_.info().name + ": no free frame slot for frame " +
                         std::to_string(next_seq_ - 1) + " of " + std::to_string(pixels_.size()) +
                         " slots (policy stop_run)"};
      stop();
    }
    return;
  }
  flush_lost();
  FrameLease frame;
  wait_for_entry(next_seq_);
  while (!(frame = make_frame(header))) (void)frames_.acquire(kPoll);
  frame->pixels = std::move(pixels);
  ++next_seq_;
  counters_.out.fetch_add(1, std::memory_order_relaxed);
  push_(std::move(frame));
}

std::span<std::byte> FrameSource::slot_or_spare(PixelLease& lease) {
  if (config_.policy != LossPolicy::block) {
    lease = pixels_.try_acquire();
    return lease ? lease->bytes() : spare_.bytes();
  }
  activity_.idle();  // it is those behind who are slow, and they are watched themselves
  while (!lease && !stop_requested_.load(std::memory_order_acquire)) lease = pixels_.acquire(kPoll);
  return lease ? lease->bytes() : std::span<std::byte>{};
}

void FrameSource::run() {
  PixelLease lease;
  bool is_waiting = false;
  while (true) {
    if (!lease) {
      const auto memory = slot_or_spare(lease);
      if (memory.empty()) break;  // stopped while every slot was out
      is_waiting = false;
    }
    if (!is_waiting) activity_.now("waits for a frame of the detector", next_seq_);
    const auto memory = lease ? lease->bytes() : spare_.bytes();
    const Result<FrameHeader> got = detector_.read_frame(memory, kPoll);
    cpu_ns_.store(thread_cpu_now().count(), std::memory_order_relaxed);
    if (!got) {
      if (got.error().code == ErrorCode::timeout) {
        is_waiting = true;  // the stall monitor counts from the first timeout on
        if (stop_requested_.load(std::memory_order_acquire)) break;
        continue;
      }
      if (!error_) error_ = got.error();
      break;
    }
    is_waiting = false;
    if (got->kind == FrameKind::end) break;
    if (got->kind == FrameKind::lost) {
      const auto count = got->lost_count ? got->lost_count : 1;
      counters_.in.fetch_add(count, std::memory_order_relaxed);
      note_lost(count, got->loss);
      next_hardware_sequence_ = got->hardware_sequence + count;
      flush_lost();
      continue;
    }
    counters_.in.fetch_add(1, std::memory_order_relaxed);
    take_frame(*got, std::move(lease));
    lease.reset();
  }
  lease.reset();
  finish();
}

void FrameSource::finish() {
  flush_lost();
  FrameHeader header;
  header.kind = FrameKind::end;
  FrameLease frame;
  wait_for_entry(next_seq_);
  while (!(frame = make_frame(header))) (void)frames_.acquire(kPoll);
  push_(std::move(frame));
  activity_.idle();
}

}  // namespace latticed
