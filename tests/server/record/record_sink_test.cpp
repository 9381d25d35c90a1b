// SPDX-License-Identifier: GPL-3.0-or-later
// The recorder in a whole run: from a scripted detector to a file that is read back. Linked with
// --wrap, so that a disk can fail in ways that no limit of the system plays.
#include "server/record/record_sink.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <thread>

#include "drivers/files/movie_reader.hpp"
#include "server/base/utc_clock.hpp"
#include "server/process/pipeline.hpp"
#include "server/process/track_change.hpp"
#include "server/record/completion.hpp"
#include "tests/support/collecting_sink.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/hdf5_reading.hpp"
#include "tests/support/lattice_frames.hpp"
#include "tests/support/scripted_detector.hpp"

namespace latticed::test {
namespace {

/// Writes to files in `folder` fail while it lives, after the first `healthy` of them.
struct FailingDisk {
  std::string folder;
  int error = 0;  // errno
  std::atomic<int> healthy{0};
};
std::atomic<FailingDisk*> failing{nullptr};

bool fails_now(int file) {
  FailingDisk* disk = failing.load();
  if (!disk) return false;
  std::error_code none;
  const std::string path =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(file), none);
  return path.starts_with(disk->folder) && disk->healthy.fetch_sub(1) <= 0;
}

}  // namespace
}  // namespace latticed::test

extern "C" {
ssize_t __real_pwrite(int file, const void* bytes, size_t size, off_t at);
ssize_t __wrap_pwrite(int file, const void* bytes, size_t size, off_t at) {
  if (!latticed::test::fails_now(file)) return __real_pwrite(file, bytes, size, at);
  errno = latticed::test::failing.load()->error;
  return -1;
}
}

namespace latticed::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

/// Hands on to the recorder, but waits at a gate before each frame.
class SlowRecorder final : public Sink {
 public:
  SlowRecorder(std::unique_ptr<RecordSink> recorder, Collection& gate)
      : recorder_(std::move(recorder)), gate_(gate) {}
  [[nodiscard]] std::string_view name() const noexcept override { return recorder_->name(); }
  [[nodiscard]] SinkOptions options() const noexcept override { return recorder_->options(); }
  Result<void> begin(const RunInfo& run) override { return recorder_->begin(run); }
  void consume(const FrameLease& frame) override {
    gate_.pass();
    recorder_->consume(frame);
  }
  void missed(const Frame& frame) noexcept override { recorder_->missed(frame); }
  void idle() override { recorder_->idle(); }
  Result<void> finish() override { return recorder_->finish(); }

 private:
  std::unique_ptr<RecordSink> recorder_;
  Collection& gate_;
};

class RecordSinkTest : public testing::Test {
 protected:
  void SetUp() override {
    pipeline_config_.workers = 2;
    pipeline_config_.pin_workers = false;
    scene_.size = 64;
    for (std::uint64_t i = 0; i < 7; ++i) images_.push_back(lattice_frame(scene_, i));
    options_.directory = folder_.path();
    options_.name = "run";
    options_.quota = 2;
    options_.least_free_bytes = 0;
    options_.on_trouble = [this](const RecordTrouble& trouble) {
      const std::lock_guard lock(troubles_mutex_);
      troubles_.push_back(trouble);
    };
  }
  /// "recording_moved", or with "over: " before it; in order.
  std::vector<std::string> troubles() const {
    const std::lock_guard lock(troubles_mutex_);
    std::vector<std::string> out;
    for (const RecordTrouble& one : troubles_)
      out.push_back((one.is_over ? "over: " : "") + std::string(to_string(one.kind)));
    return out;
  }
  std::string text_of_trouble(std::size_t number) const {
    const std::lock_guard lock(troubles_mutex_);
    return number < troubles_.size() ? troubles_[number].text : "";
  }
  std::unique_ptr<RecordSink> recorder() {
    auto made = RecordSink::create(options_);
    EXPECT_TRUE(made) << made.error().message;
    recorder_ = made->get();
    return std::move(*made);
  }
  ScriptedDetector* detector(Script script) {
    auto made = std::make_unique<ScriptedDetector>(
        std::move(script), scene_.geometry(), [this](std::uint64_t n, std::span<std::byte> pixels) {
          copy_pixels(images_[n % images_.size()], pixels);
        });
    ScriptedDetector* out = made.get();
    parts_.detector = std::move(made);
    parts_.config.source_policy = LossPolicy::block;
    parts_.config.frame_slots = 8;
    return out;
  }
  Result<Line*> add() {
    pipeline_ = std::make_unique<Pipeline>(pipeline_config_);
    return pipeline_->add(std::move(parts_), 1);
  }
  Result<void> run() {
    if (auto line = add(); !line) return line.error();
    if (auto ok = pipeline_->start(); !ok) return ok;
    return pipeline_->wait();
  }
  /// Image i of the file is what the detector delivered as its i-th, bit by bit.
  void expect_images(const std::string& path, const std::vector<std::uint64_t>& delivered) const {
    const auto movie = open_movie(path);
    ASSERT_TRUE(movie) << movie.error().message;
    ASSERT_EQ((*movie)->info().frame_count, delivered.size());
    std::vector<std::byte> read((*movie)->info().geometry.bytes());
    for (std::uint64_t i = 0; i < delivered.size(); ++i) {
      ASSERT_TRUE((*movie)->read(i, read));
      const auto wanted = std::as_bytes(std::span(images_[delivered[i] % images_.size()]));
      ASSERT_TRUE(std::equal(read.begin(), read.end(), wanted.begin(), wanted.end())) << i;
    }
  }
  static std::vector<std::uint64_t> numbers(std::uint64_t count) {
    std::vector<std::uint64_t> out(count);
    std::iota(out.begin(), out.end(), 0u);
    return out;
  }

  /// Of files that go on from each other: how often each frame is in one of them, as it was.
  std::map<std::uint64_t, int> frames_in(const std::vector<std::string>& paths) const {
    std::map<std::uint64_t, int> seen;
    for (const std::string& path : paths) {
      const auto ids = ReadRecording(path).info<std::uint64_t>("frame_id");
      expect_images(path, ids);
      for (const std::uint64_t id : ids) ++seen[id];
    }
    return seen;
  }
  static std::map<std::uint64_t, int> each_once(std::uint64_t count) {
    std::map<std::uint64_t, int> out;
    for (std::uint64_t i = 0; i < count; ++i) out[i] = 1;
    return out;
  }

  Folder folder_;
  RecordingOptions options_;
  PipelineConfig pipeline_config_;
  Scene scene_;
  std::vector<std::vector<std::uint16_t>> images_;
  Collection gate_, viewer_;
  mutable std::mutex troubles_mutex_;
  std::vector<RecordTrouble> troubles_;
  Line::Parts parts_;
  RecordSink* recorder_ = nullptr;
  std::unique_ptr<Pipeline> pipeline_;  // before the collections go
};

TEST_F(RecordSinkTest, EveryFrameIsRecordedAsItWasMeasured) {
  detector(Script().frames(50).lost(3, LossReason::truncated).frames(20));
  parts_.sinks.push_back(recorder());
  parts_.sinks.push_back(std::make_unique<CollectingSink>(viewer_));
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  const RecordingProgress progress = recorder_->progress();
  EXPECT_EQ(progress.file, folder_ / "run.nxs");
  EXPECT_TRUE(progress.is_complete);
  EXPECT_FALSE(progress.error);
  EXPECT_EQ(progress.frames, 70u);
  EXPECT_EQ(progress.lost, 3u);
  EXPECT_EQ(progress.bytes, 70u * 64 * 64 * 2);
  EXPECT_GT(progress.flushed_ns, 0);
  expect_images(progress.file, numbers(70));
  const ReadRecording file(progress.file);
  const auto drift_x = file.info<double>("drift_x_px");
  const auto states = file.info<std::uint8_t>("drift_state");
  std::size_t row = 0, spots = 0;
  for (const SeenFrame& seen : viewer_.frames()) {
    if (seen.header.kind != FrameKind::frame) continue;
    EXPECT_EQ(drift_x.at(row), seen.measurements.drift.drift_px.x);
    EXPECT_EQ(states.at(row), static_cast<std::uint8_t>(seen.measurements.drift.state));
    spots += seen.measurements.spots.size();
    ++row;
  }
  EXPECT_EQ(row, 70u);
  EXPECT_EQ(file.member<std::uint64_t>("/entry/processing/lattice/found/spots", "seq").size(),
            spots);
  EXPECT_THAT(file.member_texts("/entry/measurement/event1/lost/frames", "reason"),
              ElementsAre("truncated"));
}

// Our loss is nobody's but ours: the viewer drops its own, the recorder none.
TEST_F(RecordSinkTest, ASlowRecorderBesideAViewerThatDropsStillGetsEveryFrame) {
  viewer_.options = {LossPolicy::drop_oldest, 2};
  viewer_.name = "viewer";
  viewer_.hold();
  gate_.hold();
  ScriptedDetector* scripted = detector(Script().frames(200));
  parts_.sinks.push_back(std::make_unique<SlowRecorder>(recorder(), gate_));
  parts_.sinks.push_back(std::make_unique<CollectingSink>(viewer_));
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  // The recorder stands still until everything before it is full and the detector waits.
  EXPECT_TRUE(happens([&] { return gate_.arrived() == 1; }));
  EXPECT_TRUE(happens([&] { return pipeline_->lines()[0]->pixels().leased() == 8; }));
  EXPECT_LT(scripted->position(), 200u);
  gate_.open();
  EXPECT_TRUE(happens([&] { return recorder_->progress().frames == 200; }));
  viewer_.open();
  ASSERT_TRUE(pipeline_->wait());
  expect_images(recorder_->progress().file, numbers(200));
  const auto& sinks = pipeline_->lines()[0]->sinks();
  EXPECT_EQ(sinks[0]->counters().dropped(), 0u);
  EXPECT_GT(sinks[1]->counters().dropped(), 0u);
  EXPECT_LT(viewer_.size(), 200u);
}

// The pressure reaches the source, which loses frames by its policy, counts and lists them.
TEST_F(RecordSinkTest, WhatADetectorThatDoesNotWaitLosesToASlowRecorderIsInTheFile) {
  gate_.hold();
  Script script;
  script.frames(100).wait_for_permit().frames(5);
  ScriptedDetector* scripted = detector(std::move(script));
  parts_.config.source_policy = LossPolicy::drop_newest;
  parts_.sinks.push_back(std::make_unique<SlowRecorder>(recorder(), gate_));
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  EXPECT_TRUE(happens([&] { return scripted->waits() > 0; }));
  gate_.open();
  EXPECT_TRUE(happens([&] { return recorder_->progress().frames > 0; }));
  scripted->permit();
  ASSERT_TRUE(pipeline_->wait());
  const RecordingProgress progress = recorder_->progress();
  EXPECT_GT(progress.lost, 0u);
  EXPECT_EQ(progress.frames + progress.lost, 105u);
  const ReadRecording file(progress.file);
  const auto ids = file.info<std::uint64_t>("frame_id");
  const auto first = file.member<std::uint64_t>("/entry/measurement/event1/lost/frames", "seq"),
             count = file.member<std::uint64_t>("/entry/measurement/event1/lost/frames", "count");
  std::vector<int> seen(105, 0);
  for (const auto id : ids) ++seen.at(id);
  for (std::size_t i = 0; i < first.size(); ++i)
    for (std::uint64_t k = 0; k < count[i]; ++k) ++seen.at(first[i] + k);
  EXPECT_THAT(seen, testing::Each(1));
  EXPECT_THAT(file.member_texts("/entry/measurement/event1/lost/frames", "reason"),
              testing::Each("no_free_slot"));
}

TEST_F(RecordSinkTest, ReadersSeeEveryFrameWhileNothingComes) {
  ScriptedDetector* scripted = detector(Script().frames(3).wait_for_permit().frames(1));
  parts_.sinks.push_back(recorder());
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  const auto rows = [&]() -> std::size_t {
    const files::QuietHdf5 quiet;
    const files::Handle file(H5Fopen((folder_ / "run.nxs.part").c_str(),
                                     H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, H5P_DEFAULT));
    if (!file) return 0;
    const files::Handle ids(
        H5Dopen2(file, "/entry/measurement/event1/frame_info/frame_id", H5P_DEFAULT));
    const auto extent = files::extent_of(ids);
    return extent.empty() ? 0 : extent[0];
  };
  EXPECT_TRUE(happens([&] { return rows() == 3; }));
  scripted->permit();
  ASSERT_TRUE(pipeline_->wait());
  EXPECT_EQ(ReadRecording(folder_ / "run.nxs").info<std::uint64_t>("frame_id").size(), 4u);
}

TEST_F(RecordSinkTest, EventsOfManyThreadsAreInTheFileAndThoseWithoutRoomAreCounted) {
  ScriptedDetector* scripted = detector(Script().wait_for_permit().frames(2));
  parts_.sinks.push_back(recorder());
  constexpr std::size_t kThreads = 4, kEach = 100;
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t)
    threads.emplace_back([this, t] {
      for (std::size_t i = 0; i < kEach; ++i) {
        RecordedEvent event;
        event.source = "thread " + std::to_string(t);
        event.text = std::to_string(i);
        recorder_->add_event(event);
      }
    });
  for (std::thread& thread : threads) thread.join();
  // Nobody takes them before the run begins.
  for (std::size_t i = kThreads * kEach; i < RecordSink::kMostEvents + 7; ++i)
    recorder_->add_event({});
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  scripted->permit();
  ASSERT_TRUE(pipeline_->wait());
  EXPECT_EQ(recorder_->progress().events_missed, 7u);
  const ReadRecording file(folder_ / "run.nxs");
  const auto ids = file.member<std::uint64_t>("/entry/events", "id");
  EXPECT_EQ(ids.back(), RecordSink::kMostEvents);  // 0 are the rules of the run
  EXPECT_THAT(file.column<std::uint64_t>("/entry/latticed/events_missed"), ElementsAre(7));
  const auto sources = file.member_texts("/entry/events", "source"),
             texts = file.member_texts("/entry/events", "text");
  std::map<std::string, std::size_t> next;
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (ids[i] >= 1 && ids[i] <= kThreads * kEach) {
      EXPECT_EQ(texts[i], std::to_string(next[sources[i]]++));
    }
  EXPECT_EQ(next.size(), kThreads);
}

TEST_F(RecordSinkTest, HolderSamplesOfTheRunAndTheStateOfEachFrame) {
  auto log = std::make_shared<HolderLog>("bias1", 1.0);
  options_.holders = {log};
  options_.started_ns = 0;
  detector(Script().frames(20));  // at 0, 0.1, 0.2, ... s
  parts_.sinks.push_back(recorder());
  for (int i = 0; i <= 190; ++i) {
    HolderSample sample;
    sample.time_ns = i * 10'000'000;
    sample.bias_v = 1e-3 * i;
    log->add(sample);
  }
  ASSERT_TRUE(run());
  const ReadRecording file(folder_ / "run.nxs");
  const auto bias_v = file.info<double>("bias_v");
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_NEAR(bias_v.at(i), 1e-2 * static_cast<double>(i), 1e-12);
}

TEST_F(RecordSinkTest, ADirectoryThatIsMissingNoDirectoryOrTooFullKeepsTheRunFromStarting) {
  struct Case {
    std::string directory;
    std::uint64_t least_free_bytes;
    ErrorCode code;
    std::string says;
  };
  std::ofstream(folder_ / "file") << "x";
  for (const Case& one :
       {Case{folder_ / "missing", 0, ErrorCode::unavailable, "No such file"},
        Case{folder_ / "file", 0, ErrorCode::unavailable, "file"},
        Case{folder_.path(), 1ull << 62, ErrorCode::resource_exhausted, "MB free"}}) {
    options_.directory = one.directory;
    options_.least_free_bytes = one.least_free_bytes;
    detector(Script().frames(1));
    parts_.sinks.clear();
    parts_.sinks.push_back(recorder());
    const auto line = add();
    ASSERT_FALSE(line) << one.says;
    EXPECT_EQ(line.error().code, one.code) << line.error().message;
    EXPECT_THAT(line.error().message, AllOf(HasSubstr(one.directory), HasSubstr(one.says)));
  }
  EXPECT_THAT(folder_.names(), ElementsAre("file"));
}

TEST_F(RecordSinkTest, NamesThatAreNoFileNamesAreRefused) {
  for (const char* name : {"", "a/b", "../up", ".hidden", "new\nline", "µ"}) {
    options_.name = name;
    const auto refused = RecordSink::create(options_);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  }
  options_.name = "run-3_haadf.2";
  EXPECT_TRUE(RecordSink::create(options_));
  options_.quota = 0;
  EXPECT_FALSE(RecordSink::create(options_));
}

TEST_F(RecordSinkTest, ARunThatNeverStartedLeavesNoFile) {
  detector(Script().frames(5));
  parts_.sinks.push_back(recorder());
  ASSERT_TRUE(add());
  EXPECT_THAT(folder_.names(), ElementsAre("run.nxs.part"));
  pipeline_.reset();
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(RecordSinkTest, TheRecordingEndsBeforeTheDiskIsFullAndTheRunGoesOn) {
  std::atomic<std::uint64_t> free{5'000'000};
  options_.least_free_bytes = 4'000'000;
  options_.free_bytes = [&](const std::string&) -> Result<std::uint64_t> { return free.load(); };
  ScriptedDetector* scripted = detector(Script().frames(5).wait_for_permit().frames(5));
  parts_.sinks.push_back(recorder());
  parts_.sinks.push_back(std::make_unique<CollectingSink>(viewer_));
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  EXPECT_TRUE(happens([&] { return recorder_->progress().frames == 5; }));
  free = 3'000'000;
  // It looks after a second with something to write.
  EXPECT_TRUE(happens([&] {
    recorder_->add_event({});
    return recorder_->progress().error.has_value();
  }));
  scripted->permit();
  const auto outcome = pipeline_->wait();
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, AllOf(HasSubstr("3.0 MB free"), HasSubstr("4.0 MB")));
  EXPECT_EQ(recorder_->progress().error->code, ErrorCode::resource_exhausted);
  EXPECT_EQ(viewer_.size(), 10u);
  expect_images(folder_ / "run.nxs", numbers(5));
}

TEST_F(RecordSinkTest, ASimulatedDetectorsFileSaysSoThoughNobodyElseDid) {
  for (const char* driver : {"replay", "simulator"}) {
    detector(Script().frames(1))->is_called().driver = driver;
    options_.name = driver;
    parts_.sinks.clear();
    parts_.sinks.push_back(recorder());
    ASSERT_TRUE(run());
    const ReadRecording file(recorder_->progress().file);
    EXPECT_EQ(file.column<signed char>("/entry/sample1/is_simulation").at(0),
              driver == std::string("simulator"));
  }
}

TEST_F(RecordSinkTest, ADiskThatFailsEndsTheRecordingWithItsErrorAndNothingElse) {
  const auto before = ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{2'500'000, limit.rlim_max};
  ScriptedDetector* scripted = detector(Script().frames(2).wait_for_permit().frames(298));
  parts_.sinks.push_back(recorder());
  parts_.sinks.push_back(std::make_unique<CollectingSink>(viewer_));
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  ::setrlimit(RLIMIT_FSIZE, &small);
  scripted->permit();
  const auto outcome = pipeline_->wait();
  ::setrlimit(RLIMIT_FSIZE, &limit);
  ::signal(SIGXFSZ, before);
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, AllOf(HasSubstr("record"), HasSubstr("File too large")));
  EXPECT_EQ(viewer_.size(), 300u);  // the others had every frame
  const RecordingProgress progress = recorder_->progress();
  ASSERT_TRUE(progress.error);
  EXPECT_EQ(progress.error->code, ErrorCode::resource_exhausted);
  EXPECT_TRUE(progress.is_complete);
  EXPECT_EQ(progress.file, folder_ / "run.nxs");
  EXPECT_GE(progress.frames, 2u);
  EXPECT_LT(progress.frames, 300u);
  expect_images(progress.file, numbers(progress.frames));
}

TEST_F(RecordSinkTest, ACompactRecordingIsSmallerAndHoldsTheSame) {
  options_.profile = RecordingProfile::compact;
  detector(Script().frames(50).lost(3, LossReason::truncated).frames(20));
  parts_.config.frame_slots = 64;
  parts_.sinks.push_back(recorder());
  const auto outcome = run();
  ASSERT_TRUE(outcome) << outcome.error().message;
  const RecordingProgress progress = recorder_->progress();
  EXPECT_EQ(progress.frames, 70u);
  EXPECT_EQ(progress.lost, 3u);
  EXPECT_EQ(progress.raw_bytes, 70u * 64 * 64 * 2);
  EXPECT_LE(progress.bytes, progress.raw_bytes);
  if (progress.relieved < 70) {
    EXPECT_LT(progress.bytes, progress.raw_bytes);
  }
  expect_images(progress.file, numbers(70));
  const ReadRecording file(progress.file);
  const auto before_image =
      file.member<std::uint64_t>("/entry/measurement/event1/lost/frames", "before_image");
  EXPECT_THAT(before_image, ElementsAre(50));
}

TEST_F(RecordSinkTest, WhatASlowDiskCannotTakeIsMeasuredListedAndSaid) {
  options_.when_behind = LossPolicy::drop_newest;
  gate_.hold();
  ScriptedDetector* scripted = detector(Script().frames(40).wait_for_permit().frames(10));
  parts_.config.frame_slots = 64;
  parts_.sinks.push_back(std::make_unique<SlowRecorder>(recorder(), gate_));
  parts_.sinks.push_back(std::make_unique<CollectingSink>(viewer_));
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  // The first is in the recorder's hands, if it was quick, and two wait; all were measured.
  EXPECT_TRUE(happens([&] { return viewer_.size() == 40; }));
  gate_.open();
  EXPECT_TRUE(happens([&] { return recorder_->progress().frames >= 2; }));
  scripted->permit();
  ASSERT_TRUE(pipeline_->wait());
  const RecordingProgress progress = recorder_->progress();
  EXPECT_EQ(progress.frames + progress.not_recorded, 50u);
  EXPECT_EQ(progress.lost, progress.not_recorded);
  EXPECT_GE(progress.not_recorded, 37u);  // of the first forty; of the last ten some may be
  const ReadRecording file(progress.file);
  std::map<std::uint64_t, int> seen;
  for (const auto id : file.info<std::uint64_t>("frame_id")) ++seen[id];
  const auto first = file.member<std::uint64_t>("/entry/measurement/event1/lost/frames", "seq"),
             count = file.member<std::uint64_t>("/entry/measurement/event1/lost/frames", "count");
  for (std::size_t i = 0; i < first.size(); ++i)
    for (std::uint64_t k = 0; k < count[i]; ++k) ++seen[first[i] + k];
  EXPECT_EQ(seen, each_once(50));
  EXPECT_GE(first.front(), 2u);
  EXPECT_THAT(file.member_texts("/entry/measurement/event1/lost/frames", "reason"),
              testing::Each("not_recorded"));
  EXPECT_THAT(troubles(), Contains("recording_behind"));
  EXPECT_THAT(file.member_texts("/entry/events", "source"), Contains("recording_behind"));
}

TEST_F(RecordSinkTest, AChangeOfADroppedFrameIsStillInTheFile) {
  auto made = recorder();
  detector(Script().frames(1));
  parts_.sinks.push_back(std::move(made));
  ASSERT_TRUE(add());
  Frame frame;
  frame.seq = 7;
  auto change = std::make_shared<AppliedChange>();
  change->seq = frame.seq;
  change->change = ResetTracking{};
  frame.change = change;
  recorder_->missed(frame);
  ASSERT_TRUE(pipeline_->start());
  ASSERT_TRUE(pipeline_->wait());
  const ReadRecording file(recorder_->progress().file);
  EXPECT_THAT(file.member<std::uint64_t>("/entry/events", "frame_first"), Contains(7u));
}

TEST_F(RecordSinkTest, ARecorderThatIsBehindMayEndTheRun) {
  options_.when_behind = LossPolicy::stop_run;
  gate_.hold();
  detector(Script().frames(500));
  parts_.sinks.push_back(std::make_unique<SlowRecorder>(recorder(), gate_));
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  EXPECT_TRUE(happens([&] { return pipeline_->lines()[0]->sinks()[0]->counters().dropped() > 0; }));
  gate_.open();
  const auto outcome = pipeline_->wait();
  ASSERT_FALSE(outcome);
  EXPECT_THAT(outcome.error().message, HasSubstr("record"));
}

// Every frame is in one of the two files, whatever the first one's last moment was.
TEST_F(RecordSinkTest, ADiskThatFailsIsFollowedByTheSecondOneAndNoFrameIsLost) {
  const auto before = ::signal(SIGXFSZ, SIG_IGN);
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  const rlimit small{4'500'000, limit.rlim_max};
  const Folder second;
  for (const auto profile : {RecordingProfile::portable, RecordingProfile::compact}) {
    options_.second_directory = second.path();
    options_.profile = profile;
    options_.name = std::string(to_string(profile));
    const std::uint64_t frames = profile == RecordingProfile::portable ? 350 : 600;
    ScriptedDetector* scripted = detector(Script().frames(2).wait_for_permit().frames(frames - 2));
    parts_.config.frame_slots = 64;
    parts_.sinks.clear();
    parts_.sinks.push_back(recorder());
    ASSERT_TRUE(add());
    ASSERT_TRUE(pipeline_->start());
    RecordedEvent tag;
    tag.text = "early";
    recorder_->add_event(tag);
    ::setrlimit(RLIMIT_FSIZE, &small);
    scripted->permit();
    const auto outcome = pipeline_->wait();
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ASSERT_TRUE(outcome) << outcome.error().message;
    const RecordingProgress progress = recorder_->progress();
    EXPECT_FALSE(progress.error);
    EXPECT_EQ(progress.frames, frames);
    ASSERT_EQ(progress.earlier.size(), 1u);
    EXPECT_EQ(progress.earlier[0], folder_ / (options_.name + ".nxs"));
    EXPECT_EQ(progress.file, second / (options_.name + ".nxs"));
    EXPECT_EQ(frames_in({progress.earlier[0], progress.file}), each_once(frames));
    const ReadRecording file(progress.file);
    EXPECT_EQ(file.text("/entry/latticed/continues"), progress.earlier[0]);
    EXPECT_THAT(ReadRecording(progress.earlier[0]).text("/entry/latticed/ended_by"),
                HasSubstr("File too large"));
    EXPECT_THAT(file.member_texts("/entry/events", "source"), Contains("recording_moved"));
  }
  ::signal(SIGXFSZ, before);
  EXPECT_THAT(troubles(), testing::Each("recording_moved"));
}

TEST_F(RecordSinkTest, AnInputOutputErrorOrAReadOnlyDiskIsFollowedByTheSecondOne) {
  const Folder second;
  for (int number = 0; number < 8; ++number) {
    const int error = number % 2 == 0 ? EIO : EROFS;
    SCOPED_TRACE(number);
    options_.second_directory = second.path();
    options_.name = "run_" + std::to_string(number);
    ScriptedDetector* scripted = detector(Script().frames(40).wait_for_permit().frames(260));
    parts_.config.frame_slots = 64;
    parts_.sinks.clear();
    parts_.sinks.push_back(recorder());
    ASSERT_TRUE(add());
    ASSERT_TRUE(pipeline_->start());
    FailingDisk disk{folder_.path(), error};
    disk.healthy = 20 + 37 * number;  // an image, a table, a structure of HDF5's own
    failing = &disk;
    scripted->permit();
    const auto outcome = pipeline_->wait();
    failing = nullptr;
    ASSERT_TRUE(outcome) << outcome.error().message;
    const RecordingProgress progress = recorder_->progress();
    EXPECT_FALSE(progress.error);
    EXPECT_EQ(progress.file, second / (options_.name + ".nxs"));
    // Nothing can complete a file on such a disk: what readers saw of it is there for `recover`.
    const std::string part = folder_ / (options_.name + ".nxs.part");
    const auto recovered = record::recover(part);
    ASSERT_TRUE(recovered) << recovered.error().message;
    // Frames that readers may not have seen are in the second file, perhaps in both.
    std::vector<std::string> files = {progress.file};
    if (recovered->images > 0) files.push_back(recovered->path);
    const auto seen = frames_in(files);
    EXPECT_EQ(seen.size(), 300u);
    const ReadRecording file(progress.file);
    EXPECT_EQ(file.text("/entry/latticed/continues"), part);
    EXPECT_THAT(file.member_texts("/entry/events", "text"),
                Contains(HasSubstr(std::strerror(error))));
  }
}

TEST_F(RecordSinkTest, ADirectoryThatIsMissingAtTheBeginningIsReplacedByTheSecond) {
  const Folder second;
  options_.directory = folder_ / "missing";
  options_.second_directory = second.path();
  detector(Script().frames(5));
  parts_.sinks.push_back(recorder());
  ASSERT_TRUE(run());
  EXPECT_EQ(recorder_->progress().file, second / "run.nxs");
  expect_images(second / "run.nxs", numbers(5));
  EXPECT_THAT(troubles(), ElementsAre("recording_moved"));
  EXPECT_THAT(text_of_trouble(0), HasSubstr("missing"));
}

TEST_F(RecordSinkTest, AFileThatIsRemovedUnderItsWriterIsNoticedAndGoesOnInTheSecondDirectory) {
  const Folder second;
  options_.second_directory = second.path();
  ScriptedDetector* scripted =
      detector(Script().frames(5).wait_for_permit().frames(5).wait_for_permit().frames(5));
  parts_.sinks.push_back(recorder());
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  EXPECT_TRUE(happens([&] { return recorder_->progress().frames == 5; }));
  std::filesystem::remove(folder_ / "run.nxs.part");
  scripted->permit();
  EXPECT_TRUE(happens([&] {
    recorder_->add_event({});
    return !troubles().empty();
  }));
  scripted->permit();
  ASSERT_TRUE(pipeline_->wait());
  EXPECT_EQ(recorder_->progress().file, second / "run.nxs");
  EXPECT_THAT(text_of_trouble(0), HasSubstr("removed"));
  const auto ids = ReadRecording(second / "run.nxs").info<std::uint64_t>("frame_id");
  ASSERT_GE(ids.size(), 5u);
  EXPECT_EQ(ids.back(), 14u);
  expect_images(second / "run.nxs", ids);
  // What was in the file is gone, and nobody says otherwise.
  EXPECT_TRUE(recorder_->progress().earlier.empty());
  EXPECT_EQ(recorder_->progress().frames, ids.size());
  EXPECT_EQ(recorder_->progress().lost, 15 - ids.size());
  EXPECT_EQ(ReadRecording(second / "run.nxs").text("/entry/latticed/continues"),
            folder_ / "run.nxs.part");
  EXPECT_TRUE(folder_.names().empty()) << "its log went with it";
}

TEST_F(RecordSinkTest, AFolderThatIsRenamedIsFollowed) {
  std::filesystem::create_directory(folder_ / "before");
  options_.directory = folder_ / "before";
  ScriptedDetector* scripted = detector(Script().frames(5).wait_for_permit().frames(5));
  parts_.sinks.push_back(recorder());
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  EXPECT_TRUE(happens([&] { return recorder_->progress().frames == 5; }));
  std::filesystem::rename(folder_ / "before", folder_ / "after");
  EXPECT_TRUE(happens([&] {
    recorder_->add_event({});
    return recorder_->progress().file == folder_ / "after/run.nxs.part";
  }));
  scripted->permit();
  ASSERT_TRUE(pipeline_->wait());
  expect_images(folder_ / "after/run.nxs", numbers(10));
  EXPECT_TRUE(troubles().empty());
}

TEST_F(RecordSinkTest, AClockThatIsSetIsSaidAndCostsNoFrame) {
  std::atomic<std::int64_t> ahead_ns{0};
  options_.utc_now = [&] { return utc_now_ns() + ahead_ns.load(); };
  ScriptedDetector* scripted = detector(Script().frames(5).wait_for_permit().frames(5));
  parts_.sinks.push_back(recorder());
  ASSERT_TRUE(add());
  ASSERT_TRUE(pipeline_->start());
  EXPECT_TRUE(happens([&] { return recorder_->progress().frames == 5; }));
  ahead_ns = -3'600'000'000'000;
  EXPECT_TRUE(happens([&] {
    recorder_->add_event({});
    return !troubles().empty();
  }));
  scripted->permit();
  ASSERT_TRUE(pipeline_->wait());
  EXPECT_THAT(troubles(), ElementsAre("clock_stepped"));
  EXPECT_NEAR(troubles_.at(0).value, -3600.0, 0.1);
  EXPECT_THAT(text_of_trouble(0), HasSubstr("was set by -3"));
  expect_images(folder_ / "run.nxs", numbers(10));
}

TEST_F(RecordSinkTest, MinutesLeftAreKnownBeforeTheFirstFrameAndSaidWhenTheyAreFew) {
  // 8192 bytes every 0.1 s: 81920 bytes/s.
  std::atomic<std::uint64_t> free{81'920 * 60 * 30};
  options_.free_bytes = [&](const std::string&) -> Result<std::uint64_t> { return free.load(); };
  ScriptedDetector* scripted =
      detector(Script().wait_for_permit().frames(50).wait_for_permit().frames(1));
  parts_.sinks.push_back(recorder());
  ASSERT_TRUE(add());
  ASSERT_TRUE(recorder_->progress().minutes_left);
  EXPECT_NEAR(*recorder_->progress().minutes_left, 30.0, 1e-6);
  ASSERT_TRUE(pipeline_->start());
  free = 1'000;
  scripted->permit();
  EXPECT_TRUE(happens([&] {
    recorder_->add_event({});
    return !troubles().empty();
  }));
  scripted->permit();
  ASSERT_TRUE(pipeline_->wait());
  EXPECT_THAT(troubles(), ElementsAre("recording_nearly_full"));
}

}  // namespace
}  // namespace latticed::test
