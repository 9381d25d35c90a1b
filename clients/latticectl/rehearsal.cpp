// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/rehearsal.hpp"

#include <fmt/format.h>
#include <latticed/v1/acquisition.grpc.pb.h>
#include <latticed/v1/holder.grpc.pb.h>
#include <latticed/v1/measurements.grpc.pb.h>
#include <signal.h>

#include <charconv>
#include <nlohmann/json.hpp>

namespace latticed::latticectl {

namespace {

using Acquisition = v1::Acquisition::Stub;
using Holder = v1::Holder::Stub;
using Measurements = v1::Measurements::Stub;

constexpr double kCancel_s = 60.0;

/// The oldest frame there still is, when the server says that the history does not reach back.
std::optional<std::uint64_t> oldest_of(const CallProblem& problem) {
  const auto found = problem.metadata.find("oldest");
  if (problem.reason != "HISTORY_GONE" || found == problem.metadata.end()) return std::nullopt;
  std::uint64_t oldest = 0;
  const std::string& text = found->second;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), oldest);
  return read.ec == std::errc() ? std::optional(oldest) : std::nullopt;
}

template <class T>
std::optional<CallProblem> problem_of(const Answer<T>& answer) {
  return answer ? std::nullopt : std::optional(answer.problem());
}

nlohmann::json number_or_null(const std::optional<double>& value) {
  return value ? nlohmann::json(*value) : nlohmann::json();
}

}  // namespace

int Rehearsal::play() {
  signal(SIGPIPE, SIG_IGN);  // nobody reads our progress: no reason to leave the holder on
  if (const auto problem = refuse_real_specimen()) return out_.show(*problem);
  std::stop_source over;
  std::optional<CallProblem> problem = begin();
  {
    std::vector<std::jthread> listeners;
    if (!problem) {
      for (const std::string& detector : detectors_)
        listeners.emplace_back(
            [this, stop = over.get_token(), &detector] { listen(stop, detector); });
      problem = play_steps();
    }
    over.request_stop();
  }
  const auto unsafe = make_safe();  // first: ending a run may take its time
  if (problem || client_.is_stopped()) cancel_run();
  if (!problem) problem = unsafe;
  if (problem) return out_.show(*problem);
  return client_.is_stopped() ? kDone : show_end();
}

std::optional<CallProblem> Rehearsal::refuse_real_specimen() {
  const auto status = client_.call(&Acquisition::GetStatus, v1::GetStatusRequest());
  if (!status) return status.problem();
  if (status->stamp().rehearsal()) return std::nullopt;
  return refusal(
      "NOT_SIMULATED",
      "rehearse: this server's specimen is real; steps are only played on simulated ones");
}

std::optional<CallProblem> Rehearsal::begin() {
  const auto list = client_.call(&Acquisition::ListDetectors, v1::ListDetectorsRequest());
  if (!list) return list.problem();
  for (const auto& detector : list->detectors()) detectors_.push_back(detector.name());
  const auto status = start(client_, options_.settings);
  if (!status) return status.problem();
  is_started_ = true;
  progress_.emplace(status->stamp().epoch(), detectors_);
  out_.progress(fmt::format("{}run {} started, {} steps to play", mark(status->stamp()),
                            status->stamp().epoch(), options_.steps.size()));
  v1::ArmHolderRequest request;
  request.set_holder(options_.holder);
  request.set_who(options_.who);
  const auto armed = client_.call(&Holder::Arm, request);
  is_armed_ = armed || armed.problem().is_unreachable();  // no answer: it may be
  if (!armed) return armed.problem();
  out_.progress(fmt::format("{}holder {} armed by {}", mark(armed->stamp()), armed->holder().name(),
                            options_.who));
  return std::nullopt;
}

void Rehearsal::listen(std::stop_token stop, const std::string& detector) {
  Client client = client_.with_stop(std::move(stop));
  v1::WatchMeasurementsRequest request;
  request.set_detector(detector);
  request.set_from_seq(0);
  const auto watch = [&] {
    return client.listen<Measurements, v1::WatchMeasurementsRequest, v1::MeasurementEvent>(
        &Measurements::Watch, request, [&](const v1::MeasurementEvent& event) {
          progress_->take(event);
          return progress_->has_ended(detector) ? Next::enough : Next::go_on;
        });
  };
  auto problem = watch();
  if (const auto oldest = problem ? oldest_of(*problem) : std::nullopt) {
    request.set_from_seq(*oldest);
    problem = watch();
  }
  if (progress_->has_ended(detector)) return;
  {
    const std::lock_guard lock(listen_mutex_);
    if (!listen_problem_) listen_problem_ = problem;
  }
  progress_->close();
}

std::optional<CallProblem> Rehearsal::play_steps() {
  const double at_most_s = options_.step_timeout_s;
  for (const HolderStep& step : options_.steps) {
    const auto waited = progress_->wait_for_frame(step.frame, at_most_s, client_.stop());
    if (waited == Waited::stopped) return std::nullopt;
    if (auto problem = wait_problem(waited, fmt::format("for frame {}", step.frame))) {
      return problem;
    }
    played_.push_back({step, progress_->frames()});
    out_.progress(fmt::format("REHEARSAL step {} of {}: frame {} (run at {}): {}", played_.size(),
                              options_.steps.size(), step.frame, played_.back().frames_then,
                              to_text(step)));
    if (auto problem = send(step)) return problem;
  }
  const auto waited = progress_->wait_for_end(at_most_s, client_.stop());
  return waited == Waited::stopped ? std::nullopt : wait_problem(waited, "for the run's end");
}

std::optional<CallProblem> Rehearsal::wait_problem(Waited waited, const std::string& what) const {
  const std::string at = fmt::format("{} frames are measured or lost", progress_->frames());
  switch (waited) {
    case Waited::run_ended:
      return refusal("RUN_ENDED", fmt::format("rehearse: the run ended ({}) while waiting {}; {}",
                                              progress_->ended(), what, at));
    case Waited::too_long: {
      CallProblem problem = refusal("STEP_TIMEOUT", fmt::format("rehearse: waited {:g} s {}; {}",
                                                                options_.step_timeout_s, what, at));
      problem.code = grpc::StatusCode::DEADLINE_EXCEEDED;
      return problem;
    }
    case Waited::closed:
      if (const std::lock_guard lock(listen_mutex_); listen_problem_) return listen_problem_;
      return refusal("STREAM_ENDED",
                     fmt::format("rehearse: the server ended the measurements while "
                                 "waiting {}; {}",
                                 what, at));
    default:
      return std::nullopt;
  }
}

std::optional<CallProblem> Rehearsal::send(const HolderStep& step) {
  if (step.current_a || step.bias_v) {
    v1::SetSourceRequest request;
    request.set_holder(options_.holder);
    request.set_who(options_.who);
    request.set_mode(step.bias_v ? v1::SOURCE_MODE_VOLTAGE : v1::SOURCE_MODE_CURRENT);
    request.set_level(step.bias_v ? *step.bias_v : *step.current_a);
    request.set_compliance(options_.compliance);
    if (auto problem = problem_of(client_.call(&Holder::SetSource, request))) return problem;
  }
  if ((step.current_a || step.bias_v) && !is_output_on_) {
    v1::SetOutputRequest request;
    request.set_holder(options_.holder);
    request.set_who(options_.who);
    request.set_on(true);
    if (auto problem = problem_of(client_.call(&Holder::SetOutput, request))) return problem;
    is_output_on_ = true;
  }
  if (!step.temperature_k) return std::nullopt;
  v1::SetTemperatureRequest request;
  request.set_holder(options_.holder);
  request.set_who(options_.who);
  request.set_temperature_k(*step.temperature_k);
  return problem_of(client_.call(&Holder::SetTemperature, request));
}

void Rehearsal::cancel_run() {
  if (!is_started_) return;
  Client client = client_.with_stop({});
  const auto done = client.call(&Acquisition::Cancel, v1::CancelRequest(), kCancel_s);
  if (!done) out_.hint("the run could not be cancelled: " + to_text(done.problem()));
}

std::optional<CallProblem> Rehearsal::make_safe() {
  if (!is_armed_) return std::nullopt;
  Client client = client_.with_stop({});
  v1::SafeOffRequest request;
  request.set_holder(options_.holder);
  request.set_who(options_.who);
  const auto done = client.call(&Holder::SafeOff, request);
  if (!done) {
    out_.hint("THE HOLDER WAS NOT SWITCHED OFF");
    return done.problem();
  }
  out_.progress("REHEARSAL holder safe-off");
  return std::nullopt;
}

int Rehearsal::show_end() {
  const std::string ended = progress_->ended();
  const int status = ended == "completed" || ended == "stopped" ? kDone : kRefused;
  if (!out_.is_json()) {
    out_.write(fmt::format("REHEARSAL {}: {} frames measured, {} lost, {} steps played\n", ended,
                           progress_->measured(), progress_->lost(), played_.size()));
    return status;
  }
  nlohmann::json steps = nlohmann::json::array();
  for (const Played& played : played_) {
    steps.push_back({{"frame", played.step.frame},
                     {"sent_at_frame", played.frames_then},
                     {"current_a", number_or_null(played.step.current_a)},
                     {"bias_v", number_or_null(played.step.bias_v)},
                     {"temperature_k", number_or_null(played.step.temperature_k)}});
  }
  const nlohmann::json document = {{"rehearsal", true},
                                   {"ended", ended},
                                   {"measured", progress_->measured()},
                                   {"lost", progress_->lost()},
                                   {"steps", steps}};
  out_.write(document.dump() + "\n");
  return status;
}

}  // namespace latticed::latticectl
