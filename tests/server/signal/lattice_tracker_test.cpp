// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lattice_tracker.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace latticed::signal {
namespace {

constexpr double kBin = 1.0 / 512;
constexpr double kSigma = 0.01 * kBin;

/// Spots of lattices, with this frame's noise.
class Field {
 public:
  explicit Field(std::uint32_t seed) : random_(seed) {}
  void add(std::vector<LatticeSample>& to, const LatticeBasis& basis, double h, double k,
           double amplitude) {
    std::normal_distribution<double> normal;
    const Vector2 at = basis.at(h, k);
    LatticeSample sample;
    sample.id = static_cast<std::uint32_t>(to.size()) + 1;
    sample.frequency = {at.x + kSigma * normal(random_), at.y + kSigma * normal(random_)};
    sample.covariance = {kSigma * kSigma, 0.0, kSigma * kSigma};
    sample.amplitude = amplitude;
    sample.snr = 500 * amplitude;
    to.push_back(sample);
  }
  std::vector<LatticeSample> all(const LatticeBasis& basis, double strength = 1.0) {
    std::vector<LatticeSample> out;
    append(out, basis, strength);
    return out;
  }
  void append(std::vector<LatticeSample>& to, const LatticeBasis& basis, double strength) {
    add(to, basis, 1, 0, 0.1 * strength);
    add(to, basis, 2, 0, 0.05 * strength);
    add(to, basis, 0, 1, 0.06 * strength);
    add(to, basis, 1, 1, 0.05 * strength);
  }

 private:
  std::mt19937 random_;
};

LatticeBasis basis(double scale) {
  return {
      {26.0 * kBin * scale, 9.0 * kBin * scale}, {-14.0 * kBin * scale, 51.0 * kBin * scale}, {}};
}

LatticeTracker tracker() { return {kBin, kBin, 6 * kBin}; }

TEST(LatticeTracker, MeasuresFromTheFirstFrameAndConfirmsAtTheThird) {
  LatticeTracker sut = tracker();
  Field field(1);
  for (int frame = 0; frame < 4; ++frame) {
    auto samples = field.all(basis(1.0));
    sut.measure(samples);
    ASSERT_EQ(sut.lattices().size(), 1u);
    EXPECT_TRUE(sut.lattices()[0].is_measured);
    EXPECT_EQ(sut.lattices()[0].spots, 4u);
    EXPECT_EQ(sut.lattices()[0].is_confirmed, frame >= 2);
    for (const LatticeSample& sample : samples) EXPECT_EQ(sample.lattice, 1u);
  }
}

TEST(LatticeTracker, DoesNotTakeASpotThatIsSaidNotToBeIts) {
  LatticeTracker sut = tracker();
  Field field(3);
  for (int frame = 0; frame < 6; ++frame) {
    auto samples = field.all(basis(1.0));
    field.add(samples, basis(1.0), 2, 1, 0.1);
    samples.back().not_of = frame >= 3 ? 1 : 0;
    sut.measure(samples);
    ASSERT_EQ(sut.lattices().size(), 1u);
    EXPECT_EQ(sut.lattices()[0].spots, frame >= 3 ? 4u : 5u);
    EXPECT_EQ(samples.back().lattice, frame >= 3 ? 0u : 1u);
  }
}

// Two lattices expect a spot within half a bin; noise puts that of the first nearer to the
// second's.
TEST(LatticeTracker, GivesASpotToTheOneLatticeItIsSaidToBeOf) {
  LatticeTracker sut = tracker();
  Field field(7);
  const LatticeBasis one = basis(1.0);
  std::uint32_t id_of_one = 0;
  const LatticeBasis other{{26.4 * kBin, 9.0 * kBin}, {-14.0 * kBin, 60.0 * kBin}, {}};
  for (int frame = 0; frame < 8; ++frame) {
    auto samples = field.all(one);
    field.add(samples, other, 0, 1, 0.08);
    field.add(samples, other, 1, 1, 0.07);
    field.add(samples, other, 2, 1, 0.06);
    field.add(samples, other, -1, 1, 0.06);
    field.add(samples, other, 3, 0, 0.06);
    if (frame >= 4) samples.front().frequency.x += 0.25 * kBin;
    if (frame >= 6) samples.front().only_of = id_of_one;
    sut.measure(samples);
    if (frame < 4) continue;
    ASSERT_EQ(sut.lattices().size(), 2u) << frame;
    const std::uint32_t own = samples[2].lattice, others = samples.back().lattice;
    ASSERT_NE(own, others) << frame;
    if (frame == 5) id_of_one = own;
    EXPECT_EQ(samples.front().lattice, frame >= 6 ? own : others) << frame;
  }
}

TEST(LatticeTracker, KeepsItsIdentityWhileTheLatticeSwellsAndSpotsComeAndGo) {
  LatticeTracker sut = tracker();
  Field field(2);
  for (int frame = 0; frame < 100; ++frame) {
    auto samples = field.all(basis(1.0 + 0.0004 * frame));
    if (frame % 3 == 1) samples.erase(samples.begin());
    if (frame % 5 == 2) samples.pop_back();
    sut.measure(samples);
    ASSERT_EQ(sut.lattices().size(), 1u) << frame;
    EXPECT_EQ(sut.lattices()[0].id, 1u);
    const double area = std::abs(sut.lattices()[0].measured.area() / basis(1.0).area());
    EXPECT_NEAR(std::sqrt(area), 1.0 + 0.0004 * frame, 5e-4) << frame;
  }
}

TEST(LatticeTracker, FollowsAStepOfMoreThanTheGateOfItsOuterSpots) {
  LatticeTracker sut = tracker();
  Field field(3);
  for (int frame = 0; frame < 20; ++frame) {
    auto samples = field.all(basis(frame < 10 ? 1.0 : 1.012));  // 0.6 bins at (0 1), 0.33 at (1 0)
    sut.measure(samples);
    ASSERT_EQ(sut.lattices().size(), 1u) << frame;
    EXPECT_EQ(sut.lattices()[0].id, 1u);
    EXPECT_EQ(sut.lattices()[0].spots, 4u) << frame;
  }
}

TEST(LatticeTracker, KeepsTwoPhasesApart) {
  LatticeTracker sut = tracker();
  Field field(4);
  const LatticeBasis other{{27.5 * kBin, 6.0 * kBin}, {-17.0 * kBin, 54.0 * kBin}, {}};
  for (int frame = 0; frame < 60; ++frame) {
    auto samples = field.all(basis(1.0), frame < 40 ? 1.0 : 0.3);
    if (frame >= 10) field.append(samples, other, 0.7);
    sut.measure(samples);
    if (frame >= 10) {
      ASSERT_EQ(sut.lattices().size(), 2u) << frame;
      for (std::size_t i = 0; i < samples.size(); ++i)
        EXPECT_EQ(samples[i].lattice, i < 4 ? 1u : 2u) << frame << " spot " << i;
    }
    // The main one changes only when the other is half as strong again, and then once.
    EXPECT_EQ(sut.lattices()[0].id, frame < 42 ? 1u : sut.lattices()[0].id);
  }
  EXPECT_EQ(sut.lattices()[0].id, 2u);
}

TEST(LatticeTracker, DropsALatticeAfterFiveFramesWithoutAndLeavesStraysAlone) {
  LatticeTracker sut = tracker();
  Field field(5);
  std::vector<LatticeSample> stray;
  for (int frame = 0; frame < 12; ++frame) {
    auto samples = field.all(basis(1.0));
    field.add(samples, basis(1.0), 0.37, 0.81, 0.03);
    if (frame >= 6) samples.erase(samples.begin(), samples.begin() + 4);
    sut.measure(samples);
    EXPECT_EQ(samples.back().lattice, 0u);
    EXPECT_EQ(sut.lattices().size(), frame < 10 ? 1u : 0u) << frame;
  }
}

TEST(LatticeTracker, TakesTheFinerLatticeWhenItIsAsked) {
  LatticeTracker sut = tracker();
  Field field(6);
  for (int frame = 0; frame < 20; ++frame) {
    std::vector<LatticeSample> samples;
    field.add(samples, basis(1.0), 2, 0, 0.1);
    field.add(samples, basis(1.0), 4, 0, 0.05);
    field.add(samples, basis(1.0), 0, 1, 0.06);
    if (frame >= 8) field.add(samples, basis(1.0), 1, 1, 0.05);
    if (frame >= 8) field.add(samples, basis(1.0), 3, 1, 0.05);
    sut.measure(samples);
    ASSERT_EQ(sut.lattices().size(), 1u) << frame;
    EXPECT_EQ(sut.lattices()[0].id, 1u);
    const double ratio = std::abs(sut.lattices()[0].measured.area() / basis(1.0).area());
    if (frame < 8 || frame >= 11) {
      EXPECT_NEAR(ratio, frame < 8 ? 2.0 : 1.0, 0.01) << frame;
    }
  }
}

TEST(LatticeTracker, DoesNotTakeASuperlatticeForABasis) {
  LatticeTracker sut = tracker();
  const Vector2 fractions[] = {{1.0 / 3, 1.0 / 3}};
  sut.set_fractions(fractions);
  Field field(7);
  for (int frame = 0; frame < 20; ++frame) {
    auto samples = field.all(basis(1.0));
    if (frame >= 5) {
      const LatticeBasis own = sut.lattices()[0].measured;
      field.add(samples, own, 1.0 / 3, 1.0 / 3, 0.03);
      field.add(samples, own, 2.0 / 3, 2.0 / 3, 0.03);
    }
    sut.measure(samples);
    ASSERT_EQ(sut.lattices().size(), 1u);
    EXPECT_NEAR(std::abs(sut.lattices()[0].measured.area() / basis(1.0).area()), 1.0, 0.01)
        << frame;
  }
}

TEST(LatticeTracker, PredictsWhereASpotWillBe) {
  LatticeTracker sut = tracker();
  Field field(8);
  Vector2 at;
  Covariance2 covariance;
  EXPECT_FALSE(sut.predict(1, 1, 0, &at, &covariance));
  std::vector<LatticeSample> samples;
  for (int frame = 0; frame < 30; ++frame) {
    samples = field.all(basis(1.0));
    sut.measure(samples);
  }
  ASSERT_TRUE(sut.predict(1, samples[3].h, samples[3].k, &at, &covariance));
  const Vector2 truth = basis(1.0).at(1, 1);
  EXPECT_NEAR(at.x, truth.x, 4 * kSigma);
  EXPECT_LT(std::sqrt(covariance.xx), kSigma);  // thirty frames and four spots know more than one
  sut.restart();
  EXPECT_TRUE(sut.lattices().empty());
}

}  // namespace
}  // namespace latticed::signal
