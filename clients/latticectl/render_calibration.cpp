// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "clients/latticectl/numbers.hpp"
#include "clients/latticectl/render.hpp"
#include "clients/latticectl/text_table.hpp"

namespace latticed::latticectl {

namespace {

std::string percent(double ratio) { return fmt::format("{:+.3f} %", 100.0 * ratio); }

// The same as what one sees in an image: pixels along x and y, and the angle between these axes. A
// scan that drifts or is badly adjusted shows itself so.
std::string axes_text(const v1::PixelCalibration& c) {
  const double twice = 2.0 * c.ellipticity_direction_rad(), e = c.ellipticity_ratio();
  const double along = e * std::cos(twice), shear = 2.0 * e * std::sin(twice);
  constexpr double kDegrees = 180.0 / std::numbers::pi;
  return fmt::format(
      "along x {:.6g}, along y {:.6g} nm/px, {} deg between them\n",
      c.pixel_size_nm() * (1.0 + along), c.pixel_size_nm() * (1.0 - along),
      plus_minus(90.0 - kDegrees * shear, kDegrees * 2.0 * c.sigma_ellipticity_ratio()));
}

}  // namespace

std::string to_text(const v1::PixelCalibration& c) {
  std::string out =
      fmt::format("{} nm/px by {}, {}",
                  plus_minus(c.pixel_size_nm(), c.pixel_size_nm() * c.pixel_size_sigma_ratio()),
                  c.standard(), utc(c.time_ns()));
  if (c.nominal_pixel_size_nm() > 0.0)
    out += fmt::format(", {} of the nominal {:.6g} nm",
                       percent(c.pixel_size_nm() / c.nominal_pixel_size_nm() - 1.0),
                       c.nominal_pixel_size_nm());
  return out;
}

std::string to_text(const v1::CalibrationReply& reply) {
  const v1::PixelCalibration& c = reply.calibration();
  std::string out = fmt::format("{}  {}\n", c.detector(), to_text(c));
  const bool is_single = c.spacings_size() == 1;
  out += fmt::format("from {} reflection{} of {} frames ({} to {} of run {})", c.spacings_size(),
                     is_single ? "" : "s", c.frame_count(), c.first_seq(), c.last_seq(), c.epoch());
  if (c.unmatched() > 0)
    out += fmt::format(", {} {} of the standard's", c.unmatched(),
                       c.unmatched() == 1 ? "is none" : "are none");
  if (is_single)
    out += "\nONE REFLECTION ALONE: nothing else says that it is this one\n";
  else
    out += fmt::format("; they scatter by {:.2g} times their sigmas\n", c.birge_ratio());
  if (c.has_ellipticity_ratio())
    out +=
        fmt::format("pixels longer by {} % along {:.0f} deg, shorter across\n",
                    plus_minus(100.0 * c.ellipticity_ratio(), 100.0 * c.sigma_ellipticity_ratio()),
                    c.ellipticity_direction_rad() * 180.0 / std::numbers::pi) +
        axes_text(c);
  TextTable table({"hkl", "known nm", "measured px", "sigma", "residual"});
  for (const v1::CalibrationSpacing& s : c.spacings())
    table.add({s.name(), fmt::format("{:.5f}", s.d_nm()), fmt::format("{:.5g}", s.d_px()),
               fmt::format("{:.3f} %", 100.0 * s.sigma_ratio()), percent(s.residual_ratio())});
  return out + table.text() + "used from the next configure on\n";
}

std::string to_text(const v1::ListCalibrationsReply& reply) {
  TextTable table({"", "detector", "standard", "made", "nm/px", "sigma", "nominal", "reflections"});
  for (const v1::PixelCalibration& c : reply.calibrations())
    table.add(
        {c.in_use() ? "*" : "", c.detector(), c.standard(), utc(c.time_ns()),
         fmt::format("{:.6g}", c.pixel_size_nm()),
         fmt::format("{:.3f} %", 100.0 * c.pixel_size_sigma_ratio()),
         c.nominal_pixel_size_nm() > 0.0 ? fmt::format("{:.6g}", c.nominal_pixel_size_nm()) : "?",
         fmt::format("{}", c.spacings_size())});
  if (table.is_empty()) return "no calibrations\n";
  const bool is_any_used = std::any_of(reply.calibrations().begin(), reply.calibrations().end(),
                                       [](const auto& c) { return c.in_use(); });
  return table.text() + (is_any_used
                             ? "* is used from the next configure on\n"
                             : "none is used: the next configure takes the nominal pixel size\n");
}

}  // namespace latticed::latticectl
