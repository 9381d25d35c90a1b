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
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <thread>
#include <utility>

#include "drivers/simulator/sim_detector.hpp"
#include "server/app/block_detector.hpp"
#include "server/app/commands.hpp"
#include "server/app/fresh_noise.hpp"
#include "server/app/movie.hpp"
#include "server/base/stage_clock.hpp"
#include "server/process/pipeline.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kPictures = 8;              // the block goes through them to and fro
constexpr double kPictureDose_e_per_px = 4000.0;  // their own noise is 1/400 of a frame's variance
constexpr double kDose_e_per_px = 10.0;
constexpr double kPictureGain_adu_per_e = 5.0;
constexpr std::size_t kBlockBytes = std::size_t{1} << 30, kLongestBlock = 256, kShortestBlock = 8;
constexpr auto kFloorSlice = 200ms;
constexpr auto kPoll = 500us;  // of the block's end

std::chrono::nanoseconds process_cpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto to_ns = [](const timeval& t) {
    return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
  };
  return to_ns(usage.ru_utime) + to_ns(usage.ru_stime);
}

/// Memory this process really has, MB.
double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  double all = 0.0, resident = 0.0;
  statm >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) * 1e-6;
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
    const std::string scenario = directory_ + "/bench.toml", prefetch = std::to_string(kPictures);
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
        "dose_e_per_px = {}\ngain_adu_per_e = {}\ndark_adu = 0.0\nread_noise_adu = 0.0\n"
        "hot_pixels = 0\ngain_pattern_percent = 0.0\ndark_pattern_adu = 0.0\n\n[specimen]\nphase = "
        "\"P2\"\nlayer_normal_deg = 28.0\n"
        "edges = [[15.0, 4.5], [-62.0, 5.5]]\nrim_nm = 0.7\n\n[drift]\n"
        "rate_nm_per_s = [0.3, -0.2]\nwalk_nm_per_sqrt_s = 0.05\n",
        o.size, o.size, 0.03 * 512.0 / o.size, kPictureDose_e_per_px, kPictureGain_adu_per_e);
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

/// The world's pictures. They are in our memory: the world may end.
Result<Movie> take_pictures(const std::string& socket) {
  SimDetectorOptions sim;
  sim.socket = socket;
  sim.timeout = 300s;  // the world renders its frames before it listens
  auto detector = SimDetector::open(sim);
  if (!detector) return detector.error();
  return take_movie(**detector, kPictures);
}

/// 0 .. count-1 .. 0 .. : neighbours in time stay neighbours in space, so drift has no jumps.
std::size_t to_and_fro(std::uint64_t number, std::size_t count) {
  const std::uint64_t place = number % (2 * (count - 1));
  return place < count ? place : 2 * (count - 1) - place;
}

/// Fresh noise for every frame of the block, by as many threads as there are workers.
class Exposure {
 public:
  Exposure(const Movie& movie, int threads) : movie_(movie), threads_(threads) {}
  void fill(BlockDetector& detector) {
    std::atomic<std::size_t> next{0};
    std::vector<std::jthread> threads;
    for (int t = 0; t < threads_; ++t)
      threads.emplace_back([&] {
        for (std::size_t i; (i = next.fetch_add(1)) < detector.block();) {
          const auto bytes = detector.frame(i);
          noise_.expose(movie_.pictures[to_and_fro(exposed_ + i, kPictures)],
                        movie_.configuration.geometry.width, exposed_ + i,
                        {reinterpret_cast<std::uint16_t*>(bytes.data()), bytes.size() / 2});
        }
      });
    threads.clear();  // joins
    exposed_ += detector.block();
  }

 private:
  const Movie& movie_;
  const int threads_;
  std::uint64_t exposed_ = 0;
  FreshNoise noise_{{.picture_adu = kDose_e_per_px * SensorModel{}.gain_adu_per_e /
                                    (kPictureDose_e_per_px * kPictureGain_adu_per_e)}};
};

/// As a camera's: 2 % of gain, 2 counts of dark, a hot pixel in 20 000. The frames do not need
/// them; what they cost is the same.
signal::CorrectionMaps maps_of(const FrameGeometry& geometry) {
  signal::CorrectionMaps out;
  std::mt19937_64 random(2);
  std::normal_distribution<float> gain(1.0f, 0.02f), dark(0.0f, 2.0f);
  out.gain.resize(geometry.pixels());
  out.dark.resize(geometry.pixels());
  std::generate(out.gain.begin(), out.gain.end(), [&] { return std::max(gain(random), 0.5f); });
  std::generate(out.dark.begin(), out.dark.end(), [&] { return dark(random); });
  for (std::uint32_t i = 777; i < geometry.pixels(); i += 20011) out.hot_pixels.push_back(i);
  return out;
}

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
    const std::size_t bytes = movie.configuration.geometry.bytes();
    auto detector = std::make_unique<BlockDetector>(
        movie.configuration, std::clamp(kBlockBytes / bytes, kShortestBlock, kLongestBlock),
        options_.rate_hz);
    detector_ = detector.get();
    Line::Parts parts;
    parts.config.prepare.bin = options_.bin;
    parts.config.source_policy =
        options_.rate_hz > 0.0 ? LossPolicy::drop_newest : LossPolicy::block;
    parts.config.rules = default_rules();
    if (options_.has_maps) parts.maps = maps_of(movie.configuration.geometry);
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
  auto world = std::make_unique<World>();
  if (auto ok = world->start(options); !ok) return refuse(ok.error());
  auto movie = take_pictures(world->socket());
  if (!movie) return refuse(movie.error());
  world.reset();
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
