// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/run.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "server/control/references.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed {

namespace {

Result<std::unique_ptr<Detector>> open_driver(const DetectorConfig& config) {
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
    reported([&] { sink_->consume(frame); }, frame->seq);
  }
  void missed(const Frame& frame) noexcept override { sink_->missed(frame); }
  void idle() override {
    reported([&] { sink_->idle(); });
  }
  Result<void> finish() override { return sink_->finish(); }

 private:
  /// `seq`: of the frame; none = between frames.
  template <class Step>
  void reported(const Step& step, std::optional<std::uint64_t> seq = {}) {
    try {
      step();
    } catch (const std::exception& problem) {
      if (failed_)
        failed_->store(true, std::memory_order_relaxed);
      else
        spdlog::error("{}: {}: {}; the run goes on without it",
                      seq ? fmt::format("frame {}", *seq) : "between frames", sink_->name(),
                      problem.what());
      throw;
    }
  }

  std::unique_ptr<Sink> sink_;
  std::atomic<bool>* failed_;  // null = the run goes on
};

}  // namespace

Result<ConfiguredDetector> open_detector(DetectorConfig config) {
  auto detector = open_driver(config);
  if (!detector) return detector.error();
  // A recording without times can be played at a pace only when told what its period was.
  if (config.driver == DriverKind::replay && config.line.frame_period_s > 0.0)
    config.line.detector.frame_period_s =
        config.line.frame_period_s / (config.replay.pace > 0.0 ? config.replay.pace : 1.0);
  auto configuration = (*detector)->configure(config.line.detector);
  if (!configuration) return configuration.error();
  return ConfiguredDetector{std::move(config), std::move(*detector), *configuration};
}

Run::Run(const PipelineConfig& config, std::uint32_t epoch)
    : wisdom_(signal::default_wisdom_path()),
      epoch_(epoch),
      pipeline_(std::make_unique<Pipeline>(config)) {
  if (!wisdom_.empty()) signal::load_fft_wisdom(wisdom_);
}

Result<Line*> Run::add(ConfiguredDetector opened, const std::vector<AlertRule>& rules,
                       std::vector<std::unique_ptr<Sink>> sinks) {
  const DetectorConfig& config = opened.config;
  Line::Parts parts;
  parts.config = config.line;
  parts.config.rules = rules;
  parts.config.first_seq = config.driver == DriverKind::replay ? config.replay.first_frame : 0;
  parts.config.source_policy = policy_of(config.source_policy, opened.configuration);
  auto maps = maps_of(config, opened.configuration.geometry);
  if (!maps) return maps.error();
  parts.maps = std::move(*maps);
  parts.detector = std::move(opened.detector);
  parts.sinks = std::move(sinks);
  auto line = pipeline_->add(std::move(parts), epoch_);
  if (!line) return line.error();
  say_what_is_assumed(
      config.name, **line,
      opened.configuration.frame_period_s > 0.0 || config.line.frame_period_s > 0.0);
  return *line;
}

Result<Line*> Run::add(const DetectorConfig& config, const std::vector<AlertRule>& rules,
                       std::vector<std::unique_ptr<Sink>> sinks) {
  auto opened = open_detector(config);
  if (!opened) return opened.error();
  return add(std::move(*opened), rules, std::move(sinks));
}

std::unique_ptr<Sink> Run::reported(std::unique_ptr<Sink> sink, OnFailure on_failure) {
  return std::make_unique<ReportedSink>(
      std::move(sink), on_failure == OnFailure::stop_run ? &sink_failed_ : nullptr);
}

Result<void> Run::start() {
  if (!wisdom_.empty()) signal::store_fft_wisdom(wisdom_);
  return pipeline_->start();
}

void Run::obey() {
  const bool should_stop = is_stop_wanted_.load(std::memory_order_relaxed) ||
                           sink_failed_.load(std::memory_order_relaxed);
  if (should_stop && !is_stopping_) {
    is_stopping_ = true;
    pipeline_->stop();
  }
  if (is_abort_wanted_.load(std::memory_order_relaxed) && !is_aborting_) {
    is_aborting_ = true;
    for (const auto& line : pipeline_->lines())
      if (!line->has_ended())
        line->abandon({ErrorCode::cancelled,
                       "detector " + line->run().detector.name + ": the run was aborted"});
  }
}

Result<void> Run::wait(const std::function<void()>& poll) {
  return pipeline_->wait([&] {
    obey();
    if (poll) poll();
  });
}

}  // namespace latticed
