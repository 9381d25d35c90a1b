// SPDX-License-Identifier: GPL-3.0-or-later
// `latticed bench`: the whole chain as a ratio to this machine's floor. A child sim-world renders
// frames into shared memory before the clock starts; the simulator's driver then copies one after
// the other into its slots, so the generator costs nothing. The floor of a frame (read its raw
// bytes once, one r2c FFT at the analysis size) is measured in slices between slices of the run,
// with as many pinned busy threads as workers, so that both see the same machine.
#include "server/app/bench.hpp"

#include <fftw3.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "drivers/simulator/sim_detector.hpp"
#include "server/app/commands.hpp"
#include "server/base/stage_clock.hpp"
#include "server/process/pipeline.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr int kPrefetched = 16;  // distinct frames the source goes through, to and fro
constexpr auto kFloorSlice = 400ms;

std::chrono::nanoseconds process_cpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto to_ns = [](const timeval& t) {
    return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
  };
  return to_ns(usage.ru_utime) + to_ns(usage.ru_stime);
}

/// A sim-world of our own, ended with us.
class World {
 public:
  World() = default;
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() {
    if (pid_ > 0) {
      kill(pid_, SIGTERM);
      waitpid(pid_, nullptr, 0);
    }
    std::error_code ignored;
    if (!directory_.empty()) std::filesystem::remove_all(directory_, ignored);
  }

  Result<void> start(const BenchOptions& options) {
    char name[] = "/tmp/latticed-bench-XXXXXX";
    if (!mkdtemp(name))
      return Error{ErrorCode::unavailable, "creating a directory for the bench's world"};
    directory_ = name;
    write_scenario(options);
    const auto program =
        std::filesystem::read_symlink("/proc/self/exe").parent_path() / "sim-world";
    if (!std::filesystem::exists(program))
      return Error{ErrorCode::not_found, program.string() + ": expected beside latticed"};
    const std::string scenario = directory_ + "/bench.toml", prefetch = std::to_string(kPrefetched);
    const std::string at = socket();
    pid_ = fork();
    if (pid_ == 0) {
      dup2(STDERR_FILENO,
           STDOUT_FILENO);  // our own stdout carries one JSON object and nothing else
      execl(program.c_str(), "sim-world", "--scenario", scenario.c_str(), "--socket", at.c_str(),
            "--prefetch", prefetch.c_str(), "--threads", "2", nullptr);
      _exit(127);
    }
    return {};
  }
  [[nodiscard]] std::string socket() const { return directory_ + "/world.sock"; }

 private:
  // A particle that fills most of the field at the scale of a real camera, drifting a little.
  void write_scenario(const BenchOptions& o) const {
    std::ofstream(directory_ + "/bench.toml") << fmt::format(
        "name = \"bench\"\nseed = 1\nframes = 0\nframe_period_s = 0.01\n\n[[detector]]\n"
        "name = \"camera\"\nwidth = {}\nheight = {}\npixel_size_nm = {}\n"
        "dose_e_per_px = 10.0\nhot_pixels = 0\ngain_pattern_percent = 0.0\n"
        "dark_pattern_adu = 0.0\n\n[specimen]\nphase = \"P2\"\nlayer_normal_deg = 28.0\n"
        "edges = [[15.0, 4.5], [-62.0, 5.5]]\nrim_nm = 0.7\n\n[drift]\n"
        "rate_nm_per_s = [0.3, -0.2]\nwalk_nm_per_sqrt_s = 0.05\n",
        o.size, o.size, 0.03 * 512.0 / o.size);
  }

  std::string directory_;
  pid_t pid_ = -1;
};

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

struct Totals {
  std::uint64_t frames = 0, lost = 0;
  std::chrono::nanoseconds wall{0}, cpu{0};
  std::array<std::chrono::nanoseconds, kStages> stages{};
  DurationSummary latency;
};

std::uint64_t frames_for(const BenchOptions& options, double frames_per_s) {
  return std::max<std::uint64_t>(32, static_cast<std::uint64_t>(options.seconds * frames_per_s));
}

/// One run of `frames` frames through a fresh pipeline. The clock covers start to drained.
Result<void> run_pipeline(const BenchOptions& options, const std::string& socket,
                          std::uint64_t frames, Totals& totals, signal::AnalysisGrid* grid) {
  SimDetectorOptions sim;
  sim.socket = socket;
  sim.rate_hz = options.rate_hz;
  sim.timeout = 120s;  // the world renders its frames before it listens
  auto detector = SimDetector::open(sim);
  if (!detector) return detector.error();
  Line::Parts parts;
  parts.config.detector.frame_count = frames;
  parts.config.prepare.bin = options.bin;
  parts.config.source_policy = options.rate_hz > 0.0 ? LossPolicy::drop_newest : LossPolicy::block;
  parts.config.rules = default_rules();
  parts.detector = std::move(*detector);
  Pipeline pipeline({.workers = options.workers});
  auto line = pipeline.add(std::move(parts), 1);
  if (!line) return line.error();
  *grid = (*line)->run().grid;
  const auto cpu_began = process_cpu();
  const auto began = steady_now();
  if (auto ok = pipeline.start(); !ok) return ok.error();
  if (auto ok = pipeline.wait(); !ok) return ok.error();
  totals.wall += (*line)->finished_at() - began;
  totals.cpu += process_cpu() - cpu_began;
  totals.frames += (*line)->measured();
  totals.lost += frames - (*line)->measured();
  const auto stages = (*line)->stage_cpu();
  for (std::size_t s = 0; s < kStages; ++s) totals.stages[s] += stages[s];
  totals.latency = (*line)->latency().summary();
  return {};
}

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
      "{{\"size\":[{0},{0}],\"bin\":{1},\"workers\":{2},\"rate_hz\":{3},\"frames\":{4},\"lost\":{5}"
      ","
      "\"frames_per_s\":{6:.2f},\"mpixel_per_s\":{7:.1f},\"cpu_ms_per_frame\":{8:.4f},"
      "\"cpu_ms_per_stage\":{{{9}}},\"latency_ms\":{{\"p50\":{10:.3f},\"p99\":{11:.3f},"
      "\"max\":{12:.3f}}},\"floor\":{{\"cpu_ms_per_frame\":{13:.4f},\"frames_per_s\":{14:.2f}}},"
      "\"cpu_over_floor\":{15:.3f},\"rate_over_floor\":{16:.3f},\"decimated_stages\":[]}}\n",
      options.size, grid.bin, options.workers, options.rate_hz, t.frames, t.lost, rate,
      rate * pixels * 1e-6, cpu_ms, stages, t.latency.p50_ms, t.latency.p99_ms, t.latency.max_ms,
      floor.cpu_ms_per_frame(), floor.frames_per_s(), cpu_ms / floor.cpu_ms_per_frame(),
      rate / floor.frames_per_s());
}

}  // namespace

int bench(const BenchOptions& options) {
  const std::string wisdom = signal::default_wisdom_path();
  if (!wisdom.empty()) signal::load_fft_wisdom(wisdom);
  World world;
  if (auto ok = world.start(options); !ok) {
    spdlog::error("{}", ok.error().message);
    return 2;
  }
  // A short run first: it tells the rate, warms the caches and makes the plans.
  Totals warm, totals;
  signal::AnalysisGrid grid;
  if (auto ok = run_pipeline(options, world.socket(), 32, warm, &grid); !ok) {
    spdlog::error("{}", ok.error().message);
    return 2;
  }
  if (!wisdom.empty()) signal::store_fft_wisdom(wisdom);
  Floor floor(options, grid);
  const double rate = options.rate_hz > 0.0
                          ? options.rate_hz
                          : static_cast<double>(warm.frames) /
                                std::max(1e-3, static_cast<double>(warm.wall.count()) * 1e-9);
  const int slices =
      options.rate_hz > 0.0 ? 1 : std::clamp(static_cast<int>(options.seconds), 1, 8);
  for (int slice = 0; slice < slices; ++slice) {
    floor.measure(kFloorSlice);
    const auto frames =
        std::max<std::uint64_t>(32, frames_for(options, rate) / static_cast<std::uint64_t>(slices));
    if (auto ok = run_pipeline(options, world.socket(), frames, totals, &grid); !ok) {
      spdlog::error("{}", ok.error().message);
      return 1;
    }
  }
  floor.measure(kFloorSlice);
  print(options, grid, totals, floor);
  return totals.lost == 0 ? 0 : 1;
}

}  // namespace latticed
