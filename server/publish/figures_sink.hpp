// SPDX-License-Identifier: GPL-3.0-or-later
// Figures of a run, drawn when it ends, from sums and traces kept while it went on: memory does not
// grow with its length. Writes aligned_mean.png, fft.png, drift.png, d_spacing.png and page.png;
// what there is nothing to show of is not written.
#pragma once

#include <optional>
#include <string>

#include "server/figure/picture.hpp"
#include "server/process/sink.hpp"
#include "server/publish/aligned_mean.hpp"
#include "server/publish/run_history.hpp"

namespace latticed {

class FiguresSink final : public Sink {
 public:
  /// Makes the directory at begin() and removes an earlier run's figures from it.
  explicit FiguresSink(std::string directory) : directory_(std::move(directory)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "figures"; }
  [[nodiscard]] SinkOptions options() const noexcept override { return {LossPolicy::block, 4}; }
  Result<void> begin(const RunInfo& run) override;
  void consume(const FrameLease& frame) override;
  Result<void> finish() override;

 private:
  Result<void> write(const std::string& name, const Picture& picture) const;

  std::string directory_;
  std::optional<RunHistory> history_;
  std::optional<AlignedMean> mean_;
};

}  // namespace latticed
