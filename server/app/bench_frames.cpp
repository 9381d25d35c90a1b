// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/bench_frames.hpp"

#include <fmt/format.h>
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

#include "drivers/simulator/sim_detector.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr std::size_t kPictures = 8;              // the block goes through them to and fro
constexpr double kPictureDose_e_per_px = 4000.0;  // their own noise is 1/400 of a frame's variance
constexpr double kDose_e_per_px = 10.0;
constexpr double kPictureGain_adu_per_e = 5.0;
constexpr std::size_t kBlockBytes = std::size_t{1} << 30, kLongestBlock = 256, kShortestBlock = 8;

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

  Result<void> start(int size) {
    char name[] = "/tmp/latticed-bench-XXXXXX";
    if (!mkdtemp(name))
      return Error{ErrorCode::unavailable, "creating a directory for the bench's world"};
    directory_ = name;
    write_scenario(size);
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
  void write_scenario(int size) const {
    std::ofstream(directory_ + "/bench.toml") << fmt::format(
        "name = \"bench\"\nseed = 1\nframes = 0\nframe_period_s = 0.01\n\n[[detector]]\n"
        "name = \"camera\"\nwidth = {}\nheight = {}\npixel_size_nm = {}\n"
        "dose_e_per_px = {}\ngain_adu_per_e = {}\ndark_adu = 0.0\nread_noise_adu = 0.0\n"
        "hot_pixels = 0\ngain_pattern_percent = 0.0\ndark_pattern_adu = 0.0\n\n[specimen]\nphase = "
        "\"P2\"\nlayer_normal_deg = 28.0\n"
        "edges = [[15.0, 4.5], [-62.0, 5.5]]\nrim_nm = 0.7\n\n[drift]\n"
        "rate_nm_per_s = [0.3, -0.2]\nwalk_nm_per_sqrt_s = 0.05\n",
        size, size, 0.03 * 512.0 / size, kPictureDose_e_per_px, kPictureGain_adu_per_e);
  }

  std::string directory_;
  pid_t pid_ = -1;
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

}  // namespace

Result<Movie> bench_pictures(int size) {
  World world;
  if (auto ok = world.start(size); !ok) return ok.error();
  return take_pictures(world.socket());
}

std::size_t bench_block(const FrameGeometry& geometry) noexcept {
  return std::clamp(kBlockBytes / geometry.bytes(), kShortestBlock, kLongestBlock);
}

Exposure::Exposure(const Movie& movie, int threads)
    : movie_(movie),
      threads_(threads),
      noise_({.picture_adu = kDose_e_per_px * SensorModel{}.gain_adu_per_e /
                             (kPictureDose_e_per_px * kPictureGain_adu_per_e)}) {}

void Exposure::fill(BlockDetector& detector) {
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

signal::CorrectionMaps bench_maps(const FrameGeometry& geometry) {
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

std::chrono::nanoseconds process_cpu() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto to_ns = [](const timeval& t) {
    return std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
  };
  return to_ns(usage.ru_utime) + to_ns(usage.ru_stime);
}

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  double all = 0.0, resident = 0.0;
  statm >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE)) * 1e-6;
}

}  // namespace latticed
