// SPDX-License-Identifier: GPL-3.0-or-later
// What recording costs: frames of one size, u16, as fast as they come.
//
//   record_bench DIR [SIZE 1024] [FRAMES 500]
//
// One JSON object: `writer` is Recording alone (a flush each 100 ms, then once finish), `chain` the
// whole pipeline without and with a RecordSink, in turns, best of three. Not run by CTest.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "server/base/stage_clock.hpp"
#include "server/process/pipeline.hpp"
#include "server/record/crc32c.hpp"
#include "server/record/record_sink.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

std::chrono::nanoseconds process_cpu() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto ns = [](const timeval& t) {
    return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
  };
  return ns(usage.ru_utime) + ns(usage.ru_stime);
}

[[noreturn]] void give_up(const std::string& why) {
  std::cerr << why << "\n";
  std::exit(1);
}

struct Cost {
  double frames_per_s = 0.0, cpu_ms = 0.0;
};

Cost writer_alone(const std::string& directory, int size, std::uint64_t frames) {
  RecordedRun run({size, size, PixelType::u16}, 1);
  const FrameLease frame = run.frame(0);
  auto made = record::Recording::create(directory, run.facts());
  if (!made) give_up(made.error().message);
  const auto began = steady_now(), cpu = thread_cpu_now();
  auto flushed = began;
  for (std::uint64_t seq = 0; seq < frames; ++seq) {
    frame->seq = seq;
    if (auto ok = (*made)->add(*frame); !ok) give_up(ok.error().message);
    if (steady_now() - flushed < 100ms) continue;
    if (auto ok = (*made)->flush(); !ok) give_up(ok.error().message);
    flushed = steady_now();
  }
  const Cost cost{static_cast<double>(frames) / seconds(steady_now() - began),
                  1e3 * seconds(thread_cpu_now() - cpu) / static_cast<double>(frames)};
  const auto path = (*made)->finish({});
  if (!path) give_up(path.error().message);
  std::filesystem::remove(*path);
  return cost;
}

/// Frames from memory, copied into their slots, and none lost.
class Source final : public Detector {
 public:
  Source(const RecordedRun& run, FrameGeometry geometry, std::uint64_t frames) : frames_(frames) {
    configuration_.geometry = geometry;
    configuration_.frame_period_s = 0.01;
    configuration_.pixel_size_nm = 0.02;
    configuration_.is_paced = false;
    image_.resize(geometry.bytes());
    run.paint(0, image_);
  }
  [[nodiscard]] const DeviceInfo& info() const noexcept override { return device_; }
  [[nodiscard]] DeviceState state() const noexcept override { return DeviceState::running; }
  Result<DetectorConfiguration> configure(const DetectorSettings&) override {
    return configuration_;
  }
  Result<void> arm() override { return {}; }
  Result<void> start() override { return {}; }
  Result<FrameHeader> read_frame(std::span<std::byte> pixels, std::chrono::milliseconds) override {
    FrameHeader header;
    if (is_stopped_ || next_ == frames_) {
      header.kind = FrameKind::end;
      return header;
    }
    std::copy(image_.begin(), image_.end(), pixels.begin());
    header.hardware_sequence = next_++;
    header.time_ns = static_cast<std::int64_t>(next_) * 10'000'000;
    return header;
  }
  void stop() noexcept override { is_stopped_ = true; }

 private:
  DeviceInfo device_{"memory", "bench", "", ""};
  DetectorConfiguration configuration_;
  std::uint64_t frames_, next_ = 0;
  std::atomic<bool> is_stopped_{false};
  std::vector<std::byte> image_;
};

Cost chain(const std::string& directory, int size, std::uint64_t frames, bool is_recorded) {
  const FrameGeometry geometry{size, size, PixelType::u16};
  const RecordedRun run(geometry, 1);
  Line::Parts parts;
  parts.detector = std::make_unique<Source>(run, geometry, frames);
  parts.config.source_policy = LossPolicy::block;
  const RecordSink* recorder = nullptr;
  if (is_recorded) {
    RecordingOptions options;
    options.directory = directory;
    options.name = "bench";
    auto sink = RecordSink::create(std::move(options));
    if (!sink) give_up(sink.error().message);
    recorder = sink->get();
    parts.sinks.push_back(std::move(*sink));
  }
  Pipeline pipeline(PipelineConfig{});
  if (auto line = pipeline.add(std::move(parts), 1); !line) give_up(line.error().message);
  const auto began = steady_now(), cpu = process_cpu();
  if (auto ok = pipeline.start(); !ok) give_up(ok.error().message);
  if (auto ok = pipeline.wait(); !ok) give_up(ok.error().message);
  const Cost cost{static_cast<double>(frames) / seconds(steady_now() - began),
                  1e3 * seconds(process_cpu() - cpu) / static_cast<double>(frames)};
  if (recorder) {
    if (recorder->progress().frames != frames) give_up("the recorder lost frames");
    std::filesystem::remove(recorder->progress().file);
  }
  return cost;
}

double crc_ms(int size) {
  const std::vector<std::byte> image(FrameGeometry{size, size, PixelType::u16}.bytes());
  constexpr int kRounds = 50;
  std::uint32_t sum = 0;
  const auto cpu = thread_cpu_now();
  for (int i = 0; i < kRounds; ++i) sum += record::crc32c(image);
  const double ms = 1e3 * seconds(thread_cpu_now() - cpu) / kRounds;
  return sum == 0 ? 0.0 : ms;
}

Cost better(const Cost& a, const Cost& b) {
  return {std::max(a.frames_per_s, b.frames_per_s),
          a.cpu_ms > 0.0 ? std::min(a.cpu_ms, b.cpu_ms) : b.cpu_ms};
}

int run(const std::string& directory, int size, std::uint64_t frames) {
  Cost writer, without, with;
  for (int i = 0; i < 3; ++i) {
    writer = better(writer, writer_alone(directory, size, frames));
    without = better(without, chain(directory, size, frames, false));
    with = better(with, chain(directory, size, frames, true));
  }
  const double megabytes = 2e-6 * size * size;
  fmt::print(
      "{{\"size\":[{0},{0}],\"frames\":{1},\"frame_mb\":{2:.2f},\"crc32c_ms\":{3:.3f},"
      "\"writer\":{{\"frames_per_s\":{4:.0f},\"mb_per_s\":{5:.0f},\"cpu_ms_per_frame\":{6:.3f}}},"
      "\"chain_without\":{{\"frames_per_s\":{7:.0f},\"cpu_ms_per_frame\":{8:.3f}}},"
      "\"chain_with\":{{\"frames_per_s\":{9:.0f},\"cpu_ms_per_frame\":{10:.3f}}},"
      "\"rate_with_over_without\":{11:.3f},\"cpu_with_over_without\":{12:.3f}}}\n",
      size, frames, megabytes, crc_ms(size), writer.frames_per_s, megabytes * writer.frames_per_s,
      writer.cpu_ms, without.frames_per_s, without.cpu_ms, with.frames_per_s, with.cpu_ms,
      with.frames_per_s / without.frames_per_s, with.cpu_ms / without.cpu_ms);
  return 0;
}

}  // namespace
}  // namespace latticed::test

int main(int count, char** arguments) {
  if (count < 2) {
    std::cerr << "usage: record_bench DIR [SIZE] [FRAMES]\n";
    return 2;
  }
  const int size = count > 2 ? std::atoi(arguments[2]) : 1024;
  const std::uint64_t frames = count > 3 ? std::strtoull(arguments[3], nullptr, 10) : 500;
  return latticed::test::run(arguments[1], size, frames);
}
