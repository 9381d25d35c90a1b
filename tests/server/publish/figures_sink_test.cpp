// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/figures_sink.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <opencv2/imgcodecs.hpp>

#include "tests/server/publish/shifted_frames.hpp"
#include "tests/sim/support/temporary_directory.hpp"

namespace latticed {
namespace {

using sim::test::TemporaryDirectory;

/// Frames as the pipeline would hand them over.
class Player {
 public:
  Player(Sink& sink, int width, int height)
      : sink_(sink), geometry_{width, height, PixelType::u16}, pool_(1, [&](PixelBuffer& buffer) {
          buffer.allocate(geometry_.bytes());
        }) {}

  void play(int frames, FrameQuality quality = FrameQuality::good) {
    for (int i = 0; i < frames; ++i) {
      const Vector2 drift{0.3 * i, 0.2 * i};
      const FrameLease lease = frames_.try_acquire();
      Frame& frame = *lease;
      frame.geometry = geometry_;
      test::measure(frame, static_cast<std::uint64_t>(i), drift);
      frame.measurements.quality = quality;
      frame.measurements.spots.push_back(test::spot_of(1, {0.11 / 0.03, 0.05 / 0.03}, 20.0));
      frame.pixels = pool_.try_acquire();
      const auto pixels = test::drifted(geometry_.width, geometry_.height, drift);
      std::memcpy(frame.pixels->bytes().data(), pixels.data(), geometry_.bytes());
      sink_.consume(lease);
    }
  }

 private:
  Sink& sink_;
  FrameGeometry geometry_;
  PixelPool pool_;
  FramePool frames_{1, [](Frame&) {}};
};

cv::Mat decoded(const TemporaryDirectory& directory, const std::string& name) {
  return cv::imread(directory.file("out/" + name));
}

TEST(FiguresSink, WritesFiguresThatDecode) {
  const TemporaryDirectory directory;
  FiguresSink sut(directory.file("out"));
  ASSERT_TRUE(sut.begin(test::run_of(96, 80)));
  Player(sut, 96, 80).play(12);
  const auto done = sut.finish();
  ASSERT_TRUE(done) << done.error().message;
  for (const char* name :
       {"aligned_mean.png", "fft.png", "drift.png", "d_spacing.png", "page.png"}) {
    const cv::Mat image = decoded(directory, name);
    EXPECT_GT(image.cols, 500) << name;
    EXPECT_GT(image.rows, 250) << name;
    EXPECT_LT(image.cols * image.rows, 4'000'000) << name;
  }
}

TEST(FiguresSink, TakesOneFrameOfAnOddSize) {
  const TemporaryDirectory directory;
  FiguresSink sut(directory.file("out"));
  ASSERT_TRUE(sut.begin(test::run_of(53, 37, 0.0)));
  Player(sut, 53, 37).play(1);
  ASSERT_TRUE(sut.finish());
  EXPECT_GT(decoded(directory, "aligned_mean.png").cols, 500);
  EXPECT_GT(decoded(directory, "page.png").cols, 500);
}

TEST(FiguresSink, ShowsNoImageWhenNothingCouldBeMeasured) {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory.file("out"));
  std::ofstream(directory.file("out/aligned_mean.png")) << "an earlier run's";
  FiguresSink sut(directory.file("out"));
  ASSERT_TRUE(sut.begin(test::run_of(32, 32)));
  Player(sut, 32, 32).play(3, FrameQuality::constant);
  ASSERT_TRUE(sut.finish());
  EXPECT_FALSE(std::filesystem::exists(directory.file("out/aligned_mean.png")));
  EXPECT_GT(decoded(directory, "drift.png").cols, 500);
  EXPECT_GT(decoded(directory, "page.png").cols, 500);
}

TEST(FiguresSink, TakesARunWithoutFrames) {
  const TemporaryDirectory directory;
  FiguresSink sut(directory.file("out"));
  ASSERT_TRUE(sut.begin(test::run_of(32, 32)));
  ASSERT_TRUE(sut.finish());
  EXPECT_GT(decoded(directory, "page.png").cols, 500);
}

TEST(FiguresSink, SaysThatADirectoryCannotBeMade) {
  FiguresSink sut("/proc/latticed");
  const auto began = sut.begin(test::run_of(32, 32));
  ASSERT_FALSE(began);
  EXPECT_NE(began.error().message.find("/proc/latticed"), std::string::npos);
}

}  // namespace
}  // namespace latticed
