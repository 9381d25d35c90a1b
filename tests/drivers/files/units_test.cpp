// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/units.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace latticed::files {
namespace {

TEST(Units, KnowLengthsInUtf8AndLatin1) {
  EXPECT_EQ(length_in_nm("nm"), 1.0);
  EXPECT_EQ(length_in_nm(" pm "), 1e-3);
  for (const char* angstrom : {"A", "\xC3\x85", "\xE2\x84\xAB", "\xC5"}) {
    EXPECT_EQ(length_in_nm(angstrom), 0.1) << angstrom;
  }
  for (const char* micrometre : {"um", "\xC2\xB5m", "\xCE\xBCm", "\xB5m"}) {
    EXPECT_EQ(length_in_nm(micrometre), 1e3) << micrometre;
  }
}

TEST(Units, CallNothingALengthThatIsNone) {
  for (const char* other : {"", "1/nm", "nm^-1", "px", "<undefined>", "mrad", "s"}) {
    EXPECT_EQ(length_in_nm(other), 0.0) << other;
  }
  EXPECT_EQ(time_in_s("nm"), 0.0);
  EXPECT_EQ(time_in_s("ms"), 1e-3);
}

TEST(Units, APixelIsSquareWithinOnePerCent) {
  EXPECT_EQ(square_pixel_nm(0.1, 0.1005), 0.1);
  EXPECT_EQ(square_pixel_nm(0.1, 0.102), 0.0);
  EXPECT_EQ(square_pixel_nm(-0.1, -0.1), 0.0);
  EXPECT_EQ(square_pixel_nm(std::numeric_limits<double>::quiet_NaN(), 0.1), 0.0);
}

}  // namespace
}  // namespace latticed::files
