// SPDX-License-Identifier: GPL-3.0-or-later
// The whole guard: one worker a holder, the control thread, the audit and the two sockets, in the
// order in which they need each other. main.cpp owns one; tests start it with drivers of their own.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "server/guard/audit.hpp"
#include "server/guard/control.hpp"
#include "server/guard/guard_config.hpp"
#include "server/guard/guard_server.hpp"
#include "server/guard/safe_off_server.hpp"
#include "server/guard/worker.hpp"

namespace latticed {

class Guard {
 public:
  /// One opener for each holder of the configuration.
  static Result<std::unique_ptr<Guard>> start(const GuardConfig& config,
                                              std::vector<Worker::Open> open);
  /// The drivers the configuration names.
  static Result<std::unique_ptr<Guard>> start(const GuardConfig& config);
  ~Guard();  // as shut_down(0)

  /// Every holder by ramp to safe; what is not there after `patience` goes off at once.
  void shut_down(std::chrono::milliseconds patience);

 private:
  Guard() = default;
  [[nodiscard]] bool is_energised() const;

  WakeUp wake_;
  std::vector<std::shared_ptr<Channel>> channels_;
  std::unique_ptr<Audit> audit_;
  std::unique_ptr<Control> control_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<GuardServer> server_;
  std::unique_ptr<SafeOffServer> safe_off_;
  bool is_over_ = false;
};

}  // namespace latticed
