// SPDX-License-Identifier: GPL-3.0-or-later
// A scenario's holder steps, played as a person at the command line would: start a run, arm the
// holder, tell it each step when the run has come to its frame, wait for the end, safe-off. Only on
// a server whose frames and holder are simulated.
#pragma once

#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "clients/latticectl/client.hpp"
#include "clients/latticectl/holder_steps.hpp"
#include "clients/latticectl/output.hpp"
#include "clients/latticectl/run_commands.hpp"
#include "clients/latticectl/run_progress.hpp"

namespace latticed::latticectl {

struct RehearsalOptions {
  std::vector<HolderStep> steps;
  RunSettings settings;
  std::string holder;
  std::string who = "rehearsal";
  double compliance = 0.0;      // A or V; 0 = the guard's
  double step_timeout_s = 0.0;  // of each wait: for a step's frame, and for the end
};

class Rehearsal {
 public:
  Rehearsal(const RehearsalOptions& options, Client& client, const Output& out)
      : options_(options), client_(client), out_(out) {}

  /// The exit status. Whatever happened after the holder was armed: it is safe and the run ended.
  int play();

 private:
  struct Played {
    HolderStep step;
    std::uint64_t frames_then = 0;  // measured or lost when it was sent
  };

  std::optional<CallProblem> refuse_real_specimen();
  std::optional<CallProblem> begin();
  std::optional<CallProblem> play_steps();
  std::optional<CallProblem> send(const HolderStep& step);
  std::optional<CallProblem> wait_problem(Waited waited, const std::string& what) const;
  void listen(std::stop_token stop, const std::string& detector);
  std::optional<CallProblem> make_safe();
  void cancel_run();
  int show_end();

  const RehearsalOptions& options_;
  Client& client_;
  const Output& out_;
  std::optional<RunProgress> progress_;
  std::vector<std::string> detectors_;  // one listener each
  mutable std::mutex listen_mutex_;
  std::optional<CallProblem> listen_problem_;  // of the first listener that closed progress_
  std::vector<Played> played_;
  bool is_started_ = false;
  bool is_armed_ = false;
  bool is_output_on_ = false;
};

}  // namespace latticed::latticectl
