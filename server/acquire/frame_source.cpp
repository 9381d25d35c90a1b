// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/acquire/frame_source.hpp"

#include <algorithm>

#include "drivers/kit/copy_pixels.hpp"
#include "server/base/stage_clock.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {
constexpr auto kPoll = 50ms;  // how long one wait lasts before stop requests are looked at
// Each missing frame is an entry somewhere. More than this is no gap but a broken count: two days
// at 100 frames/s.
constexpr std::uint64_t kLargestGap = 1u << 24;
}  // namespace

void Activity::now(const char* text, std::uint64_t at_seq, Patience whose) noexcept {
  what.store(text, std::memory_order_relaxed);
  seq.store(at_seq, std::memory_order_relaxed);
  patience.store(whose, std::memory_order_relaxed);
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

void FrameSource::abandon() noexcept {
  is_abandoned_.store(true, std::memory_order_release);
  stop();
}

void FrameSource::send(const FrameHeader& header, std::uint64_t seq, PixelLease pixels) {
  // Entries outnumber pixel slots, so one comes free as soon as the track thread moves on.
  FrameLease frame = frames_.try_acquire();
  if (!frame) activity_.now("waits for a free entry", seq, Patience::behind_sinks);
  while (!frame && !is_abandoned_.load(std::memory_order_acquire)) frame = frames_.acquire(kPoll);
  if (!frame) return;
  frame->epoch = config_.epoch;
  frame->seq = seq;
  frame->header = header;
  frame->geometry = configuration_.geometry;
  frame->filled_at = filled_at_;
  frame->pixels = std::move(pixels);
  push_(std::move(frame));
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
  const std::uint64_t seq = pending_lost_.first_seq;
  pending_lost_ = {};
  send(header, seq, {});
}

void FrameSource::note_gap_before(std::uint64_t hardware_sequence) {
  if (hardware_sequence <= next_hardware_sequence_) return;
  const std::uint64_t missing = hardware_sequence - next_hardware_sequence_;
  counters_.in.fetch_add(missing, std::memory_order_relaxed);
  note_lost(missing, LossReason::sequence_gap);
  next_hardware_sequence_ = hardware_sequence;
}

// False: the count cannot be believed, and the run ends with that error.
bool FrameSource::is_plausible(const FrameHeader& header) {
  const std::uint64_t ahead = header.hardware_sequence - next_hardware_sequence_;
  const bool is_behind = header.hardware_sequence < next_hardware_sequence_;
  if ((is_behind || ahead <= kLargestGap) && header.lost_count <= kLargestGap) return true;
  error_ =
      Error{ErrorCode::data_loss, "detector " + detector_.info().name + ": its count went from " +
                                      std::to_string(next_hardware_sequence_) + " to " +
                                      std::to_string(header.hardware_sequence) + ", " +
                                      std::to_string(header.lost_count) + " lost: more than " +
                                      std::to_string(kLargestGap) + " missing frames cannot be"};
  return false;
}

void FrameSource::take_lost(const FrameHeader& header) {
  note_gap_before(header.hardware_sequence);
  // What was here already, or was missed already, is not lost once more.
  const std::uint64_t end =
      header.hardware_sequence + std::max<std::uint64_t>(header.lost_count, 1);
  if (end <= next_hardware_sequence_) return;
  const std::uint64_t count = end - next_hardware_sequence_;
  counters_.in.fetch_add(count, std::memory_order_relaxed);
  note_lost(count, header.loss);
  next_hardware_sequence_ = end;
  flush_lost();
}

void FrameSource::no_slot() {
  note_lost(1, LossReason::no_free_slot);
  if (config_.policy != LossPolicy::stop_run || error_) return;
  error_ = Error{ErrorCode::resource_exhausted,
                 "detector " + detector_.info().name + ": no free frame slot for frame " +
                     std::to_string(next_seq_ - 1) + ": all " + std::to_string(pixels_.size()) +
                     " slots are in use (policy stop_run)"};
  stop();
}

void FrameSource::take_frame(const FrameHeader& header, PixelLease pixels) {
  counters_.in.fetch_add(1, std::memory_order_relaxed);
  if (header.hardware_sequence < next_hardware_sequence_) {
    // A frame that was here already, or of another run: not part of this sequence.
    counters_.lost[static_cast<std::size_t>(LossReason::stale_epoch)].fetch_add(
        1, std::memory_order_relaxed);
    return;
  }
  note_gap_before(header.hardware_sequence);
  next_hardware_sequence_ = header.hardware_sequence + 1;
  if (!pixels && (pixels = pixels_.try_acquire())) {
    // A slot came free while the detector filled the spare: the frame is not lost after all.
    copy_pixels(spare_.bytes().first(configuration_.geometry.bytes()), pixels->bytes());
  }
  if (!pixels) return no_slot();
  flush_lost();
  counters_.out.fetch_add(1, std::memory_order_relaxed);
  send(header, next_seq_++, std::move(pixels));
}

// True when there is memory to read into: the lease's, or else the spare. False: stopped.
bool FrameSource::find_memory(PixelLease& lease) {
  if (lease || (lease = pixels_.try_acquire())) return true;
  if (config_.policy != LossPolicy::block) return true;
  activity_.now("waits for a free frame slot", next_seq_, Patience::behind_sinks);
  while (!lease && !stop_requested_.load(std::memory_order_acquire)) lease = pixels_.acquire(kPoll);
  return static_cast<bool>(lease);
}

void FrameSource::run() {
  PixelLease lease;
  bool is_waiting = false;
  while (find_memory(lease)) {
    if (!is_waiting) activity_.now("waits for a frame of the detector", next_seq_);
    const auto memory = lease ? lease->bytes() : spare_.bytes();
    const Result<FrameHeader> got = detector_.read_frame(memory, kPoll);
    filled_at_ = steady_now();
    cpu_ns_.store(thread_cpu_now().count(), std::memory_order_relaxed);
    is_waiting = !got && got.error().code == ErrorCode::timeout;
    if (is_waiting) {  // the stall monitor counts from the first wait on
      if (stop_requested_.load(std::memory_order_acquire)) break;
      continue;
    }
    if (!got && !error_) error_ = got.error();
    if (!got || got->kind == FrameKind::end) break;
    if (!is_plausible(*got)) {
      stop();
      break;
    }
    if (got->kind == FrameKind::lost)
      take_lost(*got);
    else
      take_frame(*got, std::move(lease));
  }
  lease.reset();
  finish();
}

void FrameSource::finish() {
  flush_lost();
  FrameHeader header;
  header.kind = FrameKind::end;
  send(header, next_seq_, {});
  activity_.idle();
}

}  // namespace latticed
