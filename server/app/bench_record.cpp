// SPDX-License-Identifier: GPL-3.0-or-later
// `latticed bench record`: frames from memory through the whole chain into a recording, in turns
// with a plain file of the same size, written a frame's bytes at a time past the page cache, and
// synced as often. The clock of a turn stops when the disk has everything.
#include "server/app/bench_record.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <thread>
#include <utility>

#include "server/app/bench_frames.hpp"
#include "server/base/stage_clock.hpp"
#include "server/record/record_sink.hpp"
#include "server/signal/aligned_buffer.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr auto kSyncEvery = 500ms;  // as the recorder
constexpr auto kPoll = 500us;
constexpr std::size_t kPage = 4096;
// The same noise again costs the same, and a turn of one block would be too short for a disk.
constexpr int kBlocksATurn = 4;
constexpr std::size_t kQuota = 16;
constexpr double kLongestTurn_s = 300.0;  // the chain waits while the plain file is written

double seconds_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

/// A plain file, past the page cache where the file system can: how long the disk needs for so many
/// frames.
Result<std::chrono::nanoseconds> write_plain(const std::string& path, std::size_t frame_bytes,
                                             std::size_t frames) {
  const auto failed = [&](const char* what) {
    return Error{ErrorCode::unavailable,
                 fmt::format("{} {}: {}", what, path, std::strerror(errno))};
  };
  constexpr int kFlags = O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC;
  int file = ::open(path.c_str(), kFlags | O_DIRECT, 0666);
  if (file < 0) file = ::open(path.c_str(), kFlags, 0666);
  if (file < 0) return failed("creating");
  signal::AlignedBuffer<std::byte> memory((frame_bytes + kPage - 1) / kPage * kPage + kPage);
  // Behind the first whole page: direct I/O wants its memory there.
  const auto begin = reinterpret_cast<std::uintptr_t>(memory.data()) + kPage - 1;
  const std::span bytes(
      memory.data() + begin / kPage * kPage - reinterpret_cast<std::uintptr_t>(memory.data()),
      frame_bytes / kPage * kPage);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(i * 31);
  const auto began = steady_now();
  bool is_written = true;
  {
    std::jthread syncer([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        std::this_thread::sleep_for(kSyncEvery);
        ::fdatasync(file);
      }
    });
    for (std::size_t i = 0; i < frames && is_written; ++i)
      is_written =
          ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(i * bytes.size())) ==
          static_cast<ssize_t>(bytes.size());
    if (is_written) is_written = ::fdatasync(file) == 0;
    const auto took = steady_now() - began;
    if (is_written) {
      syncer.request_stop();
      syncer.join();
      ::close(file);
      ::unlink(path.c_str());
      return std::chrono::nanoseconds(took);
    }
  }
  const Error problem = failed("writing");
  ::close(file);
  ::unlink(path.c_str());
  return problem;
}

struct Turns {
  std::chrono::nanoseconds recorded{0}, plain{0}, cpu{0};
  std::uint64_t frames = 0, lost = 0, turns = 0;
  double armed_mb = 0.0, ended_mb = 0.0;
  RecordingProgress recording;
};

class Bench {
 public:
  Bench(const RecordBenchOptions& options, const Movie& movie)
      : options_(options),
        frame_bytes_(movie.configuration.geometry.bytes()),
        exposure_(movie, options.workers),
        pipeline_({.workers = options.workers, .stall = {.min_s = kLongestTurn_s}}) {}

  Result<void> open(const Movie& movie) {
    auto detector = std::make_unique<BlockDetector>(movie.configuration,
                                                    bench_block(movie.configuration.geometry), 0.0);
    detector_ = detector.get();
    RecordingOptions recording;
    recording.directory = options_.directory;
    recording.name = "latticed-bench";
    recording.profile = options_.profile;
    recording.packers = options_.packers;
    recording.quota = kQuota;
    recording.is_rehearsal = true;
    auto sink = RecordSink::create(std::move(recording));
    if (!sink) return sink.error();
    recorder_ = sink->get();
    Line::Parts parts;
    parts.config.prepare.bin = options_.bin;
    parts.config.source_policy = LossPolicy::block;
    parts.config.frame_slots +=
        static_cast<int>(RecordSink::frames_held(kQuota, options_.profile, options_.packers));
    parts.config.rules = default_rules();
    parts.detector = std::move(detector);
    parts.sinks.push_back(std::move(*sink));
    auto line = pipeline_.add(std::move(parts), 1);
    if (!line) return line.error();
    line_ = *line;
    return {};
  }

  Result<Turns> measure() {
    turns_.armed_mb = resident_mb();
    if (auto ok = pipeline_.start(); !ok) return ok.error();
    std::optional<Error> problem;
    // The watch over stalls is this thread's, so the turns are another's.
    std::jthread conductor([&] {
      exposure_.fill(*detector_);
      play(1);  // caches, templates: nobody counts it
      const std::uint64_t first = line_->measured();
      while (turns_.recorded + turns_.plain < std::chrono::duration<double>(options_.seconds) &&
             !line_->has_ended() && !problem) {
        const auto plain = write_plain(options_.directory + "/latticed-bench.plain", frame_bytes_,
                                       detector_->block() * kBlocksATurn);
        if (!plain) {
          problem = plain.error();
          break;
        }
        turns_.plain += *plain;
        exposure_.fill(*detector_);
        const auto cpu = process_cpu();
        const auto began = steady_now();
        play(kBlocksATurn);
        turns_.recorded += steady_now() - began;
        turns_.cpu += process_cpu() - cpu;
        ++turns_.turns;
      }
      turns_.frames = line_->measured() - first;
      turns_.ended_mb = resident_mb();
      turns_.recording = recorder_->progress();
      detector_->finish();
    });
    auto ok = pipeline_.wait();
    conductor.join();
    turns_.lost = line_->source().counters().lost_total() +
                  (line_->measured() - recorder_->progress().frames);
    std::error_code ignored;
    std::filesystem::remove(recorder_->progress().file, ignored);
    if (problem) return *problem;
    if (!ok) return ok.error();
    return turns_;
  }
  [[nodiscard]] std::size_t frame_bytes() const noexcept { return frame_bytes_; }

 private:
  /// Until the disk has them.
  void play(int blocks) {
    for (int i = 0; i < blocks; ++i) {
      const std::uint64_t wanted = line_->measured() + detector_->block();
      detector_->play();
      while ((!detector_->is_played() || line_->measured() < wanted) && !line_->has_ended())
        std::this_thread::sleep_for(kPoll);
    }
    // A recorder that had to give up says so when the run ends.
    const auto is_durable = [&] {
      const RecordingProgress now = recorder_->progress();
      return now.is_complete || now.durable_frames >= line_->measured();
    };
    while (!is_durable() && !line_->has_ended()) std::this_thread::sleep_for(kPoll);
  }

  const RecordBenchOptions& options_;
  const std::size_t frame_bytes_;
  Exposure exposure_;
  Pipeline pipeline_;
  BlockDetector* detector_ = nullptr;  // the line's
  RecordSink* recorder_ = nullptr;     // likewise
  Line* line_ = nullptr;               // the pipeline's
  Turns turns_;
};

void print(const RecordBenchOptions& o, const Turns& t, std::size_t frame_bytes) {
  const auto frames = static_cast<double>(std::max<std::uint64_t>(t.frames, 1));
  const double rate = frames / seconds_of(t.recorded);
  const double megabytes = 1e-6 * static_cast<double>(frame_bytes);
  const double disk = frames / seconds_of(t.plain) * megabytes;
  const double packed = static_cast<double>(t.recording.raw_bytes) /
                        static_cast<double>(std::max<std::uint64_t>(t.recording.bytes, 1));
  fmt::print(
      "{{\"size\":[{0},{0}],\"profile\":\"{1}\",\"workers\":{2},\"packers\":{3},\"turns\":{4},"
      "\"frames\":{5},\"lost\":{6},\"frames_per_s\":{7:.2f},\"mb_per_s\":{8:.1f},"
      "\"disk\":{{\"mb_per_s\":{9:.1f}}},\"mb_per_s_over_disk\":{10:.3f},"
      "\"cpu_ms_per_frame\":{11:.3f},\"packed_times\":{12:.3f},\"relieved_ratio\":{13:.4f},"
      "\"memory_mb\":{{\"armed\":{14:.1f},\"end\":{15:.1f}}}}}\n",
      o.size, to_string(o.profile), o.workers,
      o.profile == RecordingProfile::compact ? o.packers : 0, t.turns, t.frames, t.lost, rate,
      rate * megabytes, disk, rate * megabytes / disk, 1e3 * seconds_of(t.cpu) / frames, packed,
      static_cast<double>(t.recording.relieved) /
          static_cast<double>(std::max<std::uint64_t>(t.recording.frames, 1)),
      t.armed_mb, t.ended_mb);
}

}  // namespace

int bench_record(const RecordBenchOptions& options) {
  const auto refuse = [](const Error& error) {
    spdlog::error("{}", error.message);
    return 2;
  };
  const std::string wisdom = signal::default_wisdom_path();
  if (!wisdom.empty()) signal::load_fft_wisdom(wisdom);
  auto movie = bench_pictures(options.size);
  if (!movie) return refuse(movie.error());
  Bench bench(options, *movie);
  if (auto ok = bench.open(*movie); !ok) return refuse(ok.error());
  if (!wisdom.empty()) signal::store_fft_wisdom(wisdom);
  auto turns = bench.measure();
  if (!turns) return refuse(turns.error());
  print(options, *turns, bench.frame_bytes());
  return turns->lost == 0 ? 0 : 1;
}

}  // namespace latticed
