// SPDX-License-Identifier: GPL-3.0-or-later
// Every sample of every holder, at the rate it came: one NXsensor with a value_log per quantity,
// which share their times. Reads from the logs where it left off; what a log overwrote meanwhile
// is counted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/holder/holder_log.hpp"
#include "server/record/hdf5_author.hpp"

namespace latticed::record {

/// value_log/state. The text of the dataset's attribute `meaning` says the same.
enum HolderStateFlags : std::uint8_t {
  kHolderOutputOn = 1,
  kHolderHeaterOn = 2,
  kHolderInCompliance = 4,
};

class HolderLogsWriter {
 public:
  /// Below `instrument`: sensor_bias_voltage, sensor_bias_current, sensor_temperature; of the
  /// second holder and further ones with _<name> behind. `start` in ISO 8601, at `started_ns`.
  static HolderLogsWriter create(Hdf5Author& author, hid_t instrument, const HolderLogs& holders,
                                 std::int64_t started_ns);

  /// All samples that came since.
  Result<void> write();
  [[nodiscard]] bool has_news() const;

  [[nodiscard]] std::uint64_t samples() const noexcept { return samples_; }
  /// Gone from a log before they were written.
  [[nodiscard]] std::uint64_t missed() const noexcept { return missed_; }

 private:
  struct Log {
    std::shared_ptr<HolderLog> holder;
    std::uint64_t next = 0;  // sample's number
    Rows time_s, time_ns, state, bias_v, current_a, temperature_k;
  };
  Result<void> write(Log& log, const HolderLog::Batch& batch);

  std::vector<Log> logs_;
  std::int64_t started_ns_ = 0;
  std::uint64_t samples_ = 0, missed_ = 0;
};

/// "2026-11-22T14:06:34.123456789Z"
[[nodiscard]] std::string iso8601(std::int64_t time_ns);

}  // namespace latticed::record
