// SPDX-License-Identifier: GPL-3.0-or-later
// The daemon's composition root: every part, in the order of the flow, and who tells whom. Parts
// know nothing of each other that is not in their constructors.
//
//   clients -gRPC-> services -> Acquisition -> Run -> sinks: recorder, live (publisher, preview)
//                             -> GuardLink -> latticed-guard -> holder
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "server/config/config.hpp"

namespace latticed {

class Daemon {
 public:
  /// Everything is up and listens. Errors say what could not be had: a port, a folder, a file.
  static Result<std::unique_ptr<Daemon>> start(const Config& config, const std::string& version);
  ~Daemon();

  struct Endpoints {
    std::string grpc;     // HOST:PORT
    std::string zmq;      // tcp://HOST:PORT
    std::string network;  // HOST:PORT of the listener on the lab network; empty = none
  };
  [[nodiscard]] Endpoints endpoints() const;
  /// A detector is simulated.
  [[nodiscard]] bool is_rehearsal() const;

  /// The run is stopped and drained, or given up when that takes longer; then no client is served
  /// any more. Within about `timeout`. False: the run had to be given up.
  bool stop(std::chrono::milliseconds timeout);

 private:
  class Parts;
  explicit Daemon(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace latticed
