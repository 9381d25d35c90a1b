// SPDX-License-Identifier: GPL-3.0-or-later
// The steps of a run that several commands take: settings from the command line, configuring all
// detectors, from any state to RUNNING, and waiting for the end.
#pragma once

#include <latticed/v1/acquisition.pb.h>

#include <cstdint>
#include <string>

#include "clients/latticectl/client.hpp"

namespace CLI {
class App;
}

namespace latticed::latticectl {

struct RunSettings {
  std::string detector;  // empty = all
  std::uint64_t frame_count = 0;
  double exposure_s = 0.0;
  double frame_period_s = 0.0;

  [[nodiscard]] bool is_given() const noexcept {
    return frame_count > 0 || exposure_s > 0.0 || frame_period_s > 0.0;
  }
};

/// --frames, --exposure, --period, --detector.
void add_settings(CLI::App& command, RunSettings& settings);

Answer<v1::ConfigureReply> configure(Client& client, const RunSettings& settings);
/// Configures, arms and starts, as far as the state needs it.
Answer<v1::StatusReply> start(Client& client, const RunSettings& settings);
/// Until the run `epoch` has ended; the status then. Only silence of the server ends it earlier.
Answer<v1::StatusReply> wait_for_end(Client& client, std::uint32_t epoch);
/// Nothing went wrong in the run that this status says has ended.
[[nodiscard]] bool ended_well(const v1::StatusReply& status);

}  // namespace latticed::latticectl
