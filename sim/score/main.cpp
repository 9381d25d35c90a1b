// SPDX-License-Identifier: GPL-3.0-or-later
// sim-score: measurements against the truth of a simulated run. Exit 0 = pass, 1 = fail, 2 = could
// not score.
#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <fstream>
#include <nlohmann/json.hpp>

#include "sim/score/report.hpp"
#include "sim/score/series.hpp"
#include "sim/score/summary.hpp"

int main(int argc, char** argv) {
  using namespace latticed;
  using namespace latticed::sim;
  CLI::App app{"Measurements against the truth of a simulated run"};
  std::string truth_path;
  std::string measurements_path;
  std::string summary_path;
  std::string series_path;
  ScoreLimits limits;
  app.add_option("--truth", truth_path, "written by sim-world --truth")->required();
  app.add_option("--measurements", measurements_path, "JSON lines, one a frame")->required();
  app.add_option("--summary", summary_path,
                 "write the summary here, and to stdout what it says in short");
  app.add_option("--series", series_path, "write true and measured series here (CSV)");
  app.add_option("--alert-window", limits.alert_window,
                 "frames after an event in which its alert counts");
  app.add_flag("--may-end-early", limits.may_end_early,
               "frames behind the last measured one are not missed");
  CLI11_PARSE(app, argc, argv);

  const auto truth = read_truth(truth_path);
  const auto measurements = read_measurements(measurements_path);
  for (const Error* error :
       {truth ? nullptr : &truth.error(), measurements ? nullptr : &measurements.error()}) {
    if (error != nullptr) fmt::print(stderr, "sim-score: {}\n", error->message);
  }
  if (!truth || !measurements) return 2;

  const nlohmann::ordered_json summary = summarise(*truth, *measurements, limits);
  const std::string text = summary.dump(2) + "\n";
  const auto write = [](const std::string& path, const auto& writer) {
    std::ofstream out(path, std::ios::trunc);
    writer(out);
    if (out.flush()) return true;
    fmt::print(stderr, "sim-score: cannot write {}\n", path);
    return false;
  };
  if (!series_path.empty() &&
      !write(series_path, [&](std::ostream& out) { write_series(out, *truth, *measurements); })) {
    return 2;
  }
  if (summary_path.empty()) {
    fmt::print("{}", text);
  } else if (write(summary_path, [&](std::ostream& out) { out << text; })) {
    fmt::print("{}", describe(summary));
  } else {
    return 2;
  }
  for (const auto& reason : summary["reasons"]) {
    fmt::print(stderr, "sim-score: {}\n", reason.get<std::string>());
  }
  return summary["verdict"] == "pass" ? 0 : 1;
}
