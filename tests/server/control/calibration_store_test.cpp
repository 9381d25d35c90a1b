// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/calibration_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "tests/support/folder.hpp"

namespace latticed::test {
namespace {

Calibration calibration(const std::string& detector, double pixel_nm, std::int64_t time_ns) {
  Calibration out;
  out.detector = detector;
  out.time_ns = time_ns;
  out.standard = "Si";
  out.nominal_pixel_size_nm = 0.02;
  out.fit.pixel_size_nm = pixel_nm;
  out.fit.pixel_size_sigma_ratio = 3e-4;
  out.fit.ellipticity_ratio = std::numeric_limits<double>::quiet_NaN();
  out.spacings = {{"111", 0.31356, 15.2, 1e-4, -2e-5}};
  out.frames = 64;
  out.last_seq = 63;
  return out;
}

class CalibrationStoreTest : public testing::Test {
 protected:
  std::unique_ptr<CalibrationStore> open() {
    auto store = CalibrationStore::open(path_);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  Folder folder_;
  std::string path_ = folder_.path() / "calibrations.json";
};

TEST_F(CalibrationStoreTest, TheNewestOfADetectorIsUsedAlsoAfterARestart) {
  {
    const auto sut = open();
    EXPECT_FALSE(sut->configured("camera", 0.02));
    ASSERT_TRUE(sut->add(calibration("camera", 0.0206, 1'700'000'000'000'000'000)));
    ASSERT_TRUE(sut->add(calibration("camera", 0.0207, 1'700'000'100'000'000'000)));
    ASSERT_TRUE(sut->add(calibration("haadf", 0.03, 1'700'000'200'000'000'000)));
  }
  const auto sut = open();
  const auto used = sut->configured("camera", 0.02);
  ASSERT_TRUE(used);
  EXPECT_EQ(used->fit.pixel_size_nm, 0.0207);
  EXPECT_EQ(used->fit.pixel_size_sigma_ratio, 3e-4);
  EXPECT_TRUE(std::isnan(used->fit.ellipticity_ratio));
  ASSERT_EQ(used->spacings.size(), 1u);
  EXPECT_EQ(used->spacings[0].d_px, 15.2);
  EXPECT_EQ(words_of(*used), "calibrated by Si, 2023-11-14T22:15:00Z");
  const auto all = sut->list();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].detector, "haadf");
  EXPECT_TRUE(all[1].is_in_use);
  EXPECT_FALSE(all[2].is_in_use);
}

// Another magnification is another scale.
TEST_F(CalibrationStoreTest, IsNotUsedWhereTheNominalPixelSizeIsAnother) {
  const auto sut = open();
  ASSERT_TRUE(sut->add(calibration("camera", 0.0206, 1)));
  EXPECT_TRUE(sut->configured("camera", 0.02));
  EXPECT_FALSE(sut->configured("camera", 0.04));
  EXPECT_EQ(sut->nominal_of("camera"), 0.04);
  EXPECT_FALSE(sut->configured("camera", 0.0));
  EXPECT_FALSE(sut->configured("haadf", 0.02));
  Calibration unsaid = calibration("haadf", 0.031, 2);
  unsaid.nominal_pixel_size_nm = 0.0;
  ASSERT_TRUE(sut->add(unsaid));
  EXPECT_TRUE(sut->configured("haadf", 0.0));
  EXPECT_FALSE(sut->configured("haadf", 0.031));
}

TEST_F(CalibrationStoreTest, ClearedIsKeptAndNotUsed) {
  const auto sut = open();
  ASSERT_TRUE(sut->add(calibration("camera", 0.0206, 1)));
  ASSERT_TRUE(sut->add(calibration("haadf", 0.0306, 2)));
  ASSERT_TRUE(sut->clear("camera"));
  EXPECT_FALSE(sut->configured("camera", 0.02));
  EXPECT_TRUE(sut->configured("haadf", 0.02));
  EXPECT_EQ(open()->list().size(), 2u);
  EXPECT_FALSE(open()->configured("camera", 0.02));
}

TEST_F(CalibrationStoreTest, ADamagedFileIsAnErrorThatNamesIt) {
  for (const char* text : {"{", "[{\"detector\": \"camera\"}]", "[3]", "12"}) {
    std::ofstream(path_) << text;
    const auto store = CalibrationStore::open(path_);
    ASSERT_FALSE(store) << text;
    EXPECT_THAT(store.error().message, testing::HasSubstr("calibrations.json"));
  }
}

TEST_F(CalibrationStoreTest, WhatCannotBeWrittenIsNotUsed) {
  const auto sut = open();
  std::filesystem::create_directory(path_ + ".part");
  EXPECT_FALSE(sut->add(calibration("camera", 0.0206, 1)));
  EXPECT_TRUE(sut->list().empty());
  EXPECT_FALSE(sut->configured("camera", 0.02));
}

}  // namespace
}  // namespace latticed::test
