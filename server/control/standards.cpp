// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/standards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace latticed {

namespace {

constexpr double kSmallest_nm = 0.1;
constexpr int kHighestIndex = 6;

enum class Centring { primitive, face_centred, diamond };

/// The kinematic rule; double diffraction may show more, which is then an unmatched reflection.
bool is_seen(Centring centring, int h, int k, int l) {
  if (centring == Centring::primitive) return true;
  const bool is_even = h % 2 == 0, is_alike = (k % 2 == 0) == is_even && (l % 2 == 0) == is_even;
  if (!is_alike) return false;
  return centring == Centring::face_centred || !is_even || (h + k + l) % 4 == 0;
}

std::vector<signal::KnownSpacing> cubic(double a_nm, Centring centring) {
  std::vector<signal::KnownSpacing> out;
  for (int h = 1; h <= kHighestIndex; ++h)
    for (int k = 0; k <= h; ++k)
      for (int l = 0; l <= k; ++l) {
        const double d = a_nm / std::sqrt(static_cast<double>(h * h + k * k + l * l));
        if (d < kSmallest_nm || !is_seen(centring, h, k, l)) continue;
        const bool is_there = std::any_of(out.begin(), out.end(), [&](const auto& other) {
          return std::abs(other.d_nm / d - 1.0) < 1e-9;  // 333 and 511
        });
        if (!is_there) out.push_back({fmt::format("{}{}{}", h, k, l), d});
      }
  std::sort(out.begin(), out.end(), [](const auto& x, const auto& y) { return x.d_nm > y.d_nm; });
  return out;
}

std::vector<signal::KnownSpacing> graphite(double a_nm, double c_nm) {
  const int indices[][3] = {{0, 0, 2}, {1, 0, 0}, {1, 0, 1}, {1, 0, 2}, {0, 0, 4},
                            {1, 0, 3}, {1, 1, 0}, {1, 1, 2}, {0, 0, 6}, {2, 0, 0}};
  std::vector<signal::KnownSpacing> out;
  for (const auto& [h, k, l] : indices) {
    const double in_plane = 4.0 / 3.0 * (h * h + h * k + k * k) / (a_nm * a_nm);
    const double d = 1.0 / std::sqrt(in_plane + l * l / (c_nm * c_nm));
    if (d >= kSmallest_nm) out.push_back({fmt::format("{}{}{}", h, k, l), d});
  }
  return out;
}

/// "si" is meant as Si: no two differ by case alone.
bool is_same_word(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

std::vector<Standard> standards() {
  return {
      {"Si",
       "NIST SRM 640f, certificate: a = 0.5431144 nm at 22.5 C; sigma: thin foils, room "
       "temperature",
       1e-4, cubic(0.5431144, Centring::diamond)},
      {"Au", "Swanson, Tatge, NBS Circular 539 I (1953) 33: a = 0.40786 nm; sigma: small particles",
       5e-4, cubic(0.40786, Centring::face_centred)},
      {"Al", "Swanson, Tatge, NBS Circular 539 I (1953) 11: a = 0.40494 nm; sigma: 10 K of warmth",
       3e-4, cubic(0.40494, Centring::face_centred)},
      {"graphite",
       "Trucano, Chen, Nature 258 (1975) 136: a = 0.2464(2) nm, c = 0.6711(4) nm; sigma: "
       "stacking disorder widens c",
       1e-3, graphite(0.2464, 0.6711)},
      {"SrTiO3",
       "Swanson, Fuyat, Ugrinic, NBS Circular 539 III (1954) 44: a = 0.3905 nm; sigma: oxygen "
       "content",
       3e-4, cubic(0.3905, Centring::primitive)},
      {"NiO", "Swanson, Tatge, NBS Circular 539 I (1953) 47: a = 0.41769 nm; sigma: nickel content",
       4e-4, cubic(0.41769, Centring::face_centred)},
      {"MgO", "Swanson, Tatge, NBS Circular 539 I (1953) 37: a = 0.4213 nm; sigma: preparation",
       3e-4, cubic(0.4213, Centring::face_centred)},
  };
}

Result<Standard> find_standard(std::string_view name) {
  std::string names;
  for (Standard& one : standards()) {
    if (is_same_word(one.name, name)) return std::move(one);
    names += (names.empty() ? "" : ", ") + one.name;
  }
  return Error{ErrorCode::not_found,
               fmt::format("there is no standard \"{}\" (expected one of {})", name, names)};
}

}  // namespace latticed
