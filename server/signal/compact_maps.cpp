// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/compact_maps.hpp"

#include <algorithm>
#include <cmath>

#include "server/base/hot.hpp"
#include "server/signal/bin_image.hpp"
#include "server/signal/pixel_pairs.hpp"

namespace latticed::signal {

namespace {

using Word = std::uint32_t;

// A product of 32 bits in two halves, so that sixteen of them still fit words.
struct Sum {
  Word high, low;
};
[[gnu::always_inline]] inline Sum product(Word raw, Word gain) {
  const Word both = raw * gain;
  return {both >> 16, both & 0xffffu};
}
[[gnu::always_inline]] inline Sum operator+(Sum a, Sum b) {
  return {a.high + b.high, a.low + b.low};
}
[[gnu::always_inline]] inline Sum product_of_two(Word raw, Word gain) {
  return product(low_of(raw), low_of(gain)) + product(high_of(raw), high_of(gain));
}
// Exact but for the sum: both halves are below 2^21.
[[gnu::always_inline]] inline float counts(Sum sum) {
  const auto high = static_cast<float>(static_cast<std::int32_t>(sum.high));
  const auto low = static_cast<float>(static_cast<std::int32_t>(sum.low));
  return (high * 65536.0f + low) * static_cast<float>(CompactMaps::kGainStep);
}

// Where a row of cells begins in its rows of pixels.
struct Rows {
  const std::uint16_t *raw[4] = {}, *gain[4] = {};
};

LATTICED_HOT_IN_ORDER void bin_1(const Rows& rows, int cells, float* out) {
  const std::uint16_t *raw = rows.raw[0], *gain = rows.gain[0];
  for (int x = 0; x < cells; ++x) out[x] = counts(product(raw[x], gain[x]));
}

LATTICED_HOT_IN_ORDER void bin_2(const Rows& rows, int cells, float* out) {
  const PixelPair *a = pairs_of(rows.raw[0]), *b = pairs_of(rows.raw[1]);
  const PixelPair *p = pairs_of(rows.gain[0]), *q = pairs_of(rows.gain[1]);
  for (int x = 0; x < cells; ++x)
    out[x] = counts(product_of_two(a[x], p[x]) + product_of_two(b[x], q[x]));
}

LATTICED_HOT_IN_ORDER void bin_4(const Rows& rows, int cells, float* out) {
  constexpr int kCells = 64;  // at a time: their sums stay in the first-level cache
  const PixelPair *a = pairs_of(rows.raw[0]), *b = pairs_of(rows.raw[1]),
                  *c = pairs_of(rows.raw[2]), *d = pairs_of(rows.raw[3]);
  const PixelPair *p = pairs_of(rows.gain[0]), *q = pairs_of(rows.gain[1]),
                  *r = pairs_of(rows.gain[2]), *s = pairs_of(rows.gain[3]);
  Word high[2 * kCells], low[2 * kCells];
  for (int x0 = 0; x0 < cells; x0 += kCells) {
    const int count = std::min(kCells, cells - x0);
    for (int i = 0; i < 2 * count; ++i) {
      const int x = 2 * x0 + i;
      const Sum sum = product_of_two(a[x], p[x]) + product_of_two(b[x], q[x]) +
                      product_of_two(c[x], r[x]) + product_of_two(d[x], s[x]);
      high[i] = sum.high;
      low[i] = sum.low;
    }
    for (int i = 0; i < count; ++i)
      out[x0 + i] = counts(Sum{high[2 * i], low[2 * i]} + Sum{high[2 * i + 1], low[2 * i + 1]});
  }
}

LATTICED_HOT_IN_ORDER void take_off(const float* dark, int cells, float* out) {
  for (int x = 0; x < cells; ++x) out[x] -= dark[x];
}

}  // namespace

CompactMaps::CompactMaps(const AnalysisGrid& grid, const FrameGeometry& geometry,
                         const CorrectionMaps& maps)
    : grid_(grid), width_(static_cast<std::size_t>(geometry.width)) {
  const bool is_for_us = geometry.type == PixelType::u16 &&
                         (grid.bin == 1 || grid.bin == 2 || grid.bin == 4) &&
                         !(maps.dark.empty() && maps.gain.empty());
  if (!is_for_us) return;
  const auto cells = static_cast<std::size_t>(grid.width) * static_cast<std::size_t>(grid.height);
  if (!maps.gain.empty()) gain_ = AlignedBuffer<std::uint16_t>(geometry.pixels());
  if (!maps.dark.empty()) dark_ = AlignedBuffer<float>(cells);
  for (std::size_t cell = 0; cell < cells; ++cell) {
    const std::size_t cell_x = cell % static_cast<std::size_t>(grid.width);
    const std::size_t cell_y = cell / static_cast<std::size_t>(grid.width);
    const auto bin = static_cast<std::size_t>(grid.bin);
    const std::size_t x0 = static_cast<std::size_t>(grid.x0) + cell_x * bin;
    const std::size_t y0 = static_cast<std::size_t>(grid.y0) + cell_y * bin;
    double dark = 0.0;
    bool is_exception = false;
    for (std::size_t y = y0; y < y0 + bin; ++y)
      for (std::size_t x = x0; x < x0 + bin; ++x) {
        const std::size_t pixel = y * width_ + x;
        const double gain = maps.gain.empty() ? 1.0 : static_cast<double>(maps.gain[pixel]);
        const double steps = std::round(gain / kGainStep);
        const bool fits = steps >= 0.0 && steps <= 65535.0;  // a NaN does not
        const double rounded = fits ? steps * kGainStep : 0.0;
        is_exception |= !fits;
        if (has_gain()) gain_[pixel] = static_cast<std::uint16_t>(rounded / kGainStep);
        // By the rounded gain: what it is off by then multiplies the light alone.
        if (!maps.dark.empty()) dark += static_cast<double>(maps.dark[pixel]) * rounded;
      }
    if (!maps.dark.empty()) dark_[cell] = static_cast<float>(dark);
    if (is_exception) exceptions_.push_back(static_cast<std::uint32_t>(cell));
  }
  is_used_ = exceptions_.size() <= cells / 64;
  if (!is_used_) *this = CompactMaps();
}

void CompactMaps::bin_row(const std::uint16_t* raw, int y, float* out) const noexcept {
  Rows rows;
  for (int r = 0; r < grid_.bin; ++r) {
    const std::size_t at = static_cast<std::size_t>(grid_.y0 + y * grid_.bin + r) * width_ +
                           static_cast<std::size_t>(grid_.x0);
    rows.raw[r] = raw + at;
    rows.gain[r] = gain_.data() + at;
  }
  (grid_.bin == 1 ? bin_1 : grid_.bin == 2 ? bin_2 : bin_4)(rows, grid_.width, out);
}

void CompactMaps::take_off_dark(int y, float* out) const noexcept {
  if (dark_.size() > 0)
    take_off(dark_.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(grid_.width),
             grid_.width, out);
}

}  // namespace latticed::signal
