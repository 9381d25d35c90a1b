// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/score/records.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>

namespace latticed::sim {
namespace {

using Json = nlohmann::json;

/// Calls `take` for every line; a line it cannot take is an error with its number.
Result<void> for_each_line(const std::string& path, const std::function<void(const Json&)>& take) {
  std::ifstream in(path);
  if (!in) {
    return Error{ErrorCode::not_found, fmt::format("read {}: {}", path, std::strerror(errno))};
  }
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (line.empty()) continue;
    try {
      take(Json::parse(line));
    } catch (const Json::exception& error) {
      return Error{ErrorCode::data_loss, fmt::format("{}:{}: {}", path, number, error.what())};
    }
  }
  return {};
}

TrueCourse true_course(const Json& line) {
  TrueCourse course;
  course.t_s = line.value("t_s", 0.0);
  course.bias_v = line.value("bias_v", 0.0);
  course.current_a = line.value("current_a", 0.0);
  course.temperature_k = line.value("temperature_k", 0.0);
  course.fluence_e_per_nm2 = line.value("fluence_e_per_nm2", 0.0);
  course.crystallinity = line.value("crystallinity", 0.0);
  course.rim_nm = line.value("rim_nm", 0.0);
  course.phase_fractions = line.value("phase_fractions", std::map<std::string, double>{});
  for (const Json& domain : line.at("domains"))
    course.d_layer_nm[domain.value("name", "")] = domain.at("d_layer_nm").get<double>();
  return course;
}

/// The bounds told last. Those of d are kept relative to d, which may have changed since.
class LastBounds {
 public:
  std::optional<std::array<double, 2>> drift_px(const Json& line) {
    if (line.contains("bound_drift_px")) {
      drift_px_ = line["bound_drift_px"].get<std::array<double, 2>>();
    }
    return drift_px_;
  }

  std::optional<double> d_nm(const Json& reflection, const char* key) {
    const double d_nm = reflection.at("d_nm").get<double>();
    std::optional<double>& last = of_d_[fmt::format("{} {} {}", key, reflection.value("domain", ""),
                                                    reflection.at("hkl").dump())];
    if (reflection.contains(key)) last = reflection[key].get<double>() / d_nm;
    return last ? std::optional(*last * d_nm) : std::nullopt;
  }

 private:
  std::optional<std::array<double, 2>> drift_px_;
  std::map<std::string, std::optional<double>> of_d_;
};

TrueFrame true_frame(const Json& line, LastBounds& bounds) {
  TrueFrame frame;
  frame.bound_drift_px = bounds.drift_px(line);
  line.at("drift_px").get_to(frame.drift_px);
  frame.d_layer_nm = line.at("domains").at(0).at("d_layer_nm").get<double>();
  if (line.at("lost").is_string()) frame.lost = line.at("lost").get<std::string>();
  frame.blanked = line.at("blanked").get<bool>();
  frame.specimen_in = line.value("specimen_in", true);
  for (const Json& reflection : line.at("reflections")) {
    if (!reflection.at("visible").get<bool>()) continue;
    TrueReflection& out = frame.reflections.emplace_back();
    reflection.at("g_per_nm").get_to(out.g_per_nm);
    reflection.at("d_nm").get_to(out.d_nm);
    reflection.at("amplitude").get_to(out.amplitude);
    out.is_layer = reflection.at("hkl").at(0) == 0;
    out.bound_d_nm = bounds.d_nm(reflection, "bound_d_nm");
    out.bound_d_lattice_nm = bounds.d_nm(reflection, "bound_d_lattice_nm");
  }
  frame.course = true_course(line);
  return frame;
}

MeasuredFrame measured_frame(const Json& line) {
  MeasuredFrame frame;
  line.at("drift_px").get_to(frame.drift_px);
  line.at("sigma_drift_px").get_to(frame.sigma_drift_px);
  if (line.contains("sigma_drift_sys_px") && line["sigma_drift_sys_px"].is_array()) {
    line["sigma_drift_sys_px"].get_to(frame.sigma_drift_sys_px);
  }
  line.at("drift_state").get_to(frame.drift_state);
  frame.cell_ambiguous = line.value("cell_ambiguous", false);
  for (const Json& spot : line.at("spots")) {
    MeasuredSpot& out = frame.spots.emplace_back();
    spot.at("id").get_to(out.id);
    spot.at("g_per_nm").get_to(out.g_per_nm);
    spot.at("d_nm").get_to(out.d_nm);
    out.sigma_d_nm = spot.at("sigma_d_nm").is_number() ? spot.at("sigma_d_nm").get<double>() : 0.0;
    if (spot.contains("sigma_d_sys_nm") && spot["sigma_d_sys_nm"].is_number()) {
      out.sigma_d_sys_nm = spot["sigma_d_sys_nm"].get<double>();
    }
    out.confirmed = spot.value("confirmed", false);
  }
  if (line.contains("crystallinity") && line["crystallinity"].is_number())
    frame.crystallinity = line["crystallinity"].get<double>();
  for (const Json& phase : line.value("phases", Json::array()))
    if (phase.contains("fraction") && phase["fraction"].is_number())
      frame.phase_fractions[phase.at("name").get<std::string>()] = phase["fraction"].get<double>();
  return frame;
}

void take_alerts(const Json& line, std::uint64_t seq, std::vector<MeasuredAlert>& alerts) {
  for (const Json& alert : line.at("alerts")) {
    if (alert.at("state") != "raised") continue;
    const bool is_dated = alert.contains("since_seq") && alert["since_seq"].is_number();
    alerts.push_back({alert.at("rule").get<std::string>(), seq,
                      is_dated ? alert["since_seq"].get<std::uint64_t>() : seq,
                      alert.value("spot_id", std::int64_t{0})});
  }
}

}  // namespace

Result<Truth> read_truth(const std::string& path) {
  Truth truth;
  LastBounds bounds;
  const auto read = for_each_line(path, [&](const Json& line) {
    if (line.contains("truth")) {
      truth = Truth{};
      bounds = LastBounds{};
      truth.scenario = line.value("scenario", "");
      truth.pixel_size_nm = line.at("pixel_size_nm").get<double>();
      truth.field_nm = truth.pixel_size_nm *
                       std::min(line.at("width").get<double>(), line.at("height").get<double>());
    } else if (line.contains("event")) {
      truth.events.push_back(
          {line.at("event").get<std::string>(), line.at("frame").get<std::uint64_t>()});
    } else {
      truth.frames[line.at("frame").get<std::uint64_t>()] = true_frame(line, bounds);
    }
  });
  if (!read) return read.error();
  if (truth.frames.empty() || !(truth.field_nm > 0.0)) {
    return Error{ErrorCode::data_loss,
                 fmt::format("read truth {}: no header or no frames in it", path)};
  }
  return truth;
}

Result<Measurements> read_measurements(const std::string& path) {
  Measurements out;
  const auto read = for_each_line(path, [&](const Json& line) {
    const auto seq = line.at("seq").get<std::uint64_t>();
    if (out.frames.contains(seq)) out.repeated.push_back(seq);
    if (line.contains("lost")) {
      MeasuredFrame lost;
      lost.lost = line.at("lost").get<std::string>();
      out.frames[seq] = lost;
      return;
    }
    out.frames[seq] = measured_frame(line);
    take_alerts(line, seq, out.alerts);
  });
  if (!read) return read.error();
  return out;
}

}  // namespace latticed::sim
