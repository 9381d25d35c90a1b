// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/figures_sink.hpp"

#include <filesystem>

#include "server/publish/run_figures.hpp"

namespace latticed {
namespace {

constexpr const char* kNames[] = {"aligned_mean.png", "fft.png", "drift.png", "d_spacing.png",
                                  "page.png"};
constexpr std::size_t kPanels = 5;  // spots in d_spacing.png

}  // namespace

Result<void> FiguresSink::begin(const RunInfo& run) {
  std::error_code problem;
  std::filesystem::create_directories(directory_, problem);
  for (const char* name : kNames)
    if (!problem) std::filesystem::remove(std::filesystem::path(directory_) / name, problem);
  if (problem)
    return Error{ErrorCode::unavailable, "figures in " + directory_ + ": " + problem.message()};
  history_.emplace(run);
  mean_.emplace(run.configuration.geometry, run.maps ? *run.maps : signal::CorrectionMaps{});
  return {};
}

void FiguresSink::consume(const FrameLease& frame) {
  history_->add(*frame);
  const Measurements& m = frame->measurements;
  if (!frame->has_pixels() || m.quality != FrameQuality::good || m.drift.state == DriftState::lost)
    return;
  mean_->add(frame->raw(), m.drift.drift_px);
}

Result<void> FiguresSink::finish() {
  if (mean_->frames() > 0) {
    if (auto ok = write(kNames[0], aligned_mean_figure(*mean_, *history_).draw()); !ok) return ok;
    if (auto ok = write(kNames[1], diffractogram_figure(*mean_, *history_).draw()); !ok) return ok;
  }
  if (history_->frames() > 0)
    if (auto ok = write(kNames[2], drift_figure(*history_).draw()); !ok) return ok;
  Page spacings;
  for (LinePlot& panel : spacing_figures(*history_, kPanels)) {
    panel.height = 300;
    spacings.rows.push_back({panel.draw()});
  }
  if (!spacings.rows.empty())
    if (auto ok = write(kNames[3], spacings.draw()); !ok) return ok;
  return write(kNames[4], run_page(&*mean_, *history_).draw());
}

Result<void> FiguresSink::write(const std::string& name, const Picture& picture) const {
  return write_png((std::filesystem::path(directory_) / name).string(), picture);
}

}  // namespace latticed
