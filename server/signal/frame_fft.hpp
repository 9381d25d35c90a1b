// SPDX-License-Identifier: GPL-3.0-or-later
// The one forward transform of a frame: plane subtraction and taper fused into the row pass, rows
// transformed in blocks that stay in cache and stored transposed, then only the columns inside the
// analysis band. Sides that are powers of two go through LaneFft, others through FFTW 3.3 (manual
// 4.4.2 planning, 4.6 new-array execute). Plans are made once, under one lock; execute() is const
// and may run on many threads, each with its own Workspace.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "server/signal/analysis_grid.hpp"
#include "server/signal/lane_fft.hpp"
#include "server/signal/taper.hpp"

namespace latticed::signal {

/// The plane a + b x + c y (x, y in cells) that is subtracted before the taper.
struct Plane {
  double a = 0.0, b = 0.0, c = 0.0;
};

/// Sees each finished column of the spectrum while it is still in the first-level cache.
class ColumnVisitor {
 public:
  virtual ~ColumnVisitor() = default;
  virtual void visit(int kx, const Complex* column) = 0;
};

class FrameFft {
 public:
  struct Workspace {
    AlignedBuffer<float> rows;    // a block of tapered rows, or LaneFft's scratch
    AlignedBuffer<Complex> half;  // their transforms
  };

  /// Plans for this grid; a new size without stored wisdom may take a second, unless its sides are
  /// powers of two.
  FrameFft(const AnalysisGrid& grid, double taper_alpha);
  ~FrameFft();
  FrameFft(const FrameFft&) = delete;
  FrameFft& operator=(const FrameFft&) = delete;

  [[nodiscard]] Workspace make_workspace() const;

  /// image: grid.height x grid.width cells, rows packed. Does not allocate. Any thread.
  void execute(const float* image, const Plane& plane, Workspace& work, Spectrum& out,
               ColumnVisitor* visitor = nullptr) const;

  [[nodiscard]] const AnalysisGrid& grid() const noexcept { return grid_; }
  [[nodiscard]] const TaperMoments& moments() const noexcept { return moments_; }
  [[nodiscard]] const std::vector<float>& taper_x() const noexcept { return taper_x_; }
  [[nodiscard]] const std::vector<float>& taper_y() const noexcept { return taper_y_; }

 private:
  struct Plans;
  void execute_by_lanes(const float* image, const Plane& plane, Workspace& work, Spectrum& out,
                        ColumnVisitor* visitor) const;
  void execute_by_fftw(const float* image, const Plane& plane, Workspace& work, Spectrum& out,
                       ColumnVisitor* visitor) const;

  AnalysisGrid grid_;
  std::vector<float> taper_x_, taper_y_;
  TaperMoments moments_;
  std::unique_ptr<LaneFft> lane_fft_;  // null: the sizes are not for it
  std::unique_ptr<Plans> plans_;
};

/// A square inverse transform of one block of bins (size x size, in place, unnormalised).
class BlockIfft {
 public:
  explicit BlockIfft(int size);
  ~BlockIfft();
  BlockIfft(BlockIfft&&) noexcept;
  BlockIfft& operator=(BlockIfft&&) noexcept;
  /// Any thread; `data` from an AlignedBuffer.
  void execute(Complex* data) const;
  [[nodiscard]] int size() const noexcept { return size_; }

 private:
  int size_;
  void* plan_ = nullptr;
};

/// The inverse of a kx-major half spectrum to a real surface (height x width, transposed:
/// column by column). For re-acquisition only, it costs as much as the forward transform.
class SurfaceIfft {
 public:
  explicit SurfaceIfft(const AnalysisGrid& grid);
  ~SurfaceIfft();
  SurfaceIfft(const SurfaceIfft&) = delete;
  SurfaceIfft& operator=(const SurfaceIfft&) = delete;
  /// `half`: (width/2+1) columns of `height` cells from an AlignedBuffer, overwritten; `surface`:
  /// width x height. Track thread only (it owns scratch). Does not allocate.
  void execute(Complex* half, float* surface);

 private:
  int width_, height_;
  std::size_t half_stride_, real_stride_;
  void* column_plan_ = nullptr;
  void* row_plan_ = nullptr;
  AlignedBuffer<Complex> column_, half_rows_;
  AlignedBuffer<float> real_rows_;
};

/// FFTW's measured plans, kept between starts: `load` at start (a missing file is fine), `store`
/// after planning. Returns false when the file could not be read or written.
bool load_fft_wisdom(const std::string& path);
bool store_fft_wisdom(const std::string& path);
/// Where wisdom lives: $XDG_CACHE_HOME/latticed or ~/.cache/latticed; empty when there is no home.
std::string default_wisdom_path();

}  // namespace latticed::signal
