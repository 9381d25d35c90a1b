// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/calibration_store.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>

namespace latticed {

namespace fs = std::filesystem;
using Json = nlohmann::json;

namespace {

constexpr double kSameNominal = 1e-6;  // relative: files round

/// NaN is written as null.
double number_of(const Json& object, const char* key) {
  const Json& value = object.at(key);
  return value.is_null() ? std::numeric_limits<double>::quiet_NaN() : value.get<double>();
}

Json to_json(const Calibration& c) {
  Json spacings = Json::array();
  for (const CalibratedSpacing& s : c.spacings)
    spacings.push_back({{"name", s.name},
                        {"d_nm", s.d_nm},
                        {"d_px", s.d_px},
                        {"sigma_ratio", s.sigma_ratio},
                        {"residual_ratio", s.residual_ratio}});
  return {{"detector", c.detector},
          {"time_ns", c.time_ns},
          {"standard", c.standard},
          {"nominal_pixel_size_nm", c.nominal_pixel_size_nm},
          {"pixel_size_nm", c.fit.pixel_size_nm},
          {"pixel_size_sigma_ratio", c.fit.pixel_size_sigma_ratio},
          {"birge_ratio", c.fit.birge_ratio},
          {"rms_residual_ratio", c.fit.rms_residual_ratio},
          {"ellipticity_ratio", c.fit.ellipticity_ratio},
          {"sigma_ellipticity_ratio", c.fit.sigma_ellipticity_ratio},
          {"ellipticity_direction_rad", c.fit.ellipticity_direction_rad},
          {"spacings", spacings},
          {"unmatched", c.unmatched},
          {"frames", c.frames},
          {"epoch", c.epoch},
          {"first_seq", c.first_seq},
          {"last_seq", c.last_seq},
          {"is_in_use", c.is_in_use}};
}

Calibration from_json(const Json& json) {
  Calibration c;
  c.detector = json.at("detector").get<std::string>();
  c.time_ns = json.at("time_ns").get<std::int64_t>();
  c.standard = json.at("standard").get<std::string>();
  c.nominal_pixel_size_nm = number_of(json, "nominal_pixel_size_nm");
  c.fit.pixel_size_nm = number_of(json, "pixel_size_nm");
  c.fit.pixel_size_sigma_ratio = number_of(json, "pixel_size_sigma_ratio");
  c.fit.birge_ratio = number_of(json, "birge_ratio");
  c.fit.rms_residual_ratio = number_of(json, "rms_residual_ratio");
  c.fit.ellipticity_ratio = number_of(json, "ellipticity_ratio");
  c.fit.sigma_ellipticity_ratio = number_of(json, "sigma_ellipticity_ratio");
  c.fit.ellipticity_direction_rad = number_of(json, "ellipticity_direction_rad");
  for (const Json& s : json.at("spacings"))
    c.spacings.push_back({s.at("name").get<std::string>(), number_of(s, "d_nm"),
                          number_of(s, "d_px"), number_of(s, "sigma_ratio"),
                          number_of(s, "residual_ratio")});
  c.unmatched = json.at("unmatched").get<std::uint32_t>();
  c.frames = json.at("frames").get<std::uint32_t>();
  c.epoch = json.at("epoch").get<std::uint32_t>();
  c.first_seq = json.at("first_seq").get<std::uint64_t>();
  c.last_seq = json.at("last_seq").get<std::uint64_t>();
  c.is_in_use = json.at("is_in_use").get<bool>();
  if (!(c.fit.pixel_size_nm > 0.0) || !(c.fit.pixel_size_sigma_ratio >= 0.0))
    throw std::runtime_error("a pixel size that is none");
  return c;
}

bool is_same(double a_nm, double b_nm) {
  return std::abs(a_nm - b_nm) <= kSameNominal * std::max(a_nm, b_nm);
}

}  // namespace

std::string words_of(const Calibration& calibration) {
  return fmt::format("calibrated by {}, {:%Y-%m-%dT%H:%M:%S}Z", calibration.standard,
                     fmt::gmtime(static_cast<std::time_t>(calibration.time_ns / 1000000000)));
}

Result<std::unique_ptr<CalibrationStore>> CalibrationStore::open(std::string path) {
  std::unique_ptr<CalibrationStore> store(new CalibrationStore(std::move(path)));
  std::ifstream in(store->path_);
  if (!in.is_open()) return store;
  try {
    for (const Json& one : Json::parse(in)) store->calibrations_.push_back(from_json(one));
  } catch (const std::exception& problem) {
    // Going on without it would silently measure by another scale than the last time.
    return Error{ErrorCode::data_loss, fmt::format("calibrations {}: {} (mend it, or move it away)",
                                                   store->path_, problem.what())};
  }
  return store;
}

Result<void> CalibrationStore::write() const {
  const auto failed = [&](const std::string& why) {
    return Error{ErrorCode::unavailable, fmt::format("write calibrations {}: {}", path_, why)};
  };
  Json all = Json::array();
  for (const Calibration& one : calibrations_) all.push_back(to_json(one));
  const std::string part = path_ + ".part";  // all of it or nothing
  {
    std::ofstream out(part);
    out << all.dump(1) << '\n';
    if (!out.flush()) return failed("disk error");
  }
  std::error_code problem;
  fs::rename(part, path_, problem);
  if (problem) return failed(problem.message());
  return {};
}

Result<void> CalibrationStore::add(Calibration calibration) {
  const std::lock_guard lock(mutex_);
  const auto before = calibrations_;
  for (Calibration& other : calibrations_)
    if (other.detector == calibration.detector) other.is_in_use = false;
  calibration.is_in_use = true;
  calibrations_.push_back(std::move(calibration));
  auto ok = write();
  if (!ok) calibrations_ = before;
  return ok;
}

Result<void> CalibrationStore::clear(const std::string& detector) {
  const std::lock_guard lock(mutex_);
  const auto before = calibrations_;
  for (Calibration& other : calibrations_)
    if (other.detector == detector) other.is_in_use = false;
  auto ok = write();
  if (!ok) calibrations_ = before;
  return ok;
}

std::vector<Calibration> CalibrationStore::list() const {
  const std::lock_guard lock(mutex_);
  return {calibrations_.rbegin(), calibrations_.rend()};
}

std::optional<Calibration> CalibrationStore::configured(const std::string& detector,
                                                        double nominal_nm) {
  const std::lock_guard lock(mutex_);
  nominal_nm_[detector] = nominal_nm;
  for (const Calibration& one : calibrations_) {
    if (one.detector != detector || !one.is_in_use) continue;
    if (is_same(one.nominal_pixel_size_nm, nominal_nm)) return one;
    spdlog::warn(
        "{}: calibrated where a pixel was said to be {:.6g} nm, now it is said to be "
        "{:.6g} nm: the calibration is not used",
        detector, one.nominal_pixel_size_nm, nominal_nm);
  }
  return std::nullopt;
}

double CalibrationStore::nominal_of(const std::string& detector) const {
  const std::lock_guard lock(mutex_);
  const auto found = nominal_nm_.find(detector);
  return found == nominal_nm_.end() ? 0.0 : found->second;
}

}  // namespace latticed
