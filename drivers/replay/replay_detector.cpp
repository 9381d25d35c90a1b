// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/replay/replay_detector.hpp"

#include <algorithm>
#include <cmath>
#include <exception>
#include <utility>

namespace latticed {
namespace {

constexpr double kShortestPeriodS = 1e-6;  // what is asked for below is not believed
constexpr double kLongestPeriodS = 3600.0;

}  // namespace

Result<std::unique_ptr<ReplayDetector>> ReplayDetector::open(const ReplayOptions& options) {
  if (!std::isfinite(options.pace) || options.pace < 0.0) {
    return Error{ErrorCode::invalid_argument, "replay at pace " + std::to_string(options.pace) +
                                                  ": expected 0 (as fast as possible) or more"};
  }
  auto movie = MovieSequence::open(options.files);
  if (!movie) return movie.error();
  const std::uint64_t count = (*movie)->info().frame_count;
  if (options.first_frame >= std::min(options.end_frame, count)) {
    const std::string end = options.end_frame == ReplayOptions::kToTheEnd
                                ? std::string()
                                : std::to_string(options.end_frame);
    return Error{ErrorCode::out_of_range, "replay frames " + std::to_string(options.first_frame) +
                                              ":" + end + " of '" + options.files.front() +
                                              "': there are " + std::to_string(count)};
  }
  return std::unique_ptr<ReplayDetector>(new ReplayDetector(options, std::move(*movie)));
}

ReplayDetector::ReplayDetector(const ReplayOptions& options, std::unique_ptr<MovieSequence> movie)
    : device_{options.name, "replay", movie->info().format + " file", options.files.front()},
      movie_(std::move(movie)),
      first_(options.first_frame),
      available_(std::min(options.end_frame, movie_->info().frame_count) - options.first_frame),
      pace_(options.pace) {}

Result<DetectorConfiguration> ReplayDetector::configure(const DetectorSettings& wanted) {
  if (const DeviceState from = state_; !is_legal(from, DeviceState::configured) ||
                                       from == DeviceState::armed || from == DeviceState::running) {
    return Error{ErrorCode::failed_precondition,
                 "configure '" + device_.name + "': it is " + std::string(to_string(from))};
  }
  const MovieInfo& movie = movie_->info();
  const bool is_wanted = std::isfinite(wanted.frame_period_s) && wanted.frame_period_s > 0.0;
  const double wanted_s = std::clamp(wanted.frame_period_s, kShortestPeriodS, kLongestPeriodS);
  double period_s = movie.frame_period_s;
  if (pace_ > 0.0) {
    period_s = is_wanted ? wanted_s : movie.frame_period_s / pace_;
    if (period_s <= 0.0) {
      return Error{ErrorCode::invalid_argument,
                   "configure '" + device_.name + "' for pace " + std::to_string(pace_) +
                       ": the file has no frame period and frame_period_s is 0"};
    }
  } else if (period_s <= 0.0 && is_wanted) {
    period_s = wanted_s;
  }
  configuration_.geometry = movie.geometry;
  configuration_.exposure_s = movie.exposure_s;
  configuration_.frame_period_s = period_s;
  configuration_.frame_count =
      wanted.frame_count == 0 ? available_ : std::min(wanted.frame_count, available_);
  configuration_.pixel_size_nm = movie.pixel_size_nm;
  configuration_.pixel_size_sigma_ratio = movie.pixel_size_sigma_ratio;
  configuration_.pixel_size_source = movie.pixel_size_source;
  configuration_.scan_line_time_s = movie.scan_line_time_s;
  configuration_.is_paced = pace_ > 0.0;
  has_started_ = false;
  state_ = DeviceState::configured;
  return configuration_;
}

Result<void> ReplayDetector::move_on(const char* action, DeviceState from, DeviceState to) {
  if (state_.compare_exchange_strong(from, to)) return {};
  return Error{ErrorCode::failed_precondition, std::string(action) + " '" + device_.name +
                                                   "': it is " + std::string(to_string(from))};
}

Result<void> ReplayDetector::arm() {
  auto done = move_on("arm", DeviceState::configured, DeviceState::armed);
  if (done) has_started_ = false;
  return done;
}

Result<void> ReplayDetector::start() {
  if (state_ == DeviceState::armed) {
    next_ = 0;
    started_at_ = Clock::now();
  }
  auto done = move_on("start", DeviceState::armed, DeviceState::running);
  if (done) has_started_ = true;
  return done;
}

FrameHeader ReplayDetector::end_of_acquisition() noexcept {
  DeviceState running = DeviceState::running;
  state_.compare_exchange_strong(running, DeviceState::configured);
  FrameHeader header;
  header.kind = FrameKind::end;
  header.hardware_sequence = next_;
  return header;
}

bool ReplayDetector::wait_until_due(std::chrono::milliseconds timeout) {
  const std::chrono::duration<double> offset(configuration_.frame_period_s *
                                             static_cast<double>(next_));
  const auto due_at = started_at_ + std::chrono::duration_cast<Clock::duration>(offset);
  const auto give_up_at = Clock::now() + timeout;
  std::unique_lock lock(wake_guard_);
  wake_.wait_until(lock, std::min(due_at, give_up_at),
                   [this] { return state_ != DeviceState::running; });
  return Clock::now() >= due_at;
}

Result<FrameHeader> ReplayDetector::read_frame(std::span<std::byte> pixels,
                                               std::chrono::milliseconds timeout) {
  if (!has_started_) {
    return Error{ErrorCode::failed_precondition, "read a frame of '" + device_.name + "': it is " +
                                                     std::string(to_string(state())) +
                                                     ", not running"};
  }
  if (state_ != DeviceState::running || next_ >= configuration_.frame_count) {
    return end_of_acquisition();
  }
  if (pixels.size() < configuration_.geometry.bytes()) {
    return Error{ErrorCode::invalid_argument,
                 "read a frame of '" + device_.name + "' into " + std::to_string(pixels.size()) +
                     " bytes: it needs " + std::to_string(configuration_.geometry.bytes())};
  }
  if (configuration_.is_paced) {
    const bool is_due = wait_until_due(timeout);
    if (state_ != DeviceState::running) return end_of_acquisition();
    if (!is_due) return Error{ErrorCode::timeout, {}};
  }
  try {
    return deliver(pixels);
  } catch (const std::exception& problem) {
    state_ = DeviceState::fault;
    return Error{ErrorCode::resource_exhausted,
                 "read a frame of '" + device_.name + "': " + problem.what()};
  }
}

FrameHeader ReplayDetector::deliver(std::span<std::byte> pixels) {
  FrameHeader header;
  header.hardware_sequence = next_;
  header.time_ns = movie_->time_ns(first_ + next_);
  header.exposure_s = configuration_.exposure_s;
  const auto read = movie_->read(first_ + next_, pixels);
  if (!read) {
    header.kind = FrameKind::lost;
    header.loss = loss_reason(read.error().code);
    header.lost_count = 1;
  }
  ++next_;
  return header;
}

void ReplayDetector::stop() noexcept {
  {
    const std::lock_guard lock(wake_guard_);
    for (DeviceState from : {DeviceState::running, DeviceState::armed}) {
      state_.compare_exchange_strong(from, DeviceState::configured);
    }
  }
  wake_.notify_all();
}

}  // namespace latticed
