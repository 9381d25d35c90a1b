// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/tiff_description.hpp"

#include <gtest/gtest.h>

namespace latticed::files {
namespace {

TEST(TiffDescription, ReadsImagejsUnitsInAllTheirSpellings) {
  const TiffResolution resolution{50.0, 50.0, 1};
  const auto pixel_nm = [&](const std::string& unit) {
    return read_calibration("ImageJ=1.53t\nimages=7\nunit=" + unit + "\nspacing=1.0\n", resolution)
        .pixel_size_nm;
  };
  EXPECT_DOUBLE_EQ(pixel_nm("nm"), 0.02);
  EXPECT_DOUBLE_EQ(pixel_nm("micron"), 20.0);
  EXPECT_DOUBLE_EQ(pixel_nm("\\u00B5m"), 20.0);
  EXPECT_DOUBLE_EQ(pixel_nm("\\u00C5"), 0.002);
  EXPECT_EQ(pixel_nm("pixel"), 0.0);
  EXPECT_EQ(pixel_nm("1/nm"), 0.0);
}

TEST(TiffDescription, ReadsOmesPixelSizeAndTimeIncrement) {
  const auto sut = read_calibration(
      "<?xml version=\"1.0\"?><OME><Image><Pixels ID=\"Pixels:0\" PhysicalSizeX=\"12.5\" "
      "PhysicalSizeXUnit=\"pm\" PhysicalSizeY=\"12.5\" PhysicalSizeYUnit=\"pm\" "
      "TimeIncrement=\"40\" TimeIncrementUnit=\"ms\"></Pixels></Image></OME>",
      {});
  EXPECT_DOUBLE_EQ(sut.pixel_size_nm, 0.0125);
  EXPECT_DOUBLE_EQ(sut.frame_period_s, 0.04);
}

TEST(TiffDescription, TakesResolutionTagsForACalibrationOnlyWhereTheyCanBeOne) {
  EXPECT_EQ(read_calibration("", {72.0, 72.0, 2}).pixel_size_nm, 0.0);
  EXPECT_DOUBLE_EQ(read_calibration("", {1e8, 1e8, 3}).pixel_size_nm, 0.1);
  EXPECT_EQ(read_calibration("", {1e8, 5e7, 3}).pixel_size_nm, 0.0);
}

TEST(TiffDescription, CountsTifffilesFrames) {
  EXPECT_EQ(read_calibration("{\"shape\": [10, 33, 47]}", {}).stack_images, 10);
  EXPECT_EQ(read_calibration("{\"shape\": [2, 5, 33, 47], \"axes\": \"TZYX\"}", {}).stack_images,
            10);
  EXPECT_EQ(read_calibration("{\"shape\": [33, 47]}", {}).stack_images, 0);
}

TEST(TiffDescription, EndsOnAnyText) {
  for (const char* text : {"{\"shape\":", "{\"shape\": [", "{\"shape\": ]3,[", "{\"shape\": [,,,,]",
                           "ImageJ=", "ImageJ=1\nimages=", "<OME", "<OME<Pixels", "<OME<Pixels >",
                           "<OME<Pixels PhysicalSizeX=\">", "ImageJ=1\nimages=1e999\nunit"}) {
    const auto sut = read_calibration(text, {1.0, 1.0, 1});
    EXPECT_EQ(sut.pixel_size_nm, 0.0) << text;
  }
}

}  // namespace
}  // namespace latticed::files
