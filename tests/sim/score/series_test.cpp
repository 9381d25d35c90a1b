// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/series.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

namespace latticed::sim {
namespace {

using testing::HasSubstr;

struct Lines {
  std::vector<std::string> list;
};

Lines series_of(const Truth& truth, const Measurements& measurements) {
  std::stringstream text;
  write_series(text, truth, measurements);
  Lines lines;
  for (std::string line; std::getline(text, line);) lines.list.push_back(line);
  return lines;
}

/// Two domains, the second from frame 2 on; frame 1 is lost, frame 3 not listed at all.
TEST(WriteSeries, HasOneRowOfEqualCellsForEachFrameOfTheTruth) {
  Truth truth;
  truth.pixel_size_nm = 0.03;
  truth.field_nm = 15.36;
  Measurements measured;
  for (std::uint64_t seq = 0; seq < 4; ++seq) {
    TrueFrame& frame = truth.frames[seq];
    frame.d_layer_nm = 0.5555;
    frame.reflections = {{{1.8, 0.0}, 0.5555, 0.06, true}};
    frame.course.t_s = 0.25 * static_cast<double>(seq);
    frame.course.bias_v = 3.5;
    frame.course.phase_fractions = {{"P2", 0.6}};
    frame.course.d_layer_nm = {{"P2", 0.5555}};
    if (seq >= 2) {
      frame.reflections.push_back({{2.25, 0.0}, 0.4444, 0.03, true});
      frame.course.phase_fractions["O2"] = 0.1;
      frame.course.d_layer_nm["O2"] = 0.4444;
    }
  }
  for (const std::uint64_t seq : {0u, 2u}) {
    measured.frames[seq].drift_state = "locked";
    measured.frames[seq].spots = {{1, {1.8, 0.0}, 0.5556, 1e-4, 3e-4, true},
                                  {2, {2.25, 0.0}, 0.4445, 2e-4, 3e-4, true}};
  }
  measured.frames[1].lost = "sequence_gap";
  measured.frames[2].phase_fractions = {{"O2", 0.12}};
  const Lines sut = series_of(truth, measured);
  ASSERT_EQ(sut.list.size(), 5u);
  for (const std::string& line : sut.list)
    EXPECT_EQ(std::count(line.begin(), line.end(), ','), 33) << line;
  EXPECT_THAT(sut.list[0], HasSubstr(",fraction_O2_true,fraction_O2,fraction_P2_true,fraction_P2,"
                                     "d_layer_O2_true_nm,d_layer_O2_nm,sigma_d_O2_nm,"));
  EXPECT_THAT(sut.list[2], testing::StartsWith("1,sequence_gap,,"));
  EXPECT_THAT(sut.list[3], HasSubstr(",0.5555000,0.5556,0.0001,0.5,0,0,"));
  EXPECT_THAT(sut.list[3],
              testing::EndsWith(",0.1,0.12,0.6,,0.4444,0.4445,0.0002,0.5555,0.5556,0.0001"));
  EXPECT_THAT(sut.list[4], testing::EndsWith(",0.4444,,,0.5555,,"));
}

TEST(WriteSeries, MarksFramesThatShowNoSpecimen) {
  Truth truth;
  truth.frames[0].course.t_s = 1.5;
  truth.frames[1].course.t_s = 1.75;
  truth.frames[1].specimen_in = false;
  const Lines sut = series_of(truth, {});
  EXPECT_THAT(sut.list[1], HasSubstr(",1.5,0,"));
  EXPECT_THAT(sut.list[2], HasSubstr(",1.75,1,"));
}

TEST(WriteSeries, NamesNoDomainWhereThereIsOnlyOne) {
  Truth truth;
  truth.frames[0].course.d_layer_nm = {{"P2", 0.5555}};
  EXPECT_THAT(series_of(truth, {}).list[0], testing::EndsWith(",crystallinity_true,crystallinity"));
}

}  // namespace
}  // namespace latticed::sim
