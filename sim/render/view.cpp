// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/render/view.hpp"

#include <algorithm>

#include "sim/render/simd.hpp"

namespace latticed::sim {
namespace {

/// Smooth 0..1 step, vectorised.
LATTICED_SIMD void multiply_ramp(float* to, const float* coordinate, float position, float gain,
                                 int count) noexcept {
  for (int i = 0; i < count; ++i) {
    float t = (coordinate[i] - position) * gain + 0.5f;
    t = t < 0.0f ? 0.0f : t;
    t = t > 1.0f ? 1.0f : t;
    to[i] *= t * t * (3.0f - 2.0f * t);
  }
}

LATTICED_SIMD void fill_line(float* to, float start, float step, int count) noexcept {
  for (int i = 0; i < count; ++i) to[i] = start + step * static_cast<float>(i);
}

LATTICED_SIMD void lower_to_line(float* to, float start, float step, int count) noexcept {
  for (int i = 0; i < count; ++i) {
    const float value = start + step * static_cast<float>(i);
    to[i] = value < to[i] ? value : to[i];
  }
}

LATTICED_SIMD void add_wave(float* to, const float* cosine, const float* sine, float c, float s,
                            int count) noexcept {
  for (int i = 0; i < count; ++i) to[i] += c * cosine[i] - s * sine[i];
}

LATTICED_SIMD void add_product(float* to, const float* a, const float* b, int count) noexcept {
  for (int i = 0; i < count; ++i) to[i] += a[i] * b[i];
}

struct Levels {
  float base, film_contrast, rim_texture, particle, wedge_nm, edge_gain;
};

/// Film and particle without its lattice; `crystal` in: the lattice's own rim mask.
LATTICED_SIMD void background(float* to, const float* film, const float* depth,
                              const float* crystal, Levels k, int count) noexcept {
  for (int i = 0; i < count; ++i) {
    const float inside = depth[i] > 0.0f ? depth[i] : 0.0f;
    float t = depth[i] * k.edge_gain + 0.5f;
    t = t < 0.0f ? 0.0f : t;
    t = t > 1.0f ? 1.0f : t;
    const float surface = t * t * (3.0f - 2.0f * t);
    const float thickness = inside / (inside + k.wedge_nm);
    const float rim = surface * (1.0f - crystal[i]);
    to[i] =
        k.base + k.film_contrast * film[i] * (1.0f + k.rim_texture * rim) + k.particle * thickness;
  }
}

LATTICED_SIMD void clamp_low(float* to, int count) noexcept {
  for (int i = 0; i < count; ++i) to[i] = to[i] < 0.0f ? 0.0f : to[i];
}

}  // namespace

double mtf_at(const DetectorModel& detector, double g_per_nm) noexcept {
  const double of_nyquist = 2.0 * g_per_nm * detector.pixel_size_nm;
  return exponential(
      std::max(-500.0, logarithm(detector.mtf_at_nyquist) * of_nyquist * of_nyquist));
}

View::Rows::Rows(int width)
    : film(static_cast<std::size_t>(width)),
      scratch(static_cast<std::size_t>(width + Film::kTaps)),
      depth(film.size()),
      crystal(film.size()),
      mask(film.size()),
      waves(film.size()),
      expected(film.size()) {}

View::View(const Scenario& scenario, const DetectorModel& detector)
    : scenario_(scenario), detector_(detector), film_(detector, scenario.seed) {}

View::Line View::line(Vector normal) const noexcept {
  const double px = detector_.pixel_size_nm;
  const Vector centre{0.5 * detector_.width * px, 0.5 * detector_.height * px};
  return {static_cast<float>(normal.x * px), normal.y * px, -dot(normal, centre + shift_nm_),
          normal};
}

void View::prepare(const SpecimenState& state) {
  shift_nm_ = state.shift_nm;
  rim_nm_ = static_cast<float>(state.rim_nm);
  beam_on_ = state.beam_on;
  specimen_in_ = state.specimen_in;
  row_moved_nm_.clear();
  if (detector_.scan_line_time_s > 0.0) {
    for (int y = 0; y < detector_.height; ++y)
      row_moved_nm_.push_back(
          state.motion.since_middle_nm(state.t_s + y * detector_.scan_line_time_s));
  }
  moved_.clear();
  moved_.emplace_back(film_, (1.0 / detector_.pixel_size_nm) * shift_nm_);
  edges_.clear();
  edge_nm_.clear();
  if (scenario_.specimen.is_particle) {
    for (const Edge& edge : scenario_.specimen.edges) {
      edges_.push_back(line(direction(edge.normal_deg)));
      edge_nm_.push_back(static_cast<float>(edge.distance_nm));
    }
  }
  parts_.clear();
  tables_.clear();
  for (const Domain& domain : state.domains) add_part(domain);
}

void View::add_part(const Domain& domain) {
  const double px = detector_.pixel_size_nm;
  const auto width = static_cast<std::size_t>(detector_.width);
  Part part;
  for (const Limit& limit : domain.limits) {
    part.borders.push_back({limit.of == Limit::Of::depth, line(limit.normal),
                            static_cast<float>(limit.position_nm),
                            static_cast<float>(limit.sign / limit.softness_nm)});
  }
  const double nyquist_per_nm = 0.5 / px;
  for (const PlaneWave& source : domain.waves) {
    const Vector g = source.g_per_nm;
    if (std::max(std::abs(g.x), std::abs(g.y)) >= nyquist_per_nm) continue;  // no aliases
    Wave wave;
    wave.g_per_nm = g;
    wave.table = tables_.size();
    wave.turns_per_row = g.y * px;
    wave.turns = source.turns + line(g).offset;
    wave.amplitude = source.amplitude * detector_.lattice_scale * mtf_at(detector_, length(g));
    tables_.resize(tables_.size() + 2 * width);
    for (std::size_t x = 0; x < width; ++x) {
      const SinCos value = sin_cos_turns(g.x * px * static_cast<double>(x));
      tables_[wave.table + x] = static_cast<float>(value.cosine);
      tables_[wave.table + width + x] = static_cast<float>(value.sine);
    }
    part.waves.push_back(wave);
  }
  parts_.push_back(std::move(part));
}

void View::fill_depth(int y, Rows& rows) const {
  const int width = detector_.width;
  std::fill(rows.depth.begin(), rows.depth.end(), static_cast<float>(kDeepNm));
  for (std::size_t i = 0; i < edges_.size(); ++i) {
    const double start = edge_nm_[i] - at_row(edges_[i], y);
    lower_to_line(rows.depth.data(), static_cast<float>(start), -edges_[i].dx, width);
  }
  std::fill(rows.crystal.begin(), rows.crystal.end(), 1.0f);
  multiply_ramp(rows.crystal.data(), rows.depth.data(), rim_nm_,
                static_cast<float>(1.0 / scenario_.specimen.rim_softness_nm), width);
}

/// Returns whether anything of the part is in this row.
bool View::fill_mask(const Part& part, int y, Rows& rows) const {
  const int width = detector_.width;
  std::copy(rows.crystal.begin(), rows.crystal.end(), rows.mask.begin());
  for (const Border& border : part.borders) {
    const float* coordinate = rows.depth.data();
    if (!border.is_depth) {
      const double start = at_row(border.line, y);
      fill_line(rows.waves.data(), static_cast<float>(start), border.line.dx, width);
      coordinate = rows.waves.data();
    }
    multiply_ramp(rows.mask.data(), coordinate, border.position, border.gain, width);
  }
  return std::any_of(rows.mask.begin(), rows.mask.end(), [](float m) { return m > 0.0f; });
}

void View::envelope(std::size_t part, int y, std::span<float> row, Rows& rows) const {
  std::fill(row.begin(), row.end(), 0.0f);
  if (!beam_on_ || !specimen_in_) return;
  fill_depth(y, rows);
  if (fill_mask(parts_[part], y, rows)) std::copy(rows.mask.begin(), rows.mask.end(), row.begin());
}

void View::expect(int y, std::span<float> row, Rows& rows) const {
  const int width = detector_.width;
  if (!beam_on_ || !specimen_in_) {
    const double level = beam_on_ ? detector_.vacuum_level : 0.0;
    std::fill(row.begin(), row.end(), static_cast<float>(level));
    return;
  }
  if (row_moved_nm_.empty()) {
    moved_.front().row(y, rows.film, rows.scratch);
  } else {
    const Vector shift_px = (1.0 / detector_.pixel_size_nm) * (shift_nm_ + moved_nm(y));
    Film::Moved(film_, shift_px).row(y, rows.film, rows.scratch);
  }
  fill_depth(y, rows);
  const bool has_rim = scenario_.specimen.is_particle;
  background(row.data(), rows.film.data(), rows.depth.data(), rows.crystal.data(),
             {static_cast<float>(detector_.vacuum_level + detector_.film_level),
              static_cast<float>(detector_.film_contrast),
              static_cast<float>(has_rim ? scenario_.specimen.rim_texture : 0.0),
              static_cast<float>(detector_.particle_level),
              static_cast<float>(scenario_.specimen.wedge_nm),
              static_cast<float>(1.0 / scenario_.specimen.edge_softness_nm)},
             width);
  for (const Part& part : parts_) {
    if (!fill_mask(part, y, rows)) continue;
    std::fill(rows.waves.begin(), rows.waves.end(), 0.0f);
    for (const Wave& wave : part.waves) {
      const SinCos turn =
          sin_cos_turns(wave.turns + y * wave.turns_per_row - dot(wave.g_per_nm, moved_nm(y)));
      const float* cosine = tables_.data() + wave.table;
      add_wave(rows.waves.data(), cosine, cosine + width,
               static_cast<float>(wave.amplitude * turn.cosine),
               static_cast<float>(wave.amplitude * turn.sine), width);
    }
    add_product(row.data(), rows.waves.data(), rows.mask.data(), width);
  }
  clamp_low(row.data(), width);
}

}  // namespace latticed::sim
