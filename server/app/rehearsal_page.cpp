// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/rehearsal_page.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "server/figure/line_plot.hpp"

namespace latticed {
namespace {

using Json = nlohmann::json;
using Numbers = std::vector<double>;

constexpr int kWidth = 1040;
constexpr int kPanelGap = 34;          // between two panels of a Page, its letter included
constexpr std::size_t kPoints = 2400;  // of a curve; of longer series every n-th frame is drawn
constexpr Colour kTrue{40, 40, 40}, kExplained{0, 120, 80}, kUnexplained{200, 40, 40};
constexpr Colour kEvent{110, 110, 110};

/// Everything over one time axis, thinned for drawing.
class Course {
 public:
  explicit Course(const CsvTable& table)
      : table_(table), step_((table.rows() + kPoints - 1) / std::max<std::size_t>(kPoints, 1)) {
    step_ = std::max<std::size_t>(step_, 1);
    all_x_ = table.numbers("t_s");
    seq_ = table.numbers("seq");
    has_time_ = std::any_of(all_x_.begin(), all_x_.end(), [](double t) { return t > 0.0; });
    if (!has_time_) all_x_ = seq_;
    x_ = thin(all_x_);
  }

  [[nodiscard]] std::size_t step() const { return step_; }
  [[nodiscard]] const Numbers& x() const { return x_; }
  [[nodiscard]] std::string label() const { return has_time_ ? "time (s)" : "frame"; }
  [[nodiscard]] Numbers column(const std::string& name) const { return thin(table_.numbers(name)); }

  [[nodiscard]] bool has(const std::string& name) const {
    const Numbers values = table_.numbers(name);
    return std::any_of(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
  }
  [[nodiscard]] bool varies(const std::string& name) const {
    double low = HUGE_VAL, high = -HUGE_VAL;
    for (const double value : table_.numbers(name)) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
    return high - low > 1e-9 * std::max(std::abs(low), std::abs(high));
  }

  /// Where a frame lies on the axis.
  [[nodiscard]] double at(double seq) const {
    const auto found = std::lower_bound(seq_.begin(), seq_.end(), seq);
    if (found == seq_.end()) return all_x_.empty() ? 0.0 : all_x_.back();
    return all_x_[static_cast<std::size_t>(found - seq_.begin())];
  }
  [[nodiscard]] std::pair<double, double> range() const {
    return all_x_.empty() ? std::pair{0.0, 1.0} : std::pair{all_x_.front(), all_x_.back()};
  }

  /// Frames whose drift is stated: measured, and not lost.
  [[nodiscard]] Numbers where_stated(Numbers values) const {
    const auto states = table_.texts("drift_state");
    const Numbers blanked = table_.numbers("blanked");
    for (std::size_t i = 0; i < values.size(); ++i) {
      const std::size_t row = i * step_;
      if (states[row].empty() || states[row] == "lost" || blanked[row] == 1.0) values[i] = NAN;
    }
    return values;
  }

  /// Frames for which `is_meant(lost, drift_state)`, as stretches.
  template <class IsMeant>
  [[nodiscard]] std::vector<std::pair<double, double>> stretches(IsMeant is_meant) const {
    std::vector<std::pair<double, double>> out;
    const auto lost = table_.texts("lost");
    const auto states = table_.texts("drift_state");
    bool was_meant = false;
    for (std::size_t row = 0; row < table_.rows(); ++row) {
      const bool is = is_meant(lost[row], states[row]);
      if (is && !was_meant) out.emplace_back(all_x_[row], all_x_[row]);
      if (is) out.back().second = all_x_[row];
      was_meant = is;
    }
    return out;
  }

 private:
  [[nodiscard]] Numbers thin(const Numbers& all) const {
    Numbers out;
    for (std::size_t i = 0; i < all.size(); i += step_) out.push_back(all[i]);
    return out;
  }

  const CsvTable& table_;
  std::size_t step_ = 1;
  Numbers all_x_, seq_, x_;
  bool has_time_ = false;
};

double number_or(const Json& object, const std::string& key, double otherwise) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : otherwise;
}

const Json& part(const Json& object, const std::string& key) {
  static const Json kNothing = Json::object();
  return object.is_object() && object.contains(key) ? object[key] : kNothing;
}

double array_number(const Json& object, const std::string& key, std::size_t i) {
  const Json& list = part(object, key);
  return list.is_array() && list.size() > i && list[i].is_number() ? list[i].get<double>() : NAN;
}

Numbers in_quadrature(const Numbers& a, const Numbers& b) {
  Numbers out;
  for (std::size_t i = 0; i < a.size(); ++i)
    out.push_back(std::hypot(a[i], std::isfinite(b[i]) ? b[i] : 0.0));
  return out;
}

double percentile(Numbers values, double share) {
  std::erase_if(values, [](double v) { return !std::isfinite(v); });
  if (values.empty()) return 0.0;
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
}

LinePlot panel(const Course& course, std::string title, std::string y_label, int width,
               int height) {
  LinePlot plot;
  plot.title = std::move(title);
  plot.x_label = course.label();
  plot.y_label = std::move(y_label);
  plot.x_range = course.range();
  plot.width = width;
  plot.height = height;
  return plot;
}

LinePlot drift_panel(const Course& course) {
  LinePlot plot = panel(course, "Drift: true and measured", "drift (px)", kWidth, 300);
  const char* axes[] = {"x", "y"};
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string axis = axes[i];
    plot.series.push_back({axis + " measured",
                           course.x(),
                           course.where_stated(course.column("drift_" + axis + "_px")),
                           {},
                           SeriesStyle::points,
                           series_colour(i)});
  }
  for (const char* axis : axes)
    plot.series.push_back({*axis == 'x' ? "true" : "",
                           course.x(),
                           course.column(fmt::format("drift_{}_true_px", axis)),
                           {},
                           SeriesStyle::line,
                           kTrue});
  plot.marked = {
      {"drift lost", course.stretches([](const std::string&, const std::string& state) {
         return state == "lost";
       }),
       kUnexplained},
      {"frame lost",
       course.stretches([](const std::string& lost, const std::string&) { return !lost.empty(); }),
       {140, 140, 140}}};
  return plot;
}

/// Measured minus true over the band its sigma promises.
LinePlot error_panel(const Course& course, std::string title, const std::string& unit,
                     const Numbers& error, const Numbers& sigma, Colour colour) {
  LinePlot plot =
      panel(course, std::move(title), "error (" + unit + ")", (kWidth - kPanelGap) / 2, 260);
  Numbers zero(error.size(), 0.0);
  for (std::size_t i = 0; i < error.size(); ++i)
    if (!std::isfinite(error[i])) zero[i] = NAN;
  Numbers sizes;
  for (const double value : error) sizes.push_back(std::abs(value));
  const double limit = std::max(1.3 * percentile(sizes, 0.995), 2.5 * percentile(sigma, 0.9));
  if (limit > 0.0) plot.y_range = {{-limit, limit}};
  Numbers below;
  for (const double value : sigma) below.push_back(-value);
  plot.series = {
      {"", course.x(), zero, sigma, SeriesStyle::band, kTrue},
      {"measured - true", course.x(), error, {}, SeriesStyle::points, colour},
      {"+-1 sigma, random and systematic", course.x(), sigma, {}, SeriesStyle::line, kTrue},
      {"", course.x(), below, {}, SeriesStyle::line, kTrue}};
  return plot;
}

Numbers difference(const Numbers& a, const Numbers& b, double offset) {
  Numbers out;
  for (std::size_t i = 0; i < a.size(); ++i) out.push_back(a[i] - b[i] - offset);
  return out;
}

std::string sigmas_text(double z) {
  return std::isfinite(z) ? fmt::format(", rms {:.2f} of its sigmas", z) : std::string();
}

std::vector<Picture> drift_errors(const Course& course, const Json& summary) {
  std::vector<Picture> row;
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string axis = i == 0 ? "x" : "y";
    const double offset = array_number(part(summary, "drift"), "offset_px", i);
    const Numbers error = course.where_stated(difference(
        course.column("drift_" + axis + "_px"), course.column("drift_" + axis + "_true_px"),
        std::isfinite(offset) ? offset : 0.0));
    const Numbers sigma = in_quadrature(course.column("sigma_" + axis + "_px"),
                                        course.column("sigma_sys_" + axis + "_px"));
    const std::string title =
        "Drift " + axis + sigmas_text(array_number(part(summary, "drift"), "z_rms", i));
    row.push_back(error_panel(course, title, "px", error, sigma, series_colour(i)).draw());
  }
  return row;
}

/// Column names of the layer spacings: one set, or one for each domain.
struct Spacing {
  std::string name, truth, measured, sigma;
};

std::vector<Spacing> spacings_of(const CsvTable& table) {
  std::vector<Spacing> out;
  for (const std::string& name : table.names()) {
    constexpr std::string_view kBegin = "d_layer_", kEnd = "_true_nm";
    if (!name.starts_with(kBegin) || !name.ends_with(kEnd) ||
        name.size() <= kBegin.size() + kEnd.size())
      continue;
    const std::string domain =
        name.substr(kBegin.size(), name.size() - kBegin.size() - kEnd.size());
    out.push_back({domain, name, "d_layer_" + domain + "_nm", "sigma_d_" + domain + "_nm"});
  }
  if (out.empty()) out.push_back({"layers", "d_layer_true_nm", "d_layer_nm", "sigma_d_nm"});
  return out;
}

/// One panel a spacing that was measured: they differ too much for a common axis.
void add_spacings(Page& page, const CsvTable& table, const Course& course) {
  std::vector<Spacing> shown;
  for (const Spacing& spacing : spacings_of(table))
    if (course.has(spacing.measured)) shown.push_back(spacing);
  const auto frames_with = [&](const Spacing& spacing) {
    const Numbers values = course.column(spacing.truth);
    return std::count_if(values.begin(), values.end(), [](double v) { return std::isfinite(v); });
  };
  std::stable_sort(shown.begin(), shown.end(), [&](const Spacing& a, const Spacing& b) {
    return frames_with(a) > frames_with(b);  // the specimen as it was first
  });
  if (shown.size() > 2) shown.resize(2);
  std::vector<Picture> row;
  std::size_t number = 2;
  for (const Spacing& spacing : shown) {
    const int width = shown.size() == 1 ? kWidth : (kWidth - kPanelGap) / 2;
    LinePlot plot =
        panel(course, fmt::format("Layer spacing {}", spacing.name), "d (nm)", width, 280);
    const Numbers measured = course.column(spacing.measured);
    plot.series = {
        {"measured, 1 sigma of a frame", course.x(), measured, course.column(spacing.sigma),
         SeriesStyle::line, series_colour(number++)},
        {"true", course.x(), course.column(spacing.truth), {}, SeriesStyle::line, kTrue}};
    const double low = percentile(measured, 0.01), high = percentile(measured, 0.99);
    const double room = 0.3 * (high - low) + 2.0 * percentile(course.column(spacing.sigma), 0.5);
    if (room > 0.0) plot.y_range = {{low - room, high + room}};
    row.push_back(plot.draw());
  }
  if (!row.empty()) page.rows.push_back(std::move(row));
}

Picture spacing_error(const Course& course, const Json& summary) {
  const Numbers raw =
      difference(course.column("d_layer_nm"), course.column("d_layer_true_nm"), 0.0);
  Numbers error,
      sigma = in_quadrature(course.column("sigma_d_nm"), course.column("sigma_sys_d_nm"));
  for (const double value : raw) error.push_back(1e3 * value);
  for (double& value : sigma) value *= 1e3;
  const double z = number_or(part(summary, "d"), "z_rms", NAN);
  return error_panel(course,
                     "Layer spacing (all spots: rms" +
                         (std::isfinite(z) ? fmt::format(" {:.2f}", z) : std::string(" ?")) +
                         " of their sigmas)",
                     "pm", error, sigma, series_colour(2))
      .draw();
}

Picture phases_panel(const CsvTable& table, const Course& course) {
  LinePlot plot = panel(course, "Phases and crystallinity", "share", (kWidth - kPanelGap) / 2, 260);
  plot.y_range = {{0.0, 1.05}};
  if (course.has("crystallinity"))
    plot.series.push_back({"crystallinity, measured",
                           course.x(),
                           course.column("crystallinity"),
                           {},
                           SeriesStyle::line,
                           Colour{215, 190, 205}});
  std::size_t number = 0;
  for (const std::string& name : table.names()) {
    if (!name.starts_with("fraction_") || !name.ends_with("_true")) continue;
    const std::string phase = name.substr(9, name.size() - 9 - 5);
    const Colour colour = series_colour(number++);
    plot.series.push_back({phase + " of the field, true",
                           course.x(),
                           course.column(name),
                           {},
                           SeriesStyle::line,
                           colour});
    const std::string measured = "fraction_" + phase;
    if (course.has(measured))
      plot.series.push_back({phase + " measured",
                             course.x(),
                             course.column(measured),
                             {},
                             SeriesStyle::points,
                             colour});
  }
  plot.series.push_back({"crystallinity, true",
                         course.x(),
                         course.column("crystallinity_true"),
                         {},
                         SeriesStyle::line,
                         kTrue});
  return plot.draw();
}

/// Only what changed: a constant temperature is no news.
void add_stimulus(Page& page, const Course& course) {
  struct Quantity {
    const char *column, *title, *label;
    double scale;
  };
  const Quantity all[] = {{"bias_v", "Bias", "bias (V)", 1.0},
                          {"current_a", "Current", "current (nA)", 1e9},
                          {"temperature_k", "Temperature", "temperature (K)", 1.0},
                          {"fluence_e_per_nm2", "Fluence", "fluence (ke/A^2)", 1e-5}};
  std::vector<const Quantity*> shown;
  for (const Quantity& quantity : all)
    if (course.varies(quantity.column)) shown.push_back(&quantity);
  if (shown.empty()) return;
  if (shown.size() > 3) shown.resize(3);
  const auto count = static_cast<int>(shown.size());
  std::vector<Picture> row;
  for (const Quantity* quantity : shown) {
    LinePlot plot = panel(course, quantity->title, quantity->label,
                          (kWidth - (count - 1) * kPanelGap) / count, 220);
    Numbers y = course.column(quantity->column);
    for (double& value : y) value *= quantity->scale;
    plot.series = {{"", course.x(), std::move(y), {}, SeriesStyle::line, kTrue}};
    row.push_back(plot.draw());
  }
  page.rows.push_back(std::move(row));
}

/// Events of the truth as lines with their names, alerts as ticks: with a cause, and without.
Picture timeline(const Course& course, const Json& summary) {
  std::size_t with = 0, without = 0;
  std::map<std::pair<bool, std::string>, std::vector<std::pair<double, double>>> ticks;
  for (const Json& alert : part(summary, "alerts")) {
    const bool is_explained = !part(alert, "truth_seq").is_null() && alert.contains("truth_seq");
    const double x = course.at(number_or(alert, "seq", 0.0));
    ticks[{is_explained, alert.value("rule", "alert")}].emplace_back(x, x);
    ++(is_explained ? with : without);
  }
  LinePlot plot =
      panel(course,
            fmt::format("What happened, and the alerts raised: {} with a cause, {} without", with,
                        without),
            "", kWidth, 220);
  for (const Json& event : part(summary, "events")) {
    std::string label = event.value("event", "?");
    std::replace(label.begin(), label.end(), '_', ' ');
    plot.events.push_back({course.at(number_or(event, "seq", 0.0)), label, kEvent});
  }
  std::size_t number = 0;
  for (auto& [kind, places] : ticks)
    plot.marked.push_back(
        {fmt::format("{} ({}{})", kind.second, places.size(), kind.first ? "" : ", no cause"),
         std::move(places), kind.first ? series_colour(2 + number++) : kUnexplained});
  return plot.draw();
}

std::string footer_of(const Json& summary, const Course& course) {
  std::string out = fmt::format("{:.0f} frames, {:.0f} lost", number_or(summary, "frames", 0.0),
                                number_or(summary, "lost", 0.0));
  if (part(summary, "drift_rms_px").is_number())
    out += fmt::format("; drift {:.3g} px rms", number_or(summary, "drift_rms_px", 0.0));
  if (part(summary, "d_rms_nm").is_number())
    out += fmt::format("; d {:.2g} pm rms", 1e3 * number_or(summary, "d_rms_nm", 0.0));
  if (course.step() > 1) out += fmt::format("; one frame in {} is drawn", course.step());
  return out;
}

}  // namespace

Page rehearsal_page(const CsvTable& series, const Json& summary) {
  const Course course(series);
  Page page;
  page.title = "Rehearsal";
  if (const std::string scenario = summary.value("scenario", ""); !scenario.empty())
    page.title += " " + scenario;
  if (const std::string verdict = summary.value("verdict", ""); !verdict.empty())
    page.title += ": " + verdict;
  page.footer = footer_of(summary, course);
  page.rows.push_back({timeline(course, summary)});
  page.rows.push_back({drift_panel(course).draw()});
  page.rows.push_back(drift_errors(course, summary));
  add_spacings(page, series, course);
  page.rows.push_back({spacing_error(course, summary), phases_panel(series, course)});
  add_stimulus(page, course);
  return page;
}

}  // namespace latticed
