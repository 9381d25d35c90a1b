// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/line.hpp"

#include <algorithm>
#include <new>
#include <string>

#include "server/base/stage_clock.hpp"
#include "server/process/alert_stage.hpp"
#include "server/process/drift_stage.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kExtraEntries = 64;  // lost entries that may wait besides the frames
// A sink that blocks the track of a live detector this long is broken, not slow. Where the detector
// waits for us, a reader may take its time: nothing is lost meanwhile.
constexpr auto kSinkDeadline = 600s;
constexpr auto kPatientSinkDeadline = 24h * 365;
constexpr double kAssumedPeriod_s = 0.1;

}  // namespace

Result<std::unique_ptr<Line>> Line::make(Parts parts, std::uint32_t epoch, int workers,
                                         Doorbell& work) {
  std::unique_ptr<Line> line(new Line);
  line->detector_ = std::move(parts.detector);
  line->config_ = std::move(parts.config);
  line->work_ = &work;
  const LineConfig& config = line->config_;

  auto configuration = line->detector_->configure(config.detector);
  if (!configuration) return configuration.error();
  auto preparer = Preparer::make(configuration->geometry, config.prepare, std::move(parts.maps));
  if (!preparer) return preparer.error();
  line->preparer_ = std::move(*preparer);

  RunInfo& run = line->run_;
  run.epoch = epoch;
  run.detector = line->detector_->info();
  run.configuration = *configuration;
  run.grid = line->preparer_->grid();
  run.pixel_size_nm =
      config.pixel_size_nm > 0.0 ? config.pixel_size_nm : configuration->pixel_size_nm;
  run.frame_period_s =
      config.frame_period_s > 0.0 ? config.frame_period_s : configuration->frame_period_s;
  run.is_frame_period_assumed = run.frame_period_s <= 0.0;
  if (run.is_frame_period_assumed) run.frame_period_s = kAssumedPeriod_s;
  run.first_seq = config.first_seq;
  run.rules = config.rules;
  run.maps = &line->preparer_->maps();

  try {
    const std::size_t bytes = configuration->geometry.bytes();
    const auto slots = static_cast<std::size_t>(config.frame_slots);
    line->pixels_ = std::make_unique<PixelPool>(slots, [&](PixelBuffer& b) { b.allocate(bytes); });
    line->frames_ = std::make_unique<FramePool>(slots + kExtraEntries, [](Frame&) {});
    // One being filled per worker, and as many finished ones waiting for their turn.
    line->prepared_ = std::make_unique<PreparedPool>(
        static_cast<std::size_t>(2 * workers + 1),
        [&](Prepared& prepared) { line->preparer_->reserve(prepared); });
    line->ring_ = std::make_unique<SequenceRing>(line->frames_->size(), work);
    line->source_ = std::make_unique<FrameSource>(
        *line->detector_, *configuration,
        SourceConfig{config.source_policy, epoch, config.first_seq}, *line->pixels_,
        *line->frames_, [ring = line->ring_.get()](FrameLease frame) { ring->push(std::move(frame)); });
    if (const signal::FrameFft* fft = line->preparer_->fft()) {
      const LatticeConfig lattice{config.prepare.detect.min_fringes, run.pixel_size_nm,
                                  config.pixel_size_sigma_ratio};
      line->stages_.push_back(std::make_unique<DriftStage>(*fft, config.drift));
      line->stages_.push_back(
          std::make_unique<LatticeStage>(*fft, configuration->geometry, lattice));
      line->stages_.push_back(std::make_unique<AlertStage>(config.rules, run.frame_period_s));
    }
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::resource_exhausted,
                 "detector " + run.detector.name + ": no memory for " +
                     std::to_string(config.frame_slots) + " frame slots of " +
                     std::to_string(configuration->geometry.bytes()) + " bytes"};
  }
  for (auto& sink : parts.sinks) {
    line->sinks_.push_back(std::make_unique<SinkRunner>(std::move(sink)));
    if (auto ok = line->sinks_.back()->begin(run); !ok) return ok.error();
  }
  if (auto ok = line->detector_->arm(); !ok) return ok.error();
  return line;
}

Line::~Line() {
  if (!source_) return;
  source_->stop();
  is_abandoned_.store(true, std::memory_order_release);
  source_thread_.join();
  track_thread_.join();
  sinks_.clear();
}

Result<void> Line::start(int nice, int track_cpu) {
  for (auto& sink : sinks_) sink->start(nice);
  track_thread_ = NamedThread({"latd-track", nice, track_cpu}, [this] { track(); });
  if (auto ok = detector_->start(); !ok) {
    abandon(ok.error());
    is_finished_.store(true, std::memory_order_release);
    return ok.error();
  }
  source_thread_ = NamedThread({"latd-acq", nice}, [this] { source_->run(); });
  return {};
}

void Line::stop() noexcept { source_->stop(); }

bool Line::prepare_one(Preparer::Scratch& scratch, Activity& activity) noexcept {
  if (!ring_->has_work()) return false;
  // The place first, then the claim: every claimed frame has a place, so the oldest always moves.
  PreparedLease place = prepared_->try_acquire();
  if (!place) return false;
  const auto position = ring_->claim();
  if (!position) return false;
  SequenceRing::Cell& cell = ring_->at(*position);
  if (cell.frame->has_pixels()) {
    activity.now("prepares a frame", cell.frame->seq);
    preparer_->prepare(*cell.frame, scratch, *place);
    activity.idle();
    cell.prepared = std::move(place);
  }
  ring_->mark_ready(*position);
  return true;
}

void Line::measure(Frame& frame, const Prepared* prepared) noexcept {
  Measurements& out = frame.measurements;
  if (!prepared) {
    for (auto& stage : stages_) stage->skip(frame);
    return;
  }
  out.quality = prepared->quality;
  out.mean_counts = prepared->statistics.mean;
  out.repaired_pixels = static_cast<std::uint32_t>(prepared->statistics.not_finite);
  out.stage_cpu = prepared->stage_cpu;
  // Until the drift stage says better: nothing is known, and half a small field is the doubt.
  const double doubt = 8.0 * run_.grid.bin;
  out.drift.sigma_drift_px = {doubt, doubt};
  for (auto& stage : stages_) {
    const auto began = thread_cpu_now();
    stage->process(frame, *prepared, out);
    out.stage_cpu[static_cast<std::size_t>(stage->stage())] = thread_cpu_now() - began;
  }
  for (std::size_t s = 0; s < kStages; ++s)
    stage_cpu_ns_[s].store(stage_cpu_ns_[s].load(std::memory_order_relaxed) + out.stage_cpu[s].count(),
                           std::memory_order_relaxed);
}

void Line::hand_out(const FrameLease& frame) noexcept {
  const bool is_patient = !run_.configuration.is_paced;
  for (auto& sink : sinks_) {
    if (is_patient)
      track_activity_.idle();
    else
      track_activity_.now("waits for a sink to take the frame", frame->seq);
    if (sink->offer(frame, is_patient ? kPatientSinkDeadline : kSinkDeadline) || is_abandoned_.load(std::memory_order_acquire)) continue;
    if (!failure_)
      failure_ = Error{ErrorCode::resource_exhausted,
                       "sink " + std::string(sink->sink().name()) + " did not take frame " +
                           std::to_string(frame->seq) + " (policy " +
                           std::string(to_string(sink->sink().options().policy)) + ")"};
    source_->stop();
  }
}

void Line::track() {
  while (!is_abandoned_.load(std::memory_order_acquire)) {
    track_activity_.idle();
    SequenceRing::Cell* cell = ring_->next(200ms);
    if (!cell) continue;
    const FrameLease frame = std::move(cell->frame);
    track_activity_.now("measures a frame", frame->seq);
    const bool is_end = frame->header.kind == FrameKind::end;
    if (!is_end) measure(*frame, cell->prepared ? &*cell->prepared : nullptr);
    cell->prepared.reset();
    ring_->release();
    if (ring_->has_work()) work_->ring();  // a place to prepare into has come free
    hand_out(frame);
    if (is_end) break;
    if (frame->has_pixels()) {
      latency_.record(steady_now() - frame->filled_at);
      measured_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  track_activity_.idle();
  finished_at_ = steady_now();
  is_finished_.store(true, std::memory_order_release);
}

void Line::abandon(Error why) noexcept {
  if (!failure_) failure_ = std::move(why);
  is_abandoned_.store(true, std::memory_order_release);
  source_->stop();
  for (auto& sink : sinks_) sink->abandon();
}

Result<void> Line::join() {
  source_thread_.join();
  track_thread_.join();
  for (auto& sink : sinks_) sink->join();
  if (failure_) return *failure_;
  if (source_->error()) return *source_->error();
  for (auto& sink : sinks_)
    if (sink->error()) return *sink->error();
  return {};
}

std::chrono::nanoseconds Line::stall_deadline() const noexcept {
  const DetectorConfiguration& c = run_.configuration;
  const double frame_s = std::max(c.exposure_s, c.frame_period_s);
  // Ten frames, and never less than what a busy disk or machine may take.
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::max(5.0, 10.0 * frame_s) * 1e9));
}

std::array<std::chrono::nanoseconds, kStages> Line::stage_cpu() const noexcept {
  std::array<std::chrono::nanoseconds, kStages> out{};
  for (std::size_t s = 0; s < kStages; ++s)
    out[s] = std::chrono::nanoseconds(stage_cpu_ns_[s].load(std::memory_order_relaxed));
  out[static_cast<std::size_t>(Stage::acquire)] += source_->cpu_time();
  for (const auto& sink : sinks_) out[static_cast<std::size_t>(Stage::publish)] += sink->cpu_time();
  return out;
}

}  // namespace latticed
