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
constexpr double kAssumedPeriod_s = 0.1;

}  // namespace

Result<void> Line::check() const {
  const auto refuse = [this](const std::string& what) {
    return Error{ErrorCode::invalid_argument, "detector " + detector_->info().name + ": " + what};
  };
  if (config_.frame_slots < 2 || config_.frame_slots > 65536)
    return refuse("frame_slots " + std::to_string(config_.frame_slots) + ": expected 2 to 65536");
  const LossPolicy policy = config_.source_policy;
  if (policy == LossPolicy::drop_oldest || policy == LossPolicy::latest_only)
    return refuse("source policy " + std::string(to_string(policy)) +
                  ": expected block, drop_newest or stop_run");
  return {};
}

Result<std::unique_ptr<Line>> Line::make(Parts parts, Surroundings surroundings) {
  std::unique_ptr<Line> line(new Line);
  line->detector_ = std::move(parts.detector);
  line->config_ = std::move(parts.config);
  line->surroundings_ = std::move(surroundings);
  const LineConfig& config = line->config_;
  if (auto ok = line->check(); !ok) return ok.error();

  auto configuration = line->detector_->configure(config.detector);
  if (!configuration) return configuration.error();
  auto preparer = Preparer::make(configuration->geometry, config.prepare, std::move(parts.maps));
  if (!preparer) return preparer.error();
  line->preparer_ = std::move(*preparer);

  RunInfo& run = line->run_;
  run.epoch = line->surroundings_.epoch;
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
  line->deadlines_ = StallDeadlines(line->surroundings_.stall, *configuration);
  if (auto ok = line->allocate(); !ok) return ok.error();
  for (auto& sink : parts.sinks) {
    line->sinks_.push_back(std::make_unique<SinkRunner>(std::move(sink)));
    if (auto ok = line->sinks_.back()->begin(run); !ok) return ok.error();
  }
  if (auto ok = line->detector_->arm(); !ok) return ok.error();
  return line;
}

Result<void> Line::allocate() {
  try {
    const std::size_t bytes = run_.configuration.geometry.bytes();
    const auto slots = static_cast<std::size_t>(config_.frame_slots);
    pixels_ = std::make_unique<PixelPool>(slots, [&](PixelBuffer& b) { b.allocate(bytes); });
    frames_ = std::make_unique<FramePool>(slots + kExtraEntries, [](Frame&) {});
    // One being filled per worker, and as many finished ones waiting for their turn.
    prepared_ =
        std::make_unique<PreparedPool>(static_cast<std::size_t>(2 * surroundings_.workers + 1),
                                       [&](Prepared& prepared) { preparer_->reserve(prepared); });
    ring_ = std::make_unique<SequenceRing>(frames_->size(), *surroundings_.work);
    source_ = std::make_unique<FrameSource>(
        *detector_, run_.configuration,
        SourceConfig{config_.source_policy, run_.epoch, config_.first_seq}, *pixels_, *frames_,
        [ring = ring_.get()](FrameLease frame) { ring->push(std::move(frame)); });
    if (const signal::FrameFft* fft = preparer_->fft()) {
      const LatticeConfig lattice{config_.prepare.detect.min_fringes, run_.pixel_size_nm,
                                  config_.pixel_size_sigma_ratio};
      stages_.push_back(std::make_unique<DriftStage>(*fft, config_.drift));
      stages_.push_back(std::make_unique<LatticeStage>(*fft, run_.configuration.geometry, lattice));
      stages_.push_back(std::make_unique<AlertStage>(config_.rules, run_.frame_period_s));
    }
    return {};
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::resource_exhausted,
                 "detector " + run_.detector.name + ": no memory for " +
                     std::to_string(config_.frame_slots) + " frame slots of " +
                     std::to_string(run_.configuration.geometry.bytes()) + " bytes"};
  }
}

Line::~Line() {
  if (!source_) return;
  abandon({ErrorCode::cancelled, "detector " + run_.detector.name + ": the run was given up"});
  source_thread_.join();
  track_thread_.join();
  sinks_.clear();
}

Result<void> Line::start(int nice, int track_cpu) {
  was_started_.store(true, std::memory_order_release);
  for (auto& sink : sinks_) sink->start(nice);
  threads_.fetch_add(1, std::memory_order_acq_rel);
  track_thread_ = NamedThread({"latd-track", nice, track_cpu}, [this] {
    track();
    threads_.fetch_sub(1, std::memory_order_acq_rel);
  });
  if (auto ok = detector_->start(); !ok) {
    abandon(ok.error());
    return ok.error();
  }
  threads_.fetch_add(1, std::memory_order_acq_rel);
  source_thread_ = NamedThread({"latd-acq", nice}, [this] {
    source_->run();
    threads_.fetch_sub(1, std::memory_order_acq_rel);
  });
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
  out.repaired_pixels = prepared->repaired_pixels;
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
    stage_cpu_ns_[s].store(
        stage_cpu_ns_[s].load(std::memory_order_relaxed) + out.stage_cpu[s].count(),
        std::memory_order_relaxed);
}

void Line::hand_out(const FrameLease& frame) noexcept {
  for (auto& sink : sinks_) {
    track_activity_.now("waits for a sink to take the frame", frame->seq, Patience::behind_sinks);
    // The stall monitor comes first; the timeout is for a run nobody watches.
    if (sink->offer(frame, 2 * deadlines_.sink()) || is_abandoned_.load(std::memory_order_acquire))
      continue;
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
    if (is_end) break;
    if (ring_->has_work()) surroundings_.work->ring();  // a place to prepare into has come free
    hand_out(frame);
    if (frame->has_pixels()) {
      latency_.record(steady_now() - frame->filled_at);
      measured_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  for (auto& sink : sinks_) sink->end();
  track_activity_.idle();
  finished_at_ = steady_now();
  is_finished_.store(true, std::memory_order_release);
}

void Line::abandon(Error why) {
  if (!abandoned_for_) abandoned_for_ = std::move(why);
  is_abandoned_.store(true, std::memory_order_release);
  source_->abandon();
  for (auto& sink : sinks_) sink->abandon();
}

bool Line::has_ended() const noexcept {
  if (!was_started_.load(std::memory_order_acquire))
    return is_abandoned_.load(std::memory_order_acquire);
  if (threads_.load(std::memory_order_acquire) > 0) return false;
  return std::all_of(sinks_.begin(), sinks_.end(), [](const auto& s) { return s->has_ended(); });
}

Result<void> Line::join() {
  source_thread_.join();
  track_thread_.join();
  for (auto& sink : sinks_) sink->join();
  if (abandoned_for_) return *abandoned_for_;
  if (failure_) return *failure_;
  if (source_->error()) return *source_->error();
  for (auto& sink : sinks_)
    if (sink->error()) return *sink->error();
  return {};
}

std::optional<Error> Line::find_stall_at_end(std::chrono::nanoseconds now) const {
  const std::string& name = run_.detector.name;
  for (const auto& sink : sinks_) {
    // While frames flow, a sink that may lose them holds nobody up; at the end everyone waits for
    // it.
    const LossPolicy policy = sink->sink().options().policy;
    if (policy != LossPolicy::block && !is_finished()) continue;
    if (auto found = sink->find_stall(deadlines_, name, now)) return found;
  }
  return deadlines_.find_stall(name, "track", track_activity_, now);
}

std::optional<Error> Line::find_stall_of_source(std::chrono::nanoseconds now) const {
  return deadlines_.find_stall(run_.detector.name, "source", source_->activity(), now);
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
