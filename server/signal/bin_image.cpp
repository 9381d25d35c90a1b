// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/bin_image.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "server/base/hot.hpp"
#include "server/signal/pixel_pairs.hpp"

namespace latticed::signal {

namespace {

struct Extremes {
  float low = std::numeric_limits<float>::max();
  float high = std::numeric_limits<float>::lowest();
};

// Adds one raw row to the accumulator. The loops are plain so that the compiler vectorises them.
template <class Raw>
[[gnu::always_inline]] inline void add_row(const Raw* raw, const float* dark, const float* gain,
                                           int width, bool is_first, float* sums, Extremes& seen) {
  // Not the row's first pixel to begin with: nothing compares with it when it is no number.
  Raw low = std::numeric_limits<Raw>::max(), high = std::numeric_limits<Raw>::lowest();
  for (int x = 0; x < width; ++x) {
    low = raw[x] < low ? raw[x] : low;
    high = raw[x] > high ? raw[x] : high;
  }
  seen.low = std::min(seen.low, static_cast<float>(low));
  seen.high = std::max(seen.high, static_cast<float>(high));
  if (is_first) std::fill_n(sums, width, 0.0f);
  if (dark && gain)
    for (int x = 0; x < width; ++x) sums[x] += (static_cast<float>(raw[x]) - dark[x]) * gain[x];
  else if (dark)
    for (int x = 0; x < width; ++x) sums[x] += static_cast<float>(raw[x]) - dark[x];
  else if (gain)
    for (int x = 0; x < width; ++x) sums[x] += static_cast<float>(raw[x]) * gain[x];
  else
    for (int x = 0; x < width; ++x) sums[x] += static_cast<float>(raw[x]);
}

// A function per type, since target_clones does not reach into templates.
#define LATTICED_ADD_ROW(name, Raw)                                                       \
  LATTICED_HOT void name(const Raw* raw, const float* dark, const float* gain, int width, \
                         bool is_first, float* sums, Extremes& seen) {                    \
    add_row<Raw>(raw, dark, gain, width, is_first, sums, seen);                           \
  }
LATTICED_ADD_ROW(add_row_of, std::uint8_t)
LATTICED_ADD_ROW(add_row_of, std::int8_t)
LATTICED_ADD_ROW(add_row_of, std::uint16_t)
LATTICED_ADD_ROW(add_row_of, std::int16_t)
LATTICED_ADD_ROW(add_row_of, std::uint32_t)
LATTICED_ADD_ROW(add_row_of, std::int32_t)
LATTICED_ADD_ROW(add_row_of, float)
#undef LATTICED_ADD_ROW

// uint16, the commonest: whole numbers all the way to the cell (with a gain, in CompactMaps).
struct Extremes16 {
  std::uint16_t low = 65535, high = 0;
};

LATTICED_HOT void see_row(const std::uint16_t* raw, int width, Extremes16& seen) {
  std::uint16_t low = seen.low, high = seen.high;
  for (int x = 0; x < width; ++x) {
    low = raw[x] < low ? raw[x] : low;
    high = raw[x] > high ? raw[x] : high;
  }
  seen = {low, high};
}

typedef std::uint32_t Word __attribute__((may_alias));  // in memory that holds floats else
[[gnu::always_inline]] inline std::uint32_t sum_of(std::uint32_t pair) {
  return low_of(pair) + high_of(pair);
}

LATTICED_HOT void bin_1_u16(const std::uint16_t* raw, int cells, float* out) {
  for (int x = 0; x < cells; ++x) out[x] = static_cast<float>(static_cast<std::int32_t>(raw[x]));
}

LATTICED_HOT void bin_2_u16(const std::uint16_t* top, const std::uint16_t* bottom, int cells,
                            float* out) {
  const PixelPair *a = pairs_of(top), *b = pairs_of(bottom);
  for (int x = 0; x < cells; ++x)
    out[x] = static_cast<float>(static_cast<std::int32_t>(sum_of(a[x]) + sum_of(b[x])));
}

// Four rows, `pairs` = 2 x cells; `sums` is scratch for as many.
LATTICED_HOT void bin_4_u16(const std::uint16_t* const* rows, int cells, Word* sums, float* out) {
  const PixelPair *a = pairs_of(rows[0]), *b = pairs_of(rows[1]), *c = pairs_of(rows[2]),
                  *d = pairs_of(rows[3]);
  for (int x = 0; x < 2 * cells; ++x)
    sums[x] = sum_of(a[x]) + sum_of(b[x]) + sum_of(c[x]) + sum_of(d[x]);
  for (int x = 0; x < cells; ++x)
    out[x] = static_cast<float>(static_cast<std::int32_t>(sums[2 * x] + sums[2 * x + 1]));
}

LATTICED_HOT void bin_along_x(const float* sums, int bin, int cells, float* out) {
  if (bin == 1) {
    std::copy_n(sums, cells, out);
  } else if (bin == 2) {
    for (int x = 0; x < cells; ++x) out[x] = sums[2 * x] + sums[2 * x + 1];
  } else {
    for (int x = 0; x < cells; ++x) {
      float sum = 0.0f;
      for (int k = 0; k < bin; ++k) sum += sums[x * bin + k];
      out[x] = sum;
    }
  }
}

struct RowMoments {
  double sum = 0.0, x_sum = 0.0;
};

// Sixteen partial sums in a fixed order, whichever version of the function runs.
typedef float Sixteen __attribute__((vector_size(64), aligned(4), may_alias));

LATTICED_HOT RowMoments row_moments(const float* row, int width) {
  Sixteen sum{}, x_sum{}, at{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  int x = 0;
  for (; x + 16 <= width; x += 16) {
    const Sixteen cells = *reinterpret_cast<const Sixteen*>(row + x);
    sum += cells;
    x_sum += cells * at;
    at += 16.0f;
  }
  RowMoments out;
  for (; x < width; ++x) {
    out.sum += static_cast<double>(row[x]);
    out.x_sum += static_cast<double>(row[x]) * x;
  }
  for (int k = 0; k < 16; ++k) {
    out.sum += static_cast<double>(sum[k]);
    out.x_sum += static_cast<double>(x_sum[k]);
  }
  return out;
}

template <class Raw>
double ceiling_of(double saturation) {
  if (saturation > 0.0) return saturation;
  if constexpr (std::is_floating_point_v<Raw>) return std::numeric_limits<double>::infinity();
  return static_cast<double>(std::numeric_limits<Raw>::max());
}

double corrected(double raw, const CorrectionMaps& maps, std::size_t pixel) {
  if (!maps.dark.empty()) raw -= static_cast<double>(maps.dark[pixel]);
  if (!maps.gain.empty()) raw *= static_cast<double>(maps.gain[pixel]);
  return raw;
}

template <class Raw>
struct Binner {
  const Raw* raw;
  const FrameGeometry& geometry;
  const AnalysisGrid& grid;
  const CorrectionMaps& maps;
  const CompactMaps& compact;
  std::span<float> scratch;
  std::span<float> cells;

  [[nodiscard]] float* cell_row(int y) const {
    return cells.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(grid.width);
  }
  [[nodiscard]] std::size_t pixel(int x, int y) const {
    return static_cast<std::size_t>(y) * static_cast<std::size_t>(geometry.width) +
           static_cast<std::size_t>(x);
  }

  /// One row of cells, from its bin rows of pixels.
  void bin_row(int y, Extremes& seen) const {
    const int used = grid.width * grid.bin;
    for (int r = 0; r < grid.bin; ++r) {
      const std::size_t at = pixel(grid.x0, grid.y0 + y * grid.bin + r);
      add_row_of(raw + at, maps.dark.empty() ? nullptr : maps.dark.data() + at,
                 maps.gain.empty() ? nullptr : maps.gain.data() + at, used, r == 0, scratch.data(),
                 seen);
    }
    bin_along_x(scratch.data(), grid.bin, grid.width, cell_row(y));
  }

  /// uint16 without maps, or with compact ones.
  [[nodiscard]] bool is_whole_numbers() const {
    return std::is_same_v<Raw, std::uint16_t> &&
           (compact.is_used() || (maps.dark.empty() && maps.gain.empty())) &&
           (grid.bin == 1 || grid.bin == 2 || grid.bin == 4);
  }
  void bin_row_of_whole_numbers(int y, Extremes16& seen) const {
    if constexpr (std::is_same_v<Raw, std::uint16_t>) {
      const std::uint16_t* rows[4] = {};
      for (int r = 0; r < grid.bin; ++r) {
        rows[r] = raw + pixel(grid.x0, grid.y0 + y * grid.bin + r);
        see_row(rows[r], grid.width * grid.bin, seen);
      }
      if (compact.has_gain())
        compact.bin_row(raw, y, cell_row(y));
      else if (grid.bin == 1)
        bin_1_u16(rows[0], grid.width, cell_row(y));
      else if (grid.bin == 2)
        bin_2_u16(rows[0], rows[1], grid.width, cell_row(y));
      else
        bin_4_u16(rows, grid.width, reinterpret_cast<Word*>(scratch.data()), cell_row(y));
      compact.take_off_dark(y, cell_row(y));
    }
  }

  void mend(const HotPixelRepair& repair, const HotPixelRepair::Cell& cell) const {
    double sum = 0.0;
    for (std::uint32_t i = 0; i < cell.good_count; ++i) {
      const std::size_t at = repair.good_pixels[cell.first_good + i];
      sum += corrected(static_cast<double>(raw[at]), maps, at);
    }
    const double area = static_cast<double>(grid.bin) * grid.bin;
    cells[cell.cell] = cell.good_count ? static_cast<float>(sum / cell.good_count * area) : 0.0f;
  }

  /// A cell whose gain the compact maps cannot hold.
  void recompute(std::uint32_t cell) const {
    const auto width = static_cast<std::uint32_t>(grid.width);
    const int x0 = grid.x0 + static_cast<int>(cell % width) * grid.bin;
    const int y0 = grid.y0 + static_cast<int>(cell / width) * grid.bin;
    double sum = 0.0;
    for (int y = y0; y < y0 + grid.bin; ++y)
      for (int x = x0; x < x0 + grid.bin; ++x)
        sum += corrected(static_cast<double>(raw[pixel(x, y)]), maps, pixel(x, y));
    cells[cell] = static_cast<float>(sum);
  }

  template <class Count>
  std::size_t count_pixels(const Count& is_counted) const {
    std::size_t count = 0;
    for (int y = 0; y < grid.height * grid.bin; ++y) {
      const Raw* row = raw + pixel(grid.x0, grid.y0 + y);
      for (int x = 0; x < grid.width * grid.bin; ++x) count += is_counted(row[x]) ? 1 : 0;
    }
    return count;
  }

  // Rare path: cells that contain a value that is no number get the mean of the others.
  std::size_t mend_not_finite() const {
    double sum = 0.0;
    std::size_t good = 0, bad_cells = 0;
    for (float value : cells)
      if (std::isfinite(value)) {
        sum += static_cast<double>(value);
        ++good;
      }
    const float mean = good ? static_cast<float>(sum / static_cast<double>(good)) : 0.0f;
    for (float& value : cells)
      if (!std::isfinite(value)) {
        value = mean;
        ++bad_cells;
      }
    return bad_cells;
  }
};

template <class Raw>
ImageStatistics bin_typed(const Raw* raw, const FrameGeometry& geometry, const AnalysisGrid& grid,
                          const CorrectionMaps& maps, const HotPixelRepair& repair,
                          const CompactMaps& compact, double saturation, std::span<float> scratch,
                          std::span<float> cells) {
  const Binner<Raw> binner{raw, geometry, grid, maps, compact, scratch, cells};
  const double area = static_cast<double>(grid.bin) * grid.bin;
  double sum = 0.0, x_sum = 0.0, y_sum = 0.0;
  const auto add_moments = [&](int y) {
    const RowMoments row = row_moments(binner.cell_row(y), grid.width);
    sum += row.sum;
    x_sum += row.x_sum;
    y_sum += row.sum * y;
  };
  // Each row of cells to its end while it is in the first-level cache.
  Extremes seen;
  Extremes16 whole_seen;
  const bool is_whole = binner.is_whole_numbers();
  auto spoilt = repair.cells.begin();
  auto exception = compact.exceptions().begin();
  for (int y = 0; y < grid.height; ++y) {
    if (is_whole)
      binner.bin_row_of_whole_numbers(y, whole_seen);
    else
      binner.bin_row(y, seen);
    const auto end_of_row = static_cast<std::uint32_t>((y + 1) * grid.width);
    for (; exception != compact.exceptions().end() && *exception < end_of_row; ++exception)
      binner.recompute(*exception);
    for (; spoilt != repair.cells.end() && spoilt->cell < end_of_row; ++spoilt)
      binner.mend(repair, *spoilt);
    add_moments(y);
  }
  if (is_whole) seen = {static_cast<float>(whole_seen.low), static_cast<float>(whole_seen.high)};

  ImageStatistics out;
  out.raw_min = static_cast<double>(seen.low);
  out.raw_max = static_cast<double>(seen.high);
  const double ceiling = ceiling_of<Raw>(saturation);
  if (out.raw_max >= ceiling)
    out.at_ceiling =
        binner.count_pixels([&](Raw value) { return static_cast<double>(value) >= ceiling; });

  if constexpr (std::is_floating_point_v<Raw>) {
    if (!std::isfinite(sum)) {
      out.not_finite =
          binner.count_pixels([](Raw value) { return !std::isfinite(static_cast<float>(value)); });
      binner.mend_not_finite();
      sum = x_sum = y_sum = 0.0;
      for (int y = 0; y < grid.height; ++y) add_moments(y);
    }
  }
  const double w = grid.width, h = grid.height, n = w * h;
  const double mean = sum / n, mid_x = (w - 1) / 2, mid_y = (h - 1) / 2;
  // Least squares on a full grid: x and y are orthogonal about their means.
  out.plane.b = (x_sum - sum * mid_x) / (n * std::max(w * w - 1, 1.0) / 12);
  out.plane.c = (y_sum - sum * mid_y) / (n * std::max(h * h - 1, 1.0) / 12);
  out.plane.a = mean - out.plane.b * mid_x - out.plane.c * mid_y;
  out.mean = mean / area;
  return out;
}

}  // namespace

HotPixelRepair::HotPixelRepair(const AnalysisGrid& grid, const FrameGeometry& geometry,
                               const std::vector<std::uint32_t>& hot_pixels) {
  const auto is_hot = [&](std::uint32_t pixel) {
    return std::binary_search(hot_pixels.begin(), hot_pixels.end(), pixel);
  };
  std::uint32_t last_cell = std::numeric_limits<std::uint32_t>::max();
  std::vector<std::uint32_t> spoilt;
  for (std::uint32_t pixel : hot_pixels) {
    const int x = static_cast<int>(pixel % static_cast<std::uint32_t>(geometry.width)) - grid.x0;
    const int y = static_cast<int>(pixel / static_cast<std::uint32_t>(geometry.width)) - grid.y0;
    if (x < 0 || y < 0 || x >= grid.width * grid.bin || y >= grid.height * grid.bin) continue;
    const auto cell = static_cast<std::uint32_t>(y / grid.bin * grid.width + x / grid.bin);
    if (cell != last_cell) spoilt.push_back(last_cell = cell);
  }
  std::sort(spoilt.begin(), spoilt.end());
  spoilt.erase(std::unique(spoilt.begin(), spoilt.end()), spoilt.end());
  for (std::uint32_t cell : spoilt) {
    const int cell_x = static_cast<int>(cell) % grid.width * grid.bin + grid.x0;
    const int cell_y = static_cast<int>(cell) / grid.width * grid.bin + grid.y0;
    Cell entry{cell, static_cast<std::uint32_t>(good_pixels.size()), 0};
    // The cell's own good pixels; where there are none, the ring around it, wider until some are.
    for (int reach = 0; entry.good_count == 0 && reach <= 4; ++reach)
      for (int y = cell_y - reach; y < cell_y + grid.bin + reach; ++y)
        for (int x = cell_x - reach; x < cell_x + grid.bin + reach; ++x) {
          if (x < 0 || y < 0 || x >= geometry.width || y >= geometry.height) continue;
          const auto pixel = static_cast<std::uint32_t>(y * geometry.width + x);
          if (is_hot(pixel)) continue;
          good_pixels.push_back(pixel);
          ++entry.good_count;
        }
    cells.push_back(entry);
  }
}

ImageStatistics bin_image(std::span<const std::byte> raw, const FrameGeometry& geometry,
                          const AnalysisGrid& grid, const CorrectionMaps& maps,
                          const HotPixelRepair& repair, double saturation,
                          std::span<float> row_scratch, std::span<float> cells,
                          const CompactMaps& compact) {
  const auto run = [&]<class Raw>(const Raw* pixels) {
    return bin_typed<Raw>(pixels, geometry, grid, maps, repair, compact, saturation, row_scratch,
                          cells);
  };
  switch (geometry.type) {
    case PixelType::u8:
      return run(reinterpret_cast<const std::uint8_t*>(raw.data()));
    case PixelType::i8:
      return run(reinterpret_cast<const std::int8_t*>(raw.data()));
    case PixelType::u16:
      return run(reinterpret_cast<const std::uint16_t*>(raw.data()));
    case PixelType::i16:
      return run(reinterpret_cast<const std::int16_t*>(raw.data()));
    case PixelType::u32:
      return run(reinterpret_cast<const std::uint32_t*>(raw.data()));
    case PixelType::i32:
      return run(reinterpret_cast<const std::int32_t*>(raw.data()));
    case PixelType::f32:
      return run(reinterpret_cast<const float*>(raw.data()));
  }
  return {};
}

}  // namespace latticed::signal
