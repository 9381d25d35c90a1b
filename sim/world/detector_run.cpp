// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/world/detector_run.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <unistd.h>

#include <cmath>

namespace latticed::sim {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr nanoseconds kLongestWait = std::chrono::milliseconds(100);
constexpr int kExitOfScriptedFault = 3;

nanoseconds seconds(double s) { return nanoseconds(static_cast<std::int64_t>(s * 1e9)); }

std::span<std::uint16_t> as_pixels(std::span<std::byte> bytes) {
  return {reinterpret_cast<std::uint16_t*>(bytes.data()), bytes.size() / sizeof(std::uint16_t)};
}

}  // namespace

double fluence_per_frame(const Scenario& scenario) noexcept {
  const DetectorModel& first = scenario.detectors.front();
  return first.dose_e_per_px / (first.pixel_size_nm * first.pixel_size_nm);
}

Result<std::unique_ptr<DetectorRun>> DetectorRun::create(const Scenario& scenario,
                                                         const PhaseTable& phases,
                                                         std::size_t index,
                                                         const RunOptions& options, CommandLog& log,
                                                         HolderDevice& holder) {
  const DetectorModel& model = scenario.detectors[index];
  const FrameGeometry geometry{model.width, model.height, PixelType::u16};
  auto ring =
      Ring::create(options.prefetch > 0 ? options.prefetch : options.slots, geometry.bytes());
  if (!ring) return ring.error();
  std::unique_ptr<DetectorRun> run(
      new DetectorRun(scenario, phases, index, options, log, holder, std::move(*ring)));
  if (options.prefetch > 0) run->prefetch();
  return run;
}

DetectorRun::DetectorRun(const Scenario& scenario, const PhaseTable& phases, std::size_t index,
                         const RunOptions& options, CommandLog& log, HolderDevice& holder,
                         Ring ring)
    : scenario_(scenario),
      phases_(phases),
      index_(index),
      options_(options),
      model_(scenario.detectors[index]),
      log_(log),
      holder_(holder),
      ring_(std::move(ring)),
      renderer_(scenario, model_, options.threads) {}

DetectorRun::~DetectorRun() { stop(); }

RunStatus DetectorRun::status() const noexcept {
  return {next_frame_.load(), lost_.load(), late_.load(), running_.load()};
}

Result<void> DetectorRun::start(std::uint64_t frames, CloseLink close_link) {
  stop();
  close_link_ = std::move(close_link);
  if (options_.prefetch > 0) return {};  // the driver goes through the frames by itself
  if (!options_.truth.empty() && index_ == 0) {
    auto truth = TruthWriter::create(options_.truth, scenario_, model_);
    if (!truth) return truth.error();
    truth_ = std::move(*truth);
    if (options_.bounds_every > 0) truth_->add_bounds(options_.bounds_every, renderer_);
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  stopping_.store(false);
  running_.store(true);
  next_frame_.store(0);
  lost_.store(0);
  late_.store(0);
  ring_.reset();
  // Detectors of one experiment share its clock.
  const bool is_new = log_.begin(index_, holder_.standing());
  start_ns_ = is_new
                  ? holder_.begin_experiment(std::chrono::duration_cast<nanoseconds>(now).count())
                  : holder_.start_ns();
  thread_ = std::thread([this, frames] {
    pthread_setname_np(pthread_self(), "sim-detector");
    run(frames);
  });
  return {};
}

void DetectorRun::stop() noexcept {
  stopping_.store(true);
  ring_bell(ring_.header().space);
  if (thread_.joinable()) thread_.join();
}

void DetectorRun::prefetch() {
  Specimen specimen(scenario_, phases_, fluence_per_frame(scenario_));
  for (std::uint32_t i = 0; i < options_.prefetch; ++i) {
    fill(specimen.advance({}), LossReason::none, true);
    ring_.publish();
  }
  ring_.header().prefetched = options_.prefetch;
}

void DetectorRun::run(std::uint64_t frames) {
  Specimen specimen(scenario_, phases_, fluence_per_frame(scenario_));
  std::vector<Step> commands;
  LossReason gap = LossReason::none;
  std::uint64_t frame = 0;
  Clock::time_point start = Clock::now();
  for (; frames == 0 || frame < frames; ++frame) {
    if (!await_client(frame, start)) break;
    log_.take(index_, frame, commands);
    const SpecimenState& state = specimen.advance(commands);
    if (was_not_played_) specimen.note({"step_not_played", "no client played it in time"});
    holder_.add_sample(state);
    const double due_s = options_.speed > 0.0 ? static_cast<double>(frame + 1) *
                                                    scenario_.frame_period_s / options_.speed
                                              : 0.0;
    if (!deliver(state, start + seconds(due_s), gap)) break;
    next_frame_.store(frame + 1);
  }
  log_.end(index_);
  if (frames > 0 && frame >= frames)
    ring_.end(frame, gap);  // else it was stopped, or the link broke
  running_.store(false);
}

bool DetectorRun::await_client(std::uint64_t frame, Clock::time_point& start) {
  const Clock::time_point before = Clock::now();
  const auto awaited = holder_.await_step(frame, [this] { return stopping_.load(); });
  was_not_played_ = awaited == HolderDevice::Awaited::not_played;
  if (was_not_played_) {
    fmt::print(stderr, "sim-world: frame {}: no client played the step within {} s, going on\n",
               frame, std::chrono::duration<double>(options_.holder.patience).count());
  }
  if (awaited != HolderDevice::Awaited::nothing) start += Clock::now() - before;
  return awaited != HolderDevice::Awaited::stopped;
}

bool DetectorRun::deliver(const SpecimenState& state, Clock::time_point due, LossReason& gap) {
  const Fault* fault = fault_at(state.frame);
  if (fault != nullptr && fault->kind == FaultKind::exit) _exit(kExitOfScriptedFault);
  if (fault != nullptr && fault->kind == FaultKind::close) {
    close_link_();
    return false;
  }
  if (fault != nullptr && fault->kind == FaultKind::stall) {
    if (!wait_until(Clock::now() + seconds(fault->seconds))) return false;
  }
  LossReason lost = LossReason::none;
  if (fault != nullptr && fault->kind == FaultKind::drop) {
    lost = LossReason::sequence_gap;
  } else {
    // At its own pace a detector does not wait: space must come before the frame is due.
    if (!wait_for_space(options_.speed > 0.0 ? due : Clock::time_point::max())) return false;
    if (!ring_.has_space()) lost = LossReason::detector_overrun;
  }
  const bool is_complete = fault == nullptr || fault->kind != FaultKind::short_frame;
  if (lost == LossReason::none) fill(state, gap, is_complete);
  if (options_.speed > 0.0) {
    if (Clock::now() > due + kLongestWait) late_.fetch_add(1);
    if (!wait_until(due)) return false;
  }
  const LossReason told = is_complete ? lost : LossReason::incomplete;
  if (truth_) truth_->write(state, told);
  if (told != LossReason::none) lost_.fetch_add(1);
  gap = lost;
  if (lost == LossReason::none) ring_.publish();
  return true;
}

void DetectorRun::fill(const SpecimenState& state, LossReason gap, bool is_complete) {
  const std::uint32_t index = ring_.next();
  const double middle_s = state.t_s + 0.5 * model_.exposure_s;
  ring_.slot(index) = {state.frame,
                       start_ns_ + static_cast<std::int64_t>(std::llround(middle_s * 1e9)),
                       model_.exposure_s,
                       kFrameSimulated | (state.beam_on ? 0u : kFrameBlanked),
                       gap,
                       is_complete};
  const auto pixels = as_pixels(ring_.pixels(index));
  renderer_.render(state, pixels);
  if (!is_complete) {
    const auto half = pixels.subspan(pixels.size() / 2);
    std::fill(half.begin(), half.end(), std::uint16_t{0});
  }
}

const Fault* DetectorRun::fault_at(std::uint64_t frame) const noexcept {
  for (const Fault& fault : scenario_.faults) {
    if (frame >= fault.frame && frame < fault.frame + fault.count) return &fault;
  }
  return nullptr;
}

/// False when the run was stopped.
bool DetectorRun::wait_until(Clock::time_point due) {
  Bell& bell = ring_.header().space;
  for (;;) {
    const std::uint32_t seen = bell.load(std::memory_order_acquire);
    if (stopping_.load()) return false;
    const auto left = due - Clock::now();
    if (left.count() <= 0) return true;
    wait_for_bell(bell, seen, std::min<nanoseconds>(left, kLongestWait));
  }
}

/// Returns at `until` at the latest; false when the run was stopped.
bool DetectorRun::wait_for_space(Clock::time_point until) {
  Bell& bell = ring_.header().space;
  for (;;) {
    const std::uint32_t seen = bell.load(std::memory_order_acquire);
    if (stopping_.load()) return false;
    const Clock::time_point now = Clock::now();
    if (ring_.has_space() || now >= until) return true;
    wait_for_bell(bell, seen, std::min<nanoseconds>(until - now, kLongestWait));
  }
}

}  // namespace latticed::sim
