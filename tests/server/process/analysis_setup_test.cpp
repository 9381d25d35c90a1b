// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/analysis_setup.hpp"

#include <gtest/gtest.h>

namespace latticed::test {
namespace {

AnalysisSetup::Wish wish(int size, int workers) {
  AnalysisSetup::Wish out;
  out.geometry = {size, size, PixelType::u16};
  out.maps = std::make_shared<const signal::CorrectionMaps>();
  out.workers = workers;
  return out;
}

TEST(AnalysisSetup, HasScratchForEveryWorkerAndTheTrackAndSlotsForAllTheyHold) {
  const auto sut = AnalysisSetup::make(wish(64, 3));
  ASSERT_TRUE(sut);
  EXPECT_EQ((*sut)->scratch.size(), 4u);
  EXPECT_EQ((*sut)->prepared->size(), 7u);
  const PreparedLease slot = (*sut)->prepared->try_acquire();
  EXPECT_EQ(slot->spectrum.size(), (*sut)->preparer->grid().spectrum_size());
  EXPECT_TRUE((*sut)->drift);
  EXPECT_TRUE((*sut)->lattice);
}

TEST(AnalysisSetup, HasNoStagesWhereThereIsTooLittleToMeasure) {
  const auto sut = AnalysisSetup::make(wish(12, 1));
  ASSERT_TRUE(sut);
  EXPECT_FALSE((*sut)->drift);
  EXPECT_FALSE((*sut)->lattice);
}

TEST(AnalysisSetup, RefusesARegionOutsideTheFrame) {
  AnalysisSetup::Wish outside = wish(64, 1);
  outside.prepare.region = {40, 0, 32, 32};
  const auto refused = AnalysisSetup::make(outside);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace latticed::test
