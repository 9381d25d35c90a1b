// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/fourier_view.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

#include "server/base/hot.hpp"

namespace latticed {
namespace {

constexpr double kHann = 1.0;  // a Tukey window that is all taper

/// Every frequency of the same grid, not only the analysis band.
signal::AnalysisGrid whole_band(signal::AnalysisGrid grid) {
  grid.band = 1.0;
  grid.kx_count = grid.width / 2 + 1;
  grid.k_band = (grid.height - 1) / 2;
  return grid;
}

LATTICED_HOT void magnitudes_of(const float* column, int count, float* out) {
  for (int i = 0; i < count; ++i) {
    const float re = column[2 * i], im = column[2 * i + 1];
    out[i] = std::sqrt(re * re + im * im);
  }
}

LATTICED_HOT void add(const float* in, int count, float* sums) {
  for (int i = 0; i < count; ++i) sums[i] += in[i];
}

// A column and one whose ky have the other sign, from ky = -height / 2 to height / 2 about
// `middle`.
LATTICED_HOT void put_together(const float* forward, const float* backward, int height,
                               float* middle) {
  const int highest = height / 2;
  middle[0] = forward[0] + backward[0];
  for (int k = 1; k <= highest; ++k) middle[k] = forward[k] + backward[height - k];
  for (int k = 1; k <= highest; ++k) middle[-k] = forward[height - k] + backward[k];
}

// ln of x >= 1e-6, to the last bit or two: x = 2^e m with m near 1, and the polynomial of Cephes'
// logf for the rest. A loop of the library's calls is not vectorised.
LATTICED_HOT void to_logarithms(float* values, std::size_t count) {
  constexpr std::int32_t kRootHalf = 0x3f3504f3;
  for (std::size_t i = 0; i < count; ++i) {
    const float x = values[i] > 1e-6f ? values[i] : 1e-6f;
    const auto bits = __builtin_bit_cast(std::int32_t, x);
    const std::int32_t exponent = (bits - kRootHalf) >> 23;
    const float f = __builtin_bit_cast(float, bits - (exponent << 23)) - 1.0f;
    float p = 7.0376836292e-2f;
    p = p * f - 1.1514610310e-1f;
    p = p * f + 1.1676998740e-1f;
    p = p * f - 1.2420140846e-1f;
    p = p * f + 1.4249322787e-1f;
    p = p * f - 1.6668057665e-1f;
    p = p * f + 2.0000714765e-1f;
    p = p * f - 2.4999993993e-1f;
    p = p * f + 3.3333331174e-1f;
    values[i] = static_cast<float>(exponent) * 0.69314718056f + (f + f * f * (p * f - 0.5f));
  }
}

/// In blocks, so that neither side is walked with long steps.
std::vector<float> transposed(const std::vector<float>& in, int side) {
  constexpr int kBlock = 16;
  std::vector<float> out(in.size());
  const auto n = static_cast<std::size_t>(side);
  for (int y0 = 0; y0 < side; y0 += kBlock)
    for (int x0 = 0; x0 < side; x0 += kBlock)
      for (int y = y0; y < std::min(side, y0 + kBlock); ++y)
        for (int x = x0; x < std::min(side, x0 + kBlock); ++x)
          out[static_cast<std::size_t>(y) * n + static_cast<std::size_t>(x)] =
              in[static_cast<std::size_t>(x) * n + static_cast<std::size_t>(y)];
  return out;
}

}  // namespace

FourierView::FourierView(const signal::AnalysisGrid& grid, const FrameGeometry& geometry,
                         const signal::CorrectionMaps& maps)
    : geometry_(geometry),
      grid_(whole_band(grid)),
      repair_(grid_, geometry, maps.hot_pixels),
      fft_(grid_, kHann),
      work_(fft_.make_workspace()),
      spectrum_(grid_.spectrum_size()),
      row_scratch_(static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.bin)),
      cells_(static_cast<std::size_t>(grid_.width) * static_cast<std::size_t>(grid_.height)),
      magnitudes_(static_cast<std::size_t>(grid_.kx_count) *
                  static_cast<std::size_t>(grid_.height)),
      forward_(static_cast<std::size_t>(grid_.height)),
      backward_(forward_.size()),
      line_(2 * static_cast<std::size_t>(grid_.height / 2) + 1) {}

std::vector<FourierView::Span> FourierView::spans_of(int side, double frequencies_per_pixel,
                                                     int size) {
  std::vector<Span> out;
  for (int i = 0; i < side; ++i) {
    const double middle = (i - side / 2) * frequencies_per_pixel;
    const int first = static_cast<int>(std::ceil(middle - 0.5 * frequencies_per_pixel));
    const int last = static_cast<int>(std::ceil(middle + 0.5 * frequencies_per_pixel)) - 1;
    const int nearest = static_cast<int>(std::lround(middle));
    const auto inside = [&](int k) { return std::clamp(k, -(size / 2), size / 2); };
    out.push_back(first <= last ? Span{inside(first), inside(last)}
                                : Span{inside(nearest), inside(nearest)});
  }
  return out;
}

class FourierView::Magnitudes final : public signal::ColumnVisitor {
 public:
  Magnitudes(int height, float* out) : height_(height), out_(out) {}
  void visit(int kx, const signal::Complex* column) override {
    magnitudes_of(reinterpret_cast<const float*>(column), height_,
                  out_ + static_cast<std::size_t>(kx) * static_cast<std::size_t>(height_));
  }

 private:
  const int height_;
  float* const out_;
};

// A real image: the half with kx < 0 is the other one turned by 180 degrees.
void FourierView::add_up_columns(const Span& x) {
  const int height = grid_.height, highest = height / 2;
  std::fill(forward_.begin(), forward_.end(), 0.0f);
  std::fill(backward_.begin(), backward_.end(), 0.0f);
  for (int kx = x.first; kx <= x.last; ++kx)
    add(magnitudes_.data() +
            static_cast<std::size_t>(std::abs(kx)) * static_cast<std::size_t>(height),
        height, kx < 0 ? backward_.data() : forward_.data());
  put_together(forward_.data(), backward_.data(), height, line_.data() + highest);
}

FourierView::Picture FourierView::draw(std::span<const std::byte> raw,
                                       const signal::CorrectionMaps& maps, int side) {
  const auto statistics =
      signal::bin_image(raw, geometry_, grid_, maps, repair_, 0.0, row_scratch_, cells_);
  Magnitudes magnitudes(grid_.height, magnitudes_.data());
  fft_.execute(cells_.data(), statistics.plane, work_, spectrum_, &magnitudes);

  const int longest = std::max(grid_.width, grid_.height);
  const int together = (longest + side - 1) / side;
  Picture out;
  out.side = longest / together;
  out.step = static_cast<double>(together) / (static_cast<double>(longest) * grid_.bin);
  const double per_pixel = static_cast<double>(together) / longest;
  const auto columns = spans_of(out.side, per_pixel * grid_.width, grid_.width);
  const auto rows = spans_of(out.side, per_pixel * grid_.height, grid_.height);
  pooled_.clear();
  for (const Span& x : columns) {
    add_up_columns(x);
    const float* const middle = line_.data() + grid_.height / 2;
    for (const Span& y : rows) {
      float sum = 0.0f;
      for (int ky = y.first; ky <= y.last; ++ky) sum += middle[ky];
      pooled_.push_back(sum / (x.count() * y.count()));
    }
  }
  to_logarithms(pooled_.data(), pooled_.size());
  out.log_magnitude = transposed(pooled_, out.side);
  return out;
}

}  // namespace latticed
