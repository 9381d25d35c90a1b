// SPDX-License-Identifier: GPL-3.0-or-later
// Reads one TOML table key by key into plain values, and writes down every mistake with its line
// instead of stopping at the first. What was never asked for is an unknown key.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include <toml++/toml.h>

namespace latticed::sim {

struct Range {
  double low = -std::numeric_limits<double>::max();
  double high = std::numeric_limits<double>::max();
};
inline constexpr Range kAny{};
inline constexpr Range kNotNegative{0.0, std::numeric_limits<double>::max()};
inline constexpr Range kPositive{std::numeric_limits<double>::min(),
                                 std::numeric_limits<double>::max()};

class TableReader {
 public:
  /// `mistakes` collects lines "FILE:LINE: key: what is wrong".
  TableReader(const toml::table& table, std::string file, std::string path,
              std::vector<std::string>& mistakes);

  // Each returns whether the key is there; a wrong value is a mistake and leaves `value` alone.
  bool number(std::string_view key, double& value, Range range = kAny);
  bool integer(std::string_view key, std::int64_t& value, Range range = kAny);
  bool text(std::string_view key, std::string& value);
  bool choice(std::string_view key, std::size_t& index, const std::vector<std::string_view>& words);
  bool pair(std::string_view key, std::array<double, 2>& value);
  bool curve(std::string_view key, std::vector<std::array<double, 2>>& value);
  bool pairs(std::string_view key, std::vector<std::array<double, 2>>& value);

  [[nodiscard]] const toml::table* table(std::string_view key);
  [[nodiscard]] std::vector<const toml::table*> tables(std::string_view key);

  void require(std::string_view key);
  void mistake(std::string_view key, const std::string& what);
  void finish();  // reports the unknown keys

  [[nodiscard]] const std::string& file() const noexcept { return file_; }
  [[nodiscard]] std::vector<std::string>& mistakes() noexcept { return mistakes_; }

 private:
  const toml::node* find(std::string_view key);
  void report(const toml::node& node, std::string_view key, const std::string& what);

  const toml::table& table_;
  std::string file_;
  std::string path_;
  std::vector<std::string>& mistakes_;
  std::unordered_set<std::string> asked_;
};

}  // namespace latticed::sim
