// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/units.hpp"

#include <cmath>

namespace latticed::files {
namespace {

struct Unit {
  std::string_view name;
  double factor;
};

// The micro sign and Angstrom letter in their UTF-8 forms, in Latin-1, and as ImageJ escapes them.
constexpr Unit kLengths[] = {{"nm", 1.0},
                             {"nanometer", 1.0},
                             {"nanometre", 1.0},
                             {"nanometers", 1.0},
                             {"A", 0.1},
                             {"\xC3\x85", 0.1},
                             {"\xE2\x84\xAB", 0.1},
                             {"A\xCC\x8A", 0.1},
                             {"\xC5", 0.1},
                             {"\\u00C5", 0.1},
                             {"\\u00c5", 0.1},
                             {"\\u212B", 0.1},
                             {"Ang", 0.1},
                             {"angstrom", 0.1},
                             {"Angstrom", 0.1},
                             {"angstroms", 0.1},
                             {"pm", 1e-3},
                             {"picometer", 1e-3},
                             {"um", 1e3},
                             {"\xC2\xB5m", 1e3},
                             {"\xCE\xBCm", 1e3},
                             {"\xB5m", 1e3},
                             {"\\u00B5m", 1e3},
                             {"\\u00b5m", 1e3},
                             {"\\u03BCm", 1e3},
                             {"micron", 1e3},
                             {"microns", 1e3},
                             {"micrometer", 1e3},
                             {"mm", 1e6},
                             {"cm", 1e7},
                             {"m", 1e9},
                             {"meter", 1e9},
                             {"[n_m]", 1.0},
                             {"[u_m]", 1e3},
                             {"[p_m]", 1e-3},
                             {"[\xC3\x85]", 0.1}};

constexpr Unit kTimes[] = {{"s", 1.0},    {"sec", 1.0},        {"second", 1.0}, {"seconds", 1.0},
                           {"ms", 1e-3},  {"us", 1e-6},        {"ns", 1e-9},    {"\xC2\xB5s", 1e-6},
                           {"min", 60.0}, {"\xCE\xBCs", 1e-6}, {"h", 3600.0},   {"[s]", 1.0}};

template <std::size_t N>
double factor(const Unit (&units)[N], std::string_view name) noexcept {
  while (!name.empty() && (name.back() == ' ' || name.back() == '\0')) name.remove_suffix(1);
  while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
  for (const Unit& unit : units) {
    if (unit.name == name) return unit.factor;
  }
  return 0.0;
}

}  // namespace

double length_in_nm(std::string_view unit) noexcept { return factor(kLengths, unit); }

double time_in_s(std::string_view unit) noexcept { return factor(kTimes, unit); }

double square_pixel_nm(double x_nm, double y_nm) noexcept {
  const bool is_length = std::isfinite(x_nm) && std::isfinite(y_nm) && x_nm > 0.0 && y_nm > 0.0;
  return is_length && std::abs(x_nm - y_nm) <= 0.01 * x_nm ? x_nm : 0.0;
}

}  // namespace latticed::files
