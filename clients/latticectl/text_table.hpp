// SPDX-License-Identifier: GPL-3.0-or-later
// Columns of text that stand below each other.
#pragma once

#include <string>
#include <vector>

namespace latticed::latticectl {

class TextTable {
 public:
  explicit TextTable(std::vector<std::string> header) : rows_{std::move(header)} {}

  /// As many cells as the header has; more are left out, fewer are empty.
  void add(std::vector<std::string> cells);
  [[nodiscard]] bool is_empty() const noexcept { return rows_.size() == 1; }
  /// Lines with their newlines; nothing but the header when there is no row.
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace latticed::latticectl
