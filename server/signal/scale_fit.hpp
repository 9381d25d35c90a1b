// SPDX-License-Identifier: GPL-3.0-or-later
// The size of a pixel from a specimen whose spacings are known: which measured reflection is which
// known spacing, by the ratios alone (the scale is what is sought), then weighted least squares of
// ln(d known / d measured). Values in, values out; no I/O.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"
#include "server/frame/measurements.hpp"

namespace latticed::signal {

/// A reflection, as the mean over some frames.
struct MeasuredSpacing {
  Vector2 g_per_px;          // raw pixels, no 2 pi
  double sigma_ratio = 0.0;  // of |g|, relative, what differs from spot to spot: noise, film
};

/// One spacing of the standard.
struct KnownSpacing {
  std::string name;  // "111"
  double d_nm = 0.0;
};

struct ScaleFitOptions {
  double expected_pixel_size_nm = 0.0;  // 0 = unknown: any scale will do
  double reach_ratio = 0.2;             // how far the scale may be from it, relative
  double standard_sigma_ratio = 0.0;    // of the standard's spacings, common to all
};

struct MatchedSpacing {
  std::size_t measured = 0, known = 0;  // indices into what was given
  double residual_ratio = 0.0;          // measured over known d less one, by the fitted scale
};

struct ScaleFit {
  double pixel_size_nm = 0.0;
  double pixel_size_sigma_ratio = 0.0;  // random, standard and ellipticity together
  double birge_ratio = 1.0;             // sqrt(chi^2 per degree of freedom); sigma counts it if > 1
  double rms_residual_ratio = 0.0;
  // Pixels longer by e along `direction_rad` and shorter by e across it (from +x to +y, 0 to pi):
  // lens and projector distortion, or a scan's. Both NaN when the reflections do not tell.
  double ellipticity_ratio = 0.0, sigma_ellipticity_ratio = 0.0;
  double ellipticity_direction_rad = 0.0;
  std::vector<MatchedSpacing> matched;
  std::vector<std::size_t> unmatched;  // measured ones that are none of the known
};

/// Errors, each with its reason: failed_precondition: nothing or too little to match, too many
/// reflections the standard does not have, two scales that fit alike, residuals of more than 1 %.
/// invalid_argument: a spacing or sigma that is no positive number.
Result<ScaleFit> fit_scale(std::span<const MeasuredSpacing> measured,
                           std::span<const KnownSpacing> known, const ScaleFitOptions& options);

}  // namespace latticed::signal
