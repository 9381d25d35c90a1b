// SPDX-License-Identifier: GPL-3.0-or-later
// All that passes between the threads for one holder. The server asks, the control thread decides,
// the driver's thread does; nobody waits for anybody.
//
//   server ──commands──► control ──orders──► worker ──► Holder
//          ◄─answers, status──   ◄──reports─┘   └─samples──► server
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "server/base/doorbell.hpp"
#include "server/guard/holder_core.hpp"
#include "server/guard/spsc_queue.hpp"

namespace latticed {

struct NumberedCommand {
  std::uint64_t number = 0;
  CoreCommand command;
};
struct NumberedAnswer {
  std::uint64_t number = 0;
  CoreAnswer answer;
};

/// What the device should be told. `link` is that of the report `opened` it answers: a device that
/// was lost and came back takes no order from before.
struct Orders {
  HolderSetpoints setpoints;
  std::uint32_t cuts = 0;
  std::uint32_t link = 0;
};

struct DriverReport {
  enum class Kind : std::uint8_t { opened, answered, sample, write_failed, lost };
  Kind kind = Kind::answered;
  std::uint32_t link = 0;
  HolderSample sample;
  HolderCapabilities can;
};

struct ClockedSample {
  HolderSample sample;
  std::uint32_t clock = 0;  // changes where time stamps begin anew
};

struct Channel {
  Channel(std::string its_name, const HolderPolicy& its_policy)
      : name(std::move(its_name)), policy(its_policy), core(its_policy) {}

  const std::string name;
  const HolderPolicy policy;

  SpscQueue<NumberedCommand, 64> commands;  // server to control
  SpscQueue<NumberedAnswer, 64> answers;    // control to server
  LatestBox<CoreStatus> status;             // control to server
  SpscQueue<DriverReport, 2048> reports;    // worker to control
  LatestBox<Orders> orders;                 // control to worker
  SpscQueue<ClockedSample, 8192> samples;   // worker to server
  std::atomic<std::uint64_t> samples_dropped{0};
  std::atomic<std::uint32_t> lowered{0};    // HolderCore::lowered()
  std::atomic<std::uint32_t> cuts{0};       // HolderCore::cuts()
  std::atomic<std::uint32_t> cuts_done{0};  // the worker's answer to cuts
  std::atomic<bool> is_energised{false};
  Doorbell for_worker;

  // Set once by the worker when the device is first opened; lives as long as the worker.
  std::atomic<Holder*> holder{nullptr};
  std::atomic<std::int64_t> busy_since_ns{0};  // steady clock: the worker is in the driver; 0 = not

  mutable std::mutex mutex;  // guards what people read
  DeviceInfo info;
  HolderCapabilities can;
  std::string last_error;

  HolderCore core;  // control thread alone
};

}  // namespace latticed
