// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/series.hpp"

#include <fmt/format.h>
#include <fmt/ostream.h>

#include <set>

#include "sim/score/score.hpp"

namespace latticed::sim {
namespace {

struct Columns {
  std::set<std::string> phases;
  std::set<std::string> domains;  // none when there is only one
};

Columns columns_of(const Truth& truth, const Measurements& measurements) {
  Columns columns;
  for (const auto& [seq, frame] : truth.frames) {
    for (const auto& [phase, fraction] : frame.course.phase_fractions) columns.phases.insert(phase);
    for (const auto& [domain, d] : frame.course.d_layer_nm) columns.domains.insert(domain);
  }
  for (const auto& [seq, frame] : measurements.frames)
    for (const auto& [phase, fraction] : frame.phase_fractions) columns.phases.insert(phase);
  if (columns.domains.size() < 2) columns.domains.clear();
  return columns;
}

void write_header(std::ostream& out, const Columns& columns) {
  fmt::print(out,
             "seq,lost,drift_state,drift_x_true_px,drift_y_true_px,drift_x_px,drift_y_px,"
             "sigma_x_px,sigma_y_px,d_layer_true_nm,d_layer_nm,sigma_d_nm,t_s,blanked,"
             "cell_ambiguous,sigma_sys_x_px,sigma_sys_y_px,sigma_sys_d_nm,bias_v,current_a,"
             "temperature_k,fluence_e_per_nm2,crystallinity_true,crystallinity");
  for (const std::string& phase : columns.phases)
    fmt::print(out, ",fraction_{0}_true,fraction_{0}", phase);
  for (const std::string& domain : columns.domains)
    fmt::print(out, ",d_layer_{0}_true_nm,d_layer_{0}_nm,sigma_d_{0}_nm", domain);
  fmt::print(out, "\n");
}

/// Empty, or the number.
std::string cell(std::optional<double> value, int digits = 9) {
  return value ? fmt::format("{:.{}g}", *value, digits) : std::string();
}

std::optional<double> found_in(const std::map<std::string, double>& map, const std::string& key) {
  const auto found = map.find(key);
  return found == map.end() ? std::nullopt : std::optional(found->second);
}

/// Matches once a frame, looks up for each domain.
class LayerSpots {
 public:
  LayerSpots(const TrueFrame& frame, const MeasuredFrame* measured, double field_nm) {
    if (measured == nullptr) return;
    for (const MeasuredSpot& spot : measured->spots) {
      if (!spot.confirmed) continue;
      const Match match = match_spot(frame, spot.g_per_nm, field_nm);
      if (match.reflection != nullptr && match.reflection->is_layer)
        found_.push_back({&spot, match.reflection->d_nm});
    }
  }

  [[nodiscard]] const MeasuredSpot* first_order(double d_layer_nm) const {
    for (const auto& [spot, true_d_nm] : found_)
      if (true_d_nm > 0.99 * d_layer_nm && true_d_nm < 1.01 * d_layer_nm) return spot;
    return nullptr;
  }

 private:
  struct Found {
    const MeasuredSpot* spot;
    double true_d_nm;
  };
  std::vector<Found> found_;
};

void write_row(std::ostream& out, std::uint64_t seq, const TrueFrame& frame,
               const MeasuredFrame* listed, const Columns& columns, double field_nm) {
  const MeasuredFrame* measured = listed && listed->lost.empty() ? listed : nullptr;
  const LayerSpots layers(frame, measured, field_nm);
  const MeasuredSpot* layer = layers.first_order(frame.d_layer_nm);
  const auto of = [&](double MeasuredSpot::*member, const MeasuredSpot* spot) {
    return cell(spot ? std::optional(spot->*member) : std::nullopt);
  };
  const auto pair = [&](const std::array<double, 2> MeasuredFrame::*member) {
    if (!measured) return std::string(",");
    return cell((measured->*member)[0]) + "," + cell((measured->*member)[1]);
  };
  const TrueCourse& course = frame.course;
  fmt::print(out, "{},{},{},{:.6f},{:.6f},{},{},{:.7f},{},{},", seq,
             listed ? listed->lost : frame.lost, measured ? measured->drift_state : "",
             frame.drift_px[0], frame.drift_px[1], pair(&MeasuredFrame::drift_px),
             pair(&MeasuredFrame::sigma_drift_px), frame.d_layer_nm, of(&MeasuredSpot::d_nm, layer),
             of(&MeasuredSpot::sigma_d_nm, layer));
  fmt::print(out, "{:.9g},{},{},{},{},{:.7g},{:.7g},{:.7g},{:.7g},{:.6g},{}", course.t_s,
             frame.shows_specimen() ? 0 : 1, measured ? (measured->cell_ambiguous ? "1" : "0") : "",
             pair(&MeasuredFrame::sigma_drift_sys_px),
             cell(layer ? layer->sigma_d_sys_nm : std::nullopt), course.bias_v, course.current_a,
             course.temperature_k, course.fluence_e_per_nm2, course.crystallinity,
             cell(measured ? measured->crystallinity : std::nullopt, 6));
  for (const std::string& phase : columns.phases)
    fmt::print(out, ",{},{}", cell(found_in(course.phase_fractions, phase), 6),
               cell(measured ? found_in(measured->phase_fractions, phase) : std::nullopt, 6));
  for (const std::string& domain : columns.domains) {
    const auto d = found_in(course.d_layer_nm, domain);
    const MeasuredSpot* spot = d ? layers.first_order(*d) : nullptr;
    fmt::print(out, ",{},{},{}", cell(d), of(&MeasuredSpot::d_nm, spot),
               of(&MeasuredSpot::sigma_d_nm, spot));
  }
  fmt::print(out, "\n");
}

}  // namespace

void write_series(std::ostream& out, const Truth& truth, const Measurements& measurements) {
  const Columns columns = columns_of(truth, measurements);
  write_header(out, columns);
  for (const auto& [seq, frame] : truth.frames) {
    const auto found = measurements.frames.find(seq);
    const MeasuredFrame* listed = found == measurements.frames.end() ? nullptr : &found->second;
    write_row(out, seq, frame, listed, columns, truth.field_nm);
  }
}

}  // namespace latticed::sim
