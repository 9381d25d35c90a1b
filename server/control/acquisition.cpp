// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/acquisition.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "server/base/utc_clock.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr auto kRateWindow = 2s;

DetectorProgress progress_of(const Line& line, double frames_per_s) {
  DetectorProgress out;
  out.name = line.run().detector.name;
  out.measured = line.measured();
  out.lost = line.source().counters().lost_total();
  out.frame_count = line.run().configuration.frame_count;
  const auto seen = out.measured + out.lost;
  out.last_seq = line.run().first_seq + (seen > 0 ? seen - 1 : 0);
  out.frames_per_s = frames_per_s;
  out.latency_p99_s = line.latency().summary().p99_ms * 1e-3;
  return out;
}

}  // namespace

Acquisition::Acquisition(const Config& config, ControlThread& control,
                         RunParticipants& participants)
    : config_(config),
      control_(control),
      participants_(participants),
      detectors_(config.detectors),
      rules_(config.rules) {
  for (const DetectorConfig& detector : detectors_) {
    known_.push_back({.name = detector.name,
                      .driver = detector.driver == DriverKind::simulator ? "simulator" : "replay",
                      .info = {},
                      .configuration = {},
                      .pixel_size_source = {}});
    settings_.push_back(detector.line.detector);
  }
}

Acquisition::~Acquisition() { release(); }

void Acquisition::release() {
  if (run_) run_->abort();
  watcher_.join();
  release_run();
}

Error Acquisition::wrong_state(std::string_view verb, std::string_view expected) const {
  return {ErrorCode::failed_precondition, fmt::format("{}: the acquisition is {} (expected {})",
                                                      verb, to_string(state()), expected)};
}

Result<void> Acquisition::is_open(std::string_view verb) const {
  if (is_closed_) return Error{ErrorCode::unavailable, fmt::format("{}: the server ends", verb)};
  return {};
}

// All that a state says changes under one lock: nobody may see a fault without the detectors at
// fault.
void Acquisition::set_state(RunState next, const std::vector<std::string>& faulty) {
  {
    const std::lock_guard lock(mutex_);
    if (state_ == next && faulty.empty()) return;
    state_ = next;
    DeviceState device = DeviceState::closed;
    if (next == RunState::configured) device = DeviceState::configured;
    if (next == RunState::armed) device = DeviceState::armed;
    if (next == RunState::running) device = DeviceState::running;
    for (KnownDetector& known : known_)
      known.state = std::find(faulty.begin(), faulty.end(), known.name) == faulty.end()
                        ? device
                        : DeviceState::fault;
  }
  changed_.notify_all();
  spdlog::info("acquisition is {}", to_string(next));
  participants_.state_changed();
}

void Acquisition::fail(const std::string& fault, const std::vector<std::string>& detectors) {
  spdlog::error("{}", fault);
  {
    const std::lock_guard lock(mutex_);
    fault_ = fault;
  }
  configured_.clear();
  set_state(RunState::fault, detectors);
}

DetectorSettings Acquisition::settings_of(const std::string& detector) const {
  for (std::size_t i = 0; i < detectors_.size(); ++i)
    if (detectors_[i].name == detector) return settings_[i];
  return {};
}

void Acquisition::release_run() {
  std::shared_ptr<Run> gone;
  {
    std::unique_lock lock(mutex_);
    gone = std::move(run_);
    run_.reset();
    rates_.clear();
    is_alone_ = false;
    // Devices are closed when this returns, so that they can be opened again.
    changed_.wait(lock, [&] { return readers_ == 0; });
  }
  if (gone) participants_.run_released();
}

// --- commands ----------------------------------------------------------------------------------

Result<std::vector<ConfiguredDetector>*> Acquisition::configure(
    const std::vector<WantedSettings>& wanted) {
  if (auto ok = is_open("configure"); !ok) return ok.error();
  const RunState now = state();
  if (now != RunState::idle && now != RunState::configured && now != RunState::fault)
    return wrong_state("configure", "idle, configured or fault");
  for (const WantedSettings& one : wanted) {
    const bool is_known = std::any_of(detectors_.begin(), detectors_.end(),
                                      [&](const auto& d) { return d.name == one.detector; });
    const auto times = std::count_if(wanted.begin(), wanted.end(),
                                     [&](const auto& w) { return w.detector == one.detector; });
    if (times > 1)
      return Error{ErrorCode::invalid_argument,
                   fmt::format("configure {}: {} settings (expected one)", one.detector, times)};
    if (!is_known)
      return Error{ErrorCode::not_found,
                   fmt::format("configure: there is no detector {}", one.detector)};
    if (!(one.settings.exposure_s >= 0.0 && one.settings.exposure_s <= 3600.0) ||
        !(one.settings.frame_period_s >= 0.0 && one.settings.frame_period_s <= 3600.0))
      return Error{
          ErrorCode::invalid_argument,
          fmt::format("configure {}: exposure {} s, frame period {} s (expected 0 to 3600)",
                      one.detector, one.settings.exposure_s, one.settings.frame_period_s)};
  }
  configured_.clear();  // closes the devices before they are opened again
  release_run();
  std::vector<ConfiguredDetector> opened;
  for (DetectorConfig detector : detectors_) {
    for (const WantedSettings& one : wanted)
      if (one.detector == detector.name) detector.line.detector = one.settings;
    auto device = open_detector(std::move(detector));
    if (!device) {
      const Error error{
          device.error().code,
          fmt::format("configure {}: {}", detectors_[opened.size()].name, device.error().message)};
      const bool is_request_wrong = error.code == ErrorCode::invalid_argument && !wanted.empty();
      if (!is_request_wrong)
        fail(error.message, {detectors_[opened.size()].name});
      else if (state() == RunState::configured)
        set_state(RunState::idle);  // nothing is broken, and nothing is configured any more
      return error;
    }
    participants_.configured(*device);
    opened.push_back(std::move(*device));
  }
  for (std::size_t i = 0; i < opened.size(); ++i) settings_[i] = opened[i].config.line.detector;
  {
    const std::lock_guard lock(mutex_);
    fault_.clear();
    ended_ = RunEnd::none;
    started_ns_ = 0;
    for (std::size_t i = 0; i < opened.size(); ++i) {
      known_[i].info = opened[i].detector->info();
      known_[i].configuration = opened[i].configuration;
      known_[i].pixel_size_sigma_ratio = opened[i].config.line.pixel_size_sigma_ratio;
      known_[i].pixel_size_source = opened[i].config.line.pixel_size_source;
    }
  }
  configured_ = std::move(opened);
  set_state(RunState::configured);
  return &configured_;
}

Result<void> Acquisition::arm() {
  if (auto ok = is_open("arm"); !ok) return ok;
  if (state() != RunState::configured) return wrong_state("arm", "configured");
  std::uint32_t epoch = 0;
  {
    const std::lock_guard lock(mutex_);
    epoch = ++epoch_;
  }
  auto run = std::make_shared<Run>(config_.pipeline, epoch);
  const std::lock_guard rules_lock(rules_mutex_);
  for (std::size_t i = 0; i < configured_.size(); ++i) {
    ConfiguredDetector& detector = configured_[i];
    const std::string name = detector.config.name;
    // Both may have been changed since it was configured.
    detector.config.references = detectors_[i].references;
    detector.config.line.prepare.region = detectors_[i].line.prepare.region;
    auto sinks = participants_.make_sinks(*run, detector, epoch);
    auto line = sinks ? run->add(std::move(detector), rules(), std::move(*sinks))
                      : Result<Line*>(sinks.error());
    if (line) continue;
    const Error error{line.error().code, fmt::format("arm {}: {}", name, line.error().message)};
    {
      const std::lock_guard lock(mutex_);
      ended_ = RunEnd::failed;
    }
    participants_.run_ended(epoch, RunEnd::failed, error.message);
    participants_.run_released();
    run.reset();
    fail(error.message, {name});
    return error;
  }
  configured_.clear();
  wanted_end_ = RunEnd::completed;
  {
    const std::lock_guard lock(mutex_);
    run_ = std::move(run);
    rates_.assign(run_->pipeline().lines().size(), {std::chrono::steady_clock::now(), 0, 0.0});
  }
  set_state(RunState::armed);
  return {};
}

Result<void> Acquisition::start() {
  if (auto ok = is_open("start"); !ok) return ok;
  if (state() != RunState::armed) return wrong_state("start", "armed");
  {
    const std::lock_guard lock(mutex_);
    started_ns_ = utc_now_ns();
  }
  const std::shared_ptr<Run> run = run_;
  if (auto ok = run->start(); !ok) {
    watch(run, [this, error = ok.error()](const Result<void>&) { run_has_ended(error); });
    set_state(RunState::stopping);
    return ok.error();
  }
  set_state(RunState::running);
  watch(run, [this](const Result<void>& outcome) { run_has_ended(outcome); });
  return {};
}

void Acquisition::watch(const std::shared_ptr<Run>& run, std::function<void(Result<void>)> ended) {
  watcher_.join();
  watcher_ = NamedThread({"latd-run"}, [this, run, ended = std::move(ended)] {
    Result<void> outcome = run->wait([&] { note_rates(*run); });
    control_.post([ended, outcome] { ended(outcome); });
  });
}

void Acquisition::note_rates(const Run& run) {
  const auto now = std::chrono::steady_clock::now();
  const std::lock_guard lock(mutex_);
  const auto& lines = run.pipeline().lines();
  for (std::size_t i = 0; i < rates_.size() && i < lines.size(); ++i) {
    const std::chrono::duration<double> passed = now - rates_[i].at;
    const auto measured = lines[i]->measured();
    if (passed < kRateWindow && !lines[i]->is_finished()) {
      if (rates_[i].per_s == 0.0 && passed > 200ms)
        rates_[i].per_s = static_cast<double>(measured) / passed.count();
      continue;
    }
    if (passed < 100ms) continue;
    rates_[i] = {now, measured,
                 static_cast<double>(measured - rates_[i].measured) / passed.count()};
  }
}

void Acquisition::run_has_ended(const Result<void>& outcome) {
  watcher_.join();
  RunEnd how = wanted_end_;
  const bool is_wanted_abort =
      how == RunEnd::aborted && !outcome && outcome.error().code == ErrorCode::cancelled;
  if (!outcome && !is_wanted_abort) how = RunEnd::failed;
  const std::string fault = how == RunEnd::failed ? outcome.error().message : "";
  std::uint32_t epoch = 0;
  {
    const std::lock_guard lock(mutex_);
    ended_ = how;
    epoch = epoch_;
  }
  spdlog::info("run {} {}\n{}", epoch, to_string(how), run_->pipeline().counters_table());
  participants_.run_ended(epoch, how, fault);
  std::vector<std::string> failed;
  for (const auto& line : run_->pipeline().lines())
    if (!line->has_ended() || !line->join()) failed.push_back(line->run().detector.name);
  if (how == RunEnd::failed)
    fail(fault, failed);
  else
    set_state(RunState::idle);
  for (const Done& done : std::exchange(waiting_, {})) done();
}

void Acquisition::stop(RunEnd how, Done done) {
  const bool is_cancel = how == RunEnd::cancelled;
  switch (state()) {
    case RunState::running:
      wanted_end_ = how;
      run_->stop();
      set_state(RunState::stopping);
      waiting_.push_back(std::move(done));
      return;
    case RunState::stopping:
      if (is_cancel && wanted_end_ != RunEnd::aborted) wanted_end_ = how;
      waiting_.push_back(std::move(done));
      return;
    case RunState::armed: {
      std::uint32_t epoch = 0;
      {
        const std::lock_guard lock(mutex_);
        ended_ = how;
        epoch = epoch_;
      }
      participants_.run_ended(epoch, how, "");
      release_run();
      set_state(RunState::idle);
      break;
    }
    case RunState::configured:
      configured_.clear();
      set_state(RunState::idle);
      break;
    case RunState::idle:
    case RunState::fault:
      break;
  }
  done();
}

void Acquisition::abort(Done done) {
  const RunState now = state();
  if (now != RunState::running && now != RunState::stopping) {
    if (now == RunState::fault) set_state(RunState::idle);
    stop(RunEnd::aborted, std::move(done));
    return;
  }
  wanted_end_ = RunEnd::aborted;
  run_->abort();
  set_state(RunState::stopping);
  waiting_.push_back(std::move(done));
}

Result<void> Acquisition::run_alone(DetectorConfig detector,
                                    std::vector<std::unique_ptr<Sink>> sinks,
                                    std::function<void(const Result<void>&)> done) {
  if (auto ok = is_open("take a reference"); !ok) return ok;
  const RunState now = state();
  if (now != RunState::idle && now != RunState::fault)
    return wrong_state("take a reference", "idle or fault");
  release_run();
  auto run = std::make_shared<Run>(config_.pipeline, 0);
  if (auto line = run->add(detector, {}, std::move(sinks)); !line) return line.error();
  {
    const std::lock_guard lock(mutex_);
    run_ = run;
    is_alone_ = true;
    fault_.clear();
    ended_ = RunEnd::none;
    started_ns_ = utc_now_ns();
    rates_.assign(1, {std::chrono::steady_clock::now(), 0, 0.0});
  }
  wanted_end_ = RunEnd::completed;
  if (auto ok = run->start(); !ok) {
    release_run();
    return ok;
  }
  set_state(RunState::running);
  watch(run, [this, name = detector.name, done = std::move(done)](const Result<void>& outcome) {
    watcher_.join();
    const bool was_stopped = wanted_end_ != RunEnd::completed;
    release_run();
    if (outcome || was_stopped)
      set_state(RunState::idle);
    else
      fail(outcome.error().message, {name});
    for (const Done& waiter : std::exchange(waiting_, {})) waiter();
    done(outcome && was_stopped
             ? Result<void>(Error{ErrorCode::cancelled, "the reference run was stopped"})
             : outcome);
  });
  return {};
}

// --- any thread --------------------------------------------------------------------------------

RunState Acquisition::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

std::shared_ptr<const Run> Acquisition::run() const {
  const std::lock_guard lock(mutex_);
  if (!run_) return nullptr;
  ++readers_;
  return {run_.get(), [this](const Run*) {
            const std::lock_guard end(mutex_);
            --readers_;
            changed_.notify_all();
          }};
}

Result<Acquisition::Changed> Acquisition::change(const std::string& detector, TrackChange change,
                                                 std::chrono::milliseconds timeout) const {
  const std::string what(name_of(change));
  RunState now = RunState::idle;
  {
    const std::lock_guard lock(mutex_);
    if (is_alone_)
      return Error{ErrorCode::failed_precondition,
                   what + ": a reference is being taken (expected a run)"};
    now = state_;
  }
  const bool needs_frames = std::holds_alternative<WatchSpot>(change) ||
                            std::holds_alternative<ForgetSpot>(change) ||
                            std::holds_alternative<SetReference>(change);
  if (now == RunState::armed && needs_frames) return wrong_state(what, "running");
  const auto run = this->run();
  Line* line = nullptr;
  if (run && (now == RunState::armed || now == RunState::running))
    for (const auto& one : run->pipeline().lines())
      if (one->run().detector.name == detector) line = one.get();
  if (!line) return wrong_state(what, "armed or running");
  if (now == RunState::armed) {
    // Nothing flows yet: it holds from the first frame on.
    if (auto posted = line->post(std::move(change)); !posted) return posted.error();
    return Changed{line->run().first_seq, 0};
  }
  auto applied = line->apply(std::move(change), timeout);
  if (!applied) {
    if (applied.error().code != ErrorCode::timeout) return applied.error();
    return Error{ErrorCode::timeout,
                 fmt::format("{}: {} gave no frame within {} ms", what, detector, timeout.count())};
  }
  return Changed{(*applied)->seq, (*applied)->spot_id};
}

Result<std::map<std::string, std::uint64_t>> Acquisition::set_rules(
    std::vector<AlertRule> rules, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  // Also without a run: the next one could not be armed with them.
  if (rules.size() > RuleBook::kMaxRules)
    return Error{ErrorCode::invalid_argument, fmt::format("set rules: {} (expected at most {})",
                                                          rules.size(), RuleBook::kMaxRules)};
  if (auto ok = check_rules(rules); !ok) return ok.error();
  const std::lock_guard rules_lock(rules_mutex_);
  std::map<std::string, std::uint64_t> from_seq;
  for (const KnownDetector& detector : known_detectors()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    const auto made = change(detector.name, SetRules{rules}, std::max(left, 0ms));
    // No run, or one that has ended meanwhile: they hold for the next.
    if (!made && made.error().code == ErrorCode::failed_precondition) continue;
    if (!made) return made.error();
    from_seq[detector.name] = made->from_seq;
  }
  const std::lock_guard lock(mutex_);
  rules_ = std::move(rules);
  return from_seq;
}

std::vector<AlertRule> Acquisition::rules() const {
  const std::lock_guard lock(mutex_);
  return rules_;
}

std::vector<KnownDetector> Acquisition::known_detectors() const {
  const std::lock_guard lock(mutex_);
  return known_;
}

AcquisitionStatus Acquisition::status() const {
  const std::lock_guard lock(mutex_);
  AcquisitionStatus out;
  out.state = state_;
  out.fault = fault_;
  out.ended = ended_;
  out.epoch = is_alone_ ? 0 : epoch_;
  out.started_ns = started_ns_;
  if (!run_) return out;
  const auto& lines = run_->pipeline().lines();
  for (std::size_t i = 0; i < lines.size(); ++i)
    out.detectors.push_back(progress_of(*lines[i], i < rates_.size() ? rates_[i].per_s : 0.0));
  return out;
}

bool Acquisition::wait_idle(std::chrono::milliseconds timeout) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(
      lock, timeout, [&] { return state_ != RunState::running && state_ != RunState::stopping; });
}

}  // namespace latticed
