// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/frame_fft.hpp"

#include <fftw3.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <utility>

#include "server/base/hot.hpp"

namespace latticed::signal {

namespace {

// The planner is FFTW's only part that is not thread-safe (manual 5.4): this guards it.
std::mutex planner_mutex;

constexpr int kRowBlock = 16;  // rows a block: 16 x 1024 floats fit the second-level cache

// Of some sizes FFTW finds a plan fastest that gets itself a buffer at every execute (100 x 90
// cells, for one); nothing is allocated on the frame path. The flag is in fftw3.h, though not in
// the manual.
constexpr unsigned kPlanning = FFTW_MEASURE | FFTW_NO_BUFFERING;

fftwf_complex* as_fftw(Complex* data) { return reinterpret_cast<fftwf_complex*>(data); }

LATTICED_HOT void taper_row(const float* in, const float* taper_x, float taper_y, float at_0,
                            float slope, int width, float* out) {
  for (int x = 0; x < width; ++x)
    out[x] = (in[x] - at_0 - slope * static_cast<float>(x)) * (taper_x[x] * taper_y);
}

// A complex cell as one 8-byte word, and four of them: tiles of 4 x 4 cells are turned in
// registers.
using Word = double;
typedef Word Words __attribute__((vector_size(32), aligned(8), may_alias));

// rows x columns of `half` into columns of the spectrum.
LATTICED_HOT void store_transposed(const Word* half, std::size_t half_stride, int rows, int columns,
                                   Word* out, std::size_t out_stride) {
  int kx = 0;
  for (; kx + 4 <= columns && rows % 4 == 0; kx += 4)
    for (int row = 0; row < rows; row += 4) {
      const Word* from = half + static_cast<std::size_t>(row) * half_stride + kx;
      const Words a = *reinterpret_cast<const Words*>(from);
      const Words b = *reinterpret_cast<const Words*>(from + half_stride);
      const Words c = *reinterpret_cast<const Words*>(from + 2 * half_stride);
      const Words d = *reinterpret_cast<const Words*>(from + 3 * half_stride);
      const Words ab_low = __builtin_shufflevector(a, b, 0, 4, 2, 6);
      const Words ab_high = __builtin_shufflevector(a, b, 1, 5, 3, 7);
      const Words cd_low = __builtin_shufflevector(c, d, 0, 4, 2, 6);
      const Words cd_high = __builtin_shufflevector(c, d, 1, 5, 3, 7);
      Word* to = out + static_cast<std::size_t>(kx) * out_stride + row;
      *reinterpret_cast<Words*>(to) = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
      *reinterpret_cast<Words*>(to + out_stride) =
          __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
      *reinterpret_cast<Words*>(to + 2 * out_stride) =
          __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
      *reinterpret_cast<Words*>(to + 3 * out_stride) =
          __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
    }
  for (; kx < columns; ++kx) {
    Word* to = out + static_cast<std::size_t>(kx) * out_stride;
    for (int row = 0; row < rows; ++row)
      to[row] = half[static_cast<std::size_t>(row) * half_stride + static_cast<std::size_t>(kx)];
  }
}

}  // namespace

struct FrameFft::Plans {
  fftwf_plan rows = nullptr;       // a full block
  fftwf_plan last_rows = nullptr;  // the remainder, when height is no multiple of the block
  fftwf_plan column = nullptr;
};

FrameFft::FrameFft(const AnalysisGrid& grid, double taper_alpha)
    : grid_(grid),
      taper_x_(tukey(grid.width, taper_alpha)),
      taper_y_(tukey(grid.height, taper_alpha)),
      moments_(taper_moments(taper_x_, taper_y_)),
      plans_(std::make_unique<Plans>()) {
  if (LaneFft::fits(grid_)) {
    lane_fft_ = std::make_unique<LaneFft>(grid_);
    return;
  }
  Workspace work = make_workspace();
  Spectrum spectrum(grid_.column_stride);
  const std::lock_guard lock(planner_mutex);
  const int half_stride = grid_.width / 2 + 1;
  const auto plan_rows = [&](int count) {
    const int n[] = {grid_.width};
    return fftwf_plan_many_dft_r2c(1, n, count, work.rows.data(), nullptr, 1, grid_.width,
                                   as_fftw(work.half.data()), nullptr, 1, half_stride,
                                   kPlanning | FFTW_DESTROY_INPUT);
  };
  plans_->rows = plan_rows(kRowBlock);
  if (grid_.height % kRowBlock != 0) plans_->last_rows = plan_rows(grid_.height % kRowBlock);
  plans_->column = fftwf_plan_dft_1d(grid_.height, as_fftw(spectrum.data()),
                                     as_fftw(spectrum.data()), FFTW_FORWARD, kPlanning);
}

FrameFft::~FrameFft() {
  const std::lock_guard lock(planner_mutex);
  for (fftwf_plan plan : {plans_->rows, plans_->last_rows, plans_->column})
    if (plan) fftwf_destroy_plan(plan);
}

FrameFft::Workspace FrameFft::make_workspace() const {
  if (lane_fft_) return {AlignedBuffer<float>(lane_fft_->scratch_size()), {}};
  const auto width = static_cast<std::size_t>(grid_.width);
  return {AlignedBuffer<float>(width * kRowBlock),
          AlignedBuffer<Complex>((width / 2 + 1) * kRowBlock)};
}

void FrameFft::execute(const float* image, const Plane& plane, Workspace& work, Spectrum& out,
                       ColumnVisitor* visitor) const {
  if (lane_fft_)
    execute_by_lanes(image, plane, work, out, visitor);
  else
    execute_by_fftw(image, plane, work, out, visitor);
}

void FrameFft::execute_by_lanes(const float* image, const Plane& plane, Workspace& work,
                                Spectrum& out, ColumnVisitor* visitor) const {
  RowBlockTaper taper;
  taper.taper_x = taper_x_.data();
  taper.slope = static_cast<float>(plane.b);
  for (int y0 = 0; y0 < grid_.height; y0 += LaneFft::kRows) {
    for (int r = 0; r < LaneFft::kRows; ++r) {
      taper.taper_y[r] = taper_y_[static_cast<std::size_t>(y0 + r)];
      taper.at_0[r] = static_cast<float>(plane.a + plane.c * (y0 + r));
    }
    lane_fft_->transform_rows(
        image + static_cast<std::size_t>(y0) * static_cast<std::size_t>(grid_.width), taper, y0,
        work.rows.data(), out);
  }
  for (int kx = 0; kx < grid_.kx_count; ++kx) {
    lane_fft_->transform_column(kx, work.rows.data(), out);
    if (visitor) visitor->visit(kx, out.data() + grid_.at(kx, 0));
  }
}

void FrameFft::execute_by_fftw(const float* image, const Plane& plane, Workspace& work,
                               Spectrum& out, ColumnVisitor* visitor) const {
  const int width = grid_.width;
  const auto half_stride = static_cast<std::size_t>(width / 2 + 1);
  for (int y0 = 0; y0 < grid_.height; y0 += kRowBlock) {
    const int rows = std::min(kRowBlock, grid_.height - y0);
    for (int r = 0; r < rows; ++r) {
      const int y = y0 + r;
      taper_row(image + static_cast<std::size_t>(y) * static_cast<std::size_t>(width),
                taper_x_.data(), taper_y_[static_cast<std::size_t>(y)],
                static_cast<float>(plane.a + plane.c * y), static_cast<float>(plane.b), width,
                work.rows.data() + static_cast<std::size_t>(r) * static_cast<std::size_t>(width));
    }
    fftwf_execute_dft_r2c(rows == kRowBlock ? plans_->rows : plans_->last_rows, work.rows.data(),
                          as_fftw(work.half.data()));
    store_transposed(reinterpret_cast<const Word*>(work.half.data()), half_stride, rows,
                     grid_.kx_count, reinterpret_cast<Word*>(out.data() + y0), grid_.column_stride);
  }
  for (int kx = 0; kx < grid_.kx_count; ++kx) {
    fftwf_complex* column = as_fftw(out.data() + grid_.at(kx, 0));
    fftwf_execute_dft(plans_->column, column, column);
    if (visitor) visitor->visit(kx, out.data() + grid_.at(kx, 0));
  }
}

BlockIfft::BlockIfft(int size) : size_(size) {
  AlignedBuffer<Complex> block(static_cast<std::size_t>(size) * static_cast<std::size_t>(size));
  const std::lock_guard lock(planner_mutex);
  plan_ = fftwf_plan_dft_2d(size, size, as_fftw(block.data()), as_fftw(block.data()), FFTW_BACKWARD,
                            kPlanning);
}
BlockIfft::~BlockIfft() {
  if (!plan_) return;
  const std::lock_guard lock(planner_mutex);
  fftwf_destroy_plan(static_cast<fftwf_plan>(plan_));
}
BlockIfft::BlockIfft(BlockIfft&& other) noexcept
    : size_(other.size_), plan_(std::exchange(other.plan_, nullptr)) {}
BlockIfft& BlockIfft::operator=(BlockIfft&& other) noexcept {
  std::swap(size_, other.size_);
  std::swap(plan_, other.plan_);
  return *this;
}
void BlockIfft::execute(Complex* data) const {
  fftwf_execute_dft(static_cast<fftwf_plan>(plan_), as_fftw(data), as_fftw(data));
}

// One transform at a time, each on aligned scratch: FFTW makes itself buffers at every execute of a
// strided or unaligned plan.
SurfaceIfft::SurfaceIfft(const AnalysisGrid& grid)
    : width_(grid.width),
      height_(grid.height),
      half_stride_(static_cast<std::size_t>(grid.width / 2 + 1 + 7) / 8 * 8),
      real_stride_(static_cast<std::size_t>(grid.width + 15) / 16 * 16),
      column_(static_cast<std::size_t>(grid.height)),
      half_rows_(half_stride_ * kRowBlock),
      real_rows_(real_stride_ * kRowBlock) {
  const std::lock_guard lock(planner_mutex);
  column_plan_ = fftwf_plan_dft_1d(height_, as_fftw(column_.data()), as_fftw(column_.data()),
                                   FFTW_BACKWARD, kPlanning);
  row_plan_ = fftwf_plan_dft_c2r_1d(width_, as_fftw(half_rows_.data()), real_rows_.data(),
                                    kPlanning | FFTW_DESTROY_INPUT);
}
SurfaceIfft::~SurfaceIfft() {
  const std::lock_guard lock(planner_mutex);
  for (void* plan : {column_plan_, row_plan_}) fftwf_destroy_plan(static_cast<fftwf_plan>(plan));
}
void SurfaceIfft::execute(Complex* half, float* surface) {
  const auto width = static_cast<std::size_t>(width_), height = static_cast<std::size_t>(height_);
  const std::size_t columns = width / 2 + 1;
  for (std::size_t kx = 0; kx < columns; ++kx) {
    std::copy_n(half + kx * height, height, column_.data());
    fftwf_execute(static_cast<fftwf_plan>(column_plan_));
    std::copy_n(column_.data(), height, half + kx * height);
  }
  for (std::size_t y0 = 0; y0 < height; y0 += kRowBlock) {
    const std::size_t rows = std::min<std::size_t>(kRowBlock, height - y0);
    for (std::size_t kx = 0; kx < columns; ++kx)
      for (std::size_t r = 0; r < rows; ++r)
        half_rows_[r * half_stride_ + kx] = half[kx * height + y0 + r];
    for (std::size_t r = 0; r < rows; ++r)
      fftwf_execute_dft_c2r(static_cast<fftwf_plan>(row_plan_),
                            as_fftw(half_rows_.data() + r * half_stride_),
                            real_rows_.data() + r * real_stride_);
    for (std::size_t x = 0; x < width; ++x)
      for (std::size_t r = 0; r < rows; ++r)
        surface[x * height + y0 + r] = real_rows_[r * real_stride_ + x];
  }
}

bool load_fft_wisdom(const std::string& path) {
  const std::lock_guard lock(planner_mutex);
  return fftwf_import_wisdom_from_filename(path.c_str()) != 0;
}

bool store_fft_wisdom(const std::string& path) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  const std::lock_guard lock(planner_mutex);
  // Written beside and renamed, so that two starting processes never read half a file.
  const std::string fresh = path + "." + std::to_string(getpid());
  std::error_code failed = std::make_error_code(std::errc::io_error);
  if (fftwf_export_wisdom_to_filename(fresh.c_str()) != 0)
    std::filesystem::rename(fresh, path, failed);
  if (failed) std::filesystem::remove(fresh, ignored);  // half a file is nobody's
  return !failed;
}

std::string default_wisdom_path() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::string(cache) + "/latticed/fftw_wisdom";
  if (const char* home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.cache/latticed/fftw_wisdom";
  return {};
}

}  // namespace latticed::signal
