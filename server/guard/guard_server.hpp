// SPDX-License-Identifier: GPL-3.0-or-later
// The daemon's socket: JSON lines in, answers and events out (server/guard/README.md). One thread
// (latd-guard-io), one daemon at a time. It decides nothing: raising commands wait here until their
// intent is on the disk, then all go to the control thread.
#pragma once

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "server/base/named_thread.hpp"
#include "server/guard/audit.hpp"
#include "server/guard/control.hpp"
#include "server/guard/line_socket.hpp"

namespace latticed {

class GuardServer {
 public:
  /// `wake` is rung by all who have news for this thread.
  static Result<std::unique_ptr<GuardServer>> start(const std::string& path, Control& control,
                                                    std::vector<std::shared_ptr<Channel>> channels,
                                                    Audit& audit, WakeUp& wake);
  ~GuardServer();  // removes the socket

 private:
  struct Holding;  // one holder as this thread sees it
  struct Pending {
    std::uint64_t link = 0;  // of the daemon that asked
    std::string id;          // as JSON, to be given back
    HolderCommand command;
    std::size_t missing = 1;  // answers
    std::size_t holder = 0;
    CoreCommand core;
    bool is_raising = false;
  };

  GuardServer(std::string path, OwnedFd listener, Control& control,
              std::vector<std::shared_ptr<Channel>> channels, Audit& audit, WakeUp& wake);
  void run();
  void welcome();
  void part(const char* why);
  void hear(std::string_view line);
  void ask(const nlohmann::json& request, const std::string& id);
  void ask_one(Pending pending, std::size_t index);
  void submit(std::uint64_t number, Pending pending);
  void take_audits();
  void take_answers();
  void take_status(std::chrono::steady_clock::time_point now);
  void send_samples();
  void finish(const Pending& pending, const CoreAnswer& answer);
  void refuse(const Pending& pending, Refusal reason, const std::string& message = {});
  void tell(const nlohmann::json& line);
  void note(nlohmann::json line);
  [[nodiscard]] nlohmann::json list() const;
  [[nodiscard]] nlohmann::json status_line(const Holding& holding) const;

  const std::string path_;
  OwnedFd listener_;
  Control& control_;
  Audit& audit_;
  WakeUp& wake_;
  std::vector<std::unique_ptr<Holding>> holdings_;
  std::optional<LineSocket> daemon_;
  std::uint64_t link_ = 0;  // counts daemons
  bool is_parting_ = false;
  std::map<std::uint64_t, Pending> asked_;     // of control, by number
  std::map<std::uint64_t, Pending> intended_;  // at the audit, by ticket
  std::uint64_t next_number_ = 1;
  std::atomic<bool> stopping_{false};
  NamedThread thread_;
};

}  // namespace latticed
