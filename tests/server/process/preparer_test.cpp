// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/preparer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/support/lattice_frames.hpp"

namespace latticed::test {
namespace {

using enum FrameQuality;

template <class T>
constexpr PixelType type_of() {
  if constexpr (std::is_same_v<T, std::uint8_t>) return PixelType::u8;
  if constexpr (std::is_same_v<T, std::uint16_t>) return PixelType::u16;
  if constexpr (std::is_same_v<T, std::int32_t>) return PixelType::i32;
  return PixelType::f32;
}

/// An image, and what is done to it on the way.
template <class T>
struct Image {
  int width = 0, height = 0;
  std::vector<T> values;

  Image(int w, int h, T value)
      : width(w),
        height(h),
        values(static_cast<std::size_t>(w) * static_cast<std::size_t>(h), value) {}
  T& at(int x, int y) { return values[static_cast<std::size_t>(y * width + x)]; }
  [[nodiscard]] FrameGeometry geometry() const { return {width, height, type_of<T>()}; }
  /// Neighbours differ, so that the image is not constant.
  Image& textured() {
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = static_cast<T>(values[i] + static_cast<T>(i * 7 % 5));
    return *this;
  }
};

struct Outcome {
  FrameQuality quality = good;
  signal::ImageStatistics statistics;
  std::uint32_t repaired_pixels = 0;
  std::vector<float> cells;
  signal::AnalysisGrid grid;
  std::size_t peaks = 0;
};

template <class T>
Outcome prepare(const Image<T>& image, const PrepareConfig& config = {},
                signal::CorrectionMaps maps = {}, std::uint32_t flags = 0) {
  auto sut = Preparer::make(image.geometry(), config, std::move(maps));
  if (!sut) {
    ADD_FAILURE() << sut.error().message;
    return {};
  }
  const std::size_t bytes = image.geometry().bytes();
  PixelPool pixels(1, [&](PixelBuffer& buffer) { buffer.allocate(bytes); });
  Frame frame;
  frame.geometry = image.geometry();
  frame.header.flags = flags;
  frame.pixels = pixels.try_acquire();
  std::memcpy(frame.pixels->bytes().data(), image.values.data(), bytes);
  Preparer::Scratch scratch = (*sut)->make_scratch();
  Prepared prepared;
  (*sut)->reserve(prepared);
  (*sut)->prepare(frame, scratch, prepared);
  return {prepared.quality,
          prepared.statistics,
          prepared.repaired_pixels,
          std::vector<float>(scratch.cells.span().begin(), scratch.cells.span().end()),
          (*sut)->grid(),
          prepared.peaks.peaks.size()};
}

TEST(Preparer, FindsAnOrdinaryImageGoodAndItsSpots) {
  const Scene scene;
  Image<std::uint16_t> image(scene.size, scene.size, 0);
  image.values = lattice_frame(scene, 1);
  const Outcome got = prepare(image);
  EXPECT_EQ(got.quality, good);
  EXPECT_EQ(got.peaks, scene.fringes.size());
  EXPECT_NEAR(got.statistics.mean, 200.0, 10.0);
}

TEST(Preparer, AllZeroIsConstant) {
  EXPECT_EQ(prepare(Image<std::uint16_t>(64, 64, 0)).quality, constant);
  EXPECT_EQ(prepare(Image<float>(64, 64, 0.0f)).quality, constant);
}

TEST(Preparer, OneValueEverywhereIsConstantAlsoAtTheCeiling) {
  EXPECT_EQ(prepare(Image<std::uint8_t>(64, 64, 17)).quality, constant);
  EXPECT_EQ(prepare(Image<std::uint16_t>(64, 64, 65535)).quality, constant);
}

TEST(Preparer, MoreThanAHundredthAtTheCeilingIsSaturated) {
  Image<std::uint16_t> image(100, 100, 500);
  image.textured();
  for (int i = 0; i < 100; ++i) image.at(i, 50) = 65535;
  EXPECT_EQ(prepare(image).statistics.at_ceiling, 100u);
  EXPECT_EQ(prepare(image).quality, good) << "a hundredth and no more";
  image.at(0, 51) = 65535;
  EXPECT_EQ(prepare(image).quality, saturated);
}

TEST(Preparer, TheCeilingCanBeTold) {
  Image<float> image(64, 64, 100.0f);
  image.textured();
  EXPECT_EQ(prepare(image).quality, good);
  PrepareConfig config;
  config.saturation = 103.0;
  EXPECT_EQ(prepare(image, config).quality, saturated);
}

TEST(Preparer, MoreThanAHundredthThatIsNoNumberIsNotFinite) {
  Image<float> image(100, 100, 50.0f);
  image.textured();
  for (int i = 0; i < 100; ++i) image.at(i, i) = std::numeric_limits<float>::quiet_NaN();
  const Outcome few = prepare(image);
  EXPECT_EQ(few.quality, good);
  EXPECT_EQ(few.statistics.not_finite, 100u);
  EXPECT_EQ(few.repaired_pixels, 100u);
  EXPECT_NEAR(few.statistics.mean, 52.0, 0.1);
  for (float cell : few.cells) ASSERT_TRUE(std::isfinite(cell));
  image.at(3, 7) = std::numeric_limits<float>::infinity();
  EXPECT_EQ(prepare(image).quality, not_finite);
  EXPECT_EQ(prepare(Image<float>(64, 64, std::nanf(""))).quality, not_finite);
}

TEST(Preparer, BlankedComesBeforeEverythingElse) {
  EXPECT_EQ(prepare(Image<std::uint16_t>(64, 64, 0), {}, {}, kFrameBlanked).quality, blanked);
  EXPECT_EQ(prepare(Image<std::uint16_t>(1, 1, 0), {}, {}, kFrameBlanked).quality, blanked);
}

TEST(Preparer, FewerThanSixteenCellsToASideAreTooSmall) {
  EXPECT_EQ(prepare(Image<std::uint16_t>(1, 1, 5)).quality, too_small);
  EXPECT_EQ(prepare(Image<std::uint16_t>(15, 64, 5).textured()).quality, too_small);
  EXPECT_EQ(prepare(Image<std::uint16_t>(64, 3, 5).textured()).quality, too_small);
  EXPECT_EQ(prepare(Image<std::uint16_t>(16, 16, 5).textured()).quality, good);
  PrepareConfig binned;
  binned.bin = 4;
  EXPECT_EQ(prepare(Image<std::uint16_t>(63, 64, 5).textured(), binned).quality, too_small);
}

TEST(Preparer, TakesAnySizeAndCutsItToOneTheTransformLikes) {
  for (const auto& [width, height] :
       std::vector<std::pair<int, int>>{{17, 17}, {31, 97}, {101, 16}, {127, 129}, {521, 33}}) {
    const Outcome got = prepare(Image<std::uint16_t>(width, height, 100).textured());
    EXPECT_EQ(got.quality, good) << width << "x" << height;
    EXPECT_LE(got.grid.width, width);
    EXPECT_LE(got.grid.height, height);
    EXPECT_GE(got.grid.width, width * 8 / 10);
    EXPECT_EQ(got.grid.width % 2, 0);
  }
}

TEST(Preparer, SubtractsTheDarkReferenceThenMultipliesByTheGain) {
  Image<std::uint16_t> image(16, 16, 100);
  image.at(3, 2) = 110;
  signal::CorrectionMaps maps;
  maps.dark.assign(256, 10.0f);
  maps.gain.assign(256, 1.0f);
  maps.dark[2 * 16 + 3] = 20.0f;
  maps.gain[2 * 16 + 3] = 1.5f;
  maps.gain[5] = 0.5f;
  const Outcome got = prepare(image, {}, maps);
  EXPECT_EQ(got.cells[0], 90.0f);
  EXPECT_EQ(got.cells[2 * 16 + 3], 135.0f);
  EXPECT_EQ(got.cells[5], 45.0f);
  EXPECT_EQ(got.statistics.raw_min, 100.0);
  EXPECT_EQ(got.statistics.raw_max, 110.0);
}

TEST(Preparer, DarkAloneAndGainAloneDoTheirPart) {
  const Image<std::uint16_t> image = Image<std::uint16_t>(16, 16, 100).textured();
  signal::CorrectionMaps dark, gain;
  dark.dark.assign(256, 4.0f);
  gain.gain.assign(256, 2.0f);
  EXPECT_EQ(prepare(image, {}, dark).cells[1], static_cast<float>(image.values[1]) - 4.0f);
  EXPECT_EQ(prepare(image, {}, gain).cells[1], static_cast<float>(image.values[1]) * 2.0f);
}

TEST(Preparer, BinsBySummingAlsoWhatWasCorrected) {
  Image<std::uint16_t> image(32, 32, 0);
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x) image.at(x, y) = static_cast<std::uint16_t>(x + 100 * y);
  PrepareConfig config;
  config.bin = 2;
  EXPECT_EQ(prepare(image, config).cells[16 + 3], 206.0f + 207.0f + 306.0f + 307.0f);
  signal::CorrectionMaps maps;
  maps.dark.assign(1024, 1.0f);
  EXPECT_EQ(prepare(image, config, maps).cells[0], 0 + 1 + 100 + 101 - 4.0f);
}

TEST(Preparer, ReplacesHotPixelsByTheGoodOnesOfTheirCellOrAroundIt) {
  Image<std::uint16_t> image(32, 32, 100);
  image.at(5, 4) = 60000;
  image.at(0, 31) = 50000;
  signal::CorrectionMaps maps;
  maps.hot_pixels = {4 * 32 + 5, 31 * 32 + 0};
  const Outcome plain = prepare(image, {}, maps);
  EXPECT_EQ(plain.cells[4 * 32 + 5], 100.0f);
  EXPECT_EQ(plain.cells[31 * 32], 100.0f);
  EXPECT_EQ(plain.repaired_pixels, 2u);
  EXPECT_DOUBLE_EQ(plain.statistics.mean, 100.0);
  PrepareConfig config;
  config.bin = 2;
  EXPECT_EQ(prepare(image, config, maps).cells[2 * 16 + 2], 400.0f);
}

TEST(Preparer, CountsOnlyTheHotPixelsInsideItsRegion) {
  PrepareConfig config;
  config.region = {16, 0, 16, 32};
  signal::CorrectionMaps maps;
  maps.hot_pixels = {3, 16, 31, 1023, 5000};  // the last one lies outside the frame
  EXPECT_EQ(prepare(Image<std::uint16_t>(32, 32, 9).textured(), config, maps).repaired_pixels, 3u);
}

TEST(Preparer, AnalysesTheRegionItIsGiven) {
  Image<std::uint16_t> image(64, 64, 10);
  for (int y = 20; y < 40; ++y)
    for (int x = 8; x < 28; ++x) image.at(x, y) = 500;
  image.at(8, 20) = 501;
  PrepareConfig config;
  config.region = {8, 20, 20, 20};
  const Outcome got = prepare(image, config);
  EXPECT_EQ(got.statistics.raw_min, 500.0);
  EXPECT_EQ(got.statistics.raw_max, 501.0);
  EXPECT_EQ(got.cells[0], 501.0f);
}

template <class T>
Error refusal(const Image<T>& image, const PrepareConfig& config,
              const signal::CorrectionMaps& maps = {}) {
  const auto sut = Preparer::make(image.geometry(), config, maps);
  if (sut) {
    ADD_FAILURE() << "was accepted";
    return {};
  }
  EXPECT_EQ(sut.error().code, ErrorCode::invalid_argument);
  return sut.error();
}

TEST(Preparer, RefusesARegionThatIsNotInsideTheFrame) {
  const Image<std::uint16_t> image(64, 48, 1);
  for (const signal::Region& region : std::vector<signal::Region>{
           {-1, 0, 16, 16}, {0, -1, 16, 16}, {49, 0, 16, 16}, {0, 33, 16, 16}, {0, 0, 0, 16}}) {
    PrepareConfig config;
    config.region = region;
    EXPECT_NE(refusal(image, config).message.find("64x48"), std::string::npos);
  }
}

TEST(Preparer, RefusesABinThatLeavesNothing) {
  PrepareConfig config;
  config.bin = 16;
  EXPECT_NE(refusal(Image<std::uint16_t>(8, 64, 1), config).message.find("bin 16"),
            std::string::npos);
  config.bin = 17;
  (void)refusal(Image<std::uint16_t>(64, 64, 1), config);
  config.bin = -1;
  (void)refusal(Image<std::uint16_t>(64, 64, 1), config);
}

TEST(Preparer, RefusesReferencesOfAnotherSizeAndSaysWhich) {
  signal::CorrectionMaps maps;
  maps.dark.assign(63, 0.0f);
  const Image<std::uint16_t> image(8, 8, 1);
  EXPECT_EQ(refusal(image, {}, maps).message,
            "dark reference has 63 pixels: expected 8x8 as the detector's frames");
  maps.dark.clear();
  maps.gain.assign(65, 0.0f);
  EXPECT_EQ(refusal(image, {}, maps).message.substr(0, 14), "gain reference");
}

TEST(Preparer, RefusesReferencesWithAPixelThatIsNoNumber) {
  const Image<std::uint16_t> image(8, 8, 1);
  for (float value : {NAN, INFINITY}) {
    signal::CorrectionMaps maps;
    maps.gain.assign(64, 1.0f);
    maps.gain[9] = value;
    EXPECT_EQ(refusal(image, {}, maps).message, "gain reference: pixel 9 is no finite number");
  }
}

TEST(Preparer, ForgetsThePeaksOfTheFrameBefore) {
  const Scene scene;
  Image<std::uint16_t> image(scene.size, scene.size, 0);
  const auto sut = std::move(*Preparer::make(image.geometry(), {}, {}));
  PixelPool pixels(1, [&](PixelBuffer& b) { b.allocate(image.geometry().bytes()); });
  Frame frame;
  frame.geometry = image.geometry();
  frame.pixels = pixels.try_acquire();
  Preparer::Scratch scratch = sut->make_scratch();
  Prepared prepared;
  sut->reserve(prepared);
  copy_pixels(lattice_frame(scene, 1), frame.pixels->bytes());
  sut->prepare(frame, scratch, prepared);
  ASSERT_GT(prepared.peaks.peaks.size(), 0u);
  copy_pixels(image.values, frame.pixels->bytes());
  sut->prepare(frame, scratch, prepared);
  EXPECT_EQ(prepared.quality, constant);
  EXPECT_TRUE(prepared.peaks.peaks.empty());
}

}  // namespace
}  // namespace latticed::test
