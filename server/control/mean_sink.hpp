// SPDX-License-Identifier: GPL-3.0-or-later
// The mean of a short run's raw frames, pixel by pixel: what a reference is made of.
#pragma once

#include <memory>
#include <vector>

#include "server/control/reference_store.hpp"
#include "server/process/sink.hpp"

namespace latticed {

class MeanSink final : public Sink {
 public:
  /// `image` is complete when the run has ended.
  explicit MeanSink(std::shared_ptr<MeanImage> image) : image_(std::move(image)) {}

  [[nodiscard]] std::string_view name() const noexcept override { return "mean"; }
  [[nodiscard]] SinkOptions options() const noexcept override { return {LossPolicy::block, 2}; }
  Result<void> begin(const RunInfo& run) override;
  void consume(const FrameLease& frame) override;
  Result<void> finish() override;

 private:
  std::shared_ptr<MeanImage> image_;
  std::vector<double> sum_;
};

}  // namespace latticed
