// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/calibration_service.hpp"

#include <fmt/format.h>

#include <cmath>

#include "server/base/utc_clock.hpp"
#include "server/control/mean_spacings.hpp"
#include "server/control/standards.hpp"
#include "server/live/requests.hpp"

namespace latticed {

namespace {

constexpr std::size_t kUsualFrames = 64;
constexpr std::size_t kFewestFrames = 8;

Result<Standard> standard_of(const v1::CalibrateRequest& request) {
  Standard out;
  if (!request.standard().empty()) {
    if (request.spacings_size() > 0)
      return Error{ErrorCode::invalid_argument,
                   "calibrate: a standard and spacings (expected one of them)"};
    auto found = find_standard(request.standard());
    if (!found) return found.error();
    out = std::move(*found);
  } else {
    out.name = "spacings";
    for (const v1::KnownSpacing& one : request.spacings())
      out.spacings.push_back(
          {one.name().empty() ? fmt::format("{:g} nm", one.d_nm()) : one.name(), one.d_nm()});
  }
  if (out.spacings.empty())
    return Error{ErrorCode::invalid_argument,
                 "calibrate: expected the name of a standard, or its spacings"};
  if (request.has_standard_sigma_ratio()) out.sigma_ratio = request.standard_sigma_ratio();
  if (!(out.sigma_ratio >= 0.0 && out.sigma_ratio <= 0.1))
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("calibrate: standard_sigma_ratio {} (expected 0 to 0.1)", out.sigma_ratio)};
  return out;
}

}  // namespace

v1::PixelCalibration to_proto(const Calibration& c) {
  v1::PixelCalibration out;
  out.set_detector(c.detector);
  out.set_time_ns(c.time_ns);
  out.set_standard(c.standard);
  out.set_pixel_size_nm(c.fit.pixel_size_nm);
  out.set_pixel_size_sigma_ratio(c.fit.pixel_size_sigma_ratio);
  out.set_nominal_pixel_size_nm(c.nominal_pixel_size_nm);
  out.set_birge_ratio(c.fit.birge_ratio);
  if (std::isfinite(c.fit.ellipticity_ratio)) {
    out.set_ellipticity_ratio(c.fit.ellipticity_ratio);
    out.set_sigma_ellipticity_ratio(c.fit.sigma_ellipticity_ratio);
    out.set_ellipticity_direction_rad(c.fit.ellipticity_direction_rad);
  }
  for (const CalibratedSpacing& s : c.spacings) {
    v1::CalibrationSpacing& spacing = *out.add_spacings();
    spacing.set_name(s.name);
    spacing.set_d_nm(s.d_nm);
    spacing.set_d_px(s.d_px);
    spacing.set_sigma_ratio(s.sigma_ratio);
    spacing.set_residual_ratio(s.residual_ratio);
  }
  out.set_unmatched(c.unmatched);
  out.set_frame_count(c.frames);
  out.set_epoch(c.epoch);
  out.set_first_seq(c.first_seq);
  out.set_last_seq(c.last_seq);
  out.set_in_use(c.is_in_use);
  return out;
}

Result<Calibration> CalibrationService::measure(const v1::CalibrateRequest& request) const {
  const auto standard = standard_of(request);
  if (!standard) return standard.error();
  const std::size_t wanted = request.frame_count() > 0 ? request.frame_count() : kUsualFrames;
  const auto frames = parts_.last_frames(request.detector(), wanted);
  if (!frames) return frames.error();
  if (frames->measured.size() < std::min(wanted, kFewestFrames))
    return Error{
        ErrorCode::failed_precondition,
        fmt::format("calibrate {}: {} frames of a run have been measured (expected at "
                    "least {})",
                    request.detector(), frames->measured.size(), std::min(wanted, kFewestFrames))};
  const auto measured = mean_spacings(frames->measured, frames->run);
  signal::ScaleFitOptions options;
  options.expected_pixel_size_nm = frames->run.pixel_size_nm();
  options.standard_sigma_ratio = standard->sigma_ratio;
  auto fit = signal::fit_scale(measured, standard->spacings, options);
  if (!fit)
    return Error{fit.error().code, fmt::format("calibrate {} by {}: {}", request.detector(),
                                               standard->name, fit.error().message)};
  Calibration out;
  out.detector = request.detector();
  out.time_ns = utc_now_ns();
  out.standard = standard->name;
  out.nominal_pixel_size_nm = parts_.store.nominal_of(request.detector());
  for (const signal::MatchedSpacing& m : fit->matched) {
    const signal::MeasuredSpacing& is = measured[m.measured];
    const signal::KnownSpacing& known = standard->spacings[m.known];
    out.spacings.push_back({known.name, known.d_nm, 1.0 / std::hypot(is.g_per_px.x, is.g_per_px.y),
                            is.sigma_ratio, m.residual_ratio});
  }
  out.unmatched = static_cast<std::uint32_t>(fit->unmatched.size());
  out.fit = std::move(*fit);
  out.frames = static_cast<std::uint32_t>(frames->measured.size());
  out.epoch = frames->epoch;
  out.first_seq = frames->measured.front().seq();
  out.last_seq = frames->measured.back().seq();
  out.is_in_use = true;
  return out;
}

void CalibrationService::list(const std::string& detector, v1::ListCalibrationsReply& out) const {
  for (const Calibration& one : parts_.store.list())
    if (detector.empty() || one.detector == detector) *out.add_calibrations() = to_proto(one);
}

grpc::ServerUnaryReactor* CalibrationService::Calibrate(Call* call,
                                                        const v1::CalibrateRequest* request,
                                                        v1::CalibrationReply* reply) {
  return control_call(
      parts_.context, call, "Calibrate", request->request_id(), reply,
      [this, request, reply](const Answer& answer) {
        std::string detector = request->detector();
        if (auto status = find_detector(detector, parts_.detectors); !status.ok())
          return answer(status);
        v1::CalibrateRequest wanted = *request;
        wanted.set_detector(detector);
        auto calibration = measure(wanted);
        if (!calibration) return answer(rpc::to_status(calibration.error()));
        *reply->mutable_calibration() = to_proto(*calibration);
        const std::string what = fmt::format(
            "calibrated by {}: {:.6g} nm/px, relative sigma {:.2g}, {} reflections of {} frames",
            calibration->standard, calibration->fit.pixel_size_nm,
            calibration->fit.pixel_size_sigma_ratio, calibration->spacings.size(),
            calibration->frames);
        if (auto ok = parts_.store.add(std::move(*calibration)); !ok)
          return answer(rpc::to_status(ok.error()));
        parts_.note(detector, what);
        answer({});
      });
}

grpc::ServerUnaryReactor* CalibrationService::List(Call* call,
                                                   const v1::ListCalibrationsRequest* request,
                                                   v1::ListCalibrationsReply* reply) {
  return read_call(parts_.context, call, reply, [&] {
    if (!request->detector().empty())
      if (auto status = check_detector(request->detector(), parts_.detectors); !status.ok())
        return status;
    list(request->detector(), *reply);
    return grpc::Status();
  });
}

grpc::ServerUnaryReactor* CalibrationService::Clear(Call* call,
                                                    const v1::ClearCalibrationRequest* request,
                                                    v1::ListCalibrationsReply* reply) {
  return control_call(parts_.context, call, "ClearCalibration", request->request_id(), reply,
                      [this, request, reply](const Answer& answer) {
                        std::string detector = request->detector();
                        if (auto status = find_detector(detector, parts_.detectors); !status.ok())
                          return answer(status);
                        if (auto ok = parts_.store.clear(detector); !ok)
                          return answer(rpc::to_status(ok.error()));
                        parts_.note(detector, "calibration cleared");
                        list(detector, *reply);
                        answer({});
                      });
}

}  // namespace latticed
