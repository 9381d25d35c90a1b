// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/recording.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "drivers/files/movie_reader.hpp"
#include "server/record/crc32c.hpp"
#include "tests/support/folder.hpp"
#include "tests/support/hdf5_reading.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

namespace fs = std::filesystem;
using record::Recording;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kImages = "/entry/measurement/event1/image1/stack_2d/real";

class RecordingTest : public testing::Test {
 protected:
  std::unique_ptr<Recording> make(RecordedRun& run) {
    auto made = Recording::create(folder_.path(), run.facts());
    EXPECT_TRUE(made) << made.error().message;
    return made ? std::move(*made) : nullptr;
  }
  static void add(Recording& recording, RecordedRun& run, std::uint64_t first,
                  std::uint64_t count) {
    for (std::uint64_t seq = first; seq < first + count; ++seq) {
      const auto ok = recording.add(*run.frame(seq));
      ASSERT_TRUE(ok) << ok.error().message;
    }
  }
  static std::string finished(Recording& recording) {
    const auto path = recording.finish({});
    EXPECT_TRUE(path) << path.error().message;
    return path ? *path : "";
  }
  /// Every pixel of `images` frames from `first` on, through our own reader.
  static void expect_frames(const std::string& path, const RecordedRun& run, std::uint64_t images,
                            std::uint64_t first = 0) {
    const auto movie = open_movie(path);
    ASSERT_TRUE(movie) << movie.error().message;
    const MovieInfo& info = (*movie)->info();
    EXPECT_EQ(info.format, "nexus");
    ASSERT_EQ(info.frame_count, images);
    EXPECT_DOUBLE_EQ(info.pixel_size_nm, kPixelSize_nm);
    std::vector<std::byte> wanted(info.geometry.bytes()), read(info.geometry.bytes());
    for (std::uint64_t i = 0; i < images; ++i) {
      run.paint(first + i, wanted);
      ASSERT_TRUE((*movie)->read(i, read));
      ASSERT_EQ(read, wanted) << i;
      EXPECT_EQ(info.time_ns.at(i), recorded_time_ns(first + i));
    }
  }

  Folder folder_;
};

TEST_F(RecordingTest, OurOwnReaderGetsEveryFrameBackBitByBit) {
  RecordedRun run;
  auto recording = make(run);
  add(*recording, run, 0, 300);
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"run.nxs.part"});
  const std::string path = finished(*recording);
  EXPECT_EQ(path, folder_ / "run.nxs");
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"run.nxs"});
  expect_frames(path, run, 300);
}

TEST_F(RecordingTest, EveryPixelTypeComesBackAsItWas) {
  for (const PixelType type : {PixelType::u8, PixelType::i8, PixelType::u16, PixelType::i16,
                               PixelType::u32, PixelType::i32, PixelType::f32}) {
    // Wide enough for the run's u16 pattern, whatever the type makes of its bytes.
    const int width = static_cast<int>(48 / bytes_per_pixel(type));
    RecordedRun run({width, 16, type});
    run.facts().name = std::string(to_string(type));
    FramePool frames(1, [](Frame&) {});
    PixelPool pixels(1, [](PixelBuffer& buffer) { buffer.allocate(16 * 48); });
    FrameLease frame = frames.try_acquire();
    frame->geometry = {width, 16, type};
    frame->pixels = pixels.try_acquire();
    for (std::size_t i = 0; i < 16 * 48; ++i)
      frame->pixels->bytes()[i] = static_cast<std::byte>(i % 4 == 3 ? 0x40 : i * 37);
    auto recording = make(run);
    ASSERT_TRUE(recording->add(*frame));
    const auto movie = open_movie(finished(*recording));
    ASSERT_TRUE(movie) << movie.error().message;
    EXPECT_EQ((*movie)->info().geometry.type, type);
    std::vector<std::byte> read(16 * 48);
    ASSERT_TRUE((*movie)->read(0, read));
    EXPECT_TRUE(std::equal(read.begin(), read.end(), frame->pixels->bytes().begin()))
        << to_string(type);
  }
}

TEST_F(RecordingTest, AnUnknownTimeAndScaleStayUnknown) {
  RecordedRun run;
  run.facts().run.pixel_size_nm = 0.0;
  auto recording = make(run);
  FrameLease frame = run.frame(2);
  frame->header.time_ns = kUnknownTime;
  frame->header.exposure_s = 0.0;
  ASSERT_TRUE(recording->add(*frame));
  const ReadRecording file(finished(*recording));
  EXPECT_THAT(file.info<std::int64_t>("time_ns"), ElementsAre(kUnknownTime));
  for (const char* name : {"time", "drift_x", "drift_y", "bias_v"})
    EXPECT_TRUE(std::isnan(file.info<double>(name).at(0))) << name;
  EXPECT_TRUE(std::isnan(file.info<float>("exposure").at(0)));
  EXPECT_THAT(file.info<double>("drift_x_px"), ElementsAre(0.1 * 2));
  const char* spots = "/entry/processing/lattice/found/spots";
  for (const double d_nm : file.member<double>(spots, "d_nm")) EXPECT_TRUE(std::isnan(d_nm));
  EXPECT_THAT(file.member<double>(spots, "d_px"), ElementsAre(0.5, 0.25, 0.5 / 3));
  EXPECT_THAT(file.member<double>(spots, "g_x_per_px"), ElementsAre(1.5, 3.0, 4.5));
  const files::Handle axis(
      H5Dopen2(file.id(), "/entry/measurement/event1/image1/stack_2d/axis_i", H5P_DEFAULT));
  EXPECT_EQ(files::text_attribute(axis, "units"), "px");
}

TEST_F(RecordingTest, ASumOfFramesIsARowWithItsSpots) {
  RecordedRun run;
  auto recording = make(run);
  add(*recording, run, 0, 3);
  FrameLease frame = run.frame(3);
  SumMeasurement sum;
  sum.frames_added = 3;
  sum.frames_left_out = 1;
  sum.last_seq = 3;
  sum.effective_seq = 5.0 / 3.0;
  Spot spot;
  for (const double d_nm : {0.55, 0.25}) {
    spot.d_nm = d_nm;
    sum.spots.push_back(spot);
  }
  frame->measurements.sum = sum;
  ASSERT_TRUE(recording->add(*frame));
  const ReadRecording file(finished(*recording));
  const char* sums = "/entry/processing/running_sum/found/sums";
  EXPECT_THAT(file.member<std::uint64_t>(sums, "seq"), ElementsAre(3u));
  EXPECT_THAT(file.member<std::uint64_t>(sums, "last_seq"), ElementsAre(3u));
  EXPECT_THAT(file.member<double>(sums, "effective_seq"), ElementsAre(5.0 / 3.0));
  const char* spots = "/entry/processing/running_sum/found/spots";
  EXPECT_THAT(file.member<std::uint64_t>(spots, "seq"), ElementsAre(3u, 3u));
  EXPECT_THAT(file.member<double>(spots, "d_nm"), ElementsAre(0.55, 0.25));
}

TEST_F(RecordingTest, LossesAtBothEndsAndInBetweenAreRowsInTheirPlace) {
  RecordedRun run;
  auto recording = make(run);
  ASSERT_TRUE(recording->add(*run.lost(0, 2)));
  add(*recording, run, 2, 2);
  ASSERT_TRUE(recording->add(*run.lost(4, 1)));
  ASSERT_TRUE(recording->add(*run.lost(5, 10)));
  add(*recording, run, 15, 1);
  ASSERT_TRUE(recording->add(*run.lost(16, 1'000'000)));
  const ReadRecording file(finished(*recording));
  const char* lost = "/entry/measurement/event1/lost/frames";
  EXPECT_THAT(file.member<std::uint64_t>(lost, "seq"), ElementsAre(0, 4, 5, 16));
  EXPECT_THAT(file.member<std::uint64_t>(lost, "count"), ElementsAre(2, 1, 10, 1'000'000));
  EXPECT_THAT(file.member<std::uint64_t>(lost, "before_image"), ElementsAre(0, 2, 2, 3));
  EXPECT_THAT(file.info<std::uint64_t>("frame_id"), ElementsAre(2, 3, 15));
  const auto flags = file.info<std::uint32_t>("flags");
  EXPECT_EQ(flags[0] & record::kInfoGap, record::kInfoGap);
  EXPECT_EQ(flags[1] & record::kInfoGap, 0u);
  EXPECT_EQ(flags[2] & record::kInfoGap, record::kInfoGap);
  EXPECT_THAT(file.column<std::uint64_t>("/entry/latticed/lost"), ElementsAre(1'000'013));
}

TEST_F(RecordingTest, MoreRowsThanTheBufferHoldsAreAllThere) {
  RecordedRun run({8, 8, PixelType::u16});
  auto recording = make(run);
  const std::uint64_t count = record::FrameTable::kBuffered + 100;
  add(*recording, run, 0, count);  // no flush: the table makes room itself
  const ReadRecording file(finished(*recording));
  const auto ids = file.info<std::uint64_t>("frame_id");
  ASSERT_EQ(ids.size(), count);
  for (std::uint64_t i = 0; i < count; ++i) ASSERT_EQ(ids[i], i);
}

TEST_F(RecordingTest, ATakenNameGetsANumberAndNothingIsOverwritten) {
  std::ofstream(folder_ / "run.nxs") << "precious";
  RecordedRun run;
  auto second = make(run);
  EXPECT_EQ(second->path(), folder_ / "run-2.nxs.part");
  auto third = make(run);  // at the same time
  EXPECT_EQ(third->path(), folder_ / "run-3.nxs.part");
  // Someone takes the name meanwhile.
  std::ofstream(folder_ / "run-2.nxs") << "precious too";
  add(*second, run, 0, 3);
  const std::string path = finished(*second);
  EXPECT_THAT(path, testing::Not(testing::AnyOf(folder_ / "run.nxs", folder_ / "run-2.nxs")));
  expect_frames(path, run, 3);
  add(*third, run, 0, 2);
  expect_frames(finished(*third), run, 2);
  for (const char* name : {"run.nxs", "run-2.nxs"}) {
    std::string text;
    std::getline(std::ifstream(folder_ / name), text);
    EXPECT_THAT(text, testing::StartsWith("precious"));
  }
}

TEST_F(RecordingTest, AMissingOrForbiddenDirectoryIsNamedWithTheReason) {
  RecordedRun run;
  const auto made = Recording::create(folder_ / "nowhere", run.facts());
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::unavailable);
  EXPECT_THAT(made.error().message, HasSubstr("nowhere"));
  EXPECT_THAT(made.error().message, HasSubstr("No such file"));
}

TEST_F(RecordingTest, AFrameOfAnotherSizeIsRefusedAndTheRestStays) {
  RecordedRun run, other({32, 16, PixelType::u16});
  auto recording = make(run);
  add(*recording, run, 0, 2);
  const auto refused = recording->add(*other.frame(2));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::failed_precondition);
  expect_frames(finished(*recording), run, 2);
}

TEST_F(RecordingTest, TheHspyTimeAxisIsTheMedianPeriodWhateverIsLost) {
  RecordedRun run;
  run.facts().run.frame_period_s = 0.5;  // what the detector said; the times say 0.1
  auto recording = make(run);
  add(*recording, run, 0, 3);
  ASSERT_TRUE(recording->add(*run.lost(3, 50)));
  add(*recording, run, 53, 2);
  const ReadRecording file(finished(*recording));
  const files::Handle axis(H5Gopen2(file.id(), "/Experiments/frames/axis-0", H5P_DEFAULT));
  EXPECT_NEAR(files::number_attribute(axis, "scale").value_or(0.0), 0.1, 1e-12);
  EXPECT_EQ(files::number_attribute(axis, "size"), 5.0);
}

/// This process may write no file longer than that, for as long as it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    before_ = ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit less{bytes, limit_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &less);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &limit_);
    ::signal(SIGXFSZ, before_);
  }

 private:
  rlimit limit_{};
  sighandler_t before_ = SIG_DFL;
};

// Wherever the room ends: in a frame, in a table's new chunk, in the index of the images.
TEST_F(RecordingTest, WhenTheDiskIsFullTheFileHoldsWhatWasThereAndIsComplete) {
  constexpr rlim_t kFirst = 2'500'000, kStep = 77'777;
  for (rlim_t limit = kFirst; limit < kFirst + 40 * kStep; limit += kStep) {
    RecordedRun run({128, 128, PixelType::u16});
    run.facts().name = "full-" + std::to_string(limit);
    auto recording = make(run);
    const FileSizeLimit small(limit);
    Result<void> ok;
    std::uint64_t seq = 0, flushed = 0;
    for (; ok && seq < 1000; ++seq) {
      ok = recording->add(*run.frame(seq));
      if (ok && seq % 5 == 4) {
        ok = recording->flush();
        if (ok) flushed = seq + 1;
      }
    }
    ASSERT_FALSE(ok);
    EXPECT_EQ(ok.error().code, ErrorCode::resource_exhausted) << ok.error().message;
    const auto path = recording->rescue({.why = ok.error().message});
    ASSERT_TRUE(path) << limit << ": " << path.error().message;
    EXPECT_GE(recording->images(), flushed) << limit;
    EXPECT_GE(flushed, 5u);
    expect_frames(*path, run, recording->images());
    const ReadRecording file(*path);
    EXPECT_THAT(file.text("/entry/latticed/ended_by"), HasSubstr("File too large"));
    EXPECT_EQ(file.info<std::uint32_t>("crc32c").size(), recording->images());
    fs::remove(*path);
  }
}

TEST_F(RecordingTest, ARecordingThatIsLetGoStaysAPart) {
  RecordedRun run;
  auto recording = make(run);
  add(*recording, run, 0, 7);
  recording.reset();
  EXPECT_EQ(folder_.names(), std::vector<std::string>{"run.nxs.part"});
}

TEST_F(RecordingTest, ADiscardedRecordingLeavesNothing) {
  RecordedRun run;
  make(run)->discard();
  EXPECT_TRUE(folder_.names().empty());
}

TEST_F(RecordingTest, ReferencesLieBesideTheRawImages) {
  RecordedRun run;
  signal::CorrectionMaps maps;
  maps.dark.assign(24 * 16, 3.5f);
  maps.hot_pixels = {5, 77};
  run.facts().run.maps = &maps;
  auto recording = make(run);
  add(*recording, run, 0, 1);
  const ReadRecording file(finished(*recording));
  const std::string detector = "/entry/measurement/instrument/detector1";
  EXPECT_THAT(file.column<float>(detector + "/dark"), Each(3.5f));
  EXPECT_THAT(file.column<std::uint32_t>(detector + "/hot_pixels"), ElementsAre(5, 77));
  EXPECT_FALSE(files::exists(file.id(), detector + "/gain"));
  EXPECT_EQ(file.column<float>(detector + "/dark").size(), 24u * 16u);
  EXPECT_EQ(file.column<std::uint16_t>(kImages).at(1), recorded_pixel(0, 0, 1));
}

TEST_F(RecordingTest, TellsAReplayTheScaleItsDoubtAndTheScan) {
  RecordedRun run;
  run.facts().run.pixel_size_nm = 0.0312345678901;
  run.facts().run.pixel_size_sigma_ratio = 3.3e-4;
  run.facts().run.pixel_size_source = "calibrated by Si";
  run.facts().run.configuration.scan_line_time_s = 0.004;
  auto recording = make(run);
  ASSERT_TRUE(recording->add(*run.frame(0)));
  ASSERT_TRUE(recording->add(*run.frame(1)));
  const auto movie = open_movie(finished(*recording));
  ASSERT_TRUE(movie) << movie.error().message;
  const MovieInfo& info = (*movie)->info();
  EXPECT_EQ(info.pixel_size_nm, 0.0312345678901);
  EXPECT_EQ(info.pixel_size_sigma_ratio, 3.3e-4);
  EXPECT_EQ(info.pixel_size_source, "calibrated by Si");
  EXPECT_EQ(info.scan_line_time_s, 0.004);
}

}  // namespace
}  // namespace latticed::test
