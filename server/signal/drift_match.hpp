// SPDX-License-Identifier: GPL-3.0-or-later
// Where is this frame relative to a template? The log-likelihood of a shift s, for a template T and
// a frame F = T exp(-2 pi i k.s) + noise of power v per bin, is up to a constant
//
//   J(s) = sum over bins of 2 W / v  Re( F conj(T) exp(+2 pi i k.s) )
//
// with W a Wiener factor for the template's own noise. Nothing is whitened: a bin counts by what
// it says. The sum runs over the most informative bins only, in blocks of eight along ky, each with
// a label: 0 for aperiodic texture (film, edge), 1.. for the neighbourhood of a reflection, the
// last for shapes as wide as the field (edge, thickness). Sums are kept per label, so that a
// reflection can be left out while the lattice itself changes, and so that the aperiodic part can
// vouch for the choice of the unit cell.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"

namespace latticed::signal {

inline constexpr int kBlock = 8;            // bins of a block: one kx, eight rows
inline constexpr std::size_t kLabels = 25;  // texture, up to 23 reflections, wide shapes
inline constexpr std::size_t kShapes =
    kLabels - 1;  // label of aperiodic shapes as wide as the field

struct MatchBlock {
  std::int32_t kx = 0;
  std::int32_t row = 0;  // first row, a multiple of kBlock
};

/// J, its gradient and Hessian (per cell of shift), one set per label.
struct MatchSums {
  double j = 0.0, j_imag = 0.0;
  double gx = 0.0, gy = 0.0;
  double hxx = 0.0, hxy = 0.0, hyy = 0.0;

  MatchSums& operator+=(const MatchSums& o) noexcept {
    j += o.j, j_imag += o.j_imag, gx += o.gx, gy += o.gy;
    hxx += o.hxx, hxy += o.hxy, hyy += o.hyy;
    return *this;
  }
};

/// Sums of the template alone: what J should be, and the variance of its gradient's noise.
struct Expectation {
  double j = 0.0;                          // J at the right shift
  double gxx = 0.0, gxy = 0.0, gyy = 0.0;  // variance of the gradient
  double power = 0.0;                      // sum W |T|^2
  double weight = 0.0;                     // sum W: effective number of bins

  Expectation& operator+=(const Expectation& o) noexcept {
    j += o.j, gxx += o.gxx, gxy += o.gxy, gyy += o.gyy, power += o.power, weight += o.weight;
    return *this;
  }
};

/// Phase ramps exp(2 pi i k s / n) for all kx and rows, renewed per trial shift.
class PhaseRamps {
 public:
  explicit PhaseRamps(const AnalysisGrid& grid);
  void set(Vector2 shift_cells) noexcept;
  [[nodiscard]] const Complex* x() const noexcept { return x_.data(); }
  [[nodiscard]] const Complex* y() const noexcept { return y_.data(); }

 private:
  int height_;
  double per_x_, per_y_;
  std::vector<Complex> x_, y_;
};

/// The chosen bins with the template's values there. Track thread only; sizes fixed when made.
class MatchList {
 public:
  MatchList(const AnalysisGrid& grid, std::size_t max_blocks);

  /// Takes these blocks, already sorted by label; begin[l]..begin[l+1] are label l's. Template
  /// values are read from `full`. Does not allocate.
  void choose(std::span<const MatchBlock> blocks,
              const std::array<std::uint32_t, kLabels + 1>& begin, const Spectrum& full);

  /// Weights from the template's power: template_noise = E|noise of T|^2 per bin; v = frame noise
  /// power per label.
  void weigh(double template_noise, const std::array<double, kLabels>& frame_noise);

  /// From now on c = (2 W / v) F conj(T), and per label the sum of W |F|^2, are those of this
  /// frame. They are made label by label when a sum first asks for them, so the frame must stay as
  /// it is until the next load(), and weights and template until then hold for what is not yet
  /// summed.
  void load(const Spectrum& frame);

  /// Sums of one label at the shift the ramps are set to. Empty labels give zeros.
  [[nodiscard]] MatchSums sum(std::size_t label, const PhaseRamps& ramps);

  /// Adds, per kx, the sum of c exp(2 pi i ky s_y / h) over the label's blocks to `columns`.
  void collapse(std::size_t label, const PhaseRamps& ramps,
                std::span<std::complex<double>> columns);

  /// T <- T + blend (F exp(+2 pi i k.s) - T), the ramps set to s.
  void update(const Spectrum& frame, const PhaseRamps& ramps, float blend);
  /// Writes the list's template values back to the full template.
  void write_back(Spectrum& full) const;

  [[nodiscard]] const Expectation& expected(std::size_t label) const noexcept {
    return expected_[label];
  }
  /// 0 for a label that nobody has summed since load().
  [[nodiscard]] double frame_power(std::size_t label) const noexcept { return frame_power_[label]; }
  [[nodiscard]] double label_noise(std::size_t label) const noexcept { return noise_[label]; }
  [[nodiscard]] std::size_t blocks() const noexcept { return count_; }
  [[nodiscard]] std::span<const MatchBlock> block_list() const noexcept {
    return {blocks_.data(), count_};
  }
  [[nodiscard]] const std::array<std::uint32_t, kLabels + 1>& label_begin() const noexcept {
    return begin_;
  }

 private:
  void load_label(std::size_t label);

  AnalysisGrid grid_;
  const Spectrum* frame_ = nullptr;
  std::uint32_t loaded_labels_ = 0;
  std::size_t count_ = 0;
  std::vector<MatchBlock> blocks_;
  std::array<std::uint32_t, kLabels + 1> begin_{};
  AlignedBuffer<float> template_re_, template_im_;  // kBlock per block
  AlignedBuffer<float> weight_;                     // W, one a block
  AlignedBuffer<float> c_re_, c_im_;
  std::vector<float> ky_of_row_;
  std::array<Expectation, kLabels> expected_{};
  std::array<double, kLabels> frame_power_{}, noise_{};
};

/// The highest J over the labels in `used` on a square grid of (2 reach + 1)^2 shifts about
/// `centre`. Columns are collapsed once per row of the grid, so it costs a few Newton steps, not
/// hundreds.
class GridSearch {
 public:
  static constexpr int kReach = 9;
  explicit GridSearch(const AnalysisGrid& grid);
  /// step_cells: at most a third of the shortest period that matters. Does not allocate.
  Vector2 best(MatchList& list, std::uint32_t used, Vector2 centre, double step_cells,
               PhaseRamps& ramps);

 private:
  std::vector<std::complex<double>> column_;
};

/// A 2 x 2 covariance, cells^2.
struct Covariance {
  double xx = 0.0, xy = 0.0, yy = 0.0;
};

/// How much of the tapered field two frames share, and how it pulls. Content that fills the field
/// is cut by the window in another place in each frame, so J carries the factor A(s - s0), A the
/// taper's autocorrelation and s0 the template's mean shift: its maximum lies too near to s0, by
/// percents for low frequencies. maximise() takes the slope of log A off the gradient.
class WindowOverlap {
 public:
  WindowOverlap(const std::vector<float>& taper_x, const std::vector<float>& taper_y);
  /// Gradient of log A at this relative shift, per cell.
  [[nodiscard]] Vector2 log_slope(Vector2 relative_cells) const noexcept;
  /// A over its value at no shift: the part of the tapered field that two frames share.
  [[nodiscard]] double share(Vector2 relative_cells) const noexcept;

 private:
  struct Axis {
    std::vector<float> share, log_slope;  // at whole cells, 0 .. half the field
  };
  static Axis axis_of(const std::vector<float>& taper);
  Axis x_, y_;
};

struct MatchResult {
  Vector2 shift_cells;
  Covariance covariance;
  MatchSums sums;  // over the labels used, within a hundredth of a cell of the shift
  std::array<MatchSums, kLabels> labels;  // all labels, likewise
  bool is_peak = false;                   // Newton ended on a maximum
};

/// Newton's maximum of J over the labels in `used`, from `start`; steps are held to
/// `max_step_cells`. `window` and `template_shift` as WindowOverlap has it.
MatchResult maximise(MatchList& list, std::uint32_t used, Vector2 start, double max_step_cells,
                     const WindowOverlap& window, Vector2 template_shift, PhaseRamps& ramps);

}  // namespace latticed::signal
