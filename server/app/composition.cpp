// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/composition.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "server/app/references.hpp"
#include "server/app/stop_signals.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed {

namespace {

Result<std::unique_ptr<Detector>> open_detector(const DetectorConfig& config) {
  if (config.driver == DriverKind::simulator) {
    auto detector = SimDetector::open(config.simulator);
    if (!detector) return detector.error();
    return std::unique_ptr<Detector>(std::move(*detector));
  }
  auto detector = ReplayDetector::open(config.replay);
  if (!detector) return detector.error();
  for (const std::string& remark : (*detector)->remarks()) spdlog::warn("{}", remark);
  return std::unique_ptr<Detector>(std::move(*detector));
}

LossPolicy policy_of(SourcePolicy wanted, const DetectorConfiguration& configuration) {
  switch (wanted) {
    case SourcePolicy::block:
      return LossPolicy::block;
    case SourcePolicy::drop_newest:
      return LossPolicy::drop_newest;
    case SourcePolicy::stop_run:
      return LossPolicy::stop_run;
    case SourcePolicy::automatic:
      break;
  }
  return configuration.is_paced ? LossPolicy::drop_newest : LossPolicy::block;
}

Result<signal::CorrectionMaps> maps_of(const DetectorConfig& config,
                                       const FrameGeometry& geometry) {
  auto maps = load_references(config.references, geometry);
  if (!maps) return maps.error();
  if (config.driver == DriverKind::replay)
    maps->hot_pixels =
        joined(std::move(maps->hot_pixels), hot_pixels_of_movie(config.replay.files.front()));
  if (!maps->hot_pixels.empty())
    spdlog::info("{}: {} hot pixels are replaced by their neighbours", config.name,
                 maps->hot_pixels.size());
  return maps;
}

void say_what_is_assumed(const std::string& name, const Line& line, bool has_period) {
  if (!has_period)
    spdlog::warn("{}: no frame period is known: {} s is taken", name, line.run().frame_period_s);
  if (line.run().pixel_size_nm <= 0.0)
    spdlog::warn("{}: no pixel size is known: lengths in nm are unknown", name);
}

class ReportedSink final : public Sink {
 public:
  ReportedSink(std::unique_ptr<Sink> sink, std::atomic<bool>* failed)
      : sink_(std::move(sink)), failed_(failed) {}

  [[nodiscard]] std::string_view name() const noexcept override { return sink_->name(); }
  [[nodiscard]] SinkOptions options() const noexcept override { return sink_->options(); }
  [[nodiscard]] std::shared_ptr<SharedThread> thread() const override { return sink_->thread(); }
  Result<void> begin(const RunInfo& run) override { return sink_->begin(run); }
  void consume(const FrameLease& frame) override {
    try {
      sink_->consume(frame);
    } catch (const std::exception& problem) {
      if (failed_)
        failed_->store(true, std::memory_order_relaxed);
      else
        spdlog::error("frame {}: {}: {}; the run goes on without it", frame->seq, sink_->name(),
                      problem.what());
      throw;
    }
  }
  Result<void> finish() override { return sink_->finish(); }

 private:
  std::unique_ptr<Sink> sink_;
  std::atomic<bool>* failed_;  // null = the run goes on
};

}  // namespace

Run::Run(const PipelineConfig& config)
    : wisdom_(signal::default_wisdom_path()), pipeline_(std::make_unique<Pipeline>(config)) {
  if (!wisdom_.empty()) signal::load_fft_wisdom(wisdom_);
}

Result<Line*> Run::add(const DetectorConfig& config, const std::vector<AlertRule>& rules,
                       std::vector<std::unique_ptr<Sink>> sinks) {
  auto detector = open_detector(config);
  if (!detector) return detector.error();
  Line::Parts parts;
  parts.config = config.line;
  parts.config.rules = rules;
  parts.config.first_seq = config.driver == DriverKind::replay ? config.replay.first_frame : 0;
  // A recording without times can be played at a pace only when told what its period was.
  if (config.driver == DriverKind::replay && config.line.frame_period_s > 0.0)
    parts.config.detector.frame_period_s =
        config.line.frame_period_s / (config.replay.pace > 0.0 ? config.replay.pace : 1.0);

  auto configuration = (*detector)->configure(parts.config.detector);
  if (!configuration) return configuration.error();
  parts.config.source_policy = policy_of(config.source_policy, *configuration);
  auto maps = maps_of(config, configuration->geometry);
  if (!maps) return maps.error();
  parts.maps = std::move(*maps);
  parts.detector = std::move(*detector);
  parts.sinks = std::move(sinks);
  auto line = pipeline_->add(std::move(parts), 1);
  if (!line) return line.error();
  say_what_is_assumed(config.name, **line,
                      configuration->frame_period_s > 0.0 || config.line.frame_period_s > 0.0);
  return *line;
}

std::unique_ptr<Sink> Run::reported(std::unique_ptr<Sink> sink, OnFailure on_failure) {
  return std::make_unique<ReportedSink>(
      std::move(sink), on_failure == OnFailure::stop_run ? &sink_failed_ : nullptr);
}

Result<void> Run::execute(const std::function<void()>& poll) {
  if (!wisdom_.empty()) signal::store_fft_wisdom(wisdom_);
  if (auto ok = pipeline_->start(); !ok) return ok;
  bool is_stopping = false;
  return pipeline_->wait([&] {
    const bool should_stop = stop_signal() != 0 || sink_failed_.load(std::memory_order_relaxed);
    if (should_stop && !is_stopping) {
      is_stopping = true;
      pipeline_->stop();
    }
    if (poll) poll();
  });
}

}  // namespace latticed
