// SPDX-License-Identifier: GPL-3.0-or-later
// Measurements as JSON lines, one object per frame, every seq once and ascending: the contract of
// `latticed analyze` (README, "JSON lines"). Unknown values are null, never NaN.
#pragma once

#include <cstdio>
#include <string>

#include "server/process/sink.hpp"

namespace latticed {

class JsonLinesSink final : public Sink {
 public:
  /// Writes to `out`, which outlives the sink.
  explicit JsonLinesSink(std::FILE* out) : out_(out) {}
  /// Creates or replaces the file at begin().
  explicit JsonLinesSink(std::string path) : path_(std::move(path)) {}
  ~JsonLinesSink() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "json"; }
  [[nodiscard]] SinkOptions options() const noexcept override { return {LossPolicy::block, 4}; }
  Result<void> begin(const RunInfo& run) override;
  void consume(const FrameLease& frame) override;
  Result<void> finish() override;

  /// Frames that have their line, lost ones included. After the run.
  [[nodiscard]] std::uint64_t listed() const noexcept { return listed_; }

 private:
  void write_measured(const Frame& frame);
  void write_lost(const Frame& frame);

  std::string path_;  // empty = out_ is someone else's
  std::FILE* out_ = nullptr;
  std::uint64_t listed_ = 0;
  RunInfo run_;
  std::string line_;
};

/// The same numbers as a table, one row per frame: drift, quality, and the strongest spots.
class CsvSink final : public Sink {
 public:
  /// Creates or replaces the file at begin().
  explicit CsvSink(std::string path) : path_(std::move(path)) {}
  ~CsvSink() override;

  [[nodiscard]] std::string_view name() const noexcept override { return "csv"; }
  [[nodiscard]] SinkOptions options() const noexcept override { return {LossPolicy::block, 4}; }
  Result<void> begin(const RunInfo& run) override;
  void consume(const FrameLease& lease) override;
  Result<void> finish() override;

 private:
  std::string path_;
  std::FILE* out_ = nullptr;
  RunInfo run_;
};

}  // namespace latticed
