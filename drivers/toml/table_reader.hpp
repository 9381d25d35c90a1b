// SPDX-License-Identifier: GPL-3.0-or-later
// Reads TOML tables key by key into plain values, and writes down every mistake with its place
// instead of stopping at the first. What was never asked for is an unknown key. The simulated
// world's scenarios and the server's configuration are read with it; toml++ is its own secret.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "drivers/kit/result.hpp"

namespace latticed {

struct Range {
  double low = -std::numeric_limits<double>::max();
  double high = std::numeric_limits<double>::max();
};
inline constexpr Range kAny{};
inline constexpr Range kNotNegative{0.0, std::numeric_limits<double>::max()};
inline constexpr Range kPositive{std::numeric_limits<double>::min(),
                                 std::numeric_limits<double>::max()};
inline constexpr Range kAnyOrInfinite{-std::numeric_limits<double>::infinity(),
                                      std::numeric_limits<double>::infinity()};

/// "above 0", "0 to 1", "0 or more", ""; for messages and documents.
std::string describe(Range range);

class TableReader {
 public:
  // Each returns whether the key is there; a wrong value is a mistake and leaves `value` alone.
  bool number(std::string_view key, double& value, Range range = kAny);
  bool integer(std::string_view key, std::int64_t& value, Range range = kAny);
  template <std::integral T>
  bool integer(std::string_view key, T& value, Range range);
  bool flag(std::string_view key, bool& value);
  bool text(std::string_view key, std::string& value);
  bool texts(std::string_view key, std::vector<std::string>& value);
  bool choice(std::string_view key, std::size_t& index, const std::vector<std::string_view>& words);
  bool pair(std::string_view key, std::array<double, 2>& value);
  bool pairs(std::string_view key, std::vector<std::array<double, 2>>& value);
  /// Pairs whose first numbers ascend.
  bool curve(std::string_view key, std::vector<std::array<double, 2>>& value);
  /// A list of lists of `columns` numbers each.
  bool rows(std::string_view key, std::size_t columns, std::vector<std::vector<double>>& value);
  bool integers(std::string_view key, std::size_t count, std::vector<std::int64_t>& value,
                Range range = kAny);

  /// Nothing where the key is missing or no table.
  [[nodiscard]] std::optional<TableReader> table(std::string_view key);
  [[nodiscard]] std::vector<TableReader> tables(std::string_view key);

  [[nodiscard]] bool has(std::string_view key) const;
  /// A missing key is a mistake.
  void require(std::string_view key, std::string_view expected = "");
  void mistake(std::string_view key, const std::string& what);
  /// Reports the keys nobody asked for, with the nearest one that was.
  void finish();

 private:
  friend Result<void> read_toml(std::string_view, const std::string&,
                                const std::function<void(TableReader&)>&);
  struct Table;     // toml++'s table
  struct Mistakes;  // of the whole file, by their place
  TableReader(const Table& table, std::string path, std::shared_ptr<Mistakes> mistakes);
  struct Found;
  [[nodiscard]] Found find(std::string_view key);

  std::shared_ptr<const Table> table_;
  std::string path_;
  std::shared_ptr<Mistakes> mistakes_;
  std::set<std::string, std::less<>> asked_;
};

template <std::integral T>
bool TableReader::integer(std::string_view key, T& value, Range range) {
  auto wide = static_cast<std::int64_t>(value);
  const bool is_there = integer(key, wide, range);
  value = static_cast<T>(wide);
  return is_there;
}

/// Parses `text` and lets `read` take what it knows. All mistakes are one Error, a line each:
/// "FILE:LINE:COLUMN: key: what (expected ...)". Text that is no TOML is one mistake: toml++ stops
/// there. `file` is only for the messages.
Result<void> read_toml(std::string_view text, const std::string& file,
                       const std::function<void(TableReader&)>& read);

/// The same of a file; `what` it is says the Error when it cannot be read.
Result<void> read_toml_file(const std::string& path, std::string_view what,
                            const std::function<void(TableReader&)>& read);

}  // namespace latticed
