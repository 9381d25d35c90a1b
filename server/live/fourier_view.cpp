// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/fourier_view.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>

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

/// Which frequencies of an axis fall into each pixel: first to last.
struct Span {
  int first = 0, last = 0;
};
std::vector<Span> spans_of(int side, double frequencies_per_pixel, int size) {
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
                  static_cast<std::size_t>(grid_.height)) {}

float FourierView::magnitude(int kx, int ky) const {
  // A real image: the other half is the same, turned by 180 degrees.
  const int column = std::abs(kx);
  const int signed_row = kx < 0 ? -ky : ky;
  const int row = (signed_row + grid_.height) % grid_.height;
  return magnitudes_[static_cast<std::size_t>(column) * static_cast<std::size_t>(grid_.height) +
                     static_cast<std::size_t>(row)];
}

FourierView::Picture FourierView::draw(std::span<const std::byte> raw,
                                       const signal::CorrectionMaps& maps, int side) {
  const auto statistics =
      signal::bin_image(raw, geometry_, grid_, maps, repair_, 0.0, row_scratch_, cells_);
  fft_.execute(cells_.data(), statistics.plane, work_, spectrum_);
  const auto height = static_cast<std::size_t>(grid_.height);
  for (int kx = 0; kx < grid_.kx_count; ++kx)
    for (std::size_t row = 0; row < height; ++row) {
      const signal::Complex value = spectrum_[grid_.at(kx, static_cast<int>(row))];
      magnitudes_[static_cast<std::size_t>(kx) * height + row] =
          std::sqrt(value.real() * value.real() + value.imag() * value.imag());
    }

  const int longest = std::max(grid_.width, grid_.height);
  const int together = (longest + side - 1) / side;
  Picture out;
  out.side = longest / together;
  out.step = static_cast<double>(together) / (static_cast<double>(longest) * grid_.bin);
  const double per_pixel = static_cast<double>(together) / longest;
  const auto columns = spans_of(out.side, per_pixel * grid_.width, grid_.width);
  const auto rows = spans_of(out.side, per_pixel * grid_.height, grid_.height);
  out.log_magnitude.reserve(static_cast<std::size_t>(out.side) *
                            static_cast<std::size_t>(out.side));
  for (const Span& y : rows)
    for (const Span& x : columns) {
      float sum = 0.0f;
      for (int kx = x.first; kx <= x.last; ++kx)
        for (int ky = y.first; ky <= y.last; ++ky) sum += magnitude(kx, ky);
      const auto count = static_cast<float>((x.last - x.first + 1) * (y.last - y.first + 1));
      out.log_magnitude.push_back(std::log(std::max(sum / count, 1e-6f)));
    }
  return out;
}

}  // namespace latticed
