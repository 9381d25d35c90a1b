// SPDX-License-Identifier: GPL-3.0-or-later
// `latticed figures`: draws from files only, those sim-score wrote.
#include <spdlog/spdlog.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "server/app/commands.hpp"
#include "server/app/rehearsal_page.hpp"

namespace latticed {
namespace {

Result<nlohmann::json> read_json(const std::string& path) {
  std::ifstream in(path);
  if (!in) return Error{ErrorCode::not_found, "read " + path + ": no such file"};
  auto json = nlohmann::json::parse(in, nullptr, false);
  if (!json.is_object()) return Error{ErrorCode::data_loss, "read " + path + ": no JSON object"};
  return json;
}

Result<void> draw(const FiguresOptions& options) {
  const auto series = CsvTable::read(options.series);
  if (!series) return series.error();
  nlohmann::json summary = nlohmann::json::object();
  if (!options.summary.empty()) {
    auto read = read_json(options.summary);
    if (!read) return read.error();
    summary = std::move(*read);
  }
  std::error_code problem;
  std::filesystem::create_directories(options.directory, problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 "figures in " + options.directory + ": " + problem.message()};
  const auto path = std::filesystem::path(options.directory) / "rehearsal.png";
  return write_png(path.string(), rehearsal_page(*series, summary).draw());
}

}  // namespace

int figures(const FiguresOptions& options) try {
  const auto drawn = draw(options);
  if (!drawn) spdlog::error("{}", drawn.error().message);
  return drawn ? 0 : 2;
} catch (const std::exception& problem) {
  spdlog::error("figures from {}: {}", options.series, problem.what());
  return 2;
}

}  // namespace latticed
