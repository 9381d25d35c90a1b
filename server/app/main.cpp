// SPDX-License-Identifier: GPL-3.0-or-later
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>

#include "server/app/commands.hpp"

int main(int argc, char** argv) {
  spdlog::set_default_logger(spdlog::stderr_color_mt("latticed"));
  CLI::App app{"latticed: in situ electron-microscope acquisition and control"};
  app.require_subcommand(1);
  latticed::AnalyzeOptions options;
  auto* analyze = app.add_subcommand("analyze", "measure every frame of a recording: JSON lines");
  analyze->add_option("INPUT", options.inputs)->required();
  analyze->add_option("--pixel-size-nm", options.pixel_size_nm);
  analyze->add_option("--bin", options.bin);
  analyze->add_option("--dark", options.dark);
  analyze->add_option("--gain", options.gain);
  analyze->add_option("--csv", options.csv);
  CLI11_PARSE(app, argc, argv);
  return latticed::analyze(options);
}
