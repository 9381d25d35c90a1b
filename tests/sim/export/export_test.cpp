// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/export/export.hpp"
#include "sim/render/renderer.hpp"
#include "sim/render/sensor.hpp"
#include "sim/specimen/specimen.hpp"

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
  const std::vector<float> gain = floats_of(bytes_of(directory.file("references/gain.mrc")));
  double sum = 0.0;
  double square = 0.0;
  for (const float value : gain) {
    sum += value;
    square += (value - 1.0) * (value - 1.0);
  }
  const double n = 64.0 * 64.0;
  // The mean of 1 / (1 + pattern) is 1 + pattern^2; 200 bright flats add 0.2 % of counting noise.
  EXPECT_NEAR(sum / n, 1.0, 1e-3);
  EXPECT_NEAR(std::sqrt(square / n), std::hypot(0.02, 0.0022), 0.002);
}

TEST(WriteReferences, GainIsWhatAFrameIsMultipliedBy) {
  Scenario scenario = test::still_scenario(64);
  DetectorModel& model = scenario.detectors.front();
  model.gain_pattern_percent = 5.0;
  const test::TemporaryDirectory directory;
  ASSERT_TRUE(write_references(scenario, directory.file("references"), 200));
  const std::vector<float> dark = floats_of(bytes_of(directory.file("references/dark.mrc")));
  const std::vector<float> gain = floats_of(bytes_of(directory.file("references/gain.mrc")));
  // A flat of its own, 64 rows of 64 pixels: 100 frames of 500 electrons, 0.4 % of noise.
  const Sensor sensor(model, scenario.seed);
  const std::vector<float> expected(64, 50.0f);
  std::vector<std::uint16_t> row(64);
  double before = 0.0, after = 0.0, mean = 0.0;
  std::vector<double> flat(64 * 64, 0.0);
  for (int y = 0; y < 64; ++y)
    for (std::uint64_t frame = 0; frame < 100; ++frame) {
      sensor.read(frame, y, expected, row, Purpose::shot_noise);
      for (std::size_t x = 0; x < 64; ++x)
        flat[static_cast<std::size_t>(y) * 64 + x] += row[x] / 100.0;
    }
  for (std::size_t i = 0; i < flat.size(); ++i)
    mean += (flat[i] -= static_cast<double>(dark[i])) / 4096.0;
  for (std::size_t i = 0; i < flat.size(); ++i) {
    before += std::pow(flat[i] / mean - 1.0, 2) / 4096.0;
    after += std::pow(flat[i] * static_cast<double>(gain[i]) / mean - 1.0, 2) / 4096.0;
  }
  EXPECT_GT(std::sqrt(before), 0.04);
  EXPECT_LT(std::sqrt(after), 0.01);
}

TEST(WriteReferences, MakeTheEmptyFieldFlat) {
  constexpr int kFrames = 60;
  constexpr double kDose = 100.0;
  Scenario scenario = test::still_scenario(64);
  DetectorModel& model = scenario.detectors.front();
  model.dose_e_per_px = kDose;
  model.gain_pattern_percent = 5.0;
  model.dark_pattern_adu = 2.0;
  model.read_noise_adu = 4.0;
  model.hot_pixels = 20;
  const test::TemporaryDirectory directory;
  ASSERT_TRUE(write_references(scenario, directory.file("references"), 400));
  const std::vector<float> dark = floats_of(bytes_of(directory.file("references/dark.mrc")));
  const std::vector<float> gain = floats_of(bytes_of(directory.file("references/gain.mrc")));

  Step out;
  out.specimen_in = false;
  Specimen specimen(scenario, test::phases(), 1.0);
  Renderer renderer(scenario, model, 1);
  std::vector<std::uint16_t> frame(64 * 64);
  std::vector<double> flat(frame.size(), 0.0);
  for (int i = 0; i < kFrames; ++i) {
    renderer.render(specimen.advance(i == 0 ? std::span(&out, 1) : std::span<const Step>{}), frame);
    for (std::size_t p = 0; p < frame.size(); ++p) flat[p] += frame[p] / double{kFrames};
  }
  const double n = static_cast<double>(flat.size());
  double sum = 0.0, variance = 0.0;
  for (std::size_t p = 0; p < flat.size(); ++p)
    sum += flat[p] = (flat[p] - static_cast<double>(dark[p])) * static_cast<double>(gain[p]);
  for (const double value : flat) variance += std::pow(value / (sum / n) - 1.0, 2) / n;
  // The mean of 4096 gains is 0.08 % off: 0.3 e are four times that.
  EXPECT_NEAR(sum / n / model.gain_adu_per_e, kDose, 5.0 * std::sqrt(kDose / kFrames / n) + 0.3);
  // Counting and reading of these frames, of the dark's 400, and of the gain's 400 at 1080 e.
  const double read_e2 = std::pow(model.read_noise_adu / model.gain_adu_per_e, 2);
  const double expected =
      ((kDose + read_e2) / kFrames + read_e2 / 400.0) / (kDose * kDose) + 1.0 / (400.0 * 1080.0);
  EXPECT_NEAR(variance / expected, 1.0, 5.0 * std::sqrt(2.0 / n));  // five standard errors
}

TEST(WriteMovie, HasAllFramesAndTheirTruth) {
  Scenario scenario = test::still_scenario(64);
  scenario.frames = 3;
  const test::TemporaryDirectory directory;
  const auto written = write_movie(scenario, test::phases(),
                                   {.path = directory.file("m.mrc"), .truth = directory.file("t")});
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
