// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/field_search.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/base/hot.hpp"

namespace latticed::signal {

namespace {

constexpr double kReach = 0.45;  // of the field: further away too little is shared

// to = f conj(t) W / v, W from the power of three neighbouring rows: single bins are too noisy.
// `power`: scratch of rows + 2.
LATTICED_HOT void weigh_products(const Complex* frame, const Complex* mean, int rows, float noise,
                                 float white, float* power, Complex* to) {
  const float* f = reinterpret_cast<const float*>(frame);
  const float* t = reinterpret_cast<const float*>(mean);
  float* out = reinterpret_cast<float*>(to);
  for (int row = 0; row < rows; ++row)
    power[row + 1] = t[2 * row] * t[2 * row] + t[2 * row + 1] * t[2 * row + 1];
  power[0] = power[rows];
  power[rows + 1] = power[1];
  for (int row = 0; row < rows; ++row) {
    const float p = (power[row] + power[row + 1] + power[row + 2]) / 3.0f;
    const float weight = p > 1.5f * noise ? (p - noise) / p : 0.0f;
    // Strong bins are held to a noise of a tenth of themselves: what fits badly must not decide.
    const float factor = weight / (white + 0.01f * p);
    out[2 * row] = factor * (f[2 * row] * t[2 * row] + f[2 * row + 1] * t[2 * row + 1]);
    out[2 * row + 1] = factor * (f[2 * row + 1] * t[2 * row] - f[2 * row] * t[2 * row + 1]);
  }
}

// column *= ramp_x ramp_y: the surface's zero comes to lie where the ramps say.
LATTICED_HOT void turn(Complex* column, Complex ramp_x, const Complex* ramp_y, int rows) {
  const float xr = ramp_x.real(), xi = ramp_x.imag();
  const float* ey = reinterpret_cast<const float*>(ramp_y);
  float* c = reinterpret_cast<float*>(column);
  for (int row = 0; row < rows; ++row) {
    const float er = ey[2 * row] * xr - ey[2 * row + 1] * xi;
    const float ei = ey[2 * row] * xi + ey[2 * row + 1] * xr;
    const float re = c[2 * row] * er - c[2 * row + 1] * ei;
    c[2 * row + 1] = c[2 * row] * ei + c[2 * row + 1] * er;
    c[2 * row] = re;
  }
}

// The highest of values[i] * scale[i].
LATTICED_HOT float highest_of(const float* values, const float* scale, int count) {
  float highest[16];
  for (float& value : highest) value = std::numeric_limits<float>::lowest();
  int i = 0;
  for (; i + 16 <= count; i += 16)
    for (int k = 0; k < 16; ++k) {
      const float value = values[i + k] * scale[i + k];
      highest[k] = value > highest[k] ? value : highest[k];
    }
  for (; i < count; ++i) highest[0] = std::max(highest[0], values[i] * scale[i]);
  return *std::max_element(highest, highest + 16);
}

}  // namespace

FieldSearch::FieldSearch(const AnalysisGrid& grid)
    : grid_(grid),
      ramps_(grid),
      surface_ifft_(grid),
      surface_half_(static_cast<std::size_t>(grid.width / 2 + 1) *
                    static_cast<std::size_t>(grid.height)),
      surface_(static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height)),
      powers_(static_cast<std::size_t>(grid.height) + 2) {
  for (int row = 0; row < grid_.height; ++row)
    one_over_share_.push_back(1.0f / (1.0f - static_cast<float>(std::min(row, grid_.height - row)) /
                                                 static_cast<float>(grid_.height)));
}

std::size_t FieldSearch::find(const Problem& problem, double apart_cells,
                              std::span<FieldPlace> found) {
  const Vector2 centre{std::round(problem.centre_cells.x), std::round(problem.centre_cells.y)};
  ramps_.set(centre);
  make_surface(problem);
  const std::size_t count = collect_peaks(apart_cells, found);
  for (FieldPlace& place : found.first(count))
    place.shift_cells = {place.shift_cells.x + centre.x, place.shift_cells.y + centre.y};
  return count;
}

void FieldSearch::make_surface(const Problem& problem) {
  const auto height = static_cast<std::size_t>(grid_.height);
  std::fill_n(surface_half_.data() + static_cast<std::size_t>(grid_.kx_count) * height,
              surface_half_.size() - static_cast<std::size_t>(grid_.kx_count) * height, Complex{});
  const int per_column = (grid_.height + kBlock - 1) / kBlock;
  const int above = grid_.k_band + 1, below = grid_.height - grid_.k_band;  // rows between: no band
  for (int kx = 0; kx < grid_.kx_count; ++kx) {
    const Complex* f = problem.frame.data() + grid_.at(kx, 0);
    const Complex* t = problem.mean.data() + grid_.at(kx, 0);
    Complex* to = surface_half_.data() + static_cast<std::size_t>(kx) * height;
    weigh_products(f, t, grid_.height, static_cast<float>(problem.template_noise),
                   static_cast<float>(problem.white), powers_.data(), to);
    turn(to, ramps_.x()[kx], ramps_.y(), grid_.height);
    std::fill(to + above, to + below, Complex{});
    if (kx < 2) to[0] = {};
    if (kx == 0) to[1] = to[height - 1] = {};  // mean and plane
    if (!problem.is_aperiodic) continue;
    for (int block = 0; block < per_column; ++block) {
      if (!problem.bins.is_periodic(kx, block)) continue;
      const int row = block * kBlock;
      std::fill(to + row, to + std::min(row + kBlock, grid_.height), Complex{});
    }
  }
  surface_ifft_.execute(surface_half_.data(), surface_.data());
}

// Only tops count: the slope of a broad peak would fill the list with one place.
bool FieldSearch::is_top(int column, int row) const noexcept {
  const auto at = [this](int x, int y) {
    x = x < 0 ? x + grid_.width : x < grid_.width ? x : x - grid_.width;
    y = y < 0 ? y + grid_.height : y < grid_.height ? y : y - grid_.height;
    return surface_[static_cast<std::size_t>(x) * static_cast<std::size_t>(grid_.height) +
                    static_cast<std::size_t>(y)];
  };
  const float here = at(column, row);
  return here >= at(column - 1, row) && here >= at(column + 1, row) &&
         here >= at(column, row - 1) && here >= at(column, row + 1);
}

std::size_t FieldSearch::collect_peaks(double apart_cells, std::span<FieldPlace> found) const {
  std::size_t count = 0;
  const std::size_t limit = found.size();
  const auto height = static_cast<std::size_t>(grid_.height);
  const int reach_x = static_cast<int>(kReach * grid_.width),
            reach_y = static_cast<int>(kReach * grid_.height);
  for (int sx = -reach_x; sx <= reach_x; ++sx) {
    const int column = sx < 0 ? sx + grid_.width : sx;
    const float* line = surface_.data() + static_cast<std::size_t>(column) * height;
    const double share_x = 1.0 - std::abs(sx) / static_cast<double>(grid_.width);
    // Once the list is full nearly every column is below it as a whole.
    if (count == limit && found[limit - 1].score > 0.0) {
      const auto least = static_cast<float>(share_x * found[limit - 1].score * (1.0 - 1e-5));
      if (std::max(highest_of(line, one_over_share_.data(), reach_y + 1),
                   highest_of(line + grid_.height - reach_y,
                              one_over_share_.data() + grid_.height - reach_y, reach_y)) < least)
        continue;
    }
    for (int sy = -reach_y; sy <= reach_y; ++sy) {
      const int row = sy < 0 ? sy + grid_.height : sy;
      const double score = static_cast<double>(line[row]) /
                           (share_x * (1.0 - std::abs(sy) / static_cast<double>(grid_.height)));
      if (score <= 0.0 || (count == limit && score <= found[count - 1].score)) continue;
      if (!is_top(column, row)) continue;
      const Vector2 at{static_cast<double>(sx), static_cast<double>(sy)};
      std::size_t place = 0;  // an earlier peak of the same cell is replaced, else the weakest
      while (place < count && std::hypot(found[place].shift_cells.x - at.x,
                                         found[place].shift_cells.y - at.y) >= apart_cells)
        ++place;
      if (place < count && score <= found[place].score) continue;
      if (place == count) place = count < limit ? count++ : limit - 1;
      found[place] = {at, score};
      for (; place > 0 && found[place - 1].score < found[place].score; --place)
        std::swap(found[place - 1], found[place]);
    }
  }
  return count;
}

}  // namespace latticed::signal
