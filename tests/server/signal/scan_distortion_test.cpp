// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/scan_distortion.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace latticed::signal {
namespace {

constexpr double kLine_s = 1e-3, kPeriod_s = 0.5;

DriftMeasurement at(double x, double y, double sigma = 0.02) {
  DriftMeasurement drift;
  drift.drift_px = {x, y};
  drift.sigma_drift_px = {sigma, sigma};
  drift.state = DriftState::locked;
  return drift;
}

/// After `frames` frames of this velocity, px/s.
ScanDistortion moving(Vector2 velocity, int frames) {
  ScanDistortion sut(kLine_s, kPeriod_s);
  for (int i = 0; i < frames; ++i)
    sut.advance(at(velocity.x * kPeriod_s * i, velocity.y * kPeriod_s * i));
  return sut;
}

TEST(ScanDistortion, IsTheInverseOfWhatTheScanDoes) {
  const Vector2 velocity{12.0, -20.0};  // px/s: a shear of 1.2 %, 2 % shorter
  const ScanDistortion sut = moving(velocity, 6);
  // A point at r is seen on the line y at which the beam meets it: r_seen = r + v t y_seen.
  const Vector2 g{0.03, 0.07};
  const auto phase_seen = [&](double x, double y) {
    const Vector2 r{x - velocity.x * kLine_s * y, y - velocity.y * kLine_s * y};
    return g.x * r.x + g.y * r.y;
  };
  const Vector2 seen{phase_seen(1, 0) - phase_seen(0, 0), phase_seen(0, 1) - phase_seen(0, 0)};
  EXPECT_GT(std::abs(seen.y - g.y), 1e-4);
  const Vector2 truth = sut.true_of(seen), back = sut.seen_of(truth);
  EXPECT_NEAR(truth.x, g.x, 1e-9);
  EXPECT_NEAR(truth.y, g.y, 1e-9);
  EXPECT_NEAR(back.x, seen.x, 1e-12);
  EXPECT_NEAR(back.y, seen.y, 1e-12);
  const ScanAffine a = sut.affine();
  EXPECT_NEAR(a.xy, 0.012 / 1.02, 1e-9);
  EXPECT_NEAR(a.yy, 1.0 / 1.02, 1e-9);
}

TEST(ScanDistortion, SaysHowWellTheVelocityIsKnown) {
  const ScanDistortion sut = moving({5.0, 5.0}, 6);
  // A parabola through five points, each to 0.02 px: its slope at the last is their sum with
  // (26, -27, -40, -13, 54) / 70 (Savitzky, Golay 1964).
  const double slope = 0.02 * std::sqrt(6090.0) / 70.0 / kPeriod_s * kLine_s;
  EXPECT_NEAR(sut.sigma_ratio({0.0, 0.05}), slope, 0.01 * slope);
  EXPECT_NEAR(sut.sigma_ratio({0.05, 0.05}), std::sqrt(0.5) * slope, 0.01 * slope);
  EXPECT_EQ(sut.sigma_ratio({0.05, 0.0}), 0.0);  // along the fast axis nothing is stretched
}

TEST(ScanDistortion, DoesNotLagBehindWhatAccelerates) {
  ScanDistortion sut(kLine_s, kPeriod_s);
  for (int i = 0; i < 8; ++i) sut.advance(at(0.0, 0.1 * i * i));
  const double velocity = 0.2 * 7 / kPeriod_s;  // at the last frame
  EXPECT_NEAR(sut.affine().yy, 1.0 / (1.0 - velocity * kLine_s), 1e-9);
}

TEST(ScanDistortion, KnowsNothingBeforeTheSecondFrameOrAfterALongGap) {
  ScanDistortion sut = moving({5.0, 5.0}, 1);
  EXPECT_EQ(sut.affine().yy, 1.0);
  EXPECT_GT(sut.sigma_ratio({0.0, 0.05}), 0.05);
  sut = moving({5.0, 5.0}, 6);
  sut.skip(20);
  DriftMeasurement lost = at(1e3, 1e3);
  lost.state = DriftState::lost;
  sut.advance(lost);
  EXPECT_EQ(sut.affine().yy, 1.0);
}

TEST(ScanDistortion, LeavesOtherImagesAlone) {
  ScanDistortion sut(0.0, kPeriod_s);
  sut.advance(at(0, 0));
  sut.advance(at(5, 5));
  EXPECT_FALSE(sut.is_scanned());
  EXPECT_EQ(sut.true_of({0.1, 0.2}).y, 0.2);
  EXPECT_EQ(sut.sigma_ratio({0.1, 0.2}), 0.0);
}

}  // namespace
}  // namespace latticed::signal
