// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/scale_fit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>

namespace latticed::signal {

namespace {

// A spacing may be off by this much and still be the one: distortion and noise of a real image.
constexpr double kTolerance = 0.012;
constexpr double kSigmas = 3.0;
constexpr double kDistinct = 2.0 * kTolerance;  // scales nearer than this are one
// Another scale that explains this much of what the best one explains is as good a guess.
constexpr double kRival = 0.85;
constexpr double kFewestMatched = 0.6;  // of the reflections the standard could have
constexpr double kMostResidual = 0.01;
constexpr double kPlainEllipticity = 4.0;  // sigmas; less is not taken out of the scale
constexpr double kLeastSigma = 1e-6;       // of one reflection: nobody measures better

double spacing_px(const MeasuredSpacing& m) { return 1.0 / std::hypot(m.g_per_px.x, m.g_per_px.y); }
double tolerance_of(const MeasuredSpacing& m) { return kTolerance + kSigmas * m.sigma_ratio; }

/// Which known spacing is nearest at this scale, and by how much in ln d.
struct Nearest {
  std::size_t known = 0;
  double off = std::numeric_limits<double>::infinity();  // ln(d measured / d known)
};
Nearest nearest(double d_nm, std::span<const KnownSpacing> known) {
  Nearest best;
  for (std::size_t k = 0; k < known.size(); ++k) {
    const double off = std::log(d_nm / known[k].d_nm);
    if (std::abs(off) < std::abs(best.off)) best = {k, off};
  }
  return best;
}

/// How much of the measured this scale explains: a reflection that fits exactly counts 1, one that
/// does not 0.
double explained(double scale, std::span<const MeasuredSpacing> measured,
                 std::span<const KnownSpacing> known) {
  double score = 0.0;
  for (const MeasuredSpacing& m : measured) {
    const double x = std::abs(nearest(scale * spacing_px(m), known).off) / tolerance_of(m);
    if (x < 1.0) score += 1.0 - x * x;
  }
  return score;
}

struct Candidate {
  double scale = 0.0, score = 0.0;
};

/// Every scale at which some reflection is exactly some known spacing, best first.
std::vector<Candidate> candidates(std::span<const MeasuredSpacing> measured,
                                  std::span<const KnownSpacing> known,
                                  const ScaleFitOptions& options) {
  std::vector<Candidate> out;
  for (const MeasuredSpacing& m : measured)
    for (const KnownSpacing& k : known) {
      const double scale = k.d_nm / spacing_px(m);
      const bool is_near =
          options.expected_pixel_size_nm <= 0.0 ||
          std::abs(scale / options.expected_pixel_size_nm - 1.0) <= options.reach_ratio;
      if (is_near) out.push_back({scale, explained(scale, measured, known)});
    }
  std::stable_sort(out.begin(), out.end(),
                   [](const auto& a, const auto& b) { return a.score > b.score; });
  return out;
}

Result<void> check(std::span<const MeasuredSpacing> measured, std::span<const KnownSpacing> known,
                   const ScaleFitOptions& options) {
  const auto is_good = [](double value) { return std::isfinite(value) && value > 0.0; };
  for (const KnownSpacing& k : known)
    if (!is_good(k.d_nm))
      return Error{ErrorCode::invalid_argument,
                   fmt::format("known spacing {}: {} nm (expected above 0)", k.name, k.d_nm)};
  for (const MeasuredSpacing& m : measured)
    if (!is_good(spacing_px(m)) || !(m.sigma_ratio >= 0.0))
      return Error{ErrorCode::invalid_argument, "a measured reflection is no number"};
  if (!(options.standard_sigma_ratio >= 0.0) || !std::isfinite(options.standard_sigma_ratio))
    return Error{ErrorCode::invalid_argument,
                 "the standard's sigma is no number (expected 0 or more)"};
  if (known.empty()) return Error{ErrorCode::invalid_argument, "no known spacing was given"};
  if (measured.empty())
    return Error{ErrorCode::failed_precondition, "no confirmed reflection has been measured"};
  return {};
}

/// Least squares of y = a + e cos(2 phi) + f sin(2 phi), or of a alone.
struct Line {
  double y = 0.0, weight = 0.0, c = 0.0, s = 0.0;
};
struct Solution {
  std::array<double, 3> value{};     // a, e, f
  std::array<double, 3> variance{};  // of them, by the weights alone
  double covariance_ef = 0.0;
  double chi2 = 0.0;
};

Solution solve_plain(std::span<const Line> lines) {
  Solution out;
  double weights = 0.0, sum = 0.0;
  for (const Line& line : lines) weights += line.weight, sum += line.weight * line.y;
  out.value[0] = sum / weights;
  out.variance[0] = 1.0 / weights;
  for (const Line& line : lines)
    out.chi2 += line.weight * (line.y - out.value[0]) * (line.y - out.value[0]);
  return out;
}

/// Empty: the directions do not tell an ellipse from a scale.
std::optional<Solution> solve_elliptic(std::span<const Line> lines) {
  if (lines.size() < 3) return std::nullopt;
  std::array<std::array<double, 3>, 3> n{};
  std::array<double, 3> b{};
  for (const Line& line : lines) {
    const std::array<double, 3> row{1.0, line.c, line.s};
    for (std::size_t i = 0; i < 3; ++i) {
      b[i] += line.weight * row[i] * line.y;
      for (std::size_t j = 0; j < 3; ++j) n[i][j] += line.weight * row[i] * row[j];
    }
  }
  const auto minor = [&](std::size_t i, std::size_t j) {
    const std::size_t r0 = (i + 1) % 3, r1 = (i + 2) % 3, c0 = (j + 1) % 3, c1 = (j + 2) % 3;
    return n[r0][c0] * n[r1][c1] - n[r0][c1] * n[r1][c0];
  };
  const double det = n[0][0] * minor(0, 0) + n[0][1] * minor(0, 1) + n[0][2] * minor(0, 2);
  // 1/4 for directions all round, 0 when all reflections lie on two lines or fewer.
  if (det < 0.02 * n[0][0] * n[0][0] * n[0][0]) return std::nullopt;
  Solution out;
  for (std::size_t i = 0; i < 3; ++i) {
    for (std::size_t j = 0; j < 3; ++j) out.value[i] += minor(j, i) / det * b[j];
    out.variance[i] = minor(i, i) / det;
  }
  out.covariance_ef = minor(1, 2) / det;
  for (const Line& line : lines) {
    const double off = line.y - out.value[0] - out.value[1] * line.c - out.value[2] * line.s;
    out.chi2 += line.weight * off * off;
  }
  return out;
}

double birge(const Solution& solution, std::size_t lines, std::size_t unknowns) {
  if (lines <= unknowns) return 1.0;
  return std::sqrt(solution.chi2 / static_cast<double>(lines - unknowns));
}

}  // namespace

Result<ScaleFit> fit_scale(std::span<const MeasuredSpacing> measured,
                           std::span<const KnownSpacing> known, const ScaleFitOptions& options) {
  if (auto ok = check(measured, known, options); !ok) return ok.error();
  const auto found = candidates(measured, known, options);
  if (found.empty() || !(found.front().score > 0.0))
    return Error{
        ErrorCode::failed_precondition,
        fmt::format("none of {} reflections is one of the standard's spacings with a "
                    "pixel size within {:.0f} % of {:.4g} nm",
                    measured.size(), 100.0 * options.reach_ratio, options.expected_pixel_size_nm)};
  const Candidate best = found.front();
  for (const Candidate& rival : found)
    if (std::abs(std::log(rival.scale / best.scale)) > kDistinct &&
        rival.score > kRival * best.score)
      return Error{
          ErrorCode::failed_precondition,
          fmt::format("ambiguous: a pixel of {:.5g} nm and one of {:.5g} nm explain the "
                      "reflections alike ({:.2f} and {:.2f} of {}): is it this standard, and are "
                      "enough of its reflections in view?",
                      best.scale, rival.scale, best.score, rival.score, measured.size())};

  // Twice: the first scale is that of a single pair.
  ScaleFit out;
  double scale = best.scale;
  std::vector<Line> lines;
  std::size_t in_range = 0;
  double smallest = std::numeric_limits<double>::infinity();
  for (const KnownSpacing& k : known) smallest = std::min(smallest, k.d_nm);
  for (int round = 0; round < 2; ++round) {
    lines.clear();
    out.matched.clear();
    out.unmatched.clear();
    in_range = 0;
    for (std::size_t i = 0; i < measured.size(); ++i) {
      const MeasuredSpacing& m = measured[i];
      const double d_nm = scale * spacing_px(m), tolerance = tolerance_of(m);
      const Nearest is = nearest(d_nm, known);
      // A list of spacings ends somewhere below; above its largest there are none.
      if (std::log(d_nm / smallest) > -tolerance) ++in_range;
      if (std::abs(is.off) > tolerance) {
        out.unmatched.push_back(i);
        continue;
      }
      const double angle = std::atan2(m.g_per_px.y, m.g_per_px.x);
      const double sigma = std::max(m.sigma_ratio, kLeastSigma);
      out.matched.push_back({i, is.known, 0.0});
      lines.push_back({std::log(known[is.known].d_nm / spacing_px(m)), 1.0 / (sigma * sigma),
                       std::cos(2.0 * angle), std::sin(2.0 * angle)});
    }
    scale = std::exp(solve_plain(lines).value[0]);
  }
  if (static_cast<double>(out.matched.size()) < kFewestMatched * static_cast<double>(in_range))
    return Error{ErrorCode::failed_precondition,
                 fmt::format("{} of {} reflections are none of the standard's spacings, with the "
                             "pixel size that explains most of them: is this the standard?",
                             in_range - out.matched.size(), in_range)};

  const Solution plain = solve_plain(lines);
  const auto elliptic = solve_elliptic(lines);
  double a = plain.value[0], variance = plain.variance[0], e = 0.0, f = 0.0;
  out.birge_ratio = birge(plain, lines.size(), 1);
  out.ellipticity_ratio = out.sigma_ellipticity_ratio = out.ellipticity_direction_rad =
      std::numeric_limits<double>::quiet_NaN();
  double ellipse = 0.0;  // what it adds to the doubt of one direction
  if (elliptic) {
    const double worse = std::max(1.0, birge(*elliptic, lines.size(), 3));
    const double size = std::hypot(elliptic->value[1], elliptic->value[2]);
    const double u = size > 0.0 ? elliptic->value[1] / size : 1.0,
                 v = size > 0.0 ? elliptic->value[2] / size : 0.0;
    out.ellipticity_ratio = size;
    out.sigma_ellipticity_ratio =
        worse * std::sqrt(u * u * elliptic->variance[1] + 2.0 * u * v * elliptic->covariance_ef +
                          v * v * elliptic->variance[2]);
    double direction = 0.5 * std::atan2(elliptic->value[2], elliptic->value[1]);
    if (direction < 0.0) direction += std::numbers::pi;
    out.ellipticity_direction_rad = direction;
    if (size > kPlainEllipticity * out.sigma_ellipticity_ratio && lines.size() > 3) {
      a = elliptic->value[0];
      variance = elliptic->variance[0];
      e = elliptic->value[1];
      f = elliptic->value[2];
      out.birge_ratio = birge(*elliptic, lines.size(), 3);
      ellipse =
          size / std::numbers::sqrt2;  // rms over directions: lengths are not corrected for it
    }
  }
  double squares = 0.0;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const double off = a + e * lines[i].c + f * lines[i].s - lines[i].y;
    out.matched[i].residual_ratio = std::expm1(off);
    squares += off * off;
  }
  out.rms_residual_ratio = std::sqrt(squares / static_cast<double>(lines.size()));
  if (out.rms_residual_ratio > kMostResidual)
    return Error{ErrorCode::failed_precondition,
                 fmt::format("the {} reflections scatter by {:.2f} % about the standard's spacings "
                             "(expected at most {:.0f} %)",
                             lines.size(), 100.0 * out.rms_residual_ratio, 100.0 * kMostResidual)};
  out.pixel_size_nm = std::exp(a);
  const double random = std::sqrt(variance) * std::max(1.0, out.birge_ratio);
  out.pixel_size_sigma_ratio = std::hypot(random, options.standard_sigma_ratio, ellipse);
  return out;
}

}  // namespace latticed::signal
