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
//
// A reflection is a carrier, its mean k, under an outline, that of its crystal. The crystal's place
// is in the carrier's phase; its outline moves by itself when a crystal grows or a phase takes over
// (a front that crosses an eighth of the field took the match 0.03 px along). So wherever the
// carriers' phases and what is aperiodic fix the shift as well as everything does, all bins of a
// reflection turn by its carrier in the slopes of J, which are no derivatives of J then.
#pragma once

#include <array>
#include <complex>
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

/// Whether a reflection is of a lattice that fills the field (filling_lattice.hpp): then its bins
/// turn by g, not by k.
struct FillingReflection {
  bool is_filling = false;
  Vector2 g;                // cycles per cell
  double power = 0.0;       // of its peak's highest bin
  double variance_g = 0.0;  // of g along any axis, cycles^2 per cell^2
};
/// Bins of a filling reflection that count, to either side of g: nearly all of the window's peak.
/// Beyond, film is more.
inline constexpr double kCore_bins = 3.2;

/// Phase ramps exp(2 pi i k s / n) for all kx and rows, renewed per trial shift.
class PhaseRamps {
 public:
  explicit PhaseRamps(const AnalysisGrid& grid);
  void set(Vector2 shift_cells) noexcept;
  [[nodiscard]] Vector2 shift_cells() const noexcept { return shift_; }
  [[nodiscard]] const Complex* x() const noexcept { return x_.data(); }
  [[nodiscard]] const Complex* y() const noexcept { return y_.data(); }

 private:
  int height_;
  double per_x_, per_y_;
  Vector2 shift_;
  std::vector<Complex> x_, y_;
};

/// E|noise of T|^2 per bin, in labels that are filling and in the others: they are learnt apart.
struct TemplateNoise {
  double others = 0.0, filling = 0.0;
};

/// The chosen bins with the template's values there. Track thread only; sizes fixed when made.
class MatchList {
 public:
  MatchList(const AnalysisGrid& grid, std::size_t max_blocks);

  /// Takes these blocks, already sorted by label; begin[l]..begin[l+1] are label l's. Template
  /// values are read from `full`, a mean of frames moved back by k, their mean shift `full_shift`.
  /// Those of labels that are `filling` are turned so that the window rests. Does not allocate.
  void choose(std::span<const MatchBlock> blocks,
              const std::array<std::uint32_t, kLabels + 1>& begin, const Spectrum& full,
              const std::array<FillingReflection, kLabels>& filling, Vector2 full_shift);

  /// Weights from the template's power: E|noise of T|^2 per bin; v = frame noise power per label.
  void weigh(TemplateNoise noise, const std::array<double, kLabels>& frame_noise);

  /// From now on c = (2 W / v) F conj(T), and per label the sum of W |F|^2, are those of this
  /// frame. They are made label by label when a sum first asks for them, so the frame must stay as
  /// it is until the next load(), and weights and template until then hold for what is not yet
  /// summed.
  void load(const Spectrum& frame);

  /// Sums of one label at the shift the ramps are set to. Empty labels give zeros. Where it has no
  /// outline, bins of its mirror image count negative in the imaginary part of J.
  [[nodiscard]] MatchSums sum(std::size_t label, const PhaseRamps& ramps);

  [[nodiscard]] bool is_filling(std::size_t label) const noexcept {
    return filling_[label].is_filling;
  }
  /// Whether this label's slopes know nothing of its outline, nor of how the window cuts that.
  [[nodiscard]] bool has_no_outline(std::size_t label) const noexcept {
    return is_filling(label) || (by_carriers_ && is_reflection(label));
  }

  /// Adds, per kx, the sum of c exp(2 pi i ky s_y / h) over the label's blocks to `columns`. Not
  /// for a label that is filling.
  void collapse(std::size_t label, const PhaseRamps& ramps,
                std::span<std::complex<double>> columns);

  /// T <- T + blend (F exp(+2 pi i k.s) - T), the ramps set to s; g.s where a label is filling.
  void update(const Spectrum& frame, const PhaseRamps& ramps, float blend, float filling_blend);
  /// Writes the list's template values back to the full template, whose frames' mean shift is
  /// `full_shift`.
  void write_back(Spectrum& full, Vector2 full_shift) const;

  [[nodiscard]] const Expectation& expected(std::size_t label) const noexcept {
    return expected_[label];
  }
  /// 0 for a label that nobody has summed since load().
  [[nodiscard]] double frame_power(std::size_t label) const noexcept { return frame_power_[label]; }
  /// sum W |F - T e|^2 of a label over what shot noise in frame and template would give, at the
  /// match whose sums these are: how badly its bins fit. 1 = as well as the electrons allow, at
  /// most 1e5. Noise as E|noise|^2 per bin.
  [[nodiscard]] double misfit(std::size_t label, const MatchSums& sums, double template_noise,
                              double white) const noexcept;
  [[nodiscard]] double label_noise(std::size_t label) const noexcept { return noise_[label]; }
  [[nodiscard]] std::size_t blocks() const noexcept { return count_; }
  [[nodiscard]] std::span<const MatchBlock> block_list() const noexcept {
    return {blocks_.data(), count_};
  }
  [[nodiscard]] const std::array<std::uint32_t, kLabels + 1>& label_begin() const noexcept {
    return begin_;
  }

 private:
  static bool is_reflection(std::size_t label) noexcept { return label > 0 && label < kShapes; }
  void take_blocks(std::span<const MatchBlock> blocks, const Spectrum& full);
  void load_label(std::size_t label);
  [[nodiscard]] double side_of(MatchBlock block, Vector2 g) const noexcept;
  /// A bin near enough to g that the window's peak is more than the film beside it.
  struct CoreBin {
    std::uint32_t at;        // in the list
    std::uint32_t in_frame;  // in a spectrum
    float sign;              // -1: of the mirror image, it turns by -g
  };
  [[nodiscard]] std::span<const CoreBin> core_of(std::size_t label) const noexcept {
    return std::span(core_).subspan(core_begin_[label],
                                    core_begin_[label + 1] - core_begin_[label]);
  }
  void add_core_bin(std::size_t b, int i, std::size_t label);
  void weigh_filling(std::size_t label, double template_noise);
  void load_filling(std::size_t label);
  [[nodiscard]] Complex window_turn(MatchBlock block, int row, std::size_t label,
                                    Vector2 shift) const noexcept;
  [[nodiscard]] MatchSums sum_carrier(std::size_t label, const PhaseRamps& ramps) const noexcept;
  [[nodiscard]] MatchSums sum_filling(std::size_t label, Vector2 shift) const noexcept;

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
  bool by_carriers_ = false;
  std::array<Vector2, kLabels> carrier_{};             // rad per cell
  std::array<std::uint32_t, kLabels> mirror_begin_{};  // blocks of -carrier come last
  std::array<double, kLabels> frame_power_{}, noise_{};
  std::array<FillingReflection, kLabels> filling_{};
  std::vector<CoreBin> core_;
  std::array<std::uint32_t, kLabels + 1> core_begin_{};
  std::array<double, kLabels> core_weight_{};              // W
  std::array<std::complex<double>, kLabels> filling_c_{};  // sum of c, all bins turned to +g
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
  /// Gradient of log A at this relative shift, per cell; where next to nothing is shared, that of
  /// the furthest shift at which more is.
  [[nodiscard]] Vector2 log_slope(Vector2 relative_cells) const noexcept;
  /// A over its value at no shift: the part of the tapered field that two frames share.
  [[nodiscard]] double share(Vector2 relative_cells) const noexcept;

 private:
  struct Axis {
    std::vector<float> share, log_slope;  // at whole cells, 0 .. the field
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
