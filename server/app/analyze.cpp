// SPDX-License-Identifier: GPL-3.0-or-later
// `latticed analyze`: the live pipeline over recordings.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "drivers/replay/replay_detector.hpp"
#include "server/app/commands.hpp"
#include "server/app/references.hpp"
#include "server/process/pipeline.hpp"
#include "server/publish/figures_sink.hpp"
#include "server/publish/json_lines_sink.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed {

int analyze(const AnalyzeOptions& options) {
  ReplayOptions replay;
  replay.files = options.inputs;
  replay.first_frame = options.first_frame;
  if (options.end_frame) replay.end_frame = *options.end_frame;
  auto detector = ReplayDetector::open(replay);
  if (!detector) {
    spdlog::error("{}", detector.error().message);
    return 2;
  }
  for (const std::string& remark : (*detector)->remarks()) spdlog::warn("{}", remark);

  const std::string wisdom = signal::default_wisdom_path();
  if (!wisdom.empty()) signal::load_fft_wisdom(wisdom);

  Line::Parts parts;
  LineConfig& line = parts.config;
  line.prepare.bin = options.bin;
  line.prepare.region = options.region;
  line.pixel_size_nm = options.pixel_size_nm;
  line.frame_period_s = options.frame_period_s;
  line.source_policy = LossPolicy::block;
  line.first_seq = options.first_frame;
  line.rules = default_rules();
  auto maps = load_references({options.dark, options.gain}, (*detector)->movie().geometry);
  if (!maps) {
    spdlog::error("{}", maps.error().message);
    return 2;
  }
  maps->hot_pixels = joined(std::move(maps->hot_pixels), hot_pixels_of_movie(options.inputs.front()));
  if (!maps->hot_pixels.empty()) spdlog::info("{} hot pixels are replaced by their neighbours", maps->hot_pixels.size());
  if (!options.figures.empty())
    parts.sinks.push_back(std::make_unique<FiguresSink>(options.figures, *maps));
  parts.maps = std::move(*maps);
  parts.detector = std::move(*detector);
  parts.sinks.push_back(std::make_unique<JsonLinesSink>(stdout));
  if (!options.csv.empty()) parts.sinks.push_back(std::make_unique<CsvSink>(options.csv));

  Pipeline pipeline({.workers = options.workers});
  auto added = pipeline.add(std::move(parts), 1);
  if (!added) {
    spdlog::error("{}", added.error().message);
    return 2;
  }
  if (!wisdom.empty()) signal::store_fft_wisdom(wisdom);
  if (auto ok = pipeline.start(); !ok) spdlog::error("{}", ok.error().message);
  const auto outcome = pipeline.wait();
  const Line& done = **added;
  if (!outcome) spdlog::error("{}", outcome.error().message);
  spdlog::info("edges\n{}", pipeline.counters_table());
  const auto lost = done.source().counters().lost_total();
  if (lost) spdlog::error("{} frames could not be read", lost);
  return outcome && lost == 0 ? 0 : 1;
}

}  // namespace latticed
