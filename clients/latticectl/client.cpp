// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/client.hpp"

#include <fmt/format.h>
#include <latticed/v1/acquisition.grpc.pb.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>

namespace latticed::latticectl {

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr int kTries = 3;
constexpr double kBetweenTries_s = 0.25;

double since_s(Clock::time_point begin) { return Seconds(Clock::now() - begin).count(); }

/// True when `stop` came before `duration_s` had passed.
bool stopped_within(const std::stop_token& stop, double duration_s) {
  std::mutex mutex;  // guards nothing: the wait needs one
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, Seconds(duration_s), [] { return false; });
  return stop.stop_requested();
}

/// The server did not do it, or nobody can know: the same request_id makes asking again harmless.
bool is_worth_a_retry(const CallProblem& problem) {
  return problem.code == grpc::StatusCode::UNAVAILABLE && problem.is_unreachable();
}

}  // namespace

std::string new_request_id() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

bool Client::pause(double duration_s) const { return !stopped_within(stop_, duration_s); }

void Client::prepare(grpc::ClientContext& context, double timeout_s) const {
  if (timeout_s > 0.0) {
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::duration_cast<std::chrono::milliseconds>(Seconds(timeout_s)));
  }
  if (!connection_.token.empty()) {
    context.AddMetadata("authorization", "Bearer " + connection_.token);
  }
}

CallProblem Client::with_tries(CallProblem problem, int tries, double after_s) const {
  if (!problem.is_unreachable()) return problem;
  const bool is_late = problem.code == grpc::StatusCode::DEADLINE_EXCEEDED;
  problem.tried = fmt::format("{} from {} ({}, {} tr{} in {:.1f} s)",
                              is_late ? "no answer in time" : "no answer", connection_.server,
                              options_.tls_ca_file.empty() ? "without TLS" : "with TLS", tries,
                              tries == 1 ? "y" : "ies", after_s);
  if (!is_late) problem.tried += "; is `latticed serve` running there? --server says where";
  return problem;
}

std::optional<CallProblem> Client::attempt(const Once& once, double usual_s) {
  const double allowed_s =
      options_.has_timeout ? options_.timeout_s : std::max(options_.timeout_s, usual_s);
  const auto begin = Clock::now();
  for (int tries = 1;; ++tries) {
    grpc::ClientContext context;
    prepare(context, std::max(allowed_s - since_s(begin), 0.001));
    const std::stop_callback cancel(stop_, [&] { context.TryCancel(); });
    const grpc::Status status = once(context);
    if (status.ok()) return std::nullopt;
    CallProblem problem = decode(status);
    const double wait_s = kBetweenTries_s * tries;
    const bool has_time = since_s(begin) + wait_s < allowed_s;
    const bool is_over = !is_worth_a_retry(problem) || tries == kTries || !has_time;
    if (is_over || !pause(wait_s)) return with_tries(std::move(problem), tries, since_s(begin));
  }
}

Client::Listening::Listening(Client& client, grpc::ClientContext& context, double at_most_s)
    : client_(client),
      context_(context),
      cancel_(client.stop_, [&context] { context.TryCancel(); }),
      watcher_([this](const std::stop_token& over) { watch(over); }) {
  client.prepare(context, at_most_s);
}

void Client::Listening::watch(const std::stop_token& over) {
  std::uint64_t heard_before = heard_;
  while (!stopped_within(over, client_.options_.timeout_s)) {
    const std::uint64_t heard_now = heard_;
    if (std::exchange(heard_before, heard_now) != heard_now) continue;
    const auto alive = client_.call(&v1::Acquisition::Stub::GetStatus, v1::GetStatusRequest());
    if (alive || !alive.problem().is_unreachable() || over.stop_requested()) continue;
    silent_ = alive.problem();
    context_.TryCancel();
    return;
  }
}

std::optional<CallProblem> Client::Listening::end(const grpc::Status& status) {
  watcher_.request_stop();
  watcher_.join();
  if (status.ok() || is_enough_ || client_.is_stopped()) return std::nullopt;
  if (silent_) return silent_;
  return client_.with_tries(decode(status), 1, 0.0);
}

}  // namespace latticed::latticectl
