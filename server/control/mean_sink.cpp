// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/mean_sink.hpp"

#include <algorithm>

#include "server/signal/hot_pixels.hpp"

namespace latticed {

Result<void> MeanSink::begin(const RunInfo& run) {
  image_->geometry = run.configuration.geometry;
  sum_.assign(image_->geometry.pixels(), 0.0);
  return {};
}

void MeanSink::consume(const FrameLease& frame) {
  if (!frame->has_pixels()) return;
  const std::vector<float> pixels = signal::to_float(frame->raw(), frame->geometry);
  for (std::size_t i = 0; i < sum_.size(); ++i) sum_[i] += pixels[i];
  ++image_->frames;
  if (frame->header.flags & kFrameBlanked) ++image_->blanked;
}

Result<void> MeanSink::finish() {
  const double scale = image_->frames > 0 ? 1.0 / image_->frames : 0.0;
  image_->mean.resize(sum_.size());
  std::transform(sum_.begin(), sum_.end(), image_->mean.begin(),
                 [&](double sum) { return static_cast<float>(sum * scale); });
  return {};
}

}  // namespace latticed
