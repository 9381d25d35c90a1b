// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/export/export.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "tests/sim/support/build_scenario.hpp"
#include "tests/sim/support/temporary_directory.hpp"

namespace latticed::sim {
namespace {

std::vector<char> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::int32_t word(const std::vector<char>& bytes, std::size_t index) {
  std::int32_t value = 0;
  std::memcpy(&value, bytes.data() + 4 * index, 4);
  return value;
}

std::vector<float> floats_of(const std::vector<char>& bytes) {
  std::vector<float> values((bytes.size() - 1024) / 4);
  std::memcpy(values.data(), bytes.data() + 1024, values.size() * 4);
  return values;
}

TEST(WriteReferences, MeasuresDarkAndGainAsTheyAre) {
  Scenario scenario = test::still_scenario(64);
  scenario.detectors.front().gain_pattern_percent = 2.0;
  const test::TemporaryDirectory directory;
  const auto written = write_references(scenario, directory.file("references"), 200);
  ASSERT_TRUE(written) << written.error().message;
  const auto dark_file = bytes_of(directory.file("references/dark.mrc"));
  ASSERT_EQ(dark_file.size(), 1024u + 64u * 64u * 4u);
  EXPECT_EQ(word(dark_file, 0), 64);
  EXPECT_EQ(word(dark_file, 2), 1);
  EXPECT_EQ(word(dark_file, 3), 2);
  for (const float value : floats_of(dark_file)) ASSERT_EQ(value, 100.0f);
  double sum = 0.0;
  double square = 0.0;
  for (const float value : floats_of(bytes_of(directory.file("references/gain.mrc")))) {
    sum += value;
    square += (value - 1.0) * (value - 1.0);
  }
  const double n = 64.0 * 64.0;
  EXPECT_NEAR(sum / n, 1.0, 1e-5);
  // The pattern's 2 % and the counting noise of 200 frames of 10 electrons, 2.24 %.
  EXPECT_NEAR(std::sqrt(square / n), std::hypot(0.02, std::sqrt(1.0 / 2000.0)), 0.002);
}

TEST(WriteMovie, HasAllFramesAndTheirTruth) {
  const Scenario scenario = test::still_scenario(64);
  const test::TemporaryDirectory directory;
  const auto written =
      write_movie(scenario, test::phases(), directory.file("m.mrc"), directory.file("t"), 3, 1);
  ASSERT_TRUE(written) << written.error().message;
  const auto movie = bytes_of(directory.file("m.mrc"));
  ASSERT_EQ(movie.size(), 1024u + 3u * 64u * 64u * 2u);
  EXPECT_EQ(word(movie, 2), 3);
  EXPECT_EQ(word(movie, 3), 6);
  float cell_angstrom = 0.0f;
  std::memcpy(&cell_angstrom, movie.data() + 40, 4);
  EXPECT_NEAR(cell_angstrom, 64 * 0.4, 1e-5);
  const auto truth = bytes_of(directory.file("t"));
  EXPECT_EQ(std::count(truth.begin(), truth.end(), '\n'), 4);
}

}  // namespace
}  // namespace latticed::sim
