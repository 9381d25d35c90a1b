// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/preparer.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "server/base/stage_clock.hpp"

namespace latticed {

namespace {

Result<void> check_map(const std::vector<float>& map, const FrameGeometry& geometry,
                       const char* name) {
  const auto bad = std::find_if(map.begin(), map.end(), [](float v) { return !std::isfinite(v); });
  // One such pixel makes its frame's every number none, and integer frames are not searched for it.
  if (bad != map.end())
    return Error{ErrorCode::invalid_argument, std::string(name) + " reference: pixel " +
                                                  std::to_string(bad - map.begin()) +
                                                  " is no finite number"};
  if (map.empty() || map.size() == geometry.pixels()) return {};
  return Error{ErrorCode::invalid_argument,
               std::string(name) + " reference has " + std::to_string(map.size()) +
                   " pixels: expected " + std::to_string(geometry.width) + "x" +
                   std::to_string(geometry.height) + " as the detector's frames"};
}

/// Hands each column of the spectrum to detection as soon as it is transformed.
class Survey final : public signal::ColumnVisitor {
 public:
  Survey(const signal::PeakDetector& detector, signal::PeakDetector::Workspace& work)
      : detector_(detector), work_(work) {}
  void visit(int kx, const signal::Complex* column) override {
    detector_.survey(kx, column, work_);
  }

 private:
  const signal::PeakDetector& detector_;
  signal::PeakDetector::Workspace& work_;
};

}  // namespace

Result<std::unique_ptr<Preparer>> Preparer::make(const FrameGeometry& geometry,
                                                 const PrepareConfig& config,
                                                 signal::CorrectionMaps maps) {
  return make_sharing(geometry, config,
                      std::make_shared<const signal::CorrectionMaps>(std::move(maps)));
}

Result<std::unique_ptr<Preparer>> Preparer::make_sharing(
    const FrameGeometry& geometry, const PrepareConfig& config,
    std::shared_ptr<const signal::CorrectionMaps> shared_maps) {
  const signal::CorrectionMaps& maps = *shared_maps;
  if (auto ok = check_map(maps.dark, geometry, "dark"); !ok) return ok.error();
  if (auto ok = check_map(maps.gain, geometry, "gain"); !ok) return ok.error();
  auto grid = signal::make_grid(geometry, config.bin, config.region, config.band);
  if (!grid) return grid.error();
  if (grid->width < 1 || grid->height < 1)
    return Error{ErrorCode::invalid_argument,
                 "bin " + std::to_string(config.bin) + ": nothing is left of the analysed region"};
  std::unique_ptr<Preparer> out(new Preparer);
  out->config_ = config;
  out->geometry_ = geometry;
  out->grid_ = *grid;
  out->repair_ = signal::HotPixelRepair(*grid, geometry, maps.hot_pixels);
  out->hot_pixels_ = static_cast<std::uint32_t>(
      std::count_if(maps.hot_pixels.begin(), maps.hot_pixels.end(), [&](std::uint32_t pixel) {
        const auto width = static_cast<std::uint32_t>(geometry.width);
        const int x = static_cast<int>(pixel % width), y = static_cast<int>(pixel / width);
        return x >= grid->x0 && x < grid->x0 + grid->width * grid->bin && y >= grid->y0 &&
               y < grid->y0 + grid->height * grid->bin;
      }));
  out->compact_ = signal::CompactMaps(*grid, geometry, maps);
  out->maps_ = std::move(shared_maps);
  if (grid->is_measurable()) {
    out->fft_ = std::make_unique<signal::FrameFft>(*grid, config.taper);
    out->detector_ = std::make_unique<signal::PeakDetector>(*grid, config.detect,
                                                            out->fft_->moments().hann_noise_ratio);
  }
  return out;
}

Preparer::Scratch Preparer::make_scratch() const {
  Scratch scratch;
  scratch.row = signal::AlignedBuffer<float>(static_cast<std::size_t>(geometry_.width));
  scratch.cells = signal::AlignedBuffer<float>(static_cast<std::size_t>(grid_.width) *
                                               static_cast<std::size_t>(grid_.height));
  if (fft_) scratch.fft = fft_->make_workspace();
  if (detector_) scratch.detect = detector_->make_workspace();
  return scratch;
}

void Preparer::reserve(Prepared& prepared) const {
  prepared.spectrum = signal::Spectrum(fft_ ? grid_.spectrum_size() : 0);
}

FrameQuality Preparer::judge(const Frame& frame,
                             const signal::ImageStatistics& statistics) const noexcept {
  const double pixels = static_cast<double>(grid_.width) * grid_.height * grid_.bin * grid_.bin;
  if (frame.header.flags & kFrameBlanked) return FrameQuality::blanked;
  if (!fft_) return FrameQuality::too_small;
  if (static_cast<double>(statistics.not_finite) > 0.01 * pixels) return FrameQuality::not_finite;
  if (statistics.raw_min == statistics.raw_max) return FrameQuality::constant;
  if (static_cast<double>(statistics.at_ceiling) > 0.01 * pixels) return FrameQuality::saturated;
  return FrameQuality::good;
}

void Preparer::prepare(const Frame& frame, Scratch& scratch, Prepared& out) const noexcept {
  const auto started = thread_cpu_now();
  out.stage_cpu = {};
  out.statistics =
      signal::bin_image(frame.raw(), geometry_, grid_, *maps_, repair_, config_.saturation,
                        scratch.row.span(), scratch.cells.span(), compact_);
  out.repaired_pixels = hot_pixels_ + static_cast<std::uint32_t>(out.statistics.not_finite);
  out.quality = judge(frame, out.statistics);
  const auto corrected = thread_cpu_now();
  out.stage_cpu[static_cast<std::size_t>(Stage::correct)] = corrected - started;
  out.peaks.peaks.clear();
  if (out.quality != FrameQuality::good) return;

  Survey survey(*detector_, scratch.detect);
  fft_->execute(scratch.cells.data(), out.statistics.plane, scratch.fft, out.spectrum, &survey);
  const auto transformed = thread_cpu_now();
  out.stage_cpu[static_cast<std::size_t>(Stage::fft)] = transformed - corrected;

  detector_->detect(out.spectrum, scratch.detect, out.peaks);
  out.stage_cpu[static_cast<std::size_t>(Stage::detect)] = thread_cpu_now() - transformed;
}

}  // namespace latticed
