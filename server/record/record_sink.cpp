// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/record_sink.hpp"

#include <fmt/format.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <thread>
#include <utility>

#include "server/base/stage_clock.hpp"
#include "server/base/utc_clock.hpp"
#include "server/record/disk_sync.hpp"
#include "server/record/recording.hpp"

namespace latticed {
namespace {

using namespace std::chrono_literals;

// A frame is with the operating system, and readers see it, 250 ms after it came at the latest: it
// waits this long for others, then for the next frame or for idle(), which comes as often.
constexpr auto kFlushAfter = 100ms;
constexpr auto kSyncEvery = 1s;
// At the end: for the samples that make the last frames' holder values final.
constexpr auto kHolderPatience = 500ms;
constexpr auto kHolderPoll = 10ms;

Result<std::uint64_t> ask_system(const std::string& directory) {
  struct statvfs status {};
  if (::statvfs(directory.c_str(), &status) != 0)
    return Error{ErrorCode::unavailable,
                 fmt::format("recording into {}: {}", directory, std::strerror(errno))};
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

std::string megabytes(std::uint64_t bytes) {
  return fmt::format("{:.1f} MB", 1e-6 * static_cast<double>(bytes));
}

bool is_file_name(const std::string& name) {
  if (name.empty() || name.front() == '.' || name.size() > 200) return false;
  return name.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") ==
         std::string::npos;
}

}  // namespace

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
  if (!options.free_bytes) options.free_bytes = ask_system;
  return std::unique_ptr<RecordSink>(new RecordSink(std::move(options)));
}

RecordSink::RecordSink(RecordingOptions options) : options_(std::move(options)) {
  events_.reserve(kMostEvents);
}

RecordSink::~RecordSink() {
  sync_.reset();
  if (recording_ && recording_->images() == 0) recording_->discard();
}

Result<void> RecordSink::begin(const RunInfo& run) {
  const Result<std::uint64_t> free = options_.free_bytes(options_.directory);
  if (!free) return free.error();
  if (::access(options_.directory.c_str(), W_OK | X_OK) != 0)
    return Error{ErrorCode::unavailable,
                 fmt::format("recording into {}: {}", options_.directory, std::strerror(errno))};
  if (*free < options_.least_free_bytes)
    return Error{
        ErrorCode::resource_exhausted,
        fmt::format("recording into {}: {} free, at least {} are wanted", options_.directory,
                    megabytes(*free), megabytes(options_.least_free_bytes))};
  record::RecordingFacts facts;
  facts.name = options_.name;
  facts.run = run;
  facts.session = options_.session;
  facts.config_toml = options_.config_toml;
  facts.holders = options_.holders;
  // A simulated specimen must never pass for a real one, whoever forgot to say so.
  facts.is_simulation = options_.is_rehearsal || run.detector.driver == "simulator";
  facts.started_ns = options_.started_ns;
  auto made = record::Recording::create(options_.directory, std::move(facts));
  if (!made) return made.error();
  recording_ = std::move(*made);
  sync_ = std::make_unique<record::DiskSync>(recording_->descriptor());
  checked_at_ = steady_now();
  const std::lock_guard lock(progress_mutex_);
  progress_ = {};
  progress_.file = recording_->path();
  return {};
}

void RecordSink::consume(const FrameLease& frame) {
  if (Result<void> ok = write(*frame); !ok) throw std::runtime_error(give_up(ok.error()).message);
}

void RecordSink::idle() {
  take_events();
  if (!recording_->has_news() && unflushed_since_ == 0ns) return;
  if (Result<void> ok = flush(); !ok) throw std::runtime_error(give_up(ok.error()).message);
}

Result<void> RecordSink::write(const Frame& frame) {
  take_events();
  if (auto ok = recording_->add(frame); !ok) return ok;
  if (unflushed_since_ == 0ns) unflushed_since_ = steady_now();
  note_progress();
  return flush_when_due();
}

Result<void> RecordSink::flush_when_due() {
  if (steady_now() - unflushed_since_ < kFlushAfter) return {};
  return flush();
}

Result<void> RecordSink::flush() {
  if (auto ok = recording_->flush(); !ok) return ok;
  unflushed_since_ = 0ns;
  {
    const std::lock_guard lock(progress_mutex_);
    progress_.flushed_ns = utc_now_ns();
  }
  const auto now = steady_now();
  if (now - checked_at_ < kSyncEvery) return {};
  sync_->request();
  return check_disk(now);
}

Result<void> RecordSink::check_disk(std::chrono::nanoseconds now) {
  if (const auto error = sync_->error()) return *error;
  const Result<std::uint64_t> free = options_.free_bytes(options_.directory);
  if (!free) return free.error();
  const double seconds = std::chrono::duration<double>(now - checked_at_).count();
  const double rate = static_cast<double>(recording_->bytes() - checked_bytes_) / seconds;
  checked_at_ = now;
  checked_bytes_ = recording_->bytes();
  if (*free < options_.least_free_bytes)
    return Error{
        ErrorCode::resource_exhausted,
        fmt::format("recording {}: {} free, less than the {} that are to stay free",
                    recording_->path(), megabytes(*free), megabytes(options_.least_free_bytes))};
  const std::lock_guard lock(progress_mutex_);
  progress_.bytes_per_s = progress_.bytes_per_s > 0.0 ? 0.5 * (progress_.bytes_per_s + rate) : rate;
  progress_.minutes_left.reset();
  if (progress_.bytes_per_s > 0.0)
    progress_.minutes_left =
        static_cast<double>(*free - options_.least_free_bytes) / progress_.bytes_per_s / 60.0;
  return {};
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
  for (const RecordedEvent& event : events) recording_->add(event);
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

void RecordSink::note_progress() {
  const std::lock_guard lock(progress_mutex_);
  progress_.frames = recording_->images();
  progress_.lost = recording_->lost();
  progress_.bytes = recording_->bytes();
}

RecordingProgress RecordSink::progress() const {
  const std::lock_guard lock(progress_mutex_);
  return progress_;
}

void RecordSink::await_holders() {
  const auto deadline = steady_now() + kHolderPatience;
  while (recording_->pending_holder_rows() > 0 && steady_now() < deadline) {
    std::this_thread::sleep_for(kHolderPoll);
    if (!recording_->flush()) return;  // finish() says why
  }
}

Result<void> RecordSink::finish() {
  take_events();
  await_holders();
  sync_.reset();
  record::Recording::End end;
  end.ended_ns = utc_now_ns();
  {
    const std::lock_guard lock(events_mutex_);
    end.events_missed = events_missed_;
  }
  const Result<std::string> path = recording_->finish(end);
  if (!path) return give_up(path.error());
  complete_as(path);
  return {};
}

Error RecordSink::give_up(const Error& error) {
  sync_.reset();
  record::Recording::End end;
  end.why = error.message;
  end.ended_ns = utc_now_ns();
  {
    const std::lock_guard lock(events_mutex_);
    end.events_missed = events_missed_;
  }
  const Result<std::string> path = recording_->rescue(end);
  Error all = error;
  if (!path) all.message += "; and completing the file: " + path.error().message;
  {
    const std::lock_guard lock(progress_mutex_);
    progress_.error = all;
    progress_.frames = recording_->images();
  }
  complete_as(path);
  return all;
}

void RecordSink::complete_as(const Result<std::string>& path) {
  recording_.reset();
  const std::lock_guard lock(progress_mutex_);
  progress_.is_complete = true;
  progress_.bytes_per_s = 0.0;
  progress_.minutes_left.reset();
  if (!path) return;
  progress_.file = *path;
  progress_.flushed_ns = utc_now_ns();
}

}  // namespace latticed
