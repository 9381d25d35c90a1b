// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/run_figures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "server/publish/spectrum.hpp"

namespace latticed {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr std::size_t kRings = 10;      // more would hide the picture
constexpr double kRingShare = 0.1;      // of the strongest spot's snr: weaker ones are not ringed
constexpr double kSeenShare = 0.02;     // of the measured frames: rarer spots are not shown
constexpr double kSameSpacing = 0.01;   // relative: panels of two such spots would show the same
constexpr std::size_t kFew = 40;        // points that are drawn as such
constexpr std::size_t kLabels = 4;      // alerts: more are ticks at the foot of the frame
constexpr std::size_t kPoints = 500;    // of a curve; more would be a wall of ink
constexpr double kThinCoverage = 0.03;  // of the frames: thinner edges of the mean are masked
constexpr int kPanelGap = 34;           // between two panels of a Page, its letter included
constexpr double kLongRun_s = 3 * 3600.0;
constexpr Colour kLost{200, 40, 40}, kAmbiguous{230, 159, 0}, kMissing{140, 140, 140};

bool is_calibrated(const RunHistory& history) { return history.run().pixel_size_nm > 0.0; }
const char* unit(const RunHistory& history) { return is_calibrated(history) ? "nm" : "px"; }

/// Frame numbers to what is written under the axis.
struct TimeAxis {
  double per_frame = 1.0;
  std::string label = "frame";
  bool is_frames = true;

  explicit TimeAxis(const RunHistory& history) {
    const RunInfo& run = history.run();
    if (run.is_frame_period_assumed) return;
    const auto& slots = history.drift().slots();
    const double last = slots.empty() ? 0.0
                                      : static_cast<double>(slots.back().number) *
                                            static_cast<double>(history.drift().span());
    const bool is_long = last * run.frame_period_s > kLongRun_s;
    per_frame = run.frame_period_s / (is_long ? 3600.0 : 1.0);
    label = is_long ? "time (h)" : "time (s)";
    is_frames = false;
  }
  [[nodiscard]] double at(double seq) const { return seq * per_frame; }
};

std::pair<double, double> whole_range(const RunHistory& history, const TimeAxis& time) {
  const auto& slots = history.drift().slots();
  if (slots.empty()) return {0.0, 0.0};
  const auto span = static_cast<double>(history.drift().span());
  return {time.at(static_cast<double>(slots.front().number) * span),
          time.at(static_cast<double>(slots.back().number) * span + span - 1.0)};
}

/// At their dated onset: lines with their names, or a lane of ticks a rule where there are many.
/// `spot_id` 0: all alerts.
void add_alerts(LinePlot& plot, const RunHistory& history, const TimeAxis& time,
                std::uint32_t spot_id) {
  std::vector<RaisedAlert> alerts;
  for (const RaisedAlert& alert : history.alerts())
    if (spot_id == 0 || alert.spot_id == spot_id) alerts.push_back(alert);
  const auto at = [&](const RaisedAlert& alert) {
    return time.at(static_cast<double>(alert.since_seq));
  };
  if (alerts.size() <= kLabels) {
    const auto [from, to] = whole_range(history, time);
    for (const RaisedAlert& alert : alerts) {
      const bool is_near = !plot.events.empty() && plot.events.back().label == alert.rule &&
                           std::abs(at(alert) - plot.events.back().x) < 0.1 * (to - from);
      plot.events.push_back({at(alert), is_near ? "" : alert.rule});
    }
    return;
  }
  std::map<std::string, std::vector<std::pair<double, double>>> ticks;
  for (const RaisedAlert& alert : alerts) ticks[alert.rule].emplace_back(at(alert), at(alert));
  std::size_t number = 0;
  for (auto& [rule, places] : ticks)
    plot.marked.push_back({fmt::format("{} alert ({})", rule, places.size()), std::move(places),
                           series_colour(2 + number++)});
}

/// A curve with its sigma band, and the extremes where a point stands for several frames.
struct Curve {
  Series mean, extremes;

  void name(const std::string& quantity, std::uint64_t frames_a_point) {
    const std::string of = frames_a_point > 1 ? fmt::format(", mean of {}", frames_a_point) : "";
    mean.name = quantity + of + ", 1 sigma of a frame";
    if (frames_a_point > 1) extremes.name = "smallest and largest";
  }

  void gap() {
    for (Series* series : {&mean, &extremes}) {
      series->x.push_back(series->x.empty() ? 0.0 : series->x.back());
      series->y.push_back(kNan);
      series->sigma.push_back(kNan);
    }
  }
  void add(double x, const Spread& value, double scale) {
    mean.x.push_back(x);
    mean.y.push_back(scale * value.mean());
    mean.sigma.push_back(scale * value.sigma());
    extremes.x.push_back(x);
    extremes.y.push_back(scale * 0.5 * (value.low + value.high));
    extremes.sigma.push_back(scale * 0.5 * (value.high - value.low));
  }
  void move_into(LinePlot& plot, Colour colour, bool has_extremes) {
    mean.colour = extremes.colour = colour;
    if (mean.x.size() <= kFew) mean.style = SeriesStyle::line_and_points;
    extremes.style = SeriesStyle::band;
    plot.series.push_back(std::move(mean));
    if (has_extremes) plot.series.push_back(std::move(extremes));
  }
};

void mark(MarkedStretches& kind, double from, double to) {
  if (!kind.stretches.empty() && from <= kind.stretches.back().second)
    kind.stretches.back().second = to;
  else
    kind.stretches.emplace_back(from, to);
}

/// By their mean snr, so that a spot of a late phase has its place; passing ones are left out.
std::vector<const SpotHistory*> strongest_first(const RunHistory& history) {
  const double least = kSeenShare * static_cast<double>(history.measured());
  std::vector<const SpotHistory*> out;
  for (const SpotHistory& spot : history.spots())
    if (spot.weight_sum > 0.0 && static_cast<double>(spot.whole_d_nm.count) >= least)
      out.push_back(&spot);
  std::stable_sort(out.begin(), out.end(), [](const SpotHistory* a, const SpotHistory* b) {
    return a->mean_snr() > b->mean_snr();
  });
  return out;
}

/// "0.556 nm", or pixels when the scale is unknown.
std::string length_text(double length, const RunHistory& history) {
  return is_calibrated(history) ? fmt::format("{:.3f} nm", length)
                                : fmt::format("{:.1f} px", length);
}

/// Where a curve is nearly always: the first frames of a spot that has just appeared may be far off
/// and would make a line of the rest. They leave the frame, visibly.
std::optional<std::pair<double, double>> main_range(const Series& curve) {
  std::vector<double> values, sigmas;
  for (std::size_t i = 0; i < curve.y.size(); ++i) {
    if (!std::isfinite(curve.y[i])) continue;
    values.push_back(curve.y[i]);
    sigmas.push_back(curve.sigma[i]);
  }
  if (values.size() <= kFew) return std::nullopt;
  std::sort(values.begin(), values.end());
  std::sort(sigmas.begin(), sigmas.end());
  const std::size_t cut = values.size() / 50;
  const double low = values[cut], high = values[values.size() - 1 - cut];
  const double room = 0.2 * (high - low) + 4.0 * sigmas[sigmas.size() / 2];
  if (!(room > 0.0)) return std::nullopt;
  return std::pair{std::max(low - room, values.front() - room / 2.0),
                   std::min(high + room, values.back() + room / 2.0)};
}

LinePlot spacing_figure(const SpotHistory& spot, const RunHistory& history, const TimeAxis& time) {
  LinePlot plot;
  const Spread& d = spot.whole_d_nm;
  const double sys = spot.sigma_sys_sum_nm / static_cast<double>(d.count);
  plot.title = fmt::format("Spot {}, d = {}", spot.id, length_text(d.mean(), history));
  if (sys > 0.0)
    plot.title += is_calibrated(history) ? fmt::format(" (systematic sigma {:.2g} pm)", 1e3 * sys)
                                         : fmt::format(" (systematic sigma {:.2g} px)", sys);
  plot.x_label = time.label;
  plot.has_whole_x = time.is_frames;
  plot.y_label = fmt::format("d ({})", unit(history));
  plot.x_range = whole_range(history, time);
  const Trace<SpacingEntry> trace = spot.spacing.reduced(kPoints);
  Curve curve;
  curve.name("d", trace.span());
  std::uint64_t expected = trace.slots().front().number;
  for (const auto& slot : trace.slots()) {
    if (slot.number != expected) curve.gap();
    expected = slot.number + 1;
    const Spread& value = slot.entry.d_nm;
    curve.add(time.at(static_cast<double>(slot.entry.seq_sum) / static_cast<double>(value.count)),
              value, 1.0);
  }
  plot.y_range = main_range(curve.mean);
  curve.move_into(plot, series_colour(0), trace.span() > 1);
  add_alerts(plot, history, time, spot.id);
  return plot;
}

/// Spots within reach of the others. A few far beyond a wide gap (the scan's own pattern, say)
/// would make all others a dot in the middle: they are counted instead.
struct Shown {
  std::vector<const SpotHistory*> spots;  // the strongest first
  double furthest_per_nm = 0.0;           // along x or y
  std::size_t further_out = 0;
};

Shown choose_spots(const RunHistory& history, double nyquist_per_nm) {
  constexpr double kWideGap = 1.6, kFewBeyond = 0.33;
  const auto g_of = [&](const SpotHistory* spot) {
    return std::hypot(spot->g_per_nm().x, spot->g_per_nm().y);
  };
  std::vector<const SpotHistory*> list;
  double total = 0.0;
  for (const SpotHistory* spot : strongest_first(history)) {
    const bool is_weak = !list.empty() && spot->mean_snr() < kRingShare * list.front()->mean_snr();
    if (list.size() == kRings || is_weak || g_of(spot) > nyquist_per_nm) continue;
    list.push_back(spot);
    total += spot->mean_snr();
  }
  std::sort(list.begin(), list.end(),
            [&](const SpotHistory* a, const SpotHistory* b) { return g_of(a) < g_of(b); });
  Shown out;
  double within = 0.0;
  for (const SpotHistory* spot : list) {
    const bool is_beyond = !out.spots.empty() && g_of(spot) > kWideGap * g_of(out.spots.back()) &&
                           total - within < kFewBeyond * total;
    if (is_beyond || out.further_out > 0) {
      ++out.further_out;
      continue;
    }
    within += spot->mean_snr();
    out.spots.push_back(spot);
    const Vector2 g = spot->g_per_nm();
    out.furthest_per_nm = std::max({out.furthest_per_nm, std::abs(g.x), std::abs(g.y)});
  }
  std::stable_sort(
      out.spots.begin(), out.spots.end(),
      [](const SpotHistory* a, const SpotHistory* b) { return a->mean_snr() > b->mean_snr(); });
  return out;
}

/// A replay's serial number is the path of its recording.
std::string title_of(const DeviceInfo& detector) {
  if (detector.driver == "replay")
    return std::filesystem::path(detector.serial).filename().string();
  return detector.model.empty() ? detector.name : detector.name + ": " + detector.model;
}

std::string footer_of(const AlignedMean* mean, const RunHistory& history) {
  const RunInfo& run = history.run();
  const FrameGeometry& geometry = run.configuration.geometry;
  std::string out = fmt::format("{} x {} px", geometry.width, geometry.height);
  out += is_calibrated(history) ? fmt::format(", {:.4g} nm/px", run.pixel_size_nm)
                                : std::string(", pixel size unknown");
  if (!run.is_frame_period_assumed) out += fmt::format(", {:.4g} s/frame", run.frame_period_s);
  out += fmt::format("; {} frames, {} measured, {} in the mean", history.frames(),
                     history.measured(), mean ? mean->frames() : 0);
  if (history.alerts_raised() > history.alerts().size())
    out += fmt::format("; the first {} of {} alerts are shown", history.alerts().size(),
                       history.alerts_raised());
  return out;
}

}  // namespace

ImageFigure aligned_mean_figure(const AlignedMean& mean, const RunHistory& history) {
  ImageFigure figure;
  figure.title =
      mean.frames() == 1 ? "One frame" : fmt::format("Mean of {} aligned frames", mean.frames());
  figure.width = mean.width();
  figure.height = mean.height();
  figure.pixels = mean.mean();
  const std::vector<std::uint32_t> coverage = mean.coverage();
  const double least = kThinCoverage * static_cast<double>(mean.frames());
  for (std::size_t i = 0; i < figure.pixels.size(); ++i)
    if (coverage[i] < least) figure.pixels[i] = std::numeric_limits<float>::quiet_NaN();
  figure.scale = mean.bin() * (is_calibrated(history) ? history.run().pixel_size_nm : 1.0);
  figure.scale_unit = unit(history);
  figure.long_side = 768;
  return figure;
}

ImageFigure diffractogram_figure(const AlignedMean& mean, const RunHistory& history) {
  // 1/nm (or 1/px) to cycles per cell of the mean
  const double scale = mean.bin() * (is_calibrated(history) ? history.run().pixel_size_nm : 1.0);
  const Shown ringed = choose_spots(history, 0.5 / scale);
  const std::vector<float> pixels = mean.mean();
  const std::vector<std::uint32_t> coverage = mean.coverage();
  const Diffractogram spectrum =
      diffractogram({mean.width(), mean.height(), pixels, coverage},
                    ringed.spots.empty() ? 0.25 : 1.35 * ringed.furthest_per_nm * scale);
  ImageFigure figure;
  figure.title = "Diffractogram of it (log)";
  if (ringed.spots.empty()) figure.title += ": no confirmed spot";
  if (ringed.further_out > 0) figure.title += fmt::format(", {} further out", ringed.further_out);
  figure.width = figure.height = spectrum.size;
  figure.pixels = spectrum.magnitude;
  figure.intensity = Intensity::logarithmic;
  figure.low_percentile = 20.0;
  figure.high_percentile = 99.95;
  figure.scale = spectrum.step / scale;
  figure.scale_unit = is_calibrated(history) ? "nm^-1" : "px^-1";
  figure.long_side = 768;
  const double middle = spectrum.size / 2;
  const double radius = std::max(2.0, 0.016 * spectrum.size);
  for (const SpotHistory* spot : ringed.spots) {
    const Vector2 g = spot->g_per_nm();
    const double x = g.x * scale / spectrum.step, y = g.y * scale / spectrum.step;
    figure.marks.push_back(
        {middle + x, middle + y, radius, length_text(spot->whole_d_nm.mean(), history)});
    figure.marks.push_back({middle - x, middle - y, radius, ""});
  }
  return figure;
}

LinePlot drift_figure(const RunHistory& history) {
  const TimeAxis time(history);
  const double scale = is_calibrated(history) ? history.run().pixel_size_nm : 1.0;
  const Trace<DriftEntry> trace = history.drift().reduced(kPoints);
  const auto span = trace.span();
  LinePlot plot;
  plot.title = "Drift of the specimen against the first frame";
  if (history.measured() == 0) plot.title = "Drift: no frame could be measured";
  plot.x_label = time.label;
  plot.has_whole_x = time.is_frames;
  plot.y_label = fmt::format("drift ({})", unit(history));
  if (!trace.slots().empty()) plot.x_range = whole_range(history, time);
  Curve x, y;
  x.name("x (right)", span);
  y.name("y (down)", span);
  MarkedStretches lost{"drift lost", {}, kLost};
  MarkedStretches ambiguous{"may be off by a lattice cell", {}, kAmbiguous};
  MarkedStretches missing{"not measured", {}, kMissing};
  std::uint64_t expected = trace.slots().empty() ? 0 : trace.slots().front().number;
  for (const auto& [number, entry] : trace.slots()) {
    if (number != expected || entry.x_px.count == 0) {
      x.gap();
      y.gap();
    }
    expected = number + 1;
    if (entry.x_px.count > 0) {
      const double at =
          time.at(static_cast<double>(entry.seq_sum) / static_cast<double>(entry.frames));
      x.add(at, entry.x_px, scale);
      y.add(at, entry.y_px, scale);
    }
    const double from = time.at(static_cast<double>(number * span) - 0.5);
    const double to = time.at(static_cast<double>((number + 1) * span) - 0.5);
    if (entry.lost > 0) mark(lost, from, to);
    if (entry.ambiguous > 0) mark(ambiguous, from, to);
    if (entry.not_measured > 0) mark(missing, from, to);
  }
  x.move_into(plot, series_colour(0), span > 1);
  y.extremes.name.clear();  // said once
  y.move_into(plot, series_colour(1), span > 1);
  plot.marked = {std::move(lost), std::move(ambiguous), std::move(missing)};
  add_alerts(plot, history, time, 0);
  return plot;
}

std::vector<LinePlot> spacing_figures(const RunHistory& history, std::size_t most) {
  const TimeAxis time(history);
  std::vector<LinePlot> out;
  std::vector<double> shown;
  for (const SpotHistory* spot : choose_spots(history, HUGE_VAL).spots) {
    const double d = spot->whole_d_nm.mean();
    const bool is_shown = std::any_of(shown.begin(), shown.end(), [d](double other) {
      return std::abs(d - other) < kSameSpacing * other;
    });
    if (out.size() == most || spot->is_harmonic || is_shown) continue;
    shown.push_back(d);
    out.push_back(spacing_figure(*spot, history, time));
  }
  return out;
}

Page run_page(const AlignedMean* mean, const RunHistory& history) {
  Page page;
  page.title = title_of(history.run().detector);
  page.footer = footer_of(mean, history);
  int width = 980;
  if (mean && mean->frames() > 0) {
    ImageFigure image = aligned_mean_figure(*mean, history);
    ImageFigure spectrum = diffractogram_figure(*mean, history);
    image.long_side = spectrum.long_side = 470;
    page.rows.push_back({image.draw(), spectrum.draw()});
    width = std::max(800, page.rows[0][0].width + page.rows[0][1].width + kPanelGap);
  }
  LinePlot drift = drift_figure(history);
  drift.width = width;
  drift.height = 300;
  page.rows.push_back({drift.draw()});
  std::vector<Picture> row;
  for (LinePlot& spacing : spacing_figures(history, 4)) {
    spacing.width = (width - kPanelGap) / 2;
    spacing.height = 250;
    row.push_back(spacing.draw());
    if (row.size() == 2) page.rows.push_back(std::exchange(row, {}));
  }
  if (!row.empty()) page.rows.push_back(std::move(row));
  return page;
}

}  // namespace latticed
