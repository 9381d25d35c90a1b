// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/csv_table.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <limits>

namespace latticed {
namespace {

std::vector<std::string> split(const std::string& line) {
  std::vector<std::string> cells;
  for (std::size_t at = 0;;) {
    const std::size_t comma = line.find(',', at);
    cells.push_back(line.substr(at, comma - at));
    if (comma == std::string::npos) return cells;
    at = comma + 1;
  }
}

}  // namespace

Result<CsvTable> CsvTable::read(const std::string& path) {
  std::ifstream in(path);
  if (!in)
    return Error{ErrorCode::not_found, fmt::format("read {}: {}", path, std::strerror(errno))};
  CsvTable table;
  std::string line;
  for (int number = 1; std::getline(in, line); ++number) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty()) continue;
    const std::vector<std::string> cells = split(line);
    if (table.names_.empty()) {
      table.names_ = cells;
      continue;
    }
    if (cells.size() != table.names_.size())
      return Error{ErrorCode::data_loss, fmt::format("{}:{}: {} cells, expected {}", path, number,
                                                     cells.size(), table.names_.size())};
    for (std::size_t i = 0; i < cells.size(); ++i)
      table.columns_[table.names_[i]].push_back(cells[i]);
    ++table.rows_;
  }
  if (table.names_.empty())
    return Error{ErrorCode::data_loss, fmt::format("read {}: it is empty", path)};
  return table;
}

std::vector<std::string> CsvTable::texts(const std::string& name) const {
  const auto found = columns_.find(name);
  return found == columns_.end() ? std::vector<std::string>(rows_) : found->second;
}

std::vector<double> CsvTable::numbers(const std::string& name) const {
  std::vector<double> out;
  for (const std::string& cell : texts(name)) {
    double value = 0.0;
    const auto [end, problem] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
    const bool is_number = problem == std::errc() && end == cell.data() + cell.size();
    out.push_back(is_number ? value : std::numeric_limits<double>::quiet_NaN());
  }
  return out;
}

}  // namespace latticed
