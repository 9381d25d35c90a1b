// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/record_sink.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <thread>
#include <utility>

#include "server/base/stage_clock.hpp"
#include "server/base/utc_clock.hpp"
#include "server/record/disk_sync.hpp"
#include "server/record/image_packer.hpp"
#include "server/record/page_log.hpp"
#include "server/record/recording.hpp"
#include "server/record/run_events.hpp"

namespace latticed {
namespace {

using namespace std::chrono_literals;

// A frame is with the operating system, and readers see it, 250 ms after it came at the latest: it
// waits this long for others, then for the next frame or for idle(), which comes as often.
constexpr auto kFlushAfter = 100ms;
// Frames kept until readers see them, so that a disk that fails takes none along.
constexpr std::size_t kMostUnshown = 16;
constexpr auto kLookEvery = 500ms;      // and has the disk keep what there is
constexpr auto kIdleLookEvery = 200ms;  // when nothing comes
// At the end: for the samples that make the last frames' holder values final.
constexpr auto kHolderPatience = 500ms;
constexpr auto kHolderPoll = 10ms;
constexpr auto kClockPatience = 10ms;
// The disk keeps up again when it has done so for so long.
constexpr auto kCalmAfter = 5s;
// A warning about the room that is left is taken back when there is so much more.
constexpr double kEaseOff = 1.2;

bool is_file_name(const std::string& name) {
  if (name.empty() || name.front() == '.' || name.size() > 200) return false;
  return name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
         std::string::npos;
}

int packers_of(RecordingProfile profile, int packers) noexcept {
  return profile == RecordingProfile::compact ? packers : 0;
}

Frame entry_of(const record::MissedFrames::Stretch& stretch) {
  Frame entry;
  entry.seq = stretch.first_seq;
  entry.header.kind = FrameKind::lost;
  entry.header.loss = LossReason::not_recorded;
  entry.header.lost_count = stretch.count;
  entry.header.time_ns = stretch.time_ns;
  return entry;
}

EventSeverity severity_of(RecordTroubleKind kind) {
  switch (kind) {
    case RecordTroubleKind::behind:
    case RecordTroubleKind::ended:
      return EventSeverity::alarm;
    case RecordTroubleKind::moved:
    case RecordTroubleKind::nearly_full:
    case RecordTroubleKind::clock_stepped:
      break;
  }
  return EventSeverity::warning;
}

}  // namespace

std::size_t RecordSink::frames_held(std::size_t quota, RecordingProfile profile,
                                    int packers) noexcept {
  return quota + 1 + kMostUnshown + record::ImagePacker::capacity(packers_of(profile, packers));
}

Result<std::unique_ptr<RecordSink>> RecordSink::create(RecordingOptions options) {
  if (!is_file_name(options.name))
    return Error{ErrorCode::invalid_argument,
                 fmt::format("recording name \"{}\": letters, digits, '_', '-' and '.' only, and "
                             "not '.' first",
                             options.name)};
  if (options.quota < 1)
    return Error{ErrorCode::invalid_argument, "recording quota 0: at least one frame must wait"};
  if (options.directory.empty())
    return Error{ErrorCode::invalid_argument, "recording without a directory"};
  if (options.profile == RecordingProfile::compact && (options.packers < 1 || options.packers > 64))
    return Error{ErrorCode::invalid_argument,
                 fmt::format("recording with {} packers (expected 1 to 64)", options.packers)};
  if (!options.utc_now) options.utc_now = [] { return utc_now_ns(); };
  return std::unique_ptr<RecordSink>(new RecordSink(std::move(options)));
}

RecordSink::RecordSink(RecordingOptions options) : options_(std::move(options)) {
  events_.reserve(kMostEvents);
}

RecordSink::~RecordSink() {
  packer_.reset();
  sync_.reset();
  if (recording_ && recording_->images() == 0) recording_->discard();
}

// --- files ---------------------------------------------------------------------------------------

Result<void> RecordSink::begin(const RunInfo& run) {
  run_ = run;
  const FrameGeometry& geometry = run.configuration.geometry;
  const double expected =
      run.frame_period_s > 0.0 ? static_cast<double>(geometry.bytes()) / run.frame_period_s : 0.0;
  room_.emplace(options_.free_bytes, options_.least_free_bytes, expected);
  directories_ = {options_.directory};
  if (!options_.second_directory.empty()) directories_.push_back(options_.second_directory);
  {
    const std::lock_guard lock(progress_mutex_);
    progress_ = {};
  }
  std::optional<Error> first;
  while (!directories_.empty()) {
    const std::string directory = directories_.front();
    directories_.erase(directories_.begin());
    if (auto ok = open_in(directory); !ok) {
      if (!first) first = ok.error();
      continue;
    }
    packer_ = std::make_unique<record::ImagePacker>(
        record::PackerOptions{packers_of(options_.profile, options_.packers), geometry.bytes(),
                              bytes_per_pixel(geometry.type)});
    note_clock();
    if (first)
      tell({RecordTroubleKind::moved, false, kNoFrame, 0.0,
            fmt::format("{}; recording into {}", first->message, directory_)});
    return {};
  }
  return *first;
}

Result<void> RecordSink::open_in(const std::string& directory) {
  if (auto ok = room_->check(directory); !ok) return ok;
  record::RecordingFacts facts;
  facts.name = options_.name;
  facts.run = run_;
  facts.session = options_.session;
  facts.config_toml = options_.config_toml;
  facts.profile = options_.profile;
  facts.holders = options_.holders;
  facts.continues = continues_;
  // A simulated specimen must never pass for a real one, whoever forgot to say so.
  facts.is_simulation = options_.is_rehearsal || run_.detector.driver == "simulator";
  facts.started_ns = options_.started_ns;
  auto made = record::Recording::create(directory, std::move(facts));
  if (!made) return made.error();
  directory_ = directory;
  recording_ = std::move(*made);
  // The log must know the file's beginning before anything in it is overwritten.
  if (auto ok = recording_->flush(); !ok) return ok;
  begin_sync();
  looked_at_ = steady_now();
  room_->begin(looked_at_);
  note_progress();
  return {};
}

void RecordSink::go_on_after(const Error& error) {
  if (directories_.empty()) throw std::runtime_error(give_up(error).message);
  const Result<std::string> path = rescue(error);
  if (path) {
    earlier_.earlier.push_back(*path);
    earlier_.frames += recording_->images();
    earlier_.lost += recording_->lost();
    earlier_.bytes += recording_->bytes();
  }
  const std::string end =
      path ? *path + " ends there"
           : fmt::format("{} with {} frames could not be completed: {}", recording_->path(),
                         recording_->images(), path.error().message);
  continues_ = path ? *path : recording_->path();
  if (!path) {
    // What is still here goes into the next file; the rest is gone.
    const auto kept = static_cast<std::uint64_t>(
        std::count_if(unshown_.begin(), unshown_.end(),
                      [](const Unshown& one) { return one.frame && one.frame->has_pixels(); }));
    earlier_.lost +=
        recording_->images() - std::min(kept, recording_->images()) + recording_->lost();
    record::remove_log_of_missing(recording_->path());
  }
  // What became of a file that could not be completed nobody knows: rather twice than not at all.
  const std::uint64_t first_row = path ? recording_->images() : 0;
  recording_.reset();
  Error last = error;
  while (!directories_.empty()) {
    const std::string directory = directories_.front();
    directories_.erase(directories_.begin());
    auto ok = open_in(directory);
    if (ok) ok = repeat_unshown(first_row);
    if (!ok) {
      last = ok.error();
      continue;
    }
    tell({RecordTroubleKind::moved, false, last_seq_, 0.0,
          fmt::format("{}; {}; recording goes on as {}", error.message, end, recording_->path())});
    return;
  }
  Error all = error;
  all.message += "; and going on elsewhere: " + last.message;
  throw std::runtime_error(give_up(all).message);
}

Result<void> RecordSink::repeat_unshown(std::uint64_t first_row) {
  for (const RecordedEvent& event : parameters_) recording_->add(event);
  for (const RecordedEvent& event : unshown_events_) recording_->add(event);
  std::vector<Unshown> again;
  again.swap(unshown_);
  for (const Unshown& one : again) {
    if (one.row < first_row) continue;
    auto ok = one.frame ? store(one.frame, record::stored_raw(*one.frame)) : store(one.missed);
    if (!ok) {
      unshown_ = std::move(again);
      return ok;
    }
  }
  return flush();
}

Result<std::string> RecordSink::rescue(const Error& error) {
  sync_.reset();
  record::Recording::End end;
  end.why = error.message;
  end.ended_ns = options_.utc_now();
  end.events_missed = events_missed();
  return recording_->rescue(end);
}

Error RecordSink::give_up(const Error& error) {
  Error all = error;
  packer_.reset();
  if (recording_) {
    const Result<std::string> path = rescue(error);
    if (!path) all.message += "; and completing the file: " + path.error().message;
    {
      const std::lock_guard lock(progress_mutex_);
      progress_.frames = earlier_.frames + recording_->images();
    }
    complete_as(path);
  } else {
    complete_as(earlier_.earlier.empty() ? Result<std::string>(error) : earlier_.earlier.back());
  }
  unshown_.clear();
  {
    const std::lock_guard lock(progress_mutex_);
    progress_.error = all;
  }
  tell({RecordTroubleKind::ended, false, last_seq_, 0.0, all.message});
  return all;
}

void RecordSink::complete_as(const Result<std::string>& path) {
  recording_.reset();
  const std::lock_guard lock(progress_mutex_);
  progress_.is_complete = true;
  progress_.durable_frames = progress_.frames;
  progress_.bytes_per_s = 0.0;
  progress_.minutes_left.reset();
  if (!path) return;
  progress_.file = *path;
  progress_.flushed_ns = options_.utc_now();
}

// --- frames --------------------------------------------------------------------------------------

void RecordSink::consume(const FrameLease& frame) {
  take_events();
  if (packer_->is_full()) {
    packer_->relieve();
    store_oldest();
  }
  packer_->add(frame);
  store_ready();
  if (unflushed_since_ == 0ns) return;
  if (unshown_.size() >= kMostUnshown || steady_now() - unflushed_since_ >= kFlushAfter)
    flush_or_go_on();
}

void RecordSink::missed(const Frame& frame) noexcept {
  missed_.note(frame);
  // What holds from it on, and what was noticed in it, is not lost with it.
  try {
    if (frame.change) add_event(record::event_of_change(frame));
    for (const AlertEvent& alert : frame.measurements.alerts)
      add_event(record::event_of(alert, frame, run_.rules));
  } catch (const std::exception&) {  // no memory: the track goes on, the event is counted
    const std::lock_guard lock(events_mutex_);
    ++events_missed_;
  }
}

void RecordSink::idle() {
  take_events();
  while (!packer_->is_empty()) store_oldest();
  note_durable();
  is_idle_ = true;
  const bool is_late = is_unsynced_ && steady_now() - looked_at_ >= kIdleLookEvery;
  if (recording_->has_news() || unflushed_since_ != 0ns || is_late) flush_or_go_on();
  is_idle_ = false;
}

void RecordSink::store_ready() {
  while (packer_->is_oldest_ready()) store_oldest();
}

void RecordSink::store_oldest() {
  const record::PackedFrame& oldest = packer_->oldest();
  while (true) {  // as many times as there are directories
    const auto ok = store(oldest.frame, oldest.image);
    if (ok) break;
    go_on_after(ok.error());
  }
  packer_->release();
}

Result<void> RecordSink::store(const FrameLease& frame, const record::StoredImage& image) {
  add_missed_before(frame->seq);
  if (frame->change) parameters_.push_back(record::event_of_change(*frame));
  const std::uint64_t row = recording_->images();
  if (auto ok = recording_->add(*frame, image); !ok) return ok;
  last_seq_ = frame->seq;
  unshown_.push_back({frame, {}, row});
  if (unflushed_since_ == 0ns) unflushed_since_ = steady_now();
  note_progress();
  return {};
}

void RecordSink::add_missed_before(std::uint64_t seq) {
  // A row of a table: nothing is written yet, so nothing fails.
  while (const auto stretch = missed_.take_before(seq)) (void)store(*stretch);
}

Result<void> RecordSink::store(const record::MissedFrames::Stretch& missed) {
  if (auto ok = recording_->add(entry_of(missed)); !ok) return ok;
  unshown_.push_back({{}, missed, recording_->images()});
  if (unflushed_since_ == 0ns) unflushed_since_ = steady_now();
  return {};
}

void RecordSink::flush_or_go_on() {
  while (true) {
    const auto ok = flush();
    if (ok) return;
    go_on_after(ok.error());
  }
}

Result<void> RecordSink::flush() {
  if (auto ok = recording_->flush(); !ok) return ok;
  unflushed_since_ = 0ns;
  unshown_.clear();
  unshown_events_.clear();
  {
    const std::lock_guard lock(progress_mutex_);
    progress_.flushed_ns = options_.utc_now();
  }
  const auto now = steady_now();
  is_unsynced_ = true;
  if (now - looked_at_ < (is_idle_ ? kIdleLookEvery : kLookEvery)) return {};
  looked_at_ = now;
  request_sync();
  return look_around(now);
}

void RecordSink::begin_sync() {
  sync_ = std::make_unique<record::DiskSync>(recording_->descriptor(),
                                             record::page_log_of(recording_->path()));
  request_sync();
}

void RecordSink::request_sync() {
  const bool are_all = sync_->wants_all();
  sync_->request(recording_->structure_pages(are_all), are_all, recording_->images());
  is_unsynced_ = false;
}

Result<void> RecordSink::look_around(std::chrono::nanoseconds now) {
  // First of all: a folder that was renamed is an error for whoever opens files in it by name.
  const auto moved = recording_->follow();
  if (!moved) return moved.error();
  if (*moved) {
    directory_ = recording_->directory();
    begin_sync();
    note_progress();
  }
  if (const auto error = sync_->error()) return *error;
  if (auto ok = room_->look(directory_, recording_->bytes(), now); !ok) return ok;
  note_clock();
  note_durable();
  note_behind();
  note_minutes_left();
  return {};
}

// --- what is told --------------------------------------------------------------------------------

void RecordSink::note_clock() {
  const auto before = steady_now();
  const std::int64_t utc_ns = options_.utc_now();
  // Who was kept waiting between the two clocks knows nothing.
  if (steady_now() - before > kClockPatience) return;
  const auto step_s = clock_.look(utc_ns, before);
  if (!step_s) return;
  tell({RecordTroubleKind::clock_stepped, false, last_seq_, *step_s,
        fmt::format("the system's clock was set by {:+.3f} s: times before and after it do not "
                    "compare",
                    *step_s)});
}

void RecordSink::note_durable() {
  const std::lock_guard lock(progress_mutex_);
  progress_.durable_frames = earlier_.frames + sync_->durable_frames();
}

void RecordSink::note_behind() {
  const std::uint64_t missed = missed_.total();
  const auto now = steady_now();
  if (missed > told_not_recorded_) missed_at_ = now;
  told_not_recorded_ = missed;
  const bool is_behind = missed > 0 && now - missed_at_ < kCalmAfter;
  if (is_behind == is_behind_) return;
  is_behind_ = is_behind;
  tell({RecordTroubleKind::behind, !is_behind_, last_seq_, static_cast<double>(missed),
        is_behind_ ? fmt::format("the disk is too slow: {} frames were measured but not recorded; "
                                 "the recording lists them",
                                 missed)
                   : fmt::format("the disk keeps up again; {} frames were not recorded", missed)});
}

void RecordSink::note_minutes_left() {
  const auto minutes = room_->minutes_left();
  {
    const std::lock_guard lock(progress_mutex_);
    progress_.bytes_per_s = room_->bytes_per_s();
    progress_.minutes_left = minutes;
  }
  if (!minutes) return;
  const double limit = options_.warn_minutes * (is_nearly_full_ ? kEaseOff : 1.0);
  const bool is_nearly_full = *minutes < limit;
  if (is_nearly_full == is_nearly_full_) return;
  is_nearly_full_ = is_nearly_full;
  tell({RecordTroubleKind::nearly_full, !is_nearly_full, last_seq_, *minutes,
        fmt::format("{} has room for {:.1f} more minutes", directory_, *minutes)});
}

void RecordSink::tell(RecordTrouble trouble) {
  if (recording_) {
    RecordedEvent event;
    event.time_ns = options_.utc_now();
    event.frame_first = trouble.seq;
    event.kind = EventKind::state;
    event.severity = trouble.is_over ? EventSeverity::info : severity_of(trouble.kind);
    event.source = std::string(to_string(trouble.kind));
    event.text = trouble.text;
    recording_->add(event);
    unshown_events_.push_back(std::move(event));
  }
  if (options_.on_trouble) options_.on_trouble(trouble);
}

void RecordSink::take_events() {
  std::vector<RecordedEvent> events;
  std::uint64_t missed = 0;
  {
    const std::lock_guard lock(events_mutex_);
    if (events_.empty()) return;
    events.reserve(kMostEvents);
    events.swap(events_);
    missed = events_missed_;
  }
  for (RecordedEvent& event : events) {
    recording_->add(event);
    if (event.kind == EventKind::parameter) parameters_.push_back(event);
    unshown_events_.push_back(std::move(event));
  }
  const std::lock_guard lock(progress_mutex_);
  progress_.events_missed = missed;
}

void RecordSink::add_event(RecordedEvent event) {
  const std::lock_guard lock(events_mutex_);
  if (events_.size() == kMostEvents)
    ++events_missed_;
  else
    events_.push_back(std::move(event));
}

std::uint64_t RecordSink::events_missed() const {
  const std::lock_guard lock(events_mutex_);
  return events_missed_;
}

void RecordSink::note_progress() {
  const auto relieved = packer_ ? packer_->counts().relieved : 0;
  const std::lock_guard lock(progress_mutex_);
  progress_.file = recording_->path();
  progress_.earlier = earlier_.earlier;
  progress_.frames = earlier_.frames + recording_->images();
  progress_.lost = earlier_.lost + recording_->lost();
  progress_.bytes = earlier_.bytes + recording_->bytes();
  progress_.raw_bytes = progress_.frames * run_.configuration.geometry.bytes();
  progress_.relieved = relieved;
  progress_.not_recorded = missed_.total();
  progress_.bytes_per_s = room_->bytes_per_s();
  progress_.minutes_left = room_->minutes_left();
}

RecordingProgress RecordSink::progress() const {
  const std::lock_guard lock(progress_mutex_);
  return progress_;
}

// --- the end -------------------------------------------------------------------------------------

void RecordSink::await_holders() {
  const auto deadline = steady_now() + kHolderPatience;
  while (recording_->pending_holder_rows() > 0 && steady_now() < deadline) {
    std::this_thread::sleep_for(kHolderPoll);
    if (!recording_->flush()) return;  // finish() says why
  }
}

Result<void> RecordSink::finish() {
  take_events();
  while (!packer_->is_empty()) store_oldest();
  add_missed_before(kNoFrame);
  note_behind();
  flush_or_go_on();  // from here on everything is in the file
  await_holders();
  note_progress();
  packer_.reset();
  sync_.reset();
  record::Recording::End end;
  end.ended_ns = options_.utc_now();
  end.events_missed = events_missed();
  const Result<std::string> path = recording_->finish(end);
  if (!path) return give_up(path.error());
  complete_as(path);
  return {};
}

}  // namespace latticed
