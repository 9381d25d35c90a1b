// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/numbers.hpp"

#include <gtest/gtest.h>

#include <limits>

namespace latticed::latticectl {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Numbers, CarryThePrefixThatKeepsThemShort) {
  EXPECT_EQ(with_prefix(1.2e-9, "A"), "1.2 nA");
  EXPECT_EQ(with_prefix(-3.4125, "V"), "-3.413 V");
  EXPECT_EQ(with_prefix(0.012, "s"), "12 ms");
  EXPECT_EQ(with_prefix(2e5, "V"), "200 kV");
  EXPECT_EQ(with_prefix(0.0, "A"), "0 A");
  EXPECT_EQ(with_prefix(0.99999, "V"), "1 V");
  EXPECT_EQ(with_prefix(5e-15, "A"), "0.005 pA");
  EXPECT_EQ(with_prefix(kNan, "V"), "nan V");
}

TEST(Numbers, HaveAsManyDigitsAsTheirSigmaAllows) {
  EXPECT_EQ(plus_minus(0.271899466, 2.7e-5), "0.271899 ± 0.000027");
  EXPECT_EQ(plus_minus(3.014, 0.29), "3.01 ± 0.29");
  EXPECT_EQ(plus_minus(1234.5, 20.0), "1234 ± 20");
  EXPECT_EQ(signed_plus_minus(3.014, 0.29), "+3.01 ± 0.29");
}

TEST(Numbers, SayWhenTheirSigmaIsNotKnown) {
  EXPECT_EQ(plus_minus(0.5, kNan), "0.5000 ± ?");
  EXPECT_EQ(plus_minus(0.5, 0.0), "0.5000 ± 0.0000");
}

TEST(Numbers, AreTimesInUtcWithMilliseconds) {
  EXPECT_EQ(utc(1'763'820'395'123'456'789), "2025-11-22 14:06:35.123 UTC");
  EXPECT_EQ(utc(0), "-");
  EXPECT_EQ(utc(-1), "1969-12-31 23:59:59.999 UTC");
}

TEST(Numbers, AreSizesAndDurationsPeopleRead) {
  EXPECT_EQ(bytes_text(999), "999 B");
  EXPECT_EQ(bytes_text(3'100'000'000), "3.1 GB");
  EXPECT_EQ(duration_text(42.0), "42 s");
  EXPECT_EQ(duration_text(720.0), "12 min");
  EXPECT_EQ(duration_text(12600.0), "3.5 h");
}

}  // namespace
}  // namespace latticed::latticectl
