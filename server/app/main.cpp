// SPDX-License-Identifier: GPL-3.0-or-later
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>

#include "server/app/bench.hpp"
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
  analyze->add_option("--figures", options.figures, "write figures of the run into this directory");
  latticed::BenchOptions bench_options;
  auto* bench = app.add_subcommand("bench", "throughput and latency as ratios to this machine's floor");
  bench->add_option("--size", bench_options.size)->check(CLI::Range(64, 8192));
  bench->add_option("--bin", bench_options.bin)->check(CLI::Range(0, 16));
  bench->add_option("--workers", bench_options.workers)->check(CLI::Range(1, 64));
  bench->add_option("--rate", bench_options.rate_hz)->check(CLI::Range(0.0, 1e6));
  bench->add_option("--seconds", bench_options.seconds)->check(CLI::Range(0.1, 3600.0));
  latticed::FiguresOptions figures_options;
  auto* figures = app.add_subcommand("figures", "draw a rehearsal from the files of sim-score");
  figures->add_option("--series", figures_options.series, "of sim-score --series")->required();
  figures->add_option("--summary", figures_options.summary, "of sim-score --summary");
  figures->add_option("--out", figures_options.directory, "rehearsal.png goes there")->required();
  CLI11_PARSE(app, argc, argv);
  if (figures->parsed()) return latticed::figures(figures_options);
  if (bench->parsed()) return latticed::bench(bench_options);
  return latticed::analyze(options);
}
