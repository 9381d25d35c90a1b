// SPDX-License-Identifier: GPL-3.0-or-later
// Two fields of one specimen, laid upon each other in real space: what a template knows, and a
// frame taken elsewhere. Half of what a field shows after a jump was outside the window before, and
// lies under the reflections like noise. Cut to what both show, under one window, they differ by
// shot noise alone; joined, they are the template that frames of the new field ought to be held to.
//
// Used by the drift tracker after a jump. No threads, no allocation after the constructor.
#pragma once

#include <array>
#include <vector>

#include "server/frame/measurements.hpp"
#include "server/signal/analysis_grid.hpp"
#include "server/signal/drift_match.hpp"
#include "server/signal/frame_fft.hpp"

namespace latticed::signal {

class FieldMosaic {
 public:
  explicit FieldMosaic(const FrameFft& fft);

  /// The template: a mean of frames moved back by k, their mean shift `shift` cells, taken `gain`
  /// times as bright as it is.
  void lay_template(const Spectrum& mean, Vector2 shift, double gain = 1.0);
  /// A frame at this shift. A template must lie there already; lays one frame in place of another.
  void lay_frame(const Spectrum& frame, Vector2 shift);

  /// Both under the product of their windows, in the specimen's coordinates: what the shift that
  /// was said leaves is how far `frame` lies from `mean`.
  void cut(Spectrum& mean, Spectrum& frame);
  /// White noise under the product of the windows over that under one window.
  [[nodiscard]] double cut_noise() const noexcept { return cut_noise_; }
  /// Variance of a match under that product over what its bins say: <w^4> / <w^2>^2 of it.
  [[nodiscard]] double cut_excess() const noexcept { return cut_excess_; }

  /// The specimen under the frame's window, moved back: the template where it shows the place, with
  /// the weight of `frames` frames, else the frame.
  void join(double frames, Spectrum& out);

 private:
  struct Axis {
    std::vector<float> mean_window, frame_window;  // at the specimen's cells
    std::vector<float> place;                      // of the frame's cells, -0.5 .. 0.5 of the field
  };
  void lay_windows(Axis& axis, const std::vector<float>& taper, double mean_shift,
                   double shift) const;
  void to_real(const Spectrum& spectrum, Vector2 back, double gain, AlignedBuffer<float>& surface);
  void fit_level();
  [[nodiscard]] float level_at(std::size_t x, std::size_t y) const noexcept;
  template <class Value>
  void transform(const Value& value_at, Spectrum& out);

  AnalysisGrid grid_;
  std::vector<float> taper_x_, taper_y_;
  double window_squares_;  // mean of the one window's squares
  FrameFft fft_;           // without a taper: the windows lie on the fields already
  FrameFft::Workspace work_;
  SurfaceIfft surface_ifft_;
  PhaseRamps ramps_;
  AlignedBuffer<Complex> half_;
  AlignedBuffer<float> mean_, frame_;  // width x height, column by column
  AlignedBuffer<float> image_;         // height x width
  Axis x_, y_;
  Vector2 mean_shift_;
  std::array<double, 3> level_{};  // plane that was taken off the template, less that off the frame
  double cut_noise_ = 1.0, cut_excess_ = 1.0;
};

}  // namespace latticed::signal
