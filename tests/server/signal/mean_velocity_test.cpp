// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/mean_velocity.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "sim/random/poisson.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

AddedFrame at(double seq, double x, double y, double sigma = 0.0, double counts = 1.0) {
  return {seq, {x, y}, {sigma * sigma, sigma * sigma}, counts};
}

TEST(MeanVelocity, IsUnknownOfOneFrame) {
  EXPECT_FALSE(mean_velocity({}).is_known);
  const std::vector<AddedFrame> one = {at(3, 1, 2)};
  EXPECT_FALSE(mean_velocity(one).is_known);
}

TEST(MeanVelocity, IsTheVelocityWhereThatIsConstantAlsoOverGaps) {
  std::vector<AddedFrame> frames;
  for (double seq : {4.0, 5.0, 6.0, 9.0, 10.0, 17.0})
    frames.push_back(at(seq, 3.0 + 0.7 * seq, -0.2 * seq, 0.0, 1.0 + seq));
  const MeanVelocity sut = mean_velocity(frames);
  ASSERT_TRUE(sut.is_known);
  EXPECT_NEAR(sut.px_per_frame.x, 0.7, 1e-12);
  EXPECT_NEAR(sut.px_per_frame.y, -0.2, 1e-12);
  EXPECT_NEAR(sut.sigma.x, 0.0, 1e-12);
}

// A dark subtracted from a frame without light may leave a mean below 0.
TEST(MeanVelocity, AFrameWithoutLightHasNoWeightAndIsStillAPlace) {
  std::vector<AddedFrame> frames, lit;
  for (int i = 0; i < 20; ++i) {
    frames.push_back(at(i, 0.05 * i * i, 0.0, 0.1, i % 4 == 1 ? -0.9 : 1.0));
    lit.push_back(at(i, 0.05 * i * i, 0.0, 0.1, i % 4 == 1 ? 0.0 : 1.0));
  }
  const MeanVelocity got = mean_velocity(frames), wanted = mean_velocity(lit);
  ASSERT_TRUE(got.is_known);
  EXPECT_EQ(got.px_per_frame.x, wanted.px_per_frame.x);
  EXPECT_EQ(got.sigma.x, wanted.sigma.x);
  for (AddedFrame& frame : frames) frame.mean_counts = -0.1;
  EXPECT_FALSE(mean_velocity(frames).is_known);
}

// Half of the electrons in the faster half.
TEST(MeanVelocity, WeighsFramesByTheirElectrons) {
  std::vector<AddedFrame> frames;
  double x = 0.0, weights = 0.0, wanted = 0.0;
  for (int i = 0; i < 40; ++i) {
    const double counts = i < 20 ? 1.0 : 3.0;
    frames.push_back(at(i, x, 0.0, 0.0, counts));
    const double own = i < 20 ? 0.2 : 0.6;
    x += own;
    weights += counts;
    wanted += counts * own;
  }
  EXPECT_NEAR(mean_velocity(frames).px_per_frame.x, wanted / weights, 0.02);
}

// With nothing but errors of the drift: the ends' frames count 3/2 and 1/2 of an interval.
TEST(MeanVelocity, HasTheErrorOfItsEnds) {
  std::vector<AddedFrame> frames;
  for (int i = 0; i < 16; ++i) frames.push_back(at(i, 0.0, 0.0, 0.1));
  const double ends = 0.1 * std::sqrt(2.0 * (1.5 * 1.5 + 0.5 * 0.5)) / 16.0;
  EXPECT_NEAR(mean_velocity(frames).sigma.x, ends, 1e-9);
}

// A specimen that wanders, with steps inside frames, and drifts that are not exact: what frames see
// is the slope of the path within each, by least squares over its tapered middle.
class Walk {
 public:
  Walk(double step, double error) : step_(step), error_(error) {}
  double normal() {
    double a = 0.0, b = 0.0;
    random_.normal_pair(a, b);
    return a;
  }
  /// The place that is measured in the next frame; adds the slope that it shows.
  double next(double& seen) {
    constexpr int kInside = 20;
    double place = 0.0, slope = 0.0, moment = 0.0;
    for (int i = 0; i < kInside; ++i) {
      x_ += 0.4 / kInside + step_ * normal() / std::sqrt(kInside);
      const double t = (i + 0.5) / kInside - 0.5;
      place += x_ / kInside;
      if (std::abs(t) > 0.4) continue;
      slope += t * x_;
      moment += t * t;
    }
    seen += slope / moment;
    return place + error_ * normal();
  }

 private:
  double step_, error_, x_ = 0.0;
  sim::RandomStream random_{7, sim::Purpose::film};
};

TEST(MeanVelocity, KnowsHowFarAWalkIsNotSeen) {
  constexpr int kFrames = 16, kRuns = 400;
  // Where errors are as large as steps, the few frames of a sum tell the walk's variance badly.
  const struct {
    double step, error, most;
  } cases[] = {{0.0, 0.2, 1.2}, {0.3, 0.0, 1.2}, {0.3, 0.05, 1.2}, {0.3, 0.2, 1.5}};
  for (const auto& [step, error, most] : cases) {
    Walk along_x(step, error), along_y(step, error);
    for (int i = 0; i < 100; ++i) (void)along_y.normal();  // another walk
    test::Series z, sigma;
    for (int run = 0; run < kRuns; ++run) {
      std::vector<AddedFrame> frames;
      double seen = 0.0, ignored = 0.0;
      for (int frame = 0; frame < kFrames; ++frame) {
        const double x = along_x.next(seen);
        frames.push_back(at(frame, x, along_y.next(ignored), error));
      }
      const MeanVelocity sut = mean_velocity(frames);
      z.add((sut.px_per_frame.x - seen / kFrames) / sut.sigma.x);
      sigma.add(sut.sigma.x);
    }
    std::printf("walk %.1f, error %.2f px a frame: z %.2f, mean %.2f, sigma %.3f px/frame\n", step,
                error, z.deviation(), z.mean(), sigma.mean());
    EXPECT_GT(z.deviation(), 0.75);
    EXPECT_LT(z.deviation(), most);
    EXPECT_LT(std::abs(z.mean()), 0.2);
  }
}

// What frames that were left out do not show is more, not less: the walk's variance comes from
// steps of any length.
TEST(MeanVelocity, KnowsItWhereFramesWereLeftOut) {
  const auto mean_sigma = [](int every) {
    Walk along_x(0.3, 0.05), along_y(0.3, 0.05);
    for (int i = 0; i < 100; ++i) (void)along_y.normal();
    double sum = 0.0, ignored = 0.0;
    constexpr int kRuns = 300, kFrames = 16;
    for (int run = 0; run < kRuns; ++run) {
      std::vector<AddedFrame> frames;
      for (int frame = 0; frame < kFrames * every; ++frame) {
        const double x = along_x.next(ignored), y = along_y.next(ignored);
        if (frame % every == 0) frames.push_back(at(frame, x, y, 0.05));
      }
      sum += mean_velocity(frames).sigma.x;
    }
    return sum / kRuns;
  };
  EXPECT_NEAR(mean_sigma(3) / mean_sigma(1), 1.0, 0.15);  // 0.6 with the coefficients of no gap
}

}  // namespace
}  // namespace latticed::signal
