// SPDX-License-Identifier: GPL-3.0-or-later
// Pictures against the specimen they are of.
#include "server/live/preview_renderer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>

#include "tests/server/publish/shifted_frames.hpp"

namespace latticed::test {
namespace {

constexpr int kWidth = 128, kHeight = 96;

/// Values of a 16-bit picture, with what is not covered as 0.
std::vector<double> values_of(const v1::Image& image) {
  std::vector<std::uint16_t> greys(image.pixels().size() / 2);
  std::memcpy(greys.data(), image.pixels().data(), image.pixels().size());
  std::vector<double> out;
  for (const auto grey : greys)
    out.push_back(grey == 0 ? 0.0
                            : image.black() + grey * (image.white() - image.black()) / 65535.0);
  return out;
}

class PreviewRendererTest : public testing::Test {
 protected:
  PreviewRendererTest() {
    run_ = run_of(kWidth, kHeight);
    run_.grid = signal::make_grid(run_.configuration.geometry, 1, {}, 0.8).value();
    renderer_ = std::make_unique<PreviewRenderer>(run_);
  }
  void show(Vector2 drift, double noise = 0.0, unsigned seed = 1) {
    image_ = drifted(kWidth, kHeight, drift, noise, seed);
    renderer_->show({bytes_of(image_), seed, 1000 * static_cast<std::int64_t>(seed), drift});
  }
  static View view(v1::ImageKind kind, int size = 128) {
    View out;
    out.kind = kind;
    out.size = size;
    out.encoding = v1::ENCODING_GRAY16;
    out.black = 500.0;
    out.white = 1500.0;
    return out;
  }
  RunInfo run_;
  std::unique_ptr<PreviewRenderer> renderer_;
  std::vector<std::uint16_t> image_;
};

TEST_F(PreviewRendererTest, RawIsTheFrame) {
  show({}, 0.0, 42);
  const auto image = renderer_->render(view(v1::IMAGE_KIND_RAW));
  ASSERT_TRUE(image);
  EXPECT_EQ(image->width(), 128u);
  EXPECT_EQ(image->height(), 96u);
  EXPECT_EQ(image->seq(), 42u);
  EXPECT_EQ(image->time_ns(), 42'000);
  EXPECT_EQ(image->unit(), "counts");
  EXPECT_EQ(image->effective_frames(), 1.0);
  EXPECT_DOUBLE_EQ(image->pixel_size(), 0.03);
  EXPECT_EQ(image->pixel_unit(), "nm");
  const auto values = values_of(*image);
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_NEAR(values[i], image_[i], 0.02);
}

TEST_F(PreviewRendererTest, BinningIsByWholeNumbersAndAverages) {
  show({});
  const auto image = renderer_->render(view(v1::IMAGE_KIND_RAW, 50));
  ASSERT_TRUE(image);
  EXPECT_EQ(image->width(), 42u);  // 128 / 3
  EXPECT_EQ(image->height(), 32u);
  EXPECT_DOUBLE_EQ(image->pixel_size(), 0.09);
  double sum = 0.0;
  for (std::size_t y = 3; y < 6; ++y)
    for (std::size_t x = 6; x < 9; ++x) sum += image_[y * kWidth + x];
  EXPECT_NEAR(values_of(*image)[42 + 2], sum / 9.0, 0.02);
}

TEST_F(PreviewRendererTest, CorrectionsAndHotPixelsAreTheRuns) {
  signal::CorrectionMaps maps;
  maps.dark.assign(static_cast<std::size_t>(kWidth) * kHeight, 100.0f);
  maps.gain.assign(static_cast<std::size_t>(kWidth) * kHeight, 2.0f);
  maps.hot_pixels = {5 * kWidth + 7};
  run_.maps = &maps;
  renderer_ = std::make_unique<PreviewRenderer>(run_);
  image_.assign(static_cast<std::size_t>(kWidth) * kHeight, 600);
  image_[5 * kWidth + 7] = 60'000;
  renderer_->show({bytes_of(image_), 0, 0, {}});
  const auto values = values_of(*renderer_->render(view(v1::IMAGE_KIND_RAW)));
  EXPECT_NEAR(values[0], 1000.0, 0.1);
  EXPECT_NEAR(values[5 * kWidth + 7], 1000.0, 0.1);
}

TEST_F(PreviewRendererTest, AlignedIsTheFirstFramesFieldAndZeroWhereNothingIs) {
  const Vector2 drift{10.5, -6.25};
  show(drift);
  const auto image = renderer_->render(view(v1::IMAGE_KIND_ALIGNED));
  ASSERT_TRUE(image);
  EXPECT_EQ(image->drift_px().x(), 10.5);
  const auto values = values_of(*image);
  const auto still = drifted(kWidth, kHeight, {});
  for (std::size_t y = 12; y < 90; ++y)
    for (std::size_t x = 4; x < 110; ++x)
      ASSERT_NEAR(values[y * kWidth + x], still[y * kWidth + x], 8.0);  // the cubic's own error
  EXPECT_EQ(values[kWidth - 1], 0.0);
  EXPECT_EQ(values[2 * kWidth + 20], 0.0);
}

TEST_F(PreviewRendererTest, TheMeanOfADriftingSpecimenIsSharp) {
  for (unsigned i = 0; i < 40; ++i) {
    show({0.37 * i, -0.21 * i}, 100.0, i + 1);
    renderer_->accumulate(1);
  }
  const auto image = renderer_->render(view(v1::IMAGE_KIND_RUNNING_MEAN));
  ASSERT_TRUE(image);
  EXPECT_GT(image->effective_frames(), 25.0);
  const auto values = values_of(*image);
  const auto still = drifted(kWidth, kHeight, {});
  double squares = 0.0;
  int count = 0;
  for (std::size_t y = 12; y < 80; ++y)
    for (std::size_t x = 4; x < 100; ++x, ++count)
      squares += std::pow(values[y * kWidth + x] - still[y * kWidth + x], 2);
  // 100 counts of noise over sqrt(31) frames; a mean that did not follow the drift would be off by
  // the contrast, 136 counts.
  EXPECT_LT(std::sqrt(squares / count), 100.0 / std::sqrt(image->effective_frames()) + 3.0);
}

TEST_F(PreviewRendererTest, TheDifferenceIsAgainstTheMean) {
  EXPECT_FALSE((show({}), renderer_->render(view(v1::IMAGE_KIND_DIFFERENCE))));
  for (int i = 0; i < 5; ++i) {
    show({});
    renderer_->accumulate(1);
  }
  image_ = drifted(kWidth, kHeight, {});
  for (auto& pixel : image_) pixel = static_cast<std::uint16_t>(pixel + 25);
  renderer_->show({bytes_of(image_), 9, 0, {}});
  View wanted = view(v1::IMAGE_KIND_DIFFERENCE);
  wanted.black = -100.0;
  wanted.white = 100.0;
  for (const double value : values_of(*renderer_->render(wanted))) ASSERT_NEAR(value, 25.0, 0.05);
}

TEST_F(PreviewRendererTest, AMeanNobodyWantsIsGivenUp) {
  show({});
  renderer_->accumulate(1);
  const std::vector<int> wanted{2};
  renderer_->keep_means(wanted);
  EXPECT_FALSE(renderer_->render(view(v1::IMAGE_KIND_RUNNING_MEAN)));
}

TEST_F(PreviewRendererTest, TheFourierTransformHasItsPeakAtTheKnownFrequency) {
  run_ = run_of(128, 128);
  run_.grid = signal::make_grid(run_.configuration.geometry, 1, {}, 0.8).value();
  renderer_ = std::make_unique<PreviewRenderer>(run_);
  image_ = drifted(128, 128, {});
  renderer_->show({bytes_of(image_), 0, 0, {}});
  View wanted = view(v1::IMAGE_KIND_FFT);
  wanted.black = wanted.white = {};
  const auto image = renderer_->render(wanted);
  ASSERT_TRUE(image);
  EXPECT_EQ(image->unit(), "ln(magnitude)");
  EXPECT_EQ(image->pixel_unit(), "1/nm");
  EXPECT_NEAR(image->pixel_size(), 1.0 / (128 * 0.03), 1e-9);
  const auto values = values_of(*image);
  const auto at = [&](double fx, double fy) {  // cycles per pixel
    const auto x = static_cast<std::size_t>(std::lround(64 + fx * 128));
    const auto y = static_cast<std::size_t>(std::lround(64 + fy * 128));
    return values[y * 128 + x];
  };
  for (const auto& [fx, fy] : {std::pair{0.11, 0.05}, {-0.06, 0.13}}) {
    EXPECT_GT(at(fx, fy), at(fx, -fy) + 3.0);
    EXPECT_NEAR(at(fx, fy), at(-fx, -fy), 1e-3);
  }
}

TEST_F(PreviewRendererTest, GreyLevelsComeFromPercentilesUnlessGiven) {
  show({}, 30.0);
  View wanted = view(v1::IMAGE_KIND_RAW);
  wanted.black = wanted.white = {};
  wanted.encoding = v1::ENCODING_GRAY8;
  const auto image = renderer_->render(wanted);
  ASSERT_TRUE(image);
  int black = 0, white = 0;
  for (const char c : image->pixels()) {
    black += static_cast<unsigned char>(c) == 0;
    white += static_cast<unsigned char>(c) == 255;
  }
  // Half a percent at either end, and the last half grey level besides.
  const double pixels = kWidth * kHeight;
  EXPECT_NEAR(black / pixels, 0.005, 0.003);
  EXPECT_NEAR(white / pixels, 0.005, 0.003);
  EXPECT_GT(image->white(), image->black() + 400.0);
}

TEST_F(PreviewRendererTest, AnEvenFrameIsBlackAndNothingIsDividedByZero) {
  image_.assign(static_cast<std::size_t>(kWidth) * kHeight, 77);
  renderer_->show({bytes_of(image_), 0, 0, {}});
  for (const auto kind : {v1::IMAGE_KIND_RAW, v1::IMAGE_KIND_ALIGNED, v1::IMAGE_KIND_FFT}) {
    View wanted;
    wanted.kind = kind;
    const auto image = renderer_->render(wanted);
    ASSERT_TRUE(image) << kind;
    EXPECT_GT(image->white(), image->black());
    EXPECT_TRUE(std::isfinite(image->white()));
  }
}

TEST_F(PreviewRendererTest, AJpegDecodesToTheSamePicture) {
  show({});
  View wanted = view(v1::IMAGE_KIND_RAW);
  wanted.encoding = v1::ENCODING_GRAY8;
  const auto plain = renderer_->render(wanted);
  wanted.encoding = v1::ENCODING_JPEG;
  const auto jpeg = renderer_->render(wanted);
  ASSERT_TRUE(plain && jpeg);
  const std::vector<std::uint8_t> bytes(jpeg->pixels().begin(), jpeg->pixels().end());
  const cv::Mat decoded = cv::imdecode(bytes, cv::IMREAD_GRAYSCALE);
  ASSERT_EQ(decoded.cols, kWidth);
  ASSERT_EQ(decoded.rows, kHeight);
  double squares = 0.0;
  for (int y = 0; y < kHeight; ++y)
    for (int x = 0; x < kWidth; ++x)
      squares += std::pow(
          decoded.at<std::uint8_t>(y, x) -
              static_cast<unsigned char>(plain->pixels()[static_cast<std::size_t>(y * kWidth + x)]),
          2);
  EXPECT_LT(std::sqrt(squares / (kWidth * kHeight)), 4.0);  // grey levels, of a contrast of 60
}

TEST_F(PreviewRendererTest, WithoutAPixelSizeLengthsAreInPixels) {
  run_.pixel_size_nm = 0.0;
  renderer_ = std::make_unique<PreviewRenderer>(run_);
  show({});
  EXPECT_EQ(renderer_->render(view(v1::IMAGE_KIND_RAW, 64))->pixel_unit(), "px");
  EXPECT_EQ(renderer_->render(view(v1::IMAGE_KIND_RAW, 64))->pixel_size(), 2.0);
  EXPECT_EQ(renderer_->render(view(v1::IMAGE_KIND_FFT))->pixel_unit(), "1/px");
}

TEST_F(PreviewRendererTest, AFrameTooSmallToTransformHasNoTransform) {
  run_ = run_of(12, 12);
  run_.grid = signal::make_grid(run_.configuration.geometry, 1, {}, 0.8).value();
  renderer_ = std::make_unique<PreviewRenderer>(run_);
  image_ = drifted(12, 12, {});
  renderer_->show({bytes_of(image_), 0, 0, {}});
  EXPECT_FALSE(renderer_->render(view(v1::IMAGE_KIND_FFT)));
  EXPECT_TRUE(renderer_->render(view(v1::IMAGE_KIND_RAW)));
}

}  // namespace
}  // namespace latticed::test
