// SPDX-License-Identifier: GPL-3.0-or-later
// One detector's noise-free view of the specimen: expected intensity, in units of the vacuum dose.
// expect() may be called by several threads for different rows of one prepared frame.
#pragma once

#include <span>
#include <vector>

#include "sim/render/film.hpp"
#include "sim/scenario/scenario.hpp"
#include "sim/specimen/shape.hpp"
#include "sim/specimen/specimen.hpp"

namespace latticed::sim {

/// Amplitude transfer of the detector at |g|; a Gaussian through its value at Nyquist.
[[nodiscard]] double mtf_at(const DetectorModel& detector, double g_per_nm) noexcept;

class View {
 public:
  View(const Scenario& scenario, const DetectorModel& detector);

  void prepare(const SpecimenState& state);

  /// Scratch of one thread.
  struct Rows {
    explicit Rows(int width);
    std::vector<float> film, scratch, depth, crystal, mask, waves;
    std::vector<float> expected;  // room for a row of the result
  };
  void expect(int y, std::span<float> row, Rows& rows) const;
  /// How much of the lattice of domain number `part` of the prepared state is in each pixel, 0..1.
  void envelope(std::size_t part, int y, std::span<float> row, Rows& rows) const;

  [[nodiscard]] const DetectorModel& detector() const noexcept { return detector_; }

 private:
  struct Line {  // coordinate at column x of row y: x * dx + at_row()
    float dx = 0.0f;
    double dy = 0.0;
    double offset = 0.0;
    Vector normal;
  };
  struct Border {
    bool is_depth = false;
    Line line;
    float position = 0.0f;
    float gain = 0.0f;  // sign / softness
  };
  struct Wave {
    Vector g_per_nm;
    std::size_t table = 0;  // of cos and sin along x
    double turns_per_row = 0.0;
    double turns = 0.0;
    double amplitude = 0.0;
  };
  struct Part {
    std::vector<Border> borders;
    std::vector<Wave> waves;
  };

  [[nodiscard]] Line line(Vector normal) const noexcept;
  [[nodiscard]] double at_row(const Line& line, int y) const noexcept {
    return y * line.dy + line.offset - dot(line.normal, moved_nm(y));
  }
  /// How far the specimen has moved when row y is taken, against mid-exposure.
  [[nodiscard]] Vector moved_nm(int y) const noexcept {
    return row_moved_nm_.empty() ? Vector{} : row_moved_nm_[static_cast<std::size_t>(y)];
  }
  void add_part(const Domain& domain);
  [[nodiscard]] bool fill_mask(const Part& part, int y, Rows& rows) const;
  void fill_depth(int y, Rows& rows) const;

  const Scenario& scenario_;
  const DetectorModel detector_;
  Film film_;
  std::vector<Film::Moved> moved_;  // one, made in prepare()
  Vector shift_nm_;
  std::vector<Vector> row_moved_nm_;  // of a scanned frame
  float rim_nm_ = 0.0f;
  bool beam_on_ = true;
  bool specimen_in_ = true;
  std::vector<Line> edges_;
  std::vector<float> edge_nm_;
  std::vector<Part> parts_;
  std::vector<float> tables_;  // for each wave: width cosines, width sines
};

}  // namespace latticed::sim
