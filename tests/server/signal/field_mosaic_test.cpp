// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/field_mosaic.hpp"

#include <gtest/gtest.h>

#include <array>

#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using test::Scene;

// Sides that differ, so that no axis is taken for the other.
constexpr int kWidth = 256, kHeight = 192;

Scene particle_on_film() {
  Scene scene{.width = kWidth, .height = kHeight};
  scene.radius = 60.0;
  scene.lattice = test::layered_lattice();
  scene.film = std::make_shared<test::Film>(kWidth, kHeight, 3, 0.10);
  return scene;
}

class FieldMosaicTest : public ::testing::TestWithParam<std::array<Vector2, 2>> {
 protected:
  [[nodiscard]] Vector2 from() const { return GetParam()[0]; }
  [[nodiscard]] Vector2 to() const { return GetParam()[1]; }
  [[nodiscard]] Spectrum spectrum(const std::vector<float>& image) {
    const Prepared& prepared = analysis_(image);
    white_ = static_cast<double>(prepared.peaks.noise.white);
    Spectrum out(prepared.spectrum.size());
    std::copy_n(prepared.spectrum.data(), out.size(), out.data());
    return out;
  }
  // In the specimen's coordinates.
  [[nodiscard]] Spectrum moved_back(const Spectrum& in, Vector2 shift) const {
    Spectrum out(in.size());
    PhaseRamps ramps(analysis_.grid());
    ramps.set(shift);
    for (int kx = 0; kx < analysis_.grid().kx_count; ++kx)
      for (int row = 0; row < analysis_.grid().height; ++row)
        out[analysis_.grid().at(kx, row)] =
            in[analysis_.grid().at(kx, row)] * (ramps.x()[kx] * ramps.y()[row]);
    return out;
  }
  // Power of the difference over all bins of the band.
  [[nodiscard]] double apart(const Spectrum& a, const Spectrum& b) const {
    double sum = 0.0;
    for_each_bin([&](std::size_t i) { sum += static_cast<double>(std::norm(a[i] - b[i])); });
    return sum;
  }
  [[nodiscard]] double power(const Spectrum& a) const {
    double sum = 0.0;
    for_each_bin([&](std::size_t i) { sum += static_cast<double>(std::norm(a[i])); });
    return sum;
  }
  [[nodiscard]] double bins() const {
    double sum = 0.0;
    for_each_bin([&](std::size_t) { sum += 1.0; });
    return sum;
  }

  test::FrameAnalysis analysis_{kWidth, kHeight};
  FieldMosaic sut_{analysis_.fft()};
  Scene scene_ = particle_on_film();
  double white_ = 0.0;

 private:
  template <class Visit>
  void for_each_bin(const Visit& visit) const {
    const AnalysisGrid& grid = analysis_.grid();
    for (int kx = 0; kx < grid.kx_count; ++kx)
      for (int row = 0; row < grid.height; ++row)
        if (std::abs(grid.signed_ky(row)) <= grid.k_band) visit(grid.at(kx, row));
  }
};

TEST_P(FieldMosaicTest, CutToWhatBothShowFieldsAreAlike) {
  const Spectrum mean = moved_back(spectrum(expect(scene_, from())), from());
  const Spectrum frame = spectrum(expect(scene_, to()));
  const double before = apart(mean, moved_back(spectrum(expect(scene_, to())), to()));
  Spectrum mean_cut(mean.size()), frame_cut(mean.size());
  sut_.lay_template(mean, from());
  sut_.lay_frame(frame, to());
  sut_.cut(mean_cut, frame_cut);
  EXPECT_GT(before, 0.05 * power(mean));  // there is something to cut
  EXPECT_LT(apart(mean_cut, frame_cut), 1e-3 * power(mean_cut));
}

TEST_P(FieldMosaicTest, JoinedFieldsAreTheFieldOfTheFrame) {
  const Spectrum mean = moved_back(spectrum(expect(scene_, from())), from());
  const Spectrum frame = spectrum(expect(scene_, to()));
  Spectrum joined(mean.size());
  sut_.lay_template(mean, from());
  sut_.lay_frame(frame, to());
  sut_.join(1000.0, joined);  // all that the template shows is the template's
  const Spectrum is = moved_back(spectrum(expect(scene_, to())), to());
  EXPECT_LT(apart(joined, is), 1e-3 * power(is));
}

// Where the template shows the place the frame's noise does not get in, elsewhere all of it does.
TEST_P(FieldMosaicTest, OnlyWhatIsNewHasTheFramesNoise) {
  const Spectrum mean = moved_back(spectrum(expect(scene_, from())), from());
  const Spectrum is = moved_back(spectrum(expect(scene_, to())), to());
  test::ShotNoise noise(7);
  const Spectrum frame = spectrum(noise(expect(scene_, to())));
  Spectrum joined(mean.size());
  sut_.lay_template(mean, from());
  sut_.lay_frame(frame, to());
  sut_.join(1000.0, joined);
  const auto share = [](double shift, int side) { return 1.0 - std::abs(shift) / side; };
  const double is_new = 1.0 - share(to().x - from().x, kWidth) * share(to().y - from().y, kHeight);
  const double found = apart(joined, is) / (white_ * bins());
  // The taper holds down what lies near the edge, and what is new lies there.
  EXPECT_LT(found, is_new);
  EXPECT_GT(found, 0.2 * is_new);
}

TEST_P(FieldMosaicTest, KnowsTheNoiseUnderTheProductOfTheWindows) {
  test::ShotNoise noise(5);
  const Scene nothing{.width = kWidth, .height = kHeight};
  const Spectrum a = spectrum(noise(expect(nothing)));
  const Spectrum b = spectrum(noise(expect(nothing)));
  Spectrum a_cut(a.size()), b_cut(a.size());
  sut_.lay_template(moved_back(a, from()), from());
  sut_.lay_frame(b, to());
  sut_.cut(a_cut, b_cut);
  EXPECT_NEAR(power(b_cut) / power(b), sut_.cut_noise(), 0.05 * sut_.cut_noise());
  EXPECT_NEAR(power(a_cut) / power(a), sut_.cut_noise(), 0.05 * sut_.cut_noise());
}

INSTANTIATE_TEST_SUITE_P(Ways, FieldMosaicTest,
                         ::testing::Values(std::array<Vector2, 2>{Vector2{0.0, 0.0}, {40.3, -31.6}},
                                           std::array<Vector2, 2>{Vector2{20.7, 9.2}, {-33.1, 4.4}},
                                           std::array<Vector2, 2>{Vector2{-12.5, 30.0},
                                                                  {21.25, 44.5}}));

}  // namespace
}  // namespace latticed::signal
