// SPDX-License-Identifier: GPL-3.0-or-later
// The world as its clients see it: the commands of the link, answered. No sockets here, so that the
// answers can be tested by calling it. One thread.
#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "sim/world/detector_run.hpp"

namespace latticed::sim {

/// One client; which detector it opened is kept here.
struct Client {
  DetectorRun* detector = nullptr;
  std::uint64_t frames = 0;
  bool is_configured = false;
  bool is_armed = false;
  DetectorRun::CloseLink close_link;
  bool has_holder = false;
};

class World {
 public:
  /// The scenario's phases are checked here.
  static Result<std::unique_ptr<World>> create(const Scenario& scenario, const RunOptions& options);

  struct Reply {
    std::string line;
    int fd = -1;  // to send along; the world keeps it
  };
  /// One command line to one reply line. Never throws.
  Reply answer(Client& client, const std::string& line);
  /// The client is gone: its detector stops, its holder's outputs go off, both are free again.
  void leave(Client& client) noexcept;

  [[nodiscard]] const Scenario& scenario() const noexcept { return scenario_; }
  [[nodiscard]] const PhaseTable& phases() const noexcept { return phases_; }
  [[nodiscard]] DetectorRun& run(std::size_t index) noexcept { return *runs_[index]; }

 private:
  World(const Scenario& scenario, PhaseTable phases, const RunOptions& options);
  Result<nlohmann::json> obey(Client& client, const nlohmann::json& command, int& fd);
  Result<nlohmann::json> open(Client& client, const nlohmann::json& command, int& fd);
  Result<nlohmann::json> configure(Client& client, const nlohmann::json& command);
  Result<nlohmann::json> set(const nlohmann::json& command);
  Result<nlohmann::json> open_holder(Client& client);
  Result<nlohmann::json> obey_holder(const std::string& word, const nlohmann::json& command);
  [[nodiscard]] nlohmann::json samples(std::uint64_t after) const;
  [[nodiscard]] nlohmann::json describe() const;
  [[nodiscard]] nlohmann::json status() const;

  const Scenario scenario_;  // without what a client plays
  const PhaseTable phases_;
  const RunOptions options_;
  CommandLog log_;
  HolderDevice holder_;
  bool is_holder_taken_ = false;
  std::vector<std::unique_ptr<DetectorRun>> runs_;
  std::vector<const DetectorRun*> taken_;
};

/// [{"frame", "current_a", "temperature_k"}, ...]: what a client is to play.
nlohmann::json to_json(const std::vector<StimulusStep>& steps);

/// The table has every phase the scenario names.
Result<void> check_phases(const Scenario& scenario, const PhaseTable& phases);

}  // namespace latticed::sim
