// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/mean_spacings.hpp"

#include <gtest/gtest.h>

#include <cmath>

namespace latticed {
namespace {

void add_spot(v1::Measurement& frame, std::uint32_t id, double gx, double gy,
              bool is_confirmed = true) {
  v1::Spot& spot = *frame.add_spots();
  spot.set_id(id);
  spot.mutable_g_per_nm()->set_x(gx);
  spot.mutable_g_per_nm()->set_y(gy);
  spot.set_d_nm(1.0 / std::hypot(gx, gy));
  spot.set_sigma_d_nm(1e-3 * spot.d_nm());
  spot.set_sigma_d_sys_nm(5e-3 * spot.d_nm());
  spot.set_confirmed(is_confirmed);
}

TEST(MeanSpacings, AveragesInPixelsAndTakesTheScalesOwnDoubtOut) {
  v1::RunBegins run;
  run.set_pixel_size_nm(0.02);
  run.set_pixel_size_sigma_ratio(4e-3);
  std::vector<v1::Measurement> frames(4);
  for (std::size_t i = 0; i < 4; ++i) add_spot(frames[i], 7, 3.0 + (i % 2 ? 0.003 : -0.003), -4.0);
  const auto mean = mean_spacings(frames, run);
  ASSERT_EQ(mean.size(), 1u);
  EXPECT_NEAR(mean[0].g_per_px.x, 0.06, 1e-12);
  EXPECT_NEAR(mean[0].g_per_px.y, -0.08, 1e-12);
  // 1e-3 of noise over two (four frames), 3e-3 of film whole: 5e-3 without the scale's 4e-3.
  EXPECT_NEAR(mean[0].sigma_ratio, std::hypot(0.5e-3, 3e-3), 2e-5);
}

TEST(MeanSpacings, TakesTheScatterWhereItIsMoreThanTheFramesSay) {
  v1::RunBegins run;  // no pixel size: g is in 1/px
  std::vector<v1::Measurement> frames(4);
  for (std::size_t i = 0; i < 4; ++i) {
    add_spot(frames[i], 7, i % 2 ? 0.0505 : 0.0495, 0.0);
    frames[i].mutable_spots(0)->set_sigma_d_sys_nm(0.0);
  }
  const auto mean = mean_spacings(frames, run);
  ASSERT_EQ(mean.size(), 1u);
  EXPECT_NEAR(mean[0].g_per_px.x, 0.05, 1e-12);
  EXPECT_NEAR(mean[0].sigma_ratio, 0.01 * std::sqrt(4.0 / 3.0) / 2.0, 1e-6);
}

TEST(MeanSpacings, LeavesOutWhatIsNotConfirmedOrSeldomSeen) {
  v1::RunBegins run;
  std::vector<v1::Measurement> frames(6);
  for (std::size_t i = 0; i < 6; ++i) {
    add_spot(frames[i], 1, 0.05, 0.0);
    add_spot(frames[i], 2, 0.08, 0.0, false);
    if (i < 2) add_spot(frames[i], 3, 0.0, 0.07);
  }
  EXPECT_EQ(mean_spacings(frames, run).size(), 1u);
  EXPECT_TRUE(mean_spacings({}, run).empty());
}

}  // namespace
}  // namespace latticed
