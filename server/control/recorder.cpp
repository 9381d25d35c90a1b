// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/recorder.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

namespace latticed {

namespace {

constexpr double kBytesPerGb = 1e9;

bool is_name(const std::string& text) {
  return text.size() <= 64 && std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return std::isalnum(c) || c == '_' || c == '-';
         });
}

/// What can stand in a file's name of what people call a specimen.
std::string as_name(std::string text) {
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c)) && c != '-') c = '_';
  text.resize(std::min<std::size_t>(text.size(), 40));
  return text;
}

SessionInfo session_of(const v1::SessionInfo& said) {
  SessionInfo out;
  out.sample = said.sample();
  out.elements.assign(said.elements().begin(), said.elements().end());
  if (said.has_electrode_mass_kg()) out.electrode_mass_kg = said.electrode_mass_kg();
  out.zone_axis = said.zone_axis();
  if (said.has_high_tension_v()) out.high_tension_v = said.high_tension_v();
  out.operator_name = said.operator_();
  out.comment = said.comment();
  return out;
}

}  // namespace

/// What a run gets: writes what is still open before the end, and signs off.
class Recorder::RunSink final : public Sink {
 public:
  RunSink(Recorder& owner, std::string detector, std::unique_ptr<RecordSink> sink)
      : owner_(owner), detector_(std::move(detector)), sink_(std::move(sink)) {}
  ~RunSink() override { owner_.forget(*sink_); }

  [[nodiscard]] std::string_view name() const noexcept override { return sink_->name(); }
  [[nodiscard]] SinkOptions options() const noexcept override { return sink_->options(); }
  [[nodiscard]] std::shared_ptr<SharedThread> thread() const override { return sink_->thread(); }
  Result<void> begin(const RunInfo& run) override { return sink_->begin(run); }
  void consume(const FrameLease& frame) override { sink_->consume(frame); }
  void missed(const Frame& frame) noexcept override { sink_->missed(frame); }
  void idle() override { sink_->idle(); }
  Result<void> finish() override {
    if (owner_.parts_.open_spans)
      for (RecordedEvent& event : owner_.parts_.open_spans(detector_))
        sink_->add_event(std::move(event));
    return sink_->finish();
  }

 private:
  Recorder& owner_;
  const std::string detector_;
  const std::unique_ptr<RecordSink> sink_;
};

Recorder::Recorder(Parts parts) : parts_(std::move(parts)), is_wanted_(parts_.config.enabled) {}

Result<void> Recorder::enable(const std::string& name) {
  if (!is_name(name))
    return Error{ErrorCode::invalid_argument,
                 fmt::format("record \"{}\": expected at most 64 letters, digits, _ and -", name)};
  const std::lock_guard lock(mutex_);
  is_wanted_ = true;
  name_ = name;
  return {};
}

void Recorder::disable() {
  const std::lock_guard lock(mutex_);
  is_wanted_ = false;
}

std::size_t Recorder::frames_held(const RecordConfig& config) noexcept {
  return RecordSink::frames_held(static_cast<std::size_t>(config.quota_frames), config.profile,
                                 config.packers);
}

Result<std::unique_ptr<Sink>> Recorder::make_sink(const std::string& detector, bool waits_for_us,
                                                  std::int64_t now_ns) {
  const v1::SessionInfo session = parts_.session.get();
  std::string base;
  {
    const std::lock_guard lock(mutex_);
    // A run's detectors come one after the other: the first one begins anew.
    const bool is_new_run =
        std::any_of(members_.begin(), members_.end(), [&](const Member& m) { return !m.sink; });
    if (is_new_run) members_.clear();
    if (!is_wanted_) return std::unique_ptr<Sink>();
    base = !name_.empty() ? name_ : !session.sample().empty() ? as_name(session.sample()) : "run";
  }
  // One that cannot be made cannot be written either, which the sink says, or goes round.
  std::error_code ignored;
  for (const std::string& directory : {parts_.config.directory, parts_.config.second_directory})
    if (!directory.empty()) std::filesystem::create_directories(directory, ignored);
  RecordingOptions options;
  options.directory = parts_.config.directory;
  options.second_directory = parts_.config.second_directory;
  options.profile = parts_.config.profile;
  options.packers = parts_.config.packers;
  options.when_behind = waits_for_us                                    ? LossPolicy::block
                        : parts_.config.when_behind == WhenBehind::drop ? LossPolicy::drop_newest
                                                                        : LossPolicy::stop_run;
  options.warn_minutes = parts_.config.warn_minutes;
  if (parts_.on_trouble)
    options.on_trouble = [this, detector](const RecordTrouble& trouble) {
      parts_.on_trouble(detector, trouble);
    };
  options.name = fmt::format("{}-{}-{:%Y%m%dT%H%M%S}Z", base, detector,
                             fmt::gmtime(static_cast<std::time_t>(now_ns / 1000000000)));
  options.quota = static_cast<std::size_t>(parts_.config.quota_frames);
  options.holders = parts_.holders();
  options.session = session_of(session);
  options.config_toml = parts_.config_toml;
  options.is_rehearsal = parts_.is_rehearsal;
  options.started_ns = now_ns;
  options.least_free_bytes = static_cast<std::uint64_t>(parts_.config.least_free_gb * kBytesPerGb);
  auto sink = RecordSink::create(std::move(options));
  if (!sink) return sink.error();
  const std::lock_guard lock(mutex_);
  members_.push_back({detector, sink->get(), {}});
  return std::unique_ptr<Sink>(std::make_unique<RunSink>(*this, detector, std::move(*sink)));
}

void Recorder::forget(const RecordSink& sink) {
  const std::lock_guard lock(mutex_);
  for (Member& member : members_) {
    if (member.sink != &sink) continue;
    member.last = sink.progress();
    member.sink = nullptr;
  }
}

void Recorder::add(const RecordedEvent& event) {
  const std::lock_guard lock(mutex_);
  for (Member& member : members_)
    if (member.sink) member.sink->add_event(event);
}

void Recorder::add(const std::string& detector, const RecordedEvent& event) {
  const std::lock_guard lock(mutex_);
  for (Member& member : members_)
    if (member.sink && member.detector == detector) member.sink->add_event(event);
}

void Recorder::release() {
  const std::lock_guard lock(mutex_);
  for (Member& member : members_) {
    if (!member.sink) continue;
    member.last = member.sink->progress();
    member.sink = nullptr;
  }
}

v1::RecordingStatus Recorder::status() const {
  v1::RecordingStatus out;
  const std::lock_guard lock(mutex_);
  out.set_wanted(is_wanted_);
  for (const Member& member : members_) {
    const RecordingProgress now = member.sink ? member.sink->progress() : member.last;
    for (const std::string& file : now.earlier) out.add_files(file);
    if (!now.file.empty()) out.add_files(now.file);
    if (member.sink && !now.is_complete) out.set_active(true);
    out.set_frames(out.frames() + now.frames);
    out.set_bytes(out.bytes() + now.bytes);
    out.set_raw_bytes(out.raw_bytes() + now.raw_bytes);
    out.set_relieved(out.relieved() + now.relieved);
    out.set_not_recorded(out.not_recorded() + now.not_recorded);
    if (now.error && out.error().empty()) out.set_error(now.error->message);
    if (now.minutes_left && (!out.has_minutes_left() || *now.minutes_left < out.minutes_left()))
      out.set_minutes_left(*now.minutes_left);
  }
  return out;
}

}  // namespace latticed
