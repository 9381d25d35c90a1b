// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/holder_logs_writer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

namespace latticed::record {
namespace {

constexpr hsize_t kChunkRows = 4096;
constexpr std::size_t kBatch = 4096;

struct Quantity {
  const char* sensor;
  const char* measurement;
  const char* units;
};
constexpr Quantity kBias{"sensor_bias_voltage", "voltage", "V"},
    kCurrent{"sensor_bias_current", "current", "A"},
    kTemperature{"sensor_temperature", "temperature", "K"};

struct Sensor {
  Handle log;
  Rows values;
};

Sensor make_sensor(Hdf5Author& author, hid_t instrument, const Quantity& quantity,
                   const std::string& name, bool is_first) {
  static constexpr double kNan = kNotMeasured;
  const std::string group =
      is_first ? quantity.sensor : fmt::format("{}_{}", quantity.sensor, name);
  const Handle sensor = author.group(instrument, group.c_str(), "NXsensor");
  author.text_field(sensor, "name", name);
  author.text_field(sensor, "measurement", quantity.measurement);
  Sensor made;
  made.log = author.group(sensor, "value_log", "NXlog");
  Handle values = author.rows(made.log, "value", H5T_NATIVE_DOUBLE, kChunkRows, &kNan);
  author.text(values, "units", quantity.units);
  made.values = {std::move(values), Handle(H5Tcopy(H5T_NATIVE_DOUBLE)), sizeof(double)};
  return made;
}

}  // namespace

std::string iso8601(std::int64_t time_ns) {
  constexpr std::int64_t kSecond = 1'000'000'000;
  std::int64_t whole = time_ns / kSecond, rest = time_ns % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --whole;
  }
  const std::time_t seconds = whole;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z", utc.tm_year + 1900,
                     utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec, rest);
}

HolderLogsWriter HolderLogsWriter::create(Hdf5Author& author, hid_t instrument,
                                          const HolderLogs& holders, std::int64_t started_ns) {
  HolderLogsWriter writer;
  writer.started_ns_ = started_ns;
  for (const auto& holder : holders) {
    const bool is_first = writer.logs_.empty();
    Sensor bias = make_sensor(author, instrument, kBias, holder->name(), is_first),
           current = make_sensor(author, instrument, kCurrent, holder->name(), is_first),
           temperature = make_sensor(author, instrument, kTemperature, holder->name(), is_first);
    Handle time_s = author.rows(bias.log, "time", H5T_NATIVE_DOUBLE, kChunkRows, nullptr),
           time_ns = author.rows(bias.log, "time_ns", H5T_NATIVE_INT64, kChunkRows, nullptr),
           state = author.rows(bias.log, "state", H5T_NATIVE_UINT8, kChunkRows, nullptr);
    author.text(time_s, "units", "s");
    author.text(time_s, "start", iso8601(started_ns));
    author.text(time_ns, "meaning", "UTC since 1970, exact");
    author.text(time_ns, "units", "ns");
    author.text(state, "meaning",
                "sum of 1: output on, 2: heater on, 4: held back by its compliance limit");
    for (const Handle* log : {&current.log, &temperature.log})
      for (const char* shared : {"time", "time_ns", "state"})
        author.hard_link(bias.log, shared, *log, shared);
    Log log;
    log.holder = holder;
    // From the last sample before the run on, so that its first frames lie between two.
    const auto latest = holder->latest();
    log.next = holder->count();
    if (latest && latest->time_ns <= started_ns) --log.next;
    log.time_s = {std::move(time_s), Handle(H5Tcopy(H5T_NATIVE_DOUBLE)), sizeof(double)};
    log.time_ns = {std::move(time_ns), Handle(H5Tcopy(H5T_NATIVE_INT64)), sizeof(std::int64_t)};
    log.state = {std::move(state), Handle(H5Tcopy(H5T_NATIVE_UINT8)), sizeof(std::uint8_t)};
    log.bias_v = std::move(bias.values);
    log.current_a = std::move(current.values);
    log.temperature_k = std::move(temperature.values);
    writer.logs_.push_back(std::move(log));
  }
  return writer;
}

bool HolderLogsWriter::has_news() const {
  return std::any_of(logs_.begin(), logs_.end(),
                     [](const Log& log) { return log.holder->count() > log.next; });
}

Result<void> HolderLogsWriter::write() {
  for (Log& log : logs_) {
    const std::uint64_t end = log.holder->count();  // what comes while we write waits
    while (log.next < end) {
      const HolderLog::Batch batch = log.holder->read(log.next, kBatch);
      missed_ += batch.first - log.next;
      log.next = batch.first + batch.samples.size();
      if (batch.samples.empty()) break;
      if (Result<void> ok = write(log, batch); !ok) return ok;
      samples_ += batch.samples.size();
    }
  }
  return {};
}

Result<void> HolderLogsWriter::write(Log& log, const HolderLog::Batch& batch) {
  const std::size_t count = batch.samples.size();
  std::vector<double> doubles(count);
  std::vector<std::int64_t> times(count);
  std::vector<std::uint8_t> states(count);
  const auto put = [&](Rows& rows, const auto& value_of) {
    std::transform(batch.samples.begin(), batch.samples.end(), doubles.begin(), value_of);
    return rows.append(doubles.data(), count);
  };
  for (std::size_t i = 0; i < count; ++i) {
    const HolderSample& sample = batch.samples[i];
    times[i] = sample.time_ns;
    states[i] = static_cast<std::uint8_t>((sample.is_output_on ? kHolderOutputOn : 0) |
                                          (sample.is_heater_on ? kHolderHeaterOn : 0) |
                                          (sample.is_in_compliance ? kHolderInCompliance : 0));
  }
  // Values before times: who goes by the length of `time` finds them there.
  if (auto ok = put(log.bias_v, [](const auto& s) { return s.bias_v; }); !ok) return ok;
  if (auto ok = put(log.current_a, [](const auto& s) { return s.current_a; }); !ok) return ok;
  if (auto ok = put(log.temperature_k, [](const auto& s) { return s.temperature_k; }); !ok)
    return ok;
  if (auto ok = log.state.append(states.data(), count); !ok) return ok;
  if (auto ok = log.time_ns.append(times.data(), count); !ok) return ok;
  return put(log.time_s,
             [this](const auto& s) { return 1e-9 * static_cast<double>(s.time_ns - started_ns_); });
}

}  // namespace latticed::record
