// SPDX-License-Identifier: GPL-3.0-or-later
// A comma-separated table with a line of names, read whole. No quotes: ours have none.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed {

class CsvTable {
 public:
  static Result<CsvTable> read(const std::string& path);

  [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
  [[nodiscard]] const std::vector<std::string>& names() const noexcept { return names_; }
  /// NaN where a cell is empty or no number; all NaN when there is no such column.
  [[nodiscard]] std::vector<double> numbers(const std::string& name) const;
  /// Empty when there is no such column.
  [[nodiscard]] std::vector<std::string> texts(const std::string& name) const;

 private:
  std::vector<std::string> names_;
  std::map<std::string, std::vector<std::string>> columns_;
  std::size_t rows_ = 0;
};

}  // namespace latticed
