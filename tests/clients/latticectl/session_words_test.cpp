// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/session_words.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace latticed::latticectl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SessionWords, SetTheFieldsTheyNameAndNoOthers) {
  const auto info = parse_session({"sample=NMO=7", "elements=Na,Mn,O", "high_tension_v=200e3"});
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->sample(), "NMO=7");
  EXPECT_THAT(info->elements(), ElementsAre("Na", "Mn", "O"));
  EXPECT_EQ(info->high_tension_v(), 200e3);
  EXPECT_FALSE(info->has_comment());
}

TEST(SessionWords, MayEmptyAText) {
  const auto info = parse_session({"comment="});
  ASSERT_TRUE(info);
  EXPECT_TRUE(info->has_comment());
  EXPECT_EQ(info->comment(), "");
}

TEST(SessionWords, AreRefusedWithWhatWasExpected) {
  for (const char* wrong : {"sample", "simple=x", "high_tension_v=200 kV", "elements=Na,,O",
                            "electrode_mass_kg=nan", "elements="}) {
    const auto info = parse_session({wrong});
    ASSERT_FALSE(info) << wrong;
    EXPECT_THAT(info.error().message, HasSubstr("expected")) << wrong;
  }
}

}  // namespace
}  // namespace latticed::latticectl
