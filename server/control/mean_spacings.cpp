// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/mean_spacings.hpp"

#include <algorithm>
#include <cmath>
#include <map>

namespace latticed {

namespace {

struct Series {
  double x = 0.0, y = 0.0;            // sums of g, 1/px
  double size = 0.0, squares = 0.0;   // sums of |g| and |g|^2
  double variance = 0.0, film = 0.0;  // sums of relative variances
  int count = 0;
};

}  // namespace

std::vector<signal::MeasuredSpacing> mean_spacings(std::span<const v1::Measurement> frames,
                                                   const v1::RunBegins& run) {
  const double px_nm = run.pixel_size_nm() > 0.0 ? run.pixel_size_nm() : 1.0;
  const double scale_variance = run.pixel_size_sigma_ratio() * run.pixel_size_sigma_ratio();
  std::map<std::uint32_t, Series> by_id;
  for (const v1::Measurement& frame : frames)
    for (const v1::Spot& spot : frame.spots()) {
      if (!spot.confirmed() || !(spot.d_nm() > 0.0)) continue;
      Series& s = by_id[spot.id()];
      const double x = spot.g_per_nm().x() * px_nm, y = spot.g_per_nm().y() * px_nm;
      const double size = std::hypot(x, y);
      s.x += x;
      s.y += y;
      s.size += size;
      s.squares += size * size;
      s.variance += std::pow(spot.sigma_d_nm() / spot.d_nm(), 2);
      s.film += std::max(0.0, std::pow(spot.sigma_d_sys_nm() / spot.d_nm(), 2) - scale_variance);
      ++s.count;
    }
  std::vector<signal::MeasuredSpacing> out;
  for (const auto& [id, s] : by_id) {
    if (2 * static_cast<std::size_t>(s.count) < frames.size()) continue;
    const double n = s.count, mean = s.size / n;
    const double scatter =
        s.count > 1 ? std::max(0.0, s.squares - n * mean * mean) / (n - 1.0) / (mean * mean) : 0.0;
    out.push_back(
        {{s.x / n, s.y / n}, std::sqrt(std::max(scatter, s.variance / n) / n + s.film / n)});
  }
  return out;
}

}  // namespace latticed
