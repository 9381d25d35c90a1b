// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_match.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <random>

#include "tests/support/analysed_frame.hpp"
#include "tests/support/synthetic_scene.hpp"

namespace latticed::signal {
namespace {

using Value = std::complex<double>;
constexpr double kTwoPi = 2.0 * std::numbers::pi;

/// A template of random bins, a frame that is the same moved by `shift`, and a list of two labels:
/// texture and `other`.
struct Fixture {
  explicit Fixture(Vector2 shift, int height = 44, std::size_t other = 1)
      : grid(make_grid({40, height, PixelType::f32}, 1, {}, 0.8).value()),
        full(grid.spectrum_size()),
        frame(grid.spectrum_size()),
        sut(grid, 64),
        ramps(grid) {
    std::mt19937_64 random(7);
    std::normal_distribution<float> normal;
    for (int kx = 0; kx < grid.kx_count; ++kx)
      for (int row = 0; row < grid.height; ++row) {
        const Complex value{normal(random), normal(random)};
        full[grid.at(kx, row)] = value;
        const double turn = kx * shift.x / grid.width + grid.signed_ky(row) * shift.y / grid.height;
        frame[grid.at(kx, row)] = Complex(Value(value) * std::polar(1.0, -kTwoPi * turn));
      }
    for (int kx = 1; kx < 9; ++kx) blocks.push_back({kx, 0});
    for (int kx = 2; kx < 7; ++kx) blocks.push_back({kx, 40});  // the last, partial block
    begin.fill(13);
    begin[0] = 0;
    std::fill(begin.begin() + 1, begin.begin() + 1 + static_cast<std::ptrdiff_t>(other), 8u);
    sut.choose(blocks, begin, full, {}, {});
    noise.fill(4.0);
    sut.weigh({}, noise);
    sut.load(frame);
  }
  /// J of one label by the letter: 2 W / v Re(F conj(T) e^(+2 pi i k.s)), W = 1 without template
  /// noise.
  [[nodiscard]] double direct(std::size_t label, Vector2 s) const {
    double sum = 0.0;
    for (std::size_t b = begin[label]; b < begin[label + 1]; ++b)
      for (int i = 0; i < kBlock && blocks[b].row + i < grid.height; ++i) {
        const int kx = blocks[b].kx, row = blocks[b].row + i;
        const double turn = kx * s.x / grid.width + grid.signed_ky(row) * s.y / grid.height;
        sum += (Value(frame[grid.at(kx, row)]) * std::conj(Value(full[grid.at(kx, row)])) *
                std::polar(2.0 / 4.0, kTwoPi * turn))
                   .real();
      }
    return sum;
  }

  AnalysisGrid grid;
  Spectrum full, frame;
  MatchList sut;
  PhaseRamps ramps;
  std::vector<MatchBlock> blocks;
  std::array<std::uint32_t, kLabels + 1> begin{};
  std::array<double, kLabels> noise{};
};

TEST(MatchList, SumsWhatItsFormulaSays) {
  Fixture f({1.3, -2.1}, 44, kShapes);
  for (const Vector2 s : {Vector2{0, 0}, {1.3, -2.1}, {-7.7, 4.2}, {0.25, 19.0}})
    for (const std::size_t label : {std::size_t{0}, kShapes}) {
      f.ramps.set(s);
      const MatchSums sums = f.sut.sum(label, f.ramps);
      constexpr double kStep = 0.01;
      const auto at = [&](double dx, double dy) { return f.direct(label, {s.x + dx, s.y + dy}); };
      EXPECT_NEAR(sums.j, at(0, 0), 1e-3);
      // Derivatives against differences.
      EXPECT_NEAR(sums.gx, (at(kStep, 0) - at(-kStep, 0)) / (2 * kStep), 2e-3);
      EXPECT_NEAR(sums.gy, (at(0, kStep) - at(0, -kStep)) / (2 * kStep), 2e-3);
      EXPECT_NEAR(sums.hxx, (at(kStep, 0) - 2 * at(0, 0) + at(-kStep, 0)) / (kStep * kStep), 5e-3);
      EXPECT_NEAR(sums.hyy, (at(0, kStep) - 2 * at(0, 0) + at(0, -kStep)) / (kStep * kStep), 5e-3);
      EXPECT_NEAR(sums.hxy,
                  (at(kStep, kStep) - at(kStep, -kStep) - at(-kStep, kStep) + at(-kStep, -kStep)) /
                      (4 * kStep * kStep),
                  5e-3);
    }
  EXPECT_EQ(f.sut.sum(5, f.ramps).j, 0.0);  // an empty label
}

TEST(MatchList, PromisesTheJOfAPerfectMatch) {
  Fixture f({1.3, -2.1});
  f.ramps.set({1.3, -2.1});
  for (std::size_t label : {0u, 1u})
    EXPECT_NEAR(f.sut.sum(label, f.ramps).j, f.sut.expected(label).j,
                1e-3 * f.sut.expected(label).j);
}

TEST(MatchList, FindsTheShiftItWasGiven) {
  const Vector2 truth{1.37, -0.82};
  Fixture f(truth);
  const WindowOverlap no_pull(std::vector<float>(40, 0.0f), std::vector<float>(44, 0.0f));
  const MatchResult out = maximise(f.sut, ~0u, {0.6, -0.2}, 1.0, no_pull, {}, f.ramps);
  ASSERT_TRUE(out.is_peak);
  EXPECT_NEAR(out.shift_cells.x, truth.x, 2e-4);
  EXPECT_NEAR(out.shift_cells.y, truth.y, 2e-4);
}

TEST(MatchList, LearnsAFrameAtItsShift) {
  const Vector2 shift{2.2, 1.1};
  Fixture f(shift);
  // The frame moved back is the template itself: a full blend changes nothing.
  f.ramps.set(shift);
  f.sut.update(f.frame, f.ramps, 1.0f, 1.0f);
  Spectrum back(f.grid.spectrum_size());
  f.sut.write_back(back, {});
  for (const MatchBlock& block : f.blocks)
    for (int i = 0; i < kBlock && block.row + i < f.grid.height; ++i)
      ASSERT_NEAR(std::abs(back[f.grid.at(block.kx, block.row + i)] -
                           f.full[f.grid.at(block.kx, block.row + i)]),
                  0.0f, 1e-4f);
}

/// Crystals of one reflection each, under Gaussian outlines: the template's, and a frame's in which
/// they have moved by `shift` and their outlines by `outline` more. Label l is reflection l.
struct OutlineFixture {
  static constexpr int kWidth = 128, kHeight = 96;
  OutlineFixture(const std::vector<Vector2>& bins, Vector2 shift, Vector2 outline)
      : grid(make_grid({kWidth, kHeight, PixelType::f32}, 1, {}, 0.8).value()),
        full(grid.spectrum_size()),
        frame(grid.spectrum_size()),
        sut(grid, 256),
        ramps(grid) {
    for (const Vector2 k : bins) {
      add(full, k, {}, {});
      add(frame, k, shift, outline);
    }
    begin.fill(0);
    for (std::size_t l = 0; l < kLabels; ++l) {
      begin[l] = static_cast<std::uint32_t>(blocks.size());
      if (l == 0 || l > bins.size()) continue;
      const Vector2 k = bins[l - 1];
      for (int kx = 0; kx < grid.kx_count; ++kx)
        for (int row = 0; row < kHeight; row += kBlock)
          if (is_near(kx, row, k) || is_near(kx, row, {-k.x, -k.y})) blocks.push_back({kx, row});
    }
    begin[kLabels] = static_cast<std::uint32_t>(blocks.size());
    sut.choose(blocks, begin, full, {}, {});
    noise.fill(1.0);
    sut.weigh({}, noise);
    sut.load(frame);
  }
  [[nodiscard]] bool is_near(int kx, int row, Vector2 k) const {
    bool any = false;
    for (int i = 0; i < kBlock; ++i)
      any |= std::hypot(kx - k.x, grid.signed_ky(row + i) - k.y) < 9.0;
    return any;
  }
  void add(Spectrum& out, Vector2 g, Vector2 shift, Vector2 outline) const {
    for (int kx = 0; kx < grid.kx_count; ++kx)
      for (int row = 0; row < kHeight; ++row)
        for (const double side : {1.0, -1.0}) {
          const double qx = kx - side * g.x, qy = grid.signed_ky(row) - side * g.y;
          const double turn = kx * shift.x / kWidth + grid.signed_ky(row) * shift.y / kHeight +
                              qx * outline.x / kWidth + qy * outline.y / kHeight;
          out[grid.at(kx, row)] +=
              Complex(std::polar(100.0 * std::exp(-(qx * qx + qy * qy) / 12.0), -kTwoPi * turn));
        }
  }
  void expect_found(Vector2 shift) {
    const MatchResult out = maximise(sut, ~0u, {}, 1.0, no_pull, {}, ramps);
    ASSERT_TRUE(out.is_peak);
    EXPECT_NEAR(out.shift_cells.x, shift.x, 1e-3);
    EXPECT_NEAR(out.shift_cells.y, shift.y, 1e-3);
  }

  AnalysisGrid grid;
  Spectrum full, frame;
  MatchList sut;
  PhaseRamps ramps;
  std::vector<MatchBlock> blocks;
  std::array<std::uint32_t, kLabels + 1> begin{};
  std::array<double, kLabels> noise{};
  WindowOverlap no_pull{std::vector<float>(kWidth, 0.0f), std::vector<float>(kHeight, 0.0f)};
};

TEST(Outline, DoesNotTakeTheMatchAlong) {
  OutlineFixture f({{22, 7}, {12, -25}}, {0.31, -0.17}, {4.0, 3.0});
  ASSERT_TRUE(f.sut.has_no_outline(1));
  f.expect_found({0.31, -0.17});
}

TEST(Outline, IsAllThatTellsOfAMoveAlongTheOnlyPlanes) {
  OutlineFixture f({{22, 7}}, {0.31, -0.17}, {});
  EXPECT_FALSE(f.sut.has_no_outline(1));
  f.expect_found({0.31, -0.17});
}

TEST(Outline, LeavesAReflectionWithItsMirrorImageOnePhase) {
  // Bins of either side of kx = 0 are in the half plane: they turn against each other.
  OutlineFixture f({{30, 7}, {0.3, 25}}, {}, {});
  ASSERT_TRUE(f.sut.has_no_outline(2));
  const Vector2 shift{0.2, 0.4};
  f.ramps.set(shift);
  const MatchSums sums = f.sut.sum(2, f.ramps);
  const double turn = kTwoPi * (0.3 * shift.x / f.kWidth + 25.0 * shift.y / f.kHeight);
  EXPECT_NEAR(std::abs(std::atan2(sums.j_imag, sums.j)), turn, 0.01);
  const double expected = f.sut.expected(2).gyy / f.sut.expected(2).j;
  EXPECT_NEAR(std::sqrt(expected), kTwoPi * 25.0 / f.kHeight, 0.01);
  EXPECT_NEAR(sums.hyy, -expected * sums.j, 1e-3 * expected * sums.j);
}

/// A lattice that fills the field: a window's peak at g and its mirror image at -g, in a template
/// whose window lies against `mean`, and in a frame that has moved by `shift`; perhaps a second
/// reflection at higher kx.
struct FillingFixture {
  static constexpr int kWidth = 64, kHeight = 48, kSecondFrom = 14;  // bins
  FillingFixture(Vector2 first, Vector2 mean, Vector2 shift, Vector2 second = {99.0, 0.0})
      : grid(make_grid({kWidth, kHeight, PixelType::f32}, 1, {}, 0.8).value()),
        full(grid.spectrum_size()),
        frame(grid.spectrum_size()),
        sut(grid, 256),
        ramps(grid),
        g{first.x / kWidth, first.y / kHeight} {
    const auto peak = [&](double kx, double ky, Vector2 bins) {  // of a window that rests
      const double dx = kx - bins.x, dy = ky - bins.y;
      const double mx = kx + bins.x, my = ky + bins.y;
      return Value(std::exp(-(dx * dx + dy * dy))) * phase(1.0) +
             Value(std::exp(-(mx * mx + my * my))) * phase(-1.0);
    };
    for (int kx = 0; kx < grid.kx_count; ++kx)
      for (int row = 0; row < grid.height; ++row) {
        const int ky = grid.signed_ky(row);
        const Vector2 bins = second.x < kWidth && kx >= kSecondFrom ? second : first;
        const Vector2 own{bins.x / kWidth, bins.y / kHeight};
        const double side = kx * bins.x + ky * bins.y < 0.0 ? -1.0 : 1.0;
        const double moved = side * (own.x * shift.x + own.y * shift.y);
        const double window = (static_cast<double>(kx) / kWidth - side * own.x) * mean.x +
                              (static_cast<double>(ky) / kHeight - side * own.y) * mean.y;
        frame[grid.at(kx, row)] = Complex(peak(kx, ky, bins) * std::polar(1.0, -kTwoPi * moved));
        full[grid.at(kx, row)] = Complex(peak(kx, ky, bins) * std::polar(1.0, kTwoPi * window));
      }
    begin.fill(0);  // label 1's, then label 2's
    for (int kx = 0; kx < 24; ++kx) {
      if (second.x < kWidth && kx == kSecondFrom)
        begin[2] = static_cast<std::uint32_t>(blocks.size());
      for (int row = 0; row < kHeight; row += kBlock)
        if (kx > 0 || row < kHeight / 2) blocks.push_back({kx, row});
    }
    const auto all = static_cast<std::uint32_t>(blocks.size());
    std::fill(begin.begin() + (begin[2] > 0 ? 3 : 2), begin.end(), all);
    std::array<FillingReflection, kLabels> filling{};
    filling[1] = {true, g};
    if (begin[2] < all) filling[2] = {true, {second.x / kWidth, second.y / kHeight}};
    sut.choose(blocks, begin, full, filling, mean);
    noise.fill(1e-3);
    sut.weigh({}, noise);
    sut.load(frame);
  }
  static Value phase(double side) { return std::polar(1.0, side * 0.7); }

  AnalysisGrid grid;
  Spectrum full, frame;
  MatchList sut;
  PhaseRamps ramps;
  Vector2 g;
  std::vector<MatchBlock> blocks;
  std::array<std::uint32_t, kLabels + 1> begin{};
  std::array<double, kLabels> noise{};
};

TEST(FillingLabel, TurnsByItsFrequencyAndPromisesTheSameJAtEveryShift) {
  const Vector2 shift{11.3, -17.9};
  for (const Vector2 bins : {Vector2{9.3, 4.8}, {0.6, 12.2}, {0.6, -12.2}}) {
    FillingFixture f(bins, {3.0, -20.0}, shift);
    const auto j_at = [&](Vector2 s) {
      f.ramps.set(s);
      return f.sut.sum(1, f.ramps);
    };
    const double promised = f.sut.expected(1).j;
    const MatchSums here = j_at(shift);
    EXPECT_NEAR(here.j, promised, 1e-4 * promised);
    EXPECT_NEAR(here.j_imag, 0.0, 1e-4 * promised);
    EXPECT_NEAR(here.gx, 0.0, 1e-4 * promised);
    EXPECT_NEAR(here.hxx, -promised * std::pow(kTwoPi * f.g.x, 2), 1e-4 * promised);
    EXPECT_NEAR(here.hxy, -promised * kTwoPi * f.g.x * kTwoPi * f.g.y, 1e-4 * promised);
    // A whole period further it fits as well, wherever the window is.
    const double period2 = f.g.x * f.g.x + f.g.y * f.g.y;
    EXPECT_NEAR(j_at({shift.x + 2.0 * f.g.x / period2, shift.y + 2.0 * f.g.y / period2}).j,
                promised, 1e-4 * promised);
    // A quarter of one: the steepest slope.
    const MatchSums aside =
        j_at({shift.x + 0.25 * f.g.x / period2, shift.y + 0.25 * f.g.y / period2});
    EXPECT_NEAR(aside.j, 0.0, 1e-4 * promised);
    EXPECT_NEAR(aside.gx, -promised * kTwoPi * f.g.x, 1e-3 * promised);
  }
}

TEST(FillingLabel, IsLearntAndWrittenBackWithItsWindow) {
  const Vector2 shift{11.3, -17.9}, mean{3.0, -20.0};
  for (const Vector2 bins : {Vector2{9.3, 4.8}, {0.6, 12.2}, {0.6, -12.2}}) {
    FillingFixture f(bins, mean, shift);
    f.ramps.set(shift);
    f.sut.update(f.frame, f.ramps, 0.0f, 1.0f);  // the frame moved back is the template itself
    Spectrum back(f.grid.spectrum_size());
    f.sut.write_back(back, mean);
    for (const MatchBlock& block : f.blocks)
      for (int i = 0; i < kBlock; ++i)
        ASSERT_NEAR(std::abs(back[f.grid.at(block.kx, block.row + i)] -
                             f.full[f.grid.at(block.kx, block.row + i)]),
                    0.0f, 1e-4f);
  }
}

TEST(FillingLabel, IsSeenByTheGridSearch) {
  const Vector2 shift{3.3, -2.1};
  FillingFixture f({9.3, 4.8}, {}, shift);
  const Vector2 best =
      GridSearch(f.grid).best(f.sut, ~0u, {shift.x + 0.9, shift.y - 0.6}, 0.3, f.ramps);
  const double cycles = (best.x - shift.x) * f.g.x + (best.y - shift.y) * f.g.y;
  EXPECT_NEAR(std::remainder(cycles, 1.0), 0.0, 0.03);
}

// One row of a lattice that fills the field: known across its planes, and hardly along them.
TEST(FillingLabel, OfOneRowHasALevelRidge) {
  const Vector2 shift{3.3, -2.1};
  FillingFixture f({9.3, 4.8}, {}, shift);
  const std::vector<float> taper_x = tukey(FillingFixture::kWidth, 0.25),
                           taper_y = tukey(FillingFixture::kHeight, 0.25);
  const MatchResult out = maximise(f.sut, ~0u, {shift.x + 0.5, shift.y}, 1.0,
                                   WindowOverlap(taper_x, taper_y), {}, f.ramps);
  ASSERT_TRUE(out.is_peak);
  EXPECT_NEAR((out.shift_cells.x - shift.x) * f.g.x + (out.shift_cells.y - shift.y) * f.g.y, 0.0,
              1e-4);
  const double length = std::hypot(f.g.x, f.g.y), nx = f.g.x / length, ny = f.g.y / length;
  const auto variance = [&](double x, double y) {
    return x * x * out.covariance.xx + 2.0 * x * y * out.covariance.xy + y * y * out.covariance.yy;
  };
  EXPECT_GT(variance(nx, ny), 0.0);
  EXPECT_GT(variance(-ny, nx), 1e5 * variance(nx, ny));
}

// Two orders whose frequencies are a hundredth of a bin off one row. Where their phases do not
// quite agree the slope points along the ridge, tens of cells far.
TEST(FillingLabel, OfAlmostOneRowIsMatchedAcrossItsRidge) {
  const Vector2 shift{0.8, -0.4};
  FillingFixture f({9.3, 4.8}, {}, shift, {18.6, 9.61});
  const WindowOverlap none{std::vector<float>(FillingFixture::kWidth, 0.0f),
                           std::vector<float>(FillingFixture::kHeight, 0.0f)};
  const MatchResult out = maximise(f.sut, ~0u, {}, 1.0, none, {}, f.ramps);
  ASSERT_TRUE(out.is_peak);
  EXPECT_NEAR((out.shift_cells.x - shift.x) * f.g.x + (out.shift_cells.y - shift.y) * f.g.y, 0.0,
              1e-3);
  EXPECT_LT(std::hypot(out.shift_cells.x, out.shift_cells.y), 2.0);
}

TEST(PhaseRamps, AreTheTurnsOfTheirShift) {
  for (int height : {44, 48}) {
    const AnalysisGrid grid = make_grid({40, height, PixelType::f32}, 1, {}, 0.8).value();
    PhaseRamps sut(grid);
    const Vector2 s{-17.31, 9.77};
    sut.set(s);
    for (int kx = 0; kx < grid.kx_count; ++kx)
      ASSERT_NEAR(std::abs(Value(sut.x()[kx]) - std::polar(1.0, kTwoPi * kx * s.x / grid.width)),
                  0.0, 1e-6);
    for (int row = 0; row < grid.height; ++row)
      ASSERT_NEAR(std::abs(Value(sut.y()[row]) -
                           std::polar(1.0, kTwoPi * grid.signed_ky(row) * s.y / grid.height)),
                  0.0, 1e-6)
          << row;
  }
}

TEST(GridSearch, FindsTheHighestPlaceOfItsGrid) {
  Fixture f({3.0, -4.0});
  GridSearch sut(f.grid);
  const Vector2 best = sut.best(f.sut, ~0u, {0.5, 0.5}, 0.5, f.ramps);
  EXPECT_NEAR(best.x, 3.0, 0.26);
  EXPECT_NEAR(best.y, -4.0, 0.26);
}

TEST(WindowOverlap, IsTheSlopeOfTheTapersAutocorrelation) {
  const std::vector<float> taper = tukey(64, 0.5);
  const WindowOverlap sut(taper, taper);
  const auto overlap = [&](int shift) {
    double sum = 0.0;
    for (std::size_t i = 0; i + static_cast<std::size_t>(shift) < taper.size(); ++i)
      sum += static_cast<double>(taper[i]) *
             static_cast<double>(taper[i + static_cast<std::size_t>(shift)]);
    return sum;
  };
  for (int shift : {2, 7, 15}) {
    const double slope = (std::log(overlap(shift + 1)) - std::log(overlap(shift - 1))) / 2.0;
    EXPECT_NEAR(sut.log_slope({static_cast<double>(shift), 0.0}).x, slope, 2e-3) << shift;
    EXPECT_NEAR(sut.log_slope({0.0, static_cast<double>(-shift)}).y, -slope, 2e-3) << shift;
  }
  EXPECT_EQ(sut.log_slope({0.0, 0.0}).x, 0.0);
}

TEST(WindowOverlap, FallsToNoughtWhereNothingIsShared) {
  const std::vector<float> taper = tukey(64, 0.5);
  const WindowOverlap sut(taper, taper);
  EXPECT_DOUBLE_EQ(sut.share({0.0, 0.0}), 1.0);
  EXPECT_GT(sut.share({32.0, 0.0}), sut.share({-45.0, 0.0}));
  EXPECT_LT(sut.share({45.0, 0.0}), 0.25);
  EXPECT_NEAR(sut.share({64.0, 0.0}), 0.0, 1e-6);
  EXPECT_NEAR(sut.share({0.0, -77.0}), 0.0, 1e-6);
  EXPECT_LT(sut.log_slope({60.0, 0.0}).x, 0.0);
}

}  // namespace
}  // namespace latticed::signal
