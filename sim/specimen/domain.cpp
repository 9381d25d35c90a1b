// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/specimen/domain.hpp"

#include "sim/random/counter_random.hpp"

namespace latticed::sim {

Orientation orientation(double layer_normal_deg) noexcept {
  return {direction(layer_normal_deg), direction(layer_normal_deg + 90.0)};
}

Vector lattice_origin(std::uint64_t seed) noexcept {
  RandomStream random(seed, Purpose::lattice_origin);
  const double x = random.uniform();
  const double y = random.uniform();
  return {0.6 * x - 0.3, 0.6 * y - 0.3};
}

std::vector<PlaneWave> waves_of(const Phase& phase, double a_nm, double d_layer_nm,
                                const Orientation& axes, Vector origin) {
  constexpr double kHalfRootOfThree = 0.86602540378443864676;
  const double d100_nm = a_nm * kHalfRootOfThree;
  const double c_nm = d_layer_nm * phase.layers_per_cell;
  std::vector<PlaneWave> waves;
  for (const Reflection& reflection : phase.reflections) {
    PlaneWave wave;
    wave.g_per_nm =
        (reflection.l / c_nm) * axes.layer_normal + (reflection.h / d100_nm) * axes.in_plane;
    wave.turns = -dot(wave.g_per_nm, origin);
    wave.amplitude = reflection.amplitude;
    wave.h = reflection.h;
    wave.l = reflection.l;
    waves.push_back(wave);
  }
  return waves;
}

void deform(std::vector<PlaneWave>& waves, const Matrix& f, Vector fixed) noexcept {
  const Matrix reciprocal = inverse_transposed(f);
  for (PlaneWave& wave : waves) {
    const Vector deformed = reciprocal * wave.g_per_nm;
    wave.turns += dot(wave.g_per_nm - deformed, fixed);
    wave.g_per_nm = deformed;
  }
}

}  // namespace latticed::sim
