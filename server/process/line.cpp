// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/line.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <new>
#include <string>
#include <thread>
#include <utility>

#include "server/base/free_memory.hpp"
#include "server/base/stage_clock.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kExtraEntries = 64;  // lost entries that may wait besides the frames
constexpr double kAssumedPeriod_s = 0.1;
constexpr auto kHeldPoll = 2ms;  // while the ring is held nobody calls the track
constexpr auto kIdlePoll = 200ms;

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
  if (config_.rules.size() > RuleBook::kMaxRules)
    return refuse(std::to_string(config_.rules.size()) + " alert rules: expected at most " +
                  std::to_string(RuleBook::kMaxRules));
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
  line->maps_ = std::make_shared<const signal::CorrectionMaps>(std::move(parts.maps));

  RunInfo& run = line->run_;
  run.epoch = line->surroundings_.epoch;
  run.detector = line->detector_->info();
  run.configuration = *configuration;
  line->config_.take_scale(*configuration);
  run.pixel_size_nm = config.pixel_size_nm;
  run.pixel_size_sigma_ratio = config.pixel_size_sigma_ratio;
  run.pixel_size_source = config.pixel_size_source;
  run.frame_period_s =
      config.frame_period_s > 0.0 ? config.frame_period_s : configuration->frame_period_s;
  run.is_frame_period_assumed = run.frame_period_s <= 0.0;
  if (run.is_frame_period_assumed) run.frame_period_s = kAssumedPeriod_s;
  run.first_seq = config.first_seq;
  run.rules = config.rules;
  run.maps = line->maps_.get();
  line->deadlines_ = StallDeadlines(line->surroundings_.stall, *configuration);
  auto setup = AnalysisSetup::make(line->wish());
  if (!setup) return setup.error();
  line->setup_ = std::move(*setup);
  run.grid = line->setup_->preparer->grid();
  if (auto ok = line->allocate(); !ok) return ok.error();
  for (auto& sink : parts.sinks) {
    line->sinks_.push_back(std::make_unique<SinkRunner>(std::move(sink)));
    if (auto ok = line->sinks_.back()->begin(run); !ok) return ok.error();
  }
  if (auto ok = line->detector_->arm(); !ok) return ok.error();
  return line;
}

AnalysisSetup::Wish Line::wish() const {
  return {run_.configuration.geometry,
          config_.prepare,
          config_.drift,
          {config_.prepare.detect.min_fringes, run_.pixel_size_nm, config_.pixel_size_sigma_ratio,
           run_.configuration.scan_line_time_s, run_.frame_period_s, config_.lattice},
          config_.sum,
          maps_,
          surroundings_.workers};
}

Result<void> Line::allocate() {
  const std::size_t bytes = run_.configuration.geometry.bytes();
  const auto slots = static_cast<std::size_t>(config_.frame_slots);
  // Slots are touched when they are made: without room for them the system would end somebody.
  const std::uint64_t free = free_memory_bytes();
  if (bytes > free / slots)
    return Error{ErrorCode::resource_exhausted,
                 fmt::format("detector {}: {} frame slots of {:.1f} MB are {:.2f} GB of memory, "
                             "{:.2f} GB are free",
                             run_.detector.name, slots, 1e-6 * static_cast<double>(bytes),
                             1e-9 * static_cast<double>(bytes) * static_cast<double>(slots),
                             1e-9 * static_cast<double>(free))};
  try {
    pixels_ = std::make_unique<PixelPool>(slots, [&](PixelBuffer& b) { b.allocate(bytes); });
    frames_ = std::make_unique<FramePool>(slots + kExtraEntries, [](Frame&) {});
    ring_ = std::make_unique<SequenceRing>(frames_->size(), *surroundings_.work);
    source_ = std::make_unique<FrameSource>(
        *detector_, run_.configuration,
        SourceConfig{config_.source_policy, run_.epoch, config_.first_seq}, *pixels_, *frames_,
        [ring = ring_.get()](FrameLease frame) { ring->push(std::move(frame)); });
    alerts_ = std::make_unique<AlertStage>(run_.rules, run_.frame_period_s, config_.sum.frames);
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

bool Line::prepare_one(std::size_t number, Activity& activity) noexcept {
  if (!ring_->has_work()) return false;
  // Announced before the hold is looked at: while we are counted, setup_ stays as it is, or the
  // ring was held before and we see it.
  preparing_.fetch_add(1, std::memory_order_seq_cst);
  // The place first, then the claim: every claimed frame has a place, so the oldest always moves.
  PreparedLease place = ring_->is_held() ? PreparedLease() : setup_->prepared->try_acquire();
  const auto position = place ? ring_->claim() : std::nullopt;
  if (position) {
    SequenceRing::Cell& cell = ring_->at(*position);
    if (cell.frame->has_pixels()) {
      activity.now("prepares a frame", cell.frame->seq);
      setup_->preparer->prepare(*cell.frame, setup_->scratch[number], *place);
      activity.idle();
      cell.prepared = std::move(place);
    }
  }
  place.reset();
  // Before the track is told: when it has taken the last claimed frame, nobody is counted for it.
  preparing_.fetch_sub(1, std::memory_order_release);
  if (!position) return false;
  ring_->mark_ready(*position);
  ring_->take_turn([this](SequenceRing::Cell& cell) { return track_by_worker(cell); });
  return true;
}

void Line::run_stage(TrackStage& stage, const Frame& frame, const Prepared& prepared,
                     Measurements& out) noexcept {
  const auto began = thread_cpu_now();
  stage.process(frame, prepared, out);
  out.stage_cpu[static_cast<std::size_t>(stage.stage())] = thread_cpu_now() - began;
}

void Line::measure(Frame& frame, const Prepared* prepared) noexcept {
  Measurements& out = frame.measurements;
  AnalysisSetup& setup = *setup_;
  if (!prepared) {
    if (setup.drift) setup.drift->skip(frame), setup.lattice->skip(frame), alerts_->skip(frame);
    if (setup.sum) setup.sum->skip(frame);
    return;
  }
  out.quality = prepared->quality;
  out.mean_counts = prepared->statistics.mean;
  out.repaired_pixels = prepared->repaired_pixels;
  out.stage_cpu = prepared->stage_cpu;
  // Until the drift stage says better: nothing is known, and half a small field is the doubt.
  const double doubt = 8.0 * setup.preparer->grid().bin;
  out.drift.sigma_drift_px = {doubt, doubt};
  if (setup.drift) {
    run_stage(*setup.drift, frame, *prepared, out);
    run_stage(*setup.lattice, frame, *prepared, out);
    if (setup.sum) run_stage(*setup.sum, frame, *prepared, out);
    run_stage(*alerts_, frame, *prepared, out);
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

// The next frame through the ordered half and to the sinks. False: that was the end.
bool Line::take_next(SequenceRing::Cell& cell) noexcept {
  const FrameLease frame = std::move(cell.frame);
  has_taken_ = true;
  last_seq_ = frame->seq;
  track_activity_.now("measures a frame", frame->seq);
  const bool is_end = frame->header.kind == FrameKind::end;
  if (frame->has_pixels()) change_before(*frame);
  if (!is_end) measure(*frame, cell.prepared ? &*cell.prepared : nullptr);
  cell.prepared.reset();
  ring_->release();
  if (is_end) return false;
  if (ring_->has_work()) surroundings_.work->ring();  // a place to prepare into has come free
  boundary_ = region_change_ && !is_region_swapped_ ? frame : FrameLease();
  hand_out(frame);
  if (frame->has_pixels()) {
    latency_.record(steady_now() - frame->filled_at);
    measured_.fetch_add(1, std::memory_order_relaxed);
  }
  track_activity_.idle();
  return true;
}

// A worker has the turn. What may have to wait, and what changes, is the track thread's.
bool Line::track_by_worker(SequenceRing::Cell& cell) noexcept {
  if (is_abandoned_.load(std::memory_order_acquire) || cell.frame->header.kind == FrameKind::end ||
      region_change_ || changes_.front() ||
      std::any_of(sinks_.begin(), sinks_.end(),
                  [](const auto& sink) { return sink->would_wait(); }))
    return false;
  return take_next(cell);
}

void Line::look_for_region() noexcept {
  if (const PendingChange* change = changes_.front();
      change && change->setup && (!has_taken_ || ChangeBox::from_seq(*change) > last_seq_ + 1))
    begin_region();
  if (region_change_ && !is_region_swapped_) swap_region();
}

// latd-track: waits for what no worker takes.
void Line::track() {
  bool is_over = false;
  while (!is_over && !is_abandoned_.load(std::memory_order_acquire)) {
    const auto seen = ring_->listen();
    bool is_held = false, is_more = false;
    if (ring_->try_turn()) {
      look_for_region();
      if (SequenceRing::Cell* cell = ring_->next()) is_over = !take_next(*cell);
      is_held = region_change_ && !is_region_swapped_;
      ring_->give_turn();
      // A worker that came meanwhile left again: whoever gives the turn back looks once more.
      is_more = ring_->next() != nullptr;
    }
    if (!is_over && !is_more) ring_->wait_for_call(seen, is_held ? kHeldPoll : kIdlePoll);
  }
  end_track();
}

void Line::end_track() noexcept {
  // Kept for good: no worker takes another frame. One that has it now is in the middle of a frame.
  while (!ring_->try_turn()) std::this_thread::sleep_for(kHeldPoll);
  boundary_.reset();
  changes_.close(
      {ErrorCode::failed_precondition, "detector " + run_.detector.name + ": the run has ended"});
  for (auto& sink : sinks_) sink->end();
  track_activity_.idle();
  finished_at_ = steady_now();
  is_finished_.store(true, std::memory_order_release);
}

Result<std::shared_ptr<PendingChange>> Line::post(TrackChange change, std::uint64_t from_seq) {
  auto pending = std::make_shared<PendingChange>(from_seq);
  pending->record->change = std::move(change);
  if (auto ok = ready(*pending); !ok)
    return Error{ok.error().code, "detector " + run_.detector.name + ": " + ok.error().message};
  if (!changes_.post(pending))
    return Error{ErrorCode::failed_precondition,
                 "detector " + run_.detector.name + ": the run has ended"};
  return pending;
}

Result<std::shared_ptr<const AppliedChange>> Line::apply(TrackChange change,
                                                         std::chrono::nanoseconds timeout) {
  auto pending = post(std::move(change));
  if (!pending) return pending.error();
  auto made = (*pending)->wait(timeout);
  if (!made)
    return Error{made.error().code,
                 made.error().code == ErrorCode::failed_precondition
                     ? made.error().message
                     : "detector " + run_.detector.name + ": " + made.error().message};
  return made;
}

// What a change needs is checked and made here, by who wants it; the track thread only puts it in.
Result<void> Line::ready(PendingChange& change) const {
  if (const auto* rules = std::get_if<SetRules>(&change.record->change)) {
    if (auto ok = check_rules(rules->rules); !ok) return ok;
    for (const AlertRule& rule : rules->rules)
      if (rule.of == RuleOf::sum && !config_.sum.is_on())
        return Error{ErrorCode::failed_precondition,
                     "rule " + rule.name + ": of = \"sum\", but detector " + run_.detector.name +
                         " has no running sum (expected [detector.sum] with frames above 0 and "
                         "when other than \"never\")"};
    change.rules = AlertStage::RuleSet(rules->rules, run_.frame_period_s, config_.sum.frames);
    change.record->rule_numbers.reserve(rules->rules.size());
  } else if (const auto* spot = std::get_if<WatchSpot>(&change.record->change)) {
    if (!std::isfinite(spot->g_per_nm.x) || !std::isfinite(spot->g_per_nm.y) ||
        !(spot->tolerance_per_nm >= 0.0) || !std::isfinite(spot->tolerance_per_nm))
      return Error{ErrorCode::invalid_argument,
                   "watch_spot: expected finite numbers and a tolerance of 0 or more"};
  } else if (const auto* region = std::get_if<SetRegion>(&change.record->change)) {
    AnalysisSetup::Wish wanted = wish();
    wanted.prepare.region = region->region;
    auto setup = AnalysisSetup::make(wanted);
    if (!setup) return setup.error();
    if (!(*setup)->drift)
      return Error{ErrorCode::invalid_argument,
                   "set_region: fewer than 16 cells to a side are left"};
    change.setup = std::move(*setup);
    change.record->grid = change.setup->preparer->grid();
  }
  return {};
}

// At most one a frame, so that its record names one frame, and one order.
void Line::change_before(Frame& frame) noexcept {
  PendingChange* const change = changes_.next(frame.seq);
  if (!change) return;
  if (change->setup) {  // a region: this frame was prepared for it, or is still of the old one
    if (!is_region_swapped_) return begin_region();
  } else if (alerts_->owes() || !changes_.take(*change)) {
    return;  // later; or it was withdrawn, and whatever comes behind it has the next frame
  } else if (!setup_->drift) {
    changes_.settle_failed(
        *change, {ErrorCode::failed_precondition,
                  "detector " + run_.detector.name + ": the frames are too small to be measured"});
    return;
  } else if (!make(*change)) {
    return;
  }
  region_change_ = nullptr;
  is_region_swapped_ = false;
  change->record->seq = frame.seq;
  frame.change = change->record;
  changes_.settle_made(*change);
}

// False: it could not be made, which has been said.
bool Line::make(PendingChange& change) {
  TrackChange& wanted = change.record->change;
  const auto refuse = [&](ErrorCode code, const std::string& why) {
    changes_.settle_failed(change, {code, why});
    return false;
  };
  if (std::holds_alternative<SetRules>(wanted)) {
    if (!alerts_->replace_rules(change.rules))
      return refuse(ErrorCode::resource_exhausted, "set_rules: a run has at most " +
                                                       std::to_string(RuleBook::kMaxRules) +
                                                       " different rules");
    alerts_->list_numbers(change.record->rule_numbers);
  } else if (std::holds_alternative<ResetTracking>(wanted)) {
    setup_->drift->restart();
    setup_->lattice->restart();
    if (setup_->sum) setup_->sum->restart();
    alerts_->restart();
  } else if (std::holds_alternative<SetReference>(wanted)) {
    if (!setup_->drift->set_reference())
      return refuse(ErrorCode::failed_precondition,
                    "set_reference: no frame has been measured yet");
  } else if (const auto* spot = std::get_if<WatchSpot>(&wanted)) {
    const auto id = setup_->lattice->watch(spot->g_per_nm, spot->tolerance_per_nm);
    if (!id) return refuse(id.error().code, id.error().message);
    change.record->spot_id = *id;
  } else if (const auto* forgotten = std::get_if<ForgetSpot>(&wanted)) {
    if (!setup_->lattice->forget(forgotten->spot_id))
      return refuse(ErrorCode::not_found,
                    "forget_spot " + std::to_string(forgotten->spot_id) + ": is not watched");
    change.record->spot_id = forgotten->spot_id;
  }
  return true;
}

// Nobody prepares frames from the region's first one on, until those before have been measured. It
// begins with a frame that is still of the old one, if any came: that one ties the two together.
void Line::begin_region() noexcept {
  PendingChange* const change = changes_.front();
  // It may have been withdrawn since it was seen.
  if (!change || !change->setup || region_change_ || alerts_->owes() || !changes_.take(*change))
    return;
  region_change_ = change;
  ring_->hold_from(ChangeBox::from_seq(*change));
}

void Line::swap_region() noexcept {
  if (held_since_.count() == 0 && ring_->is_held()) held_since_ = steady_now();
  // Read by writing nothing: a worker that comes after it sees all that we have seen.
  if (!ring_->is_drained() || preparing_.fetch_add(0, std::memory_order_acq_rel) != 0) return;
  AnalysisSetup& fresh = *region_change_->setup;
  // The last frame of the old region, looked at in the new one, ties the two together.
  PreparedLease tie;
  if (boundary_ && boundary_->measurements.quality == FrameQuality::good &&
      boundary_->measurements.drift.state != DriftState::lost && boundary_->has_pixels()) {
    tie = fresh.prepared->try_acquire();
    fresh.preparer->prepare(*boundary_, fresh.scratch.back(), *tie);
  }
  const bool is_tied = tie && tie->quality == FrameQuality::good;
  if (setup_->drift) {
    fresh.drift->take_over(*setup_->drift, is_tied ? &*tie : nullptr);
    fresh.lattice->take_over(*setup_->lattice);
    if (setup_->sum && fresh.sum) fresh.sum->take_over(*setup_->sum);
  }
  tie.reset();
  boundary_.reset();
  alerts_->restart();
  std::swap(setup_, region_change_->setup);
  is_region_swapped_ = true;
  ring_->let_go();
  held_.record(steady_now() - std::exchange(held_since_, 0ns));
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
