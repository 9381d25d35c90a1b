// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/describe_run.hpp"

#include "server/base/stage_clock.hpp"

namespace latticed {

namespace {

v1::PixelType to_proto(PixelType type) {
  return static_cast<v1::PixelType>(static_cast<int>(type) + 1);
}
static_assert(static_cast<int>(PixelType::u8) + 1 == v1::PIXEL_TYPE_U8);
static_assert(static_cast<int>(PixelType::f32) + 1 == v1::PIXEL_TYPE_F32);
static_assert(static_cast<int>(RunState::idle) + 1 == v1::RUN_STATE_IDLE);
static_assert(static_cast<int>(RunState::fault) + 1 == v1::RUN_STATE_FAULT);

}  // namespace

v1::RunState to_proto(RunState state) {
  return static_cast<v1::RunState>(static_cast<int>(state) + 1);
}

v1::DetectorConfiguration to_proto(const std::string& detector, const DetectorConfiguration& c) {
  v1::DetectorConfiguration out;
  out.set_detector(detector);
  out.set_width(c.geometry.width);
  out.set_height(c.geometry.height);
  out.set_pixel_type(to_proto(c.geometry.type));
  out.set_exposure_s(c.exposure_s);
  out.set_frame_period_s(c.frame_period_s);
  out.set_frame_count(c.frame_count);
  out.set_pixel_size_nm(c.pixel_size_nm);
  out.set_paced(c.is_paced);
  out.set_frame_bytes(c.geometry.bytes());
  return out;
}

v1::DetectorConfiguration to_proto(const ConfiguredDetector& detector) {
  v1::DetectorConfiguration out = to_proto(detector.config.name, detector.configuration);
  out.set_pixel_size_sigma_ratio(detector.config.line.pixel_size_sigma_ratio);
  out.set_pixel_size_source(detector.config.line.pixel_size_source);
  return out;
}

v1::Detector to_proto(const KnownDetector& detector) {
  v1::Detector out;
  out.set_name(detector.name);
  out.set_driver(detector.driver);
  out.set_model(detector.info.model);
  out.set_serial(detector.info.serial);
  out.set_state(std::string(to_string(detector.state)));
  if (detector.configuration) {
    *out.mutable_configuration() = to_proto(detector.name, *detector.configuration);
    out.mutable_configuration()->set_pixel_size_sigma_ratio(detector.pixel_size_sigma_ratio);
    out.mutable_configuration()->set_pixel_size_source(detector.pixel_size_source);
  }
  return out;
}

void to_proto(const AcquisitionStatus& status, v1::StatusReply& out) {
  out.set_state(to_proto(status.state));
  out.set_fault(status.fault);
  out.set_ended(std::string(to_string(status.ended)));
  out.set_started_ns(status.started_ns);
  for (const DetectorProgress& progress : status.detectors) {
    v1::DetectorProgress& p = *out.add_detectors();
    p.set_detector(progress.name);
    p.set_measured(progress.measured);
    p.set_lost(progress.lost);
    p.set_frame_count(progress.frame_count);
    p.set_last_seq(progress.last_seq);
    p.set_frames_per_s(progress.frames_per_s);
    p.set_latency_p99_s(progress.latency_p99_s);
  }
}

v1::Reference to_proto(const ReferenceRecord& record) {
  v1::Reference out;
  out.set_detector(record.detector);
  out.set_kind(record.kind == ReferenceKind::dark ? v1::REFERENCE_KIND_DARK
                                                  : v1::REFERENCE_KIND_GAIN);
  out.set_file(record.file);
  out.set_time_ns(record.time_ns);
  out.set_frame_count(record.frames);
  out.set_mean(record.mean);
  out.set_in_use(record.is_in_use);
  for (const std::uint32_t at : record.hot_pixels) {
    v1::HotPixel& pixel = *out.add_hot_pixels();
    const auto width = static_cast<std::uint32_t>(std::max(record.width, 1));
    pixel.set_x(at % width);
    pixel.set_y(at / width);
  }
  return out;
}

v1::Edge to_proto(const std::string& detector, const std::string& name, LossPolicy policy,
                  const EdgeCounters& c) {
  v1::Edge out;
  out.set_detector(detector);
  out.set_name(name);
  out.set_policy(std::string(to_string(policy)));
  // Out before in: read the other way round, frames on their way would seem to be lost.
  out.set_out(c.out.load(std::memory_order_acquire));
  out.set_in(c.in.load(std::memory_order_acquire));
  out.set_dropped(c.dropped());
  for (std::size_t r = 1; r < kLossReasons; ++r)
    if (const auto count = c.lost[r].load(std::memory_order_relaxed))
      (*out.mutable_lost())[std::string(to_string(static_cast<LossReason>(r)))] = count;
  out.set_level(c.level());
  out.set_level_max(c.level_max.load(std::memory_order_relaxed));
  const DurationSummary d = c.duration.summary();
  out.set_duration_p50_s(d.p50_ms * 1e-3);
  out.set_duration_p99_s(d.p99_ms * 1e-3);
  out.set_duration_max_s(d.max_ms * 1e-3);
  return out;
}

void add_edges(const Run& run, v1::CountersReply& out) {
  const auto now = steady_now();
  for (const auto& line : run.pipeline().lines()) {
    const std::string& name = line->run().detector.name;
    *out.add_edges() = to_proto(name, "source", line->source_policy(), line->source().counters());
    *out.add_edges() = to_proto(name, "ring", LossPolicy::block, line->ring().counters());
    for (const auto& sink : line->sinks()) {
      v1::Edge& edge = *out.add_edges();
      edge = to_proto(name, std::string(sink->sink().name()), sink->sink().options().policy,
                      sink->counters());
      if (const auto since = sink->oldest_since(); since.count() > 0)
        edge.set_oldest_age_s(std::chrono::duration<double>(now - since).count());
    }
  }
}

}  // namespace latticed
