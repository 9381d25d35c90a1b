// SPDX-License-Identifier: GPL-3.0-or-later
// A run to be recorded of which every pixel and number follows from a formula, so that whoever
// reads the file can say what it should hold. recording_readers_test.py has the same formulas.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "server/record/recording.hpp"

namespace latticed::test {

inline constexpr std::int64_t kRunStart_ns = 1'700'000'000'000'000'000;
inline constexpr std::int64_t kPeriod_ns = 100'000'000, kSample_ns = 7'000'000;
inline constexpr double kPixelSize_nm = 0.05;

inline std::uint16_t recorded_pixel(std::uint64_t seq, std::uint64_t y, std::uint64_t x) {
  return static_cast<std::uint16_t>(seq * 7919 + y * 613 + x * 31);
}

/// Mid-exposure. Not in step with the holder's samples.
inline std::int64_t recorded_time_ns(std::uint64_t seq) {
  return kRunStart_ns + static_cast<std::int64_t>(seq) * kPeriod_ns + kPeriod_ns / 2 + 123;
}

/// Up and down with corners at multiples of 0.7 s, where a sample lies: linear between samples.
inline double true_bias_v(std::int64_t time_ns) {
  const double t = std::fmod(1e-9 * static_cast<double>(time_ns - kRunStart_ns), 1.4);
  return 2.0 * (t < 0.7 ? t : 1.4 - t);
}

inline HolderSample true_sample(std::int64_t number) {
  HolderSample sample;
  sample.time_ns = kRunStart_ns + number * kSample_ns;
  sample.bias_v = true_bias_v(sample.time_ns);
  sample.current_a = -3e-6 * sample.bias_v;
  sample.is_output_on = true;
  sample.is_in_compliance = number % 3 == 0;
  return sample;
}

/// Samples until `time_ns`, from number `next` on, which is moved.
inline void play_holder(HolderLog& log, std::int64_t& next, std::int64_t time_ns) {
  for (; kRunStart_ns + next * kSample_ns <= time_ns; ++next) log.add(true_sample(next));
}

class RecordedRun {
 public:
  explicit RecordedRun(FrameGeometry geometry = {24, 16, PixelType::u16}, std::size_t slots = 4)
      : geometry_(geometry),
        pixels_(slots, [&](PixelBuffer& buffer) { buffer.allocate(geometry.bytes()); }),
        frames_(slots, [](Frame&) {}) {
    facts_.name = "run";
    facts_.started_ns = kRunStart_ns;
    facts_.config_toml = "[run]\nname = \"µ\"\n";
    facts_.is_simulation = true;
    facts_.session = {"NaMnO2 #7", {"Na", "Mn", "O"},      2.5e-9,         "[0 1 0]", 300e3,
                      "M. Muster", "2026-11-01T09:00:00Z", "second charge"};
    RunInfo& run = facts_.run;
    run.epoch = 3;
    run.detector = {"haadf", "simulator", "a detector", "17"};
    run.configuration.geometry = geometry;
    run.configuration.exposure_s = 0.08;
    run.pixel_size_nm = kPixelSize_nm;
    run.frame_period_s = 0.1;
    run.grid.width = geometry.width;
    run.grid.height = geometry.height;
    run.rules = default_rules();
  }

  [[nodiscard]] record::RecordingFacts& facts() { return facts_; }

  [[nodiscard]] FrameLease frame(std::uint64_t seq) {
    FrameLease lease = frames_.try_acquire();
    lease->epoch = facts_.run.epoch;
    lease->seq = seq;
    lease->geometry = geometry_;
    lease->header = {};
    lease->header.hardware_sequence = seq + 1000;
    lease->header.time_ns = recorded_time_ns(seq);
    lease->header.exposure_s = 0.08;
    lease->header.flags = kFrameSimulated;
    lease->pixels = pixels_.try_acquire();
    paint(seq, lease->pixels->bytes());
    measure(seq, lease->measurements);
    return lease;
  }
  [[nodiscard]] FrameLease lost(std::uint64_t seq, std::uint64_t count) {
    FrameLease lease = frames_.try_acquire();
    lease->seq = seq;
    lease->geometry = geometry_;
    lease->header = {};
    lease->header.kind = FrameKind::lost;
    lease->header.loss = LossReason::no_free_slot;
    lease->header.lost_count = count;
    return lease;
  }

  void paint(std::uint64_t seq, std::span<std::byte> bytes) const {
    std::size_t at = 0;
    for (int y = 0; y < geometry_.height; ++y)
      for (int x = 0; x < geometry_.width; ++x, at += sizeof(std::uint16_t)) {
        const std::uint16_t value =
            recorded_pixel(seq, static_cast<std::uint64_t>(y), static_cast<std::uint64_t>(x));
        std::memcpy(&bytes[at], &value, sizeof value);
      }
  }

 private:
  static void measure(std::uint64_t seq, Measurements& m) {
    const auto n = static_cast<double>(seq);
    m = {};
    m.mean_counts = 100.0 + n;
    m.drift.drift_px = {0.1 * n, -0.2 * n};
    m.drift.sigma_drift_px = {0.01, 0.02};
    m.drift.sigma_drift_sys_px = {0.001, 0.002};
    m.drift.state = seq % 4 == 3 ? DriftState::weak : DriftState::locked;
    m.drift.match = 1.0 / (1.0 + n);
    if (seq % 2 == 0) m.crystallinity = 0.5 / (1.0 + n);
    for (std::uint32_t i = 1; i <= 1 + seq % 3; ++i) {
      Spot spot;
      spot.id = i;
      spot.g_per_nm = {1.5 * i, 0.25 * n};
      spot.d_nm = 0.5 / i;
      spot.sigma_d_nm = 1e-5 * i;
      spot.sigma_d_sys_nm = 3e-5 * i;
      spot.snr = 40.0 / i;
      spot.amplitude = 0.1 / i;
      spot.phase_rad = 0.3 * i;
      spot.age_frames = static_cast<std::uint32_t>(seq);
      spot.is_confirmed = i == 1;
      m.spots.push_back(spot);
    }
    if (seq == 2) m.alerts.push_back({0, 5, true, 0.4567, 0.001, 1});
  }

  FrameGeometry geometry_;
  PixelPool pixels_;
  FramePool frames_;
  record::RecordingFacts facts_;
};

}  // namespace latticed::test
