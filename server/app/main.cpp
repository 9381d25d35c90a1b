// SPDX-License-Identifier: GPL-3.0-or-later
// Arguments to options; the commands do the rest.
#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <functional>

#include "server/app/bench.hpp"
#include "server/app/bench_record.hpp"
#include "server/app/commands.hpp"
#include "server/app/stop_signals.hpp"

namespace {

using namespace latticed;

/// An option whose text `parse` turns into `value`; its Error is the message.
template <class Target, class Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& name, Target& value, Parse parse,
                        const std::string& help) {
  return app.add_option_function<std::string>(
      name,
      [&value, parse, name](const std::string& text) {
        auto parsed = parse(text);
        if (!parsed) throw CLI::ValidationError(name, parsed.error().message);
        value = *parsed;
      },
      help);
}

CLI::App* declare_analyze(CLI::App& app, AnalyzeOptions& o) {
  CLI::App* c =
      app.add_subcommand("analyze", "measure every frame of recordings: JSON lines on stdout");
  c->footer(
      "INPUT: MRC, TIFF, HDF5/NeXus, HyperSpy; frames run on over several files.\n"
      "Exit: 0 every frame was read; 1 some were not, or an output failed; 2 nothing could be "
      "done;\n"
      "130, 143 ended by SIGINT, SIGTERM with everything measured so far printed.");
  c->add_option("INPUT", o.inputs, "recordings, in this order")->required();
  c->add_option("--pixel-size-nm", o.pixel_size_nm, "nm per raw pixel, instead of the file's")
      ->check(CLI::Range(1e-6, 1000.0));
  c->add_option("--frame-period-s", o.frame_period_s,
                "s from frame to frame, instead of the file's; 0.1 where the file has none")
      ->check(CLI::Range(1e-6, 3600.0));
  c->add_option("--bin", o.bin,
                "raw pixels to a cell's side; 0: so that the frame has <= 1024 cells")
      ->check(CLI::Range(0, 16));
  add_parsed(*c, "--roi", o.region, parse_region, "only this part of each frame, raw pixels")
      ->type_name("X,Y,W,H");
  add_parsed(*c, "--frames", o.frames, parse_frame_range,
             "frames from a up to but without b; either may be empty")
      ->type_name("a:b");
  c->add_option("--config", o.config,
                "how to measure: its first detector, pipeline, log and rules");
  c->add_option("--rules", o.rules, "alert rules ([[rule]] tables), instead of the default ones");
  c->add_option("--dark", o.dark, "dark reference, subtracted");
  c->add_option("--gain", o.gain, "gain reference, multiplied");
  c->add_option("--csv", o.csv, "the same numbers as a table in this file");
  c->add_option("--figures", o.figures, "write figures of the run into this directory")
      ->type_name("DIR");
  c->add_option("--workers", o.workers, "threads that correct and transform frames (default 2)")
      ->check(CLI::Range(1, 64));
  return c;
}

CLI::App* declare_acquire(CLI::App& app, AcquireOptions& o) {
  CLI::App* c = app.add_subcommand("acquire", "one run of the configured detectors, measured live");
  c->footer(
      "Writes DIR/<detector>.jsonl (and .csv if configured); what an earlier run left there is "
      "kept\n"
      "under a number. Runs until the detectors end, or SIGINT or SIGTERM.\n"
      "Exit: 0 all ended well and every lost frame is listed; 1 not so; 2 nothing could be done;\n"
      "130, 143 ended by SIGINT, SIGTERM.");
  c->add_option("--config", o.config, "configuration file (TOML)")->required();
  c->add_option("--out", o.directory, "directory for the results, instead of the configuration's")
      ->type_name("DIR");
  return c;
}

CLI::App* declare_serve(CLI::App& app, ServeOptions& o) {
  CLI::App* c =
      app.add_subcommand("serve", "the daemon: clients watch and command it (latticectl)");
  c->footer(
      "Prints `ready grpc=HOST:PORT zmq=tcp://HOST:PORT` when clients can come. SIGINT or "
      "SIGTERM:\n"
      "the run is drained, clients are told, all within 5 s.\n"
      "Exit: 0 ended; 1 a run had to be given up; 2 could not start, the reason is in the log.");
  c->add_option("--config", o.config, "configuration file (TOML)")->required();
  c->add_option("--grpc", o.grpc,
                "where on this machine, instead of the configuration's; port 0: any")
      ->type_name("HOST:PORT");
  c->add_option("--zmq", o.zmq, "the same for ZeroMQ")->type_name("tcp://HOST:PORT");
  c->add_option(
       "--listen", o.listen,
       "also on the lab network. Reading is open there only if the configuration says so;\n"
       "control needs TLS and a token")
      ->type_name("HOST[:PORT]");
  return c;
}

CLI::App* declare_bench(CLI::App& app, BenchOptions& o, RecordBenchOptions& r) {
  CLI::App* c =
      app.add_subcommand("bench", "the whole chain's cost as a ratio to this machine's floor");
  c->footer("One JSON object on stdout. Exit: 0 nothing lost; 1 frames lost; 2 could not run.");
  c->add_option("--size", o.size, "pixels to a side")->check(CLI::Range(64, 8192));
  c->add_option("--bin", o.bin, "raw pixels to a cell's side; 0: automatic")
      ->check(CLI::Range(0, 16));
  c->add_option("--workers", o.workers, "threads that correct and transform frames")
      ->check(CLI::Range(1, 64));
  c->add_option("--rate", o.rate_hz, "frames per s; 0: full speed")->check(CLI::Range(0.0, 1e6));
  c->add_option("--seconds", o.seconds, "about so long")->check(CLI::Range(0.1, 3600.0));
  c->add_flag("--maps", o.has_maps, "correct by a dark, a gain and a list of hot pixels");
  CLI::App* record = c->add_subcommand(
      "record", "recording with every frame analysed, as a ratio to the disk's own rate");
  record->footer("One JSON object on stdout. Needs some 10 GB in DIR while it runs.");
  record->add_option("DIR", r.directory, "on the disk that is measured")
      ->required()
      ->check(CLI::ExistingDirectory);
  record->add_option("--size", r.size, "pixels to a side")->check(CLI::Range(64, 8192));
  record->add_option("--bin", r.bin, "raw pixels to a cell's side; 0: automatic")
      ->check(CLI::Range(0, 16));
  record->add_option("--workers", r.workers, "threads that correct and transform frames")
      ->check(CLI::Range(1, 64));
  record->add_flag_callback(
      "--compact", [&r] { r.profile = RecordingProfile::compact; }, "packed images");
  record->add_option("--packers", r.packers, "threads that pack")->check(CLI::Range(1, 64));
  record->add_option("--seconds", r.seconds, "about so long")->check(CLI::Range(0.1, 3600.0));
  return c;
}

CLI::App* declare_figures(CLI::App& app, FiguresOptions& o) {
  CLI::App* c =
      app.add_subcommand("figures", "draw a rehearsal on one page, from sim-score's files");
  c->footer("Exit: 0 drawn; 2 could not.");
  c->add_option("--series", o.series, "of sim-score --series")->required();
  c->add_option("--summary", o.summary, "of sim-score --summary");
  c->add_option("--out", o.directory, "rehearsal.png goes there")->required()->type_name("DIR");
  return c;
}

int run(int argc, char** argv, Console console) {
  CLI::App app{"latticed: in situ electron-microscope acquisition and control"};
  app.require_subcommand(1);
  AnalyzeOptions analyze_options;
  AcquireOptions acquire_options;
  ServeOptions serve_options;
  BenchOptions bench_options;
  RecordBenchOptions record_options;
  FiguresOptions figures_options;
  std::string checked;
  auto* analyze_command = declare_analyze(app, analyze_options);
  auto* acquire_command = declare_acquire(app, acquire_options);
  auto* serve_command = declare_serve(app, serve_options);
  auto* bench_command = declare_bench(app, bench_options, record_options);
  auto* figures_command = declare_figures(app, figures_options);
  auto* check = app.add_subcommand(
      "check-config",
      "all mistakes of a configuration; if there are none, every key with its value");
  check->add_option("FILE", checked, "configuration file (TOML)")->required();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return app.exit(problem) == 0 ? 0 : 2;
  }
  if (*analyze_command) return analyze(analyze_options, console);
  if (*acquire_command) return acquire(acquire_options, console);
  if (*serve_command) return serve(serve_options, console);
  if (*bench_command)
    return bench_command->got_subcommand("record") ? bench_record(record_options)
                                                   : bench(bench_options);
  if (*figures_command) return figures(figures_options);
  return check_config(checked);
}

}  // namespace

int main(int argc, char** argv) {
  watch_stop_signals();
  Screen screen(stderr);
  Log log(screen);
  try {
    return run(argc, argv, {screen, log});
  } catch (const std::exception& problem) {
    spdlog::error("{}", problem.what());
    return 2;
  }
}
