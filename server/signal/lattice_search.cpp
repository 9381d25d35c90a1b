// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lattice_search.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "server/base/fixed_vector.hpp"
#include "server/signal/lattice_cell.hpp"

namespace latticed::signal {

namespace {

constexpr std::size_t kStrongest = 6;    // spots whose differences are tried
constexpr double kFullWeight = 0.2;      // of the strongest amplitude: counts as a whole spot
constexpr double kSmallestAngle = 0.25;  // sine: flatter pairs are one row, or badly known
constexpr int kHighestIndex = 12;

struct Indexing {
  double score = 0.0;
  FixedVector<IndexedSpot, kMaxSpots> spots;
};

bool is_near(const LatticeBasis& basis, const LooseSpot& spot, const LatticeSearch& search,
             IndexedSpot* out) {
  const Vector2 index = basis.index_of(spot.frequency);
  const double h = std::round(index.x), k = std::round(index.y);
  if (std::max(std::abs(h), std::abs(k)) > kHighestIndex) return false;
  const Vector2 at = basis.at(h, k);
  const double u = (spot.frequency.x - at.x) / search.tolerance_x;
  const double v = (spot.frequency.y - at.y) / search.tolerance_y;
  *out = {spot.frequency, spot.covariance, static_cast<int>(h), static_cast<int>(k)};
  return u * u + v * v <= 1.0 && (h != 0.0 || k != 0.0);
}

double score_of(const LatticeBasis& basis, std::span<const LooseSpot> spots, double strongest,
                const LatticeSearch& search) {
  double counted = 0.0;
  IndexedSpot indexed;
  for (const LooseSpot& spot : spots)
    if (is_near(basis, spot, search, &indexed))
      counted += std::min(1.0, spot.amplitude / (kFullWeight * strongest));
  const double chance =
      std::numbers::pi * search.tolerance_x * search.tolerance_y / std::abs(basis.area());
  return (counted - 2.0) * -std::log(std::min(chance, 0.9));
}

}  // namespace

bool find_lattice(std::span<const LooseSpot> spots, const LatticeSearch& search, LatticeBasis* out,
                  double* score) noexcept {
  std::array<std::size_t, kStrongest> order{};
  const std::size_t count = std::min(spots.size(), kStrongest);
  double strongest = 0.0;
  for (std::size_t n = 0; n < count; ++n) {
    std::size_t best = spots.size();
    for (std::size_t i = 0; i < spots.size(); ++i) {
      const bool is_taken = std::find(order.begin(), order.begin() + static_cast<int>(n), i) !=
                            order.begin() + static_cast<int>(n);
      if (!is_taken && (best == spots.size() || spots[i].amplitude > spots[best].amplitude))
        best = i;
    }
    order[n] = best;
    strongest = std::max(strongest, spots[best].amplitude);
  }
  FixedVector<Vector2, kStrongest * kStrongest> vectors;
  const auto propose = [&](Vector2 v) {
    if (std::hypot(v.x, v.y) >= search.shortest) vectors.push_back(v);
  };
  for (std::size_t i = 0; i < count; ++i) propose(spots[order[i]].frequency);
  for (std::size_t i = 0; i < count; ++i)
    for (std::size_t j = i + 1; j < count; ++j) {
      const Vector2 a = spots[order[i]].frequency, b = spots[order[j]].frequency;
      propose({a.x - b.x, a.y - b.y});
      propose({a.x + b.x, a.y + b.y});
    }
  bool is_found = false;
  double best_area = 0.0;
  for (std::size_t i = 0; i < vectors.size(); ++i)
    for (std::size_t j = i + 1; j < vectors.size(); ++j) {
      const LatticeBasis basis{vectors[i], vectors[j], {}};
      const double area = std::abs(basis.area());
      if (area <
          kSmallestAngle * std::hypot(basis.g1.x, basis.g1.y) * std::hypot(basis.g2.x, basis.g2.y))
        continue;
      const double here = score_of(basis, spots, strongest, search);
      // Alike where it matters, the larger reciprocal cell; bases of one lattice differ by
      // rounding.
      if (is_found && here < *score + (area > 1.001 * best_area ? 0.0 : 1e-6)) continue;
      *out = basis;
      *score = here;
      best_area = area;
      is_found = true;
    }
  if (!is_found) return false;
  // From two spots' vectors to all of them; twice, since far ones are indexed only then.
  for (int pass = 0; pass < 2; ++pass) {
    *out = reduced_basis(*out);
    FixedVector<IndexedSpot, kMaxSpots> indexed;
    IndexedSpot one;
    for (const LooseSpot& spot : spots)
      if (is_near(*out, spot, search, &one)) indexed.push_back(one);
    if (!fit_lattice({indexed.begin(), indexed.size()}, out)) return false;
  }
  return true;
}

}  // namespace latticed::signal
