// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/scale_fit.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <numbers>

#include "sim/random/counter_random.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using testing::HasSubstr;

constexpr double kPixel_nm = 0.0206;

std::vector<KnownSpacing> silicon() {
  const double a = 0.543114;
  std::vector<KnownSpacing> out;
  for (const auto& [name, square] :
       {std::pair{"111", 3}, {"220", 8}, {"311", 11}, {"400", 16}, {"331", 19}, {"422", 24}})
    out.push_back({name, a / std::sqrt(static_cast<double>(square))});
  return out;
}

/// A reflection of this spacing and direction as an image of this pixel size shows it, its |g| off
/// by `off` (relative). `ellipse`: pixels longer by so much along +x, shorter along +y.
MeasuredSpacing seen(double d_nm, double direction, double sigma = 1e-4, double off = 0.0,
                     double ellipse = 0.0) {
  // Lengths in px along x are shorter where pixels are longer: g per px is larger.
  const double g = (1.0 + off) / d_nm * kPixel_nm;
  return {{g * std::cos(direction) * (1.0 + ellipse), g * std::sin(direction) * (1.0 - ellipse)},
          sigma};
}

/// Silicon along [110]: 111 twice, 220, 311 twice.
std::vector<MeasuredSpacing> silicon_110(double ellipse = 0.0, double sigma = 1e-4) {
  const auto d = silicon();
  return {seen(d[0].d_nm, 0.2, sigma, 0, ellipse), seen(d[0].d_nm, 0.2 + 1.2310, sigma, 0, ellipse),
          seen(d[1].d_nm, 0.2 + 2.1863, sigma, 0, ellipse),
          seen(d[2].d_nm, 0.2 + 0.5148, sigma, 0, ellipse),
          seen(d[2].d_nm, 0.2 + 1.7457, sigma, 0, ellipse)};
}

TEST(ScaleFit, FindsThePixelSizeWhenItWasThoughtToBeAFifthOff) {
  for (const double wrong : {0.85, 0.97, 1.0, 1.03, 1.18}) {
    const auto fit =
        fit_scale(silicon_110(), silicon(), {.expected_pixel_size_nm = kPixel_nm * wrong});
    ASSERT_TRUE(fit) << wrong << ": " << fit.error().message;
    EXPECT_NEAR(fit->pixel_size_nm, kPixel_nm, 1e-9) << wrong;
    EXPECT_EQ(fit->matched.size(), 5u);
    EXPECT_TRUE(fit->unmatched.empty());
    EXPECT_NEAR(fit->pixel_size_sigma_ratio, 1e-4 / std::sqrt(5.0), 1e-7);
  }
}

TEST(ScaleFit, KnowsNothingOfTheScaleAndStillFindsItByTheRatios) {
  auto measured = silicon_110();
  measured.push_back(seen(silicon()[3].d_nm, 1.0));
  const auto fit = fit_scale(measured, silicon(), {});
  ASSERT_TRUE(fit) << fit.error().message;
  EXPECT_NEAR(fit->pixel_size_nm, kPixel_nm, 1e-9);
}

TEST(ScaleFit, ItsSigmaIsTheErrorItMakes) {
  sim::RandomStream random(3, sim::Purpose::film);
  test::Series z, z_worse, birge;
  for (int trial = 0; trial < 400; ++trial)
    for (const double worse : {1.0, 3.0}) {  // the reflections scatter by more than they say
      std::vector<MeasuredSpacing> measured;
      for (std::size_t i = 0; i < 8; ++i) {
        double off = 0.0, unused = 0.0;
        random.normal_pair(off, unused);
        const double sigma = 2e-4 * (1.0 + static_cast<double>(i % 3));
        measured.push_back(
            seen(silicon()[i % 4].d_nm, 0.37 * static_cast<double>(i), sigma, worse * sigma * off));
      }
      const auto fit = fit_scale(measured, silicon(), {.expected_pixel_size_nm = 0.02});
      ASSERT_TRUE(fit);
      const double off = (fit->pixel_size_nm / kPixel_nm - 1.0) / fit->pixel_size_sigma_ratio;
      (worse > 1.0 ? z_worse : z).add(off);
      if (worse > 1.0) birge.add(fit->birge_ratio);
    }
  std::printf("pixel size: z %.2f, with reflections three times as bad as they say %.2f\n",
              z.deviation(), z_worse.deviation());
  EXPECT_LT(z.deviation(), 1.1);  // Birge's ratio only ever widens it
  EXPECT_GT(z.deviation(), 0.75);
  EXPECT_LT(z_worse.deviation(), 1.25);
  EXPECT_GT(z_worse.deviation(), 0.8);
  EXPECT_LT(std::abs(z.mean()), 0.2);
  EXPECT_NEAR(birge.rms(), 3.0, 0.2);
}

TEST(ScaleFit, TheStandardsOwnSigmaIsAddedWhole) {
  const auto fit = fit_scale(silicon_110(), silicon(),
                             {.expected_pixel_size_nm = 0.02, .standard_sigma_ratio = 1e-3});
  ASSERT_TRUE(fit);
  EXPECT_NEAR(fit->pixel_size_sigma_ratio, std::hypot(1e-3, 1e-4 / std::sqrt(5.0)), 1e-7);
}

TEST(ScaleFit, LeavesOutWhatIsNoneOfTheStandards) {
  auto measured = silicon_110();
  measured.push_back(seen(0.2462, 2.9));  // something else, between 111 and 220
  const auto fit = fit_scale(measured, silicon(), {.expected_pixel_size_nm = 0.02});
  ASSERT_TRUE(fit) << fit.error().message;
  ASSERT_EQ(fit->unmatched.size(), 1u);
  EXPECT_EQ(fit->unmatched[0], 5u);
  EXPECT_NEAR(fit->pixel_size_nm, kPixel_nm, 1e-9);
}

// A list may end anywhere, so what is below it proves nothing; what is above it does.
TEST(ScaleFit, MindsReflectionsAboveTheListAndNotThoseBelow) {
  auto measured = silicon_110();
  for (int i = 0; i < 8; ++i) measured.push_back(seen(0.06 + 0.004 * i, 0.3 * i));
  EXPECT_TRUE(fit_scale(measured, silicon(), {.expected_pixel_size_nm = 0.02}));
  measured = silicon_110();
  for (int i = 0; i < 8; ++i) measured.push_back(seen(0.40 + 0.03 * i, 0.3 * i));
  const auto fit = fit_scale(measured, silicon(), {.expected_pixel_size_nm = 0.02});
  ASSERT_FALSE(fit);
  EXPECT_THAT(fit.error().message, HasSubstr("8 of 13"));
}

TEST(ScaleFit, SaysHowEllipticThePixelsAreAndDoubtsByIt) {
  const auto fit = fit_scale(silicon_110(0.004), silicon(), {.expected_pixel_size_nm = 0.02});
  ASSERT_TRUE(fit) << fit.error().message;
  EXPECT_NEAR(fit->ellipticity_ratio, 0.004, 1e-4);
  EXPECT_GT(fit->ellipticity_ratio, 10.0 * fit->sigma_ellipticity_ratio);
  // Longer along x: 0, or what is the same, pi.
  EXPECT_NEAR(std::remainder(fit->ellipticity_direction_rad, std::numbers::pi), 0.0, 0.02);
  EXPECT_NEAR(fit->pixel_size_nm, kPixel_nm, 1e-4 * kPixel_nm);
  // No spacing is corrected for it, so that much any of them may be off.
  EXPECT_GT(fit->pixel_size_sigma_ratio, 0.002);
  const auto round = fit_scale(silicon_110(), silicon(), {.expected_pixel_size_nm = 0.02});
  ASSERT_TRUE(round);
  EXPECT_NEAR(round->ellipticity_ratio, 0.0, 1e-9);
}

TEST(ScaleFit, OneDirectionTellsNoEllipse) {
  std::vector<MeasuredSpacing> measured{seen(0.3354, 0.4), seen(0.1677, 0.4)};
  const auto fit = fit_scale(measured, std::vector<KnownSpacing>{{"002", 0.3354}, {"004", 0.1677}},
                             {.expected_pixel_size_nm = 0.0212});
  ASSERT_TRUE(fit) << fit.error().message;
  EXPECT_TRUE(std::isnan(fit->ellipticity_ratio));
  EXPECT_NEAR(fit->pixel_size_nm, kPixel_nm, 1e-9);
}

struct Refused {
  const char* name;
  std::vector<MeasuredSpacing> measured;
  std::vector<KnownSpacing> known;
  double expected_nm;
  const char* why;
};

TEST(ScaleFit, RefusesWithTheReason) {
  std::vector<MeasuredSpacing> scattered;
  for (int i = 0; i < 6; ++i)
    scattered.push_back(seen(silicon()[static_cast<std::size_t>(i % 3)].d_nm, 0.5 * i, 5e-3,
                             i % 2 ? 0.011 : -0.011));
  const std::vector<KnownSpacing> close{{"a", 0.30}, {"b", 0.33}};
  const Refused cases[] = {
      {"nothing seen", {}, silicon(), 0.02, "no confirmed reflection"},
      {"nothing known", silicon_110(), {}, 0.02, "no known spacing"},
      {"too far off", silicon_110(), silicon(), 0.05, "none of 5 reflections"},
      {"one reflection, two spacings within reach",
       {seen(0.30, 0.1)},
       close,
       kPixel_nm,
       "ambiguous"},
      {"another specimen",
       {seen(0.31356, 0.1), seen(0.19202, 0.1), seen(0.29, 1.5), seen(0.25, 2.2), seen(0.21, 1.0),
        seen(0.172, 0.7)},
       silicon(),
       kPixel_nm,
       "is this the standard"},
      {"scattered", scattered, silicon(), kPixel_nm, "scatter"},
      {"no number", {{{0.0, 0.0}, 1e-4}}, silicon(), 0.02, "no number"},
      {"no spacing", silicon_110(), {{"x", -1.0}}, 0.02, "expected above 0"},
  };
  for (const Refused& one : cases) {
    const auto fit =
        fit_scale(one.measured, one.known, {.expected_pixel_size_nm = one.expected_nm});
    ASSERT_FALSE(fit) << one.name;
    EXPECT_THAT(fit.error().message, HasSubstr(one.why)) << one.name;
  }
}

}  // namespace
}  // namespace latticed::signal
