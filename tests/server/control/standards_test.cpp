// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/standards.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

namespace latticed {
namespace {

double d_of(const Standard& standard, const std::string& name) {
  for (const auto& spacing : standard.spacings)
    if (spacing.name == name) return spacing.d_nm;
  return 0.0;
}

// As printed in the powder files the cells are from, in nm.
TEST(Standards, HaveTheSpacingsOfThePowderFiles) {
  const struct {
    const char* standard;
    const char* hkl;
    double d_nm;
  } known[] = {{"Si", "111", 0.31356},    {"Si", "220", 0.19202},      {"Si", "311", 0.16375},
               {"Si", "400", 0.13578},    {"Au", "111", 0.2355},       {"Au", "200", 0.2039},
               {"Al", "111", 0.2338},     {"graphite", "002", 0.3355}, {"graphite", "100", 0.2134},
               {"SrTiO3", "100", 0.3905}, {"SrTiO3", "110", 0.2761},   {"NiO", "200", 0.2088},
               {"MgO", "200", 0.2106}};
  for (const auto& one : known) {
    const auto standard = find_standard(one.standard);
    ASSERT_TRUE(standard) << one.standard;
    EXPECT_NEAR(d_of(*standard, one.hkl), one.d_nm, 1.5e-4) << one.standard << " " << one.hkl;
  }
}

TEST(Standards, LeaveOutWhatTheirSymmetryForbids) {
  EXPECT_EQ(d_of(*find_standard("Si"), "200"), 0.0);
  EXPECT_EQ(d_of(*find_standard("Si"), "222"), 0.0);
  EXPECT_EQ(d_of(*find_standard("Au"), "100"), 0.0);
  EXPECT_EQ(d_of(*find_standard("NiO"), "110"), 0.0);
  EXPECT_GT(d_of(*find_standard("SrTiO3"), "210"), 0.0);
}

TEST(Standards, SayWhereTheyAreFromAndHowSureTheyAre) {
  for (const Standard& one : standards()) {
    EXPECT_FALSE(one.source.empty()) << one.name;
    EXPECT_GT(one.sigma_ratio, 0.0) << one.name;
    EXPECT_GE(one.spacings.size(), 4u) << one.name;
    EXPECT_TRUE(std::is_sorted(one.spacings.begin(), one.spacings.end(),
                               [](const auto& a, const auto& b) { return a.d_nm > b.d_nm; }))
        << one.name;
    EXPECT_GE(one.spacings.back().d_nm, 0.1) << one.name;
  }
}

TEST(Standards, AreFoundHoweverTheyAreSpelled) {
  for (const char* name : {"si", "SI", "Graphite", "srtio3"}) {
    const auto standard = find_standard(name);
    ASSERT_TRUE(standard) << name;
    EXPECT_NE(standard->name, name);
  }
  EXPECT_FALSE(find_standard("S"));
}

TEST(Standards, NameThoseThereAre) {
  const auto none = find_standard("unobtainium");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::not_found);
  EXPECT_THAT(none.error().message, testing::HasSubstr("SrTiO3"));
}

}  // namespace
}  // namespace latticed
