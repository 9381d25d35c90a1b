// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/rehearsal_page.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "sim/score/series.hpp"
#include "sim/score/summary.hpp"
#include "tests/sim/support/temporary_directory.hpp"

namespace latticed {
namespace {

struct Files {
  CsvTable series;
  nlohmann::json summary;
};

/// As sim-score writes them: `frames` frames of 0.25 s, the tenth lost, a second domain half way.
Files files_of(std::uint64_t frames) {
  sim::Truth truth;
  truth.scenario = "test";
  truth.pixel_size_nm = 0.03;
  truth.field_nm = 15.36;
  sim::Measurements measured;
  for (std::uint64_t seq = 0; seq < frames; ++seq) {
    const auto s = static_cast<double>(seq);
    sim::TrueFrame& frame = truth.frames[seq];
    frame.drift_px = {0.1 * s, -0.1 * s};
    frame.d_layer_nm = 0.5555;
    frame.reflections = {{{1.8, 0.0}, 0.5555, 0.06, true}};
    frame.course.t_s = 0.25 * s;
    frame.course.bias_v = 3.0 + 0.01 * s;
    frame.course.temperature_k = 293.0;
    frame.course.phase_fractions = {{"P2", 0.6}};
    frame.course.d_layer_nm["P2"] = 0.5555;
    if (2 * seq > frames) frame.course.d_layer_nm["O2"] = 0.4444;
    sim::MeasuredFrame& m = measured.frames[seq];
    if (seq == 10) {
      m.lost = "sequence_gap";
      continue;
    }
    m.drift_state = "locked";
    m.drift_px = {0.1 * s + 0.01, -0.1 * s};
    m.sigma_drift_px = {0.02, 0.02};
    m.spots = {{1, {1.8, 0.0}, 0.5556, 1e-4, 3e-4, true}};
  }
  truth.events = {{"jump", 3}};
  measured.alerts = {{"spacing_change", 5, 3}, {"spot_presence", 1, 1}};
  Files files;
  const sim::test::TemporaryDirectory directory;
  std::ofstream out(directory.file("s.csv"));
  sim::write_series(out, truth, measured);
  out.close();
  auto read = CsvTable::read(directory.file("s.csv"));
  EXPECT_TRUE(read);
  if (read) files.series = std::move(*read);
  files.summary = nlohmann::json::parse(sim::summarise(truth, measured, {}).dump());
  return files;
}

TEST(RehearsalPage, ShowsWhatTheFilesHave) {
  const Files files = files_of(40);
  const Page sut = rehearsal_page(files.series, files.summary);
  EXPECT_EQ(sut.title, "Rehearsal test: pass");
  EXPECT_THAT(sut.footer, testing::HasSubstr("40 frames, 1 lost"));
  // timeline, drift, its errors, the one spacing that was measured, errors and phases, the bias
  ASSERT_EQ(sut.rows.size(), 6u);
  EXPECT_EQ(sut.rows[3].size(), 1u);
  EXPECT_EQ(sut.rows[5].size(), 1u);
  const Picture page = sut.draw();
  EXPECT_GT(page.width, 900);
  EXPECT_GT(page.height, 1200);
  EXPECT_LT(page.height, 2400);
}

TEST(RehearsalPage, ThinsALongSeries) {
  const Files files = files_of(6000);
  EXPECT_THAT(rehearsal_page(files.series, files.summary).footer,
              testing::HasSubstr("one frame in 3 is drawn"));
}

TEST(RehearsalPage, DrawsWhateverIsThere) {
  EXPECT_GT(rehearsal_page(CsvTable{}, nlohmann::json::object()).draw().width, 240);
  EXPECT_GT(rehearsal_page(files_of(1).series, nlohmann::json::object()).draw().width, 240);
}

}  // namespace
}  // namespace latticed
