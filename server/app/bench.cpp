// SPDX-License-Identifier: GPL-3.0-or-later
// `latticed bench`: the whole chain as a ratio to this machine's floor. A child sim-world renders
// pictures almost without noise. One run measures block after block of frames from memory; while
// the chain is idle and the clocks stand, the next block's frames get fresh noise: noise that comes
// back would get into the drift's template. The floor of a frame (read its raw bytes once, one r2c
// FFT at the analysis size) is measured in slices between the blocks, with as many pinned busy
// threads as workers, so that both see the same machine.
#include "server/app/bench.hpp"

#include <fftw3.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <thread>
#include <utility>

#include "server/app/bench_frames.hpp"
#include "server/app/commands.hpp"
#include "server/base/stage_clock.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr auto kFloorSlice = 200ms;
constexpr auto kPoll = 500us;  // of the block's end

/// The floor: one thread per worker, pinned, each reading raw frames and transforming.
class Floor {
 public:
  Floor(const BenchOptions& options, const signal::AnalysisGrid& grid) : grid_(grid) {
    const auto bytes =
        static_cast<std::size_t>(options.size) * static_cast<std::size_t>(options.size) * 2;
    const auto cells = static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height);
    for (int w = 0; w < options.workers; ++w) {
      Lane lane;
      for (int i = 0; i < 8; ++i) lane.raw.emplace_back(bytes / sizeof(std::uint64_t));
      for (auto& raw : lane.raw)
        for (std::size_t i = 0; i < raw.size(); ++i) raw[i] = i * 0x9e3779b97f4a7c15ull;
      lane.image = signal::AlignedBuffer<float>(cells);
      for (std::size_t i = 0; i < cells; ++i) lane.image[i] = static_cast<float>(i % 97);
      lane.half = signal::AlignedBuffer<signal::Complex>(
          static_cast<std::size_t>(grid.width / 2 + 1) * static_cast<std::size_t>(grid.height));
      lanes_.push_back(std::move(lane));
    }
    plan_ = fftwf_plan_dft_r2c_2d(grid.height, grid.width, lanes_[0].image.data(),
                                  reinterpret_cast<fftwf_complex*>(lanes_[0].half.data()),
                                  FFTW_MEASURE);
    for (std::size_t i = 0; i < cells; ++i) lanes_[0].image[i] = static_cast<float>(i % 97);
  }
  ~Floor() { fftwf_destroy_plan(plan_); }
  Floor(const Floor&) = delete;
  Floor& operator=(const Floor&) = delete;

  void measure(std::chrono::nanoseconds slice) {
    const std::vector<int> cpus = usable_cpus();
    const auto began = steady_now();
    std::vector<NamedThread> threads;
    for (std::size_t w = 0; w < lanes_.size(); ++w)
      threads.emplace_back(ThreadOptions{"floor-" + std::to_string(w), 10,
                                         cpus.empty() ? -1 : cpus[w % cpus.size()]},
                           [this, w, end = began + slice] { run(lanes_[w], end); });
    threads.clear();  // joins
    wall_ += steady_now() - began;
  }

  [[nodiscard]] double cpu_ms_per_frame() const {
    return static_cast<double>(cpu_ns_.load()) * 1e-6 / static_cast<double>(frames_.load());
  }
  [[nodiscard]] double frames_per_s() const {
    return static_cast<double>(frames_.load()) / (static_cast<double>(wall_.count()) * 1e-9);
  }

 private:
  struct Lane {
    std::vector<std::vector<std::uint64_t>> raw;
    signal::AlignedBuffer<float> image;
    signal::AlignedBuffer<signal::Complex> half;
  };
  void run(Lane& lane, std::chrono::nanoseconds end) {
    const auto cpu_began = thread_cpu_now();
    std::uint64_t frames = 0, sum = 0;
    while (steady_now() < end) {
      for (const std::uint64_t word : lane.raw[frames % lane.raw.size()]) sum += word;
      fftwf_execute_dft_r2c(plan_, lane.image.data(),
                            reinterpret_cast<fftwf_complex*>(lane.half.data()));
      ++frames;
    }
    checksum_.fetch_add(sum);  // the reads must not be optimised away
    cpu_ns_.fetch_add((thread_cpu_now() - cpu_began).count());
    frames_.fetch_add(frames);
  }

  signal::AnalysisGrid grid_;
  std::vector<Lane> lanes_;
  fftwf_plan plan_ = nullptr;
  std::atomic<std::uint64_t> frames_{0}, checksum_{0};
  std::atomic<std::int64_t> cpu_ns_{0};
  std::chrono::nanoseconds wall_{0};
};

/// Counts what was measured: the cost of frames nobody could follow would be another.
class Tally final : public Sink {
 public:
  explicit Tally(std::atomic<std::uint64_t>& locked) : locked_(locked) {}
  [[nodiscard]] std::string_view name() const noexcept override { return "tally"; }
  [[nodiscard]] SinkOptions options() const noexcept override { return {LossPolicy::block, 16}; }
  void consume(const FrameLease& frame) override {
    if (frame->has_pixels() && frame->measurements.drift.state == DriftState::locked)
      locked_.fetch_add(1, std::memory_order_relaxed);
  }

 private:
  std::atomic<std::uint64_t>& locked_;
};

struct Totals {
  std::uint64_t frames = 0, lost = 0;
  std::uint64_t locked = 0, run = 0;  // of the whole run, its first block included
  double armed_mb = 0.0, ended_mb = 0.0;
  std::chrono::nanoseconds wall{0}, cpu{0};
  std::array<std::chrono::nanoseconds, kStages> stages{};
  DurationSummary latency;
};

/// One run: a block nobody counts (caches, templates), then blocks until `seconds` are over.
class Run {
 public:
  Run(const BenchOptions& options, const Movie& movie)
      : options_(options), exposure_(movie, options.workers), pipeline_({options.workers}) {}

  Result<void> open(const Movie& movie) {
    auto detector = std::make_unique<BlockDetector>(
        movie.configuration, bench_block(movie.configuration.geometry), options_.rate_hz);
    detector_ = detector.get();
    Line::Parts parts;
    parts.config.prepare.bin = options_.bin;
    parts.config.source_policy =
        options_.rate_hz > 0.0 ? LossPolicy::drop_newest : LossPolicy::block;
    parts.config.rules = default_rules();
    if (options_.has_maps) parts.maps = bench_maps(movie.configuration.geometry);
    parts.detector = std::move(detector);
    parts.sinks.push_back(std::make_unique<Tally>(locked_));
    auto line = pipeline_.add(std::move(parts), 1);
    if (!line) return line.error();
    line_ = *line;
    return {};
  }
  [[nodiscard]] const signal::AnalysisGrid& grid() const { return line_->run().grid; }

  Result<Totals> measure(Floor& floor) {
    const double armed_mb = resident_mb();
    if (auto ok = pipeline_.start(); !ok) return ok.error();
    // The watch over stalls is this thread's, so the blocks are another's.
    std::jthread conductor([&] {
      play_block();
      const Totals warm = std::exchange(totals_, {});
      const auto stages = line_->stage_cpu();
      const auto latency = line_->latency().counts();
      while (totals_.wall < std::chrono::duration<double>(options_.seconds) &&
             !line_->has_ended()) {
        floor.measure(kFloorSlice);
        play_block();
      }
      floor.measure(kFloorSlice);
      totals_.lost += warm.lost;
      totals_.stages = line_->stage_cpu();
      for (std::size_t s = 0; s < kStages; ++s) totals_.stages[s] -= stages[s];
      totals_.latency = line_->latency().summary_since(latency);
      totals_.ended_mb = resident_mb();
      detector_->finish();
    });
    auto ok = pipeline_.wait();
    conductor.join();
    if (!ok) return ok.error();
    totals_.locked = locked_;
    totals_.run = line_->measured();
    totals_.armed_mb = armed_mb;
    return totals_;
  }

 private:
  [[nodiscard]] std::uint64_t lost() const { return line_->source().counters().lost_total(); }

  void play_block() {
    exposure_.fill(*detector_);
    const std::uint64_t measured = line_->measured(), lost_before = lost();
    const auto cpu_began = process_cpu();
    const auto began = steady_now();
    detector_->play();
    while ((!detector_->is_played() ||
            line_->measured() + lost() < measured + lost_before + detector_->block()) &&
           !line_->has_ended())
      std::this_thread::sleep_for(kPoll);
    totals_.wall += steady_now() - began;
    totals_.cpu += process_cpu() - cpu_began;
    totals_.frames += line_->measured() - measured;
    totals_.lost += lost() - lost_before;
  }

  const BenchOptions& options_;
  Exposure exposure_;
  std::atomic<std::uint64_t> locked_{0};  // of the run, its first block included
  Pipeline pipeline_;
  BlockDetector* detector_ = nullptr;  // the line's
  Line* line_ = nullptr;               // the pipeline's
  Totals totals_;
};

void print(const BenchOptions& options, const signal::AnalysisGrid& grid, const Totals& t,
           const Floor& floor) {
  const auto frames = static_cast<double>(std::max<std::uint64_t>(t.frames, 1));
  const double wall_s = static_cast<double>(t.wall.count()) * 1e-9;
  const double cpu_ms = static_cast<double>(t.cpu.count()) * 1e-6 / frames;
  const double rate = frames / wall_s;
  std::string stages;
  for (std::size_t s = 0; s < kStages; ++s)
    stages += fmt::format("{}\"{}\":{:.4f}", s ? "," : "", to_string(static_cast<Stage>(s)),
                          static_cast<double>(t.stages[s].count()) * 1e-6 / frames);
  const double pixels = static_cast<double>(options.size) * options.size;
  fmt::print(
      "{{\"size\":[{0},{0}],\"bin\":{1},\"maps\":{18},\"workers\":{2},\"rate_hz\":{3},\"frames\":{"
      "4},\"lost\":{5}"
      ",\"locked_ratio\":{17:.4f},"
      "\"frames_per_s\":{6:.2f},\"mpixel_per_s\":{7:.1f},\"cpu_ms_per_frame\":{8:.4f},"
      "\"cpu_ms_per_stage\":{{{9}}},\"latency_ms\":{{\"p50\":{10:.3f},\"p99\":{11:.3f},"
      "\"max\":{12:.3f}}},\"floor\":{{\"cpu_ms_per_frame\":{13:.4f},\"frames_per_s\":{14:.2f}}},"
      "\"cpu_over_floor\":{15:.3f},\"rate_over_floor\":{16:.3f},\"memory_mb\":{{\"armed\":{19:.1f},"
      "\"end\":{20:.1f}}},"
      "\"decimated_stages\":[]}}\n",
      options.size, grid.bin, options.workers, options.rate_hz, t.frames, t.lost, rate,
      rate * pixels * 1e-6, cpu_ms, stages, t.latency.p50_ms, t.latency.p99_ms, t.latency.max_ms,
      floor.cpu_ms_per_frame(), floor.frames_per_s(), cpu_ms / floor.cpu_ms_per_frame(),
      rate / floor.frames_per_s(),
      static_cast<double>(t.locked) / static_cast<double>(std::max<std::uint64_t>(t.run, 1)),
      options.has_maps, t.armed_mb, t.ended_mb);
}

}  // namespace

int bench(const BenchOptions& options) {
  const auto refuse = [](const Error& error) {
    spdlog::error("{}", error.message);
    return 2;
  };
  const std::string wisdom = signal::default_wisdom_path();
  if (!wisdom.empty()) signal::load_fft_wisdom(wisdom);
  auto movie = bench_pictures(options.size);
  if (!movie) return refuse(movie.error());
  Run run(options, *movie);
  if (auto ok = run.open(*movie); !ok) return refuse(ok.error());
  Floor floor(options, run.grid());
  if (!wisdom.empty()) signal::store_fft_wisdom(wisdom);
  auto totals = run.measure(floor);
  if (!totals) return refuse(totals.error());
  print(options, run.grid(), *totals, floor);
  return totals->lost == 0 ? 0 : 1;
}

}  // namespace latticed
