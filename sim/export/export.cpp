// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/export/export.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include "sim/export/mrc.hpp"
#include "sim/render/renderer.hpp"
#include "sim/specimen/specimen.hpp"
#include "sim/truth/truth_writer.hpp"

namespace latticed::sim {
namespace {

/// Mean of frames whose every pixel expects `level` times the dose.
std::vector<float> mean_of(const Sensor& sensor, const DetectorModel& model, float level,
                           Purpose noise, int frames) {
  const auto width = static_cast<std::size_t>(model.width);
  const std::vector<float> expected(width, level);
  std::vector<std::uint16_t> row(width);
  std::vector<float> mean(width * static_cast<std::size_t>(model.height));
  for (int y = 0; y < model.height; ++y) {
    float* sum = mean.data() + static_cast<std::size_t>(y) * width;
    for (int frame = 0; frame < frames; ++frame) {
      sensor.read(static_cast<std::uint64_t>(frame), y, expected, row, noise);
      for (std::size_t x = 0; x < width; ++x) sum[x] += static_cast<float>(row[x]);
    }
    for (std::size_t x = 0; x < width; ++x) sum[x] /= static_cast<float>(frames);
  }
  return mean;
}

Result<void> write_image(const std::string& path, const DetectorModel& model,
                         const std::vector<float>& image) {
  auto out = MrcWriter::create(path, model.width, model.height, MrcMode::f32, model.pixel_size_nm);
  if (!out) return out.error();
  out->add(std::as_bytes(std::span(image)));
  return out->close();
}

Result<void> write_pair(const Scenario& scenario, const DetectorModel& model,
                        const std::string& directory, const std::string& suffix, int frames) {
  const Sensor sensor(model, scenario.seed);
  const std::vector<float> dark = mean_of(sensor, model, 0.0f, Purpose::dark_reference, frames);
  // A flat field is taken bright: as bright as a third of the detector's range, at most 100 times
  // the frames. Taken at the frames' dose, its own noise would be a pattern worse than the gain's.
  const double full_e = (65535.0 - model.dark_adu) / model.gain_adu_per_e;
  const auto level =
      static_cast<float>(std::clamp(0.33 * full_e / model.dose_e_per_px, 1.0, 100.0));
  std::vector<float> gain = mean_of(sensor, model, level, Purpose::flat_reference, frames);
  double total = 0.0;
  for (std::size_t i = 0; i < gain.size(); ++i) total += gain[i] -= dark[i];
  const double mean = total / static_cast<double>(gain.size());
  if (mean <= 0.0) {
    return Error{ErrorCode::failed_precondition,
                 fmt::format("gain reference of detector {}: a dose of {} e/px gives no signal",
                             model.name, model.dose_e_per_px)};
  }
  // What a frame is multiplied by, as cameras' gain references are; 0 for a pixel without signal.
  for (float& value : gain) value = value > 0.0f ? static_cast<float>(mean / value) : 0.0f;
  if (auto written = write_image(directory + "/dark" + suffix + ".mrc", model, dark); !written)
    return written;
  return write_image(directory + "/gain" + suffix + ".mrc", model, gain);
}

}  // namespace

Result<void> write_references(const Scenario& scenario, const std::string& directory, int frames) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return Error{ErrorCode::not_found,
                 fmt::format("create directory {}: {}", directory, error.message())};
  }
  for (const DetectorModel& model : scenario.detectors) {
    const std::string suffix = scenario.detectors.size() > 1 ? "_" + model.name : "";
    if (auto written = write_pair(scenario, model, directory, suffix, frames); !written)
      return written;
  }
  return {};
}

Result<void> write_movie(const Scenario& scenario, const PhaseTable& phases,
                         const MovieOptions& options) {
  const DetectorModel& model = scenario.detectors.front();
  auto out =
      MrcWriter::create(options.path, model.width, model.height, MrcMode::u16, model.pixel_size_nm);
  if (!out) return out.error();
  std::unique_ptr<TruthWriter> truth;
  if (!options.truth.empty()) {
    auto created = TruthWriter::create(options.truth, scenario, model);
    if (!created) return created.error();
    truth = std::move(*created);
  }
  const double px = model.pixel_size_nm;
  Specimen specimen(scenario, phases, scenario.detectors.front().dose_e_per_px / (px * px));
  Renderer renderer(scenario, model, options.threads);
  if (truth && options.bounds_every > 0) truth->add_bounds(options.bounds_every, renderer);
  std::vector<std::uint16_t> frame(static_cast<std::size_t>(model.width) *
                                   static_cast<std::size_t>(model.height));
  for (std::uint64_t i = 0; i < scenario.frames; ++i) {
    const SpecimenState& state = specimen.advance({});
    renderer.render(state, frame);
    if (truth) truth->write(state, LossReason::none);
    out->add(std::as_bytes(std::span(frame)));
  }
  return out->close();
}

}  // namespace latticed::sim
