// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>
#include <latticed/v1/calibration.grpc.pb.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/commands.hpp"

namespace latticed::latticectl {

namespace {

using Calibration = v1::Calibration::Stub;

struct Options {
  std::string detector, standard;
  std::vector<double> spacings_nm;
  double sigma_ratio = 0.0;
  std::uint32_t frame_count = 0;
  bool is_show = false, is_clear = false;
};

int calibrate(Client& client, const Output& out, const Options& o, bool has_sigma) {
  if (o.is_show) {
    v1::ListCalibrationsRequest request;
    request.set_detector(o.detector);
    return out.show(client.call(&Calibration::List, request));
  }
  if (o.is_clear) {
    v1::ClearCalibrationRequest request;
    request.set_detector(o.detector);
    return out.show(client.call(&Calibration::Clear, request));
  }
  if (o.standard.empty() == o.spacings_nm.empty())
    return out.show_wrong_usage("calibrate: expected --standard NAME or --d D1,D2,..., or --show");
  v1::CalibrateRequest request;
  request.set_detector(o.detector);
  request.set_standard(o.standard);
  for (const double d_nm : o.spacings_nm) request.add_spacings()->set_d_nm(d_nm);
  if (has_sigma) request.set_standard_sigma_ratio(o.sigma_ratio);
  request.set_frame_count(o.frame_count);
  return out.show(client.call(&Calibration::Calibrate, request));
}

}  // namespace

void add_calibrate_command(CLI::App& app, Desk& desk) {
  const auto o = std::make_shared<Options>();
  auto* command = add_command(
      app, "calibrate", "the pixel size, from a specimen whose spacings are known",
      "a run that is on or has ended, the standard in view; used from the next configure on",
      "calibrate --standard Si --frames 64");
  command->add_option("--detector", o->detector, "needed when there are several");
  auto* standard =
      command->add_option("--standard", o->standard, "Si, Au, Al, graphite, SrTiO3, NiO or MgO");
  auto* spacings = command->add_option("--d", o->spacings_nm, "its spacings instead, nm")
                       ->delimiter(',')
                       ->check(CLI::Range(0.01, 100.0))
                       ->excludes(standard);
  auto* sigma = command
                    ->add_option("--sigma", o->sigma_ratio,
                                 "relative sigma of the standard's spacings, common to all")
                    ->check(CLI::Range(0.0, 0.1));
  command->add_option("--frames", o->frame_count, "last frames to average (default 64)");
  auto* show = command->add_flag("--show", o->is_show, "those there are; * in use");
  command->add_flag("--clear", o->is_clear, "none is used any more")
      ->excludes(show)
      ->excludes(standard)
      ->excludes(spacings);
  show->excludes(standard)->excludes(spacings);
  set_run(command, desk, [o, sigma](Client& client, const Output& out) {
    return calibrate(client, out, *o, sigma->count() > 0);
  });
}

}  // namespace latticed::latticectl
