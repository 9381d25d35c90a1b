// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/toml/table_reader.hpp"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <sstream>

namespace latticed {

struct TableReader::Table {
  const toml::table& table;
};

struct TableReader::Mistakes {
  std::string file;
  std::multimap<std::pair<std::uint32_t, std::uint32_t>, std::string> by_place;

  void add(const toml::source_region& where, const std::string& what) {
    by_place.emplace(std::pair(where.begin.line, where.begin.column), what);
  }
  [[nodiscard]] std::string text() const {
    std::string out;
    for (const auto& [place, what] : by_place)
      out += fmt::format("{}{}:{}:{}: {}", out.empty() ? "" : "\n", file, place.first, place.second,
                         what);
    return out;
  }
};

/// A value, and how to complain of it.
struct TableReader::Found {
  const toml::node* node = nullptr;
  std::string path;
  Mistakes& mistakes;

  explicit operator bool() const noexcept { return node != nullptr; }
  void wrong(const toml::node& at, const std::string& expected) const;
  void wrong(const std::string& expected) const { wrong(*node, expected); }
};

namespace {

std::string describe(const toml::node& node) {
  switch (node.type()) {
    case toml::node_type::string:
      return fmt::format("\"{}\"", **node.as_string());
    case toml::node_type::integer:
      return fmt::format("{}", **node.as_integer());
    case toml::node_type::floating_point:
      return fmt::format("{}", **node.as_floating_point());
    case toml::node_type::boolean:
      return **node.as_boolean() ? "true" : "false";
    case toml::node_type::array:
      return "an array";
    case toml::node_type::table:
      return "a table";
    default:
      return "a date or time";
  }
}

std::string with_range(const char* what, Range range) {
  const std::string limits = latticed::describe(range);
  return limits.empty() ? what : fmt::format("{}, {}", what, limits);
}

/// The numbers of an array of `count` finite ones, else nothing.
std::optional<std::vector<double>> numbers(const toml::node& node, std::size_t count) {
  const toml::array* array = node.as_array();
  if (array == nullptr || array->size() != count) return std::nullopt;
  std::vector<double> found;
  for (const toml::node& entry : *array) {
    const auto value = entry.value<double>();
    if (!entry.is_number() || !value || !std::isfinite(*value)) return std::nullopt;
    found.push_back(*value);
  }
  return found;
}

/// Letters to insert, delete or replace (Wagner, Fischer 1974).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0]++;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/// The known key that is meant by a wrong one; empty when none is near.
std::string nearest(std::string_view key, const std::set<std::string, std::less<>>& known) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, key.size() / 3) + 1;
  for (const std::string& candidate : known)
    if (const std::size_t distance = edit_distance(key, candidate); distance < least) {
      least = distance;
      best = candidate;
    }
  return best;
}

}  // namespace

std::string describe(Range range) {
  const bool has_low = range.low > -std::numeric_limits<double>::max();
  const bool has_high = range.high < std::numeric_limits<double>::max();
  if (range.low == std::numeric_limits<double>::min())
    return has_high ? fmt::format("above 0, at most {}", range.high) : "above 0";
  if (has_low && has_high) return fmt::format("{} to {}", range.low, range.high);
  if (has_low) return fmt::format("{} or more", range.low);
  return has_high ? fmt::format("at most {}", range.high) : "";
}

void TableReader::Found::wrong(const toml::node& at, const std::string& expected) const {
  mistakes.add(at.source(), fmt::format("{}: {} (expected {})", path, describe(at), expected));
}

TableReader::TableReader(const Table& table, std::string path, std::shared_ptr<Mistakes> mistakes)
    : table_(std::make_shared<Table>(table)),
      path_(std::move(path)),
      mistakes_(std::move(mistakes)) {}

TableReader::Found TableReader::find(std::string_view key) {
  asked_.emplace(key);
  return {table_->table.get(key), fmt::format("{}{}", path_, key), *mistakes_};
}

bool TableReader::has(std::string_view key) const { return table_->table.get(key) != nullptr; }

void TableReader::mistake(std::string_view key, const std::string& what) {
  const toml::node* node = table_->table.get(key);
  mistakes_->add(node != nullptr ? node->source() : table_->table.source(),
                 fmt::format("{}{}: {}", path_, key, what));
}

void TableReader::require(std::string_view key, std::string_view expected) {
  asked_.emplace(key);
  if (has(key)) return;
  mistake(key, expected.empty() ? std::string("missing")
                                : fmt::format("missing (expected {})", expected));
}

bool TableReader::number(std::string_view key, double& value, Range range) {
  const Found found = find(key);
  if (!found) return false;
  const auto number = found.node->value<double>();
  if (!found.node->is_number() || !number || !(*number >= range.low && *number <= range.high))
    found.wrong(with_range("a number", range));
  else
    value = *number;
  return true;
}

bool TableReader::integer(std::string_view key, std::int64_t& value, Range range) {
  const Found found = find(key);
  if (!found) return false;
  const auto* number = found.node->as_integer();
  const double as_double = number != nullptr ? static_cast<double>(number->get()) : NAN;
  if (!(as_double >= range.low && as_double <= range.high))
    found.wrong(with_range("a whole number", range));
  else
    value = number->get();
  return true;
}

bool TableReader::flag(std::string_view key, bool& value) {
  const Found found = find(key);
  if (!found) return false;
  if (const auto* flag = found.node->as_boolean())
    value = flag->get();
  else
    found.wrong("true or false");
  return true;
}

bool TableReader::text(std::string_view key, std::string& value) {
  const Found found = find(key);
  if (!found) return false;
  if (const auto* text = found.node->as_string())
    value = text->get();
  else
    found.wrong("a text in quotes");
  return true;
}

bool TableReader::texts(std::string_view key, std::vector<std::string>& value) {
  const Found found = find(key);
  if (!found) return false;
  const toml::array* array = found.node->as_array();
  if (array == nullptr) {
    found.wrong("a list of texts in quotes");
    return true;
  }
  std::vector<std::string> texts;
  for (const toml::node& entry : *array) {
    if (const auto* text = entry.as_string())
      texts.push_back(text->get());
    else
      found.wrong(entry, "a text in quotes");
  }
  if (texts.size() == array->size()) value = std::move(texts);
  return true;
}

bool TableReader::choice(std::string_view key, std::size_t& index,
                         const std::vector<std::string_view>& words) {
  const Found found = find(key);
  if (!found) return false;
  if (const auto* text = found.node->as_string()) {
    const auto at = std::find(words.begin(), words.end(), text->get());
    if (at != words.end()) {
      index = static_cast<std::size_t>(at - words.begin());
      return true;
    }
  }
  found.wrong(fmt::format("one of {}", fmt::join(words, ", ")));
  return true;
}

bool TableReader::pair(std::string_view key, std::array<double, 2>& value) {
  const Found found = find(key);
  if (!found) return false;
  if (const auto both = numbers(*found.node, 2))
    value = {(*both)[0], (*both)[1]};
  else
    found.wrong("a pair of numbers");
  return true;
}

bool TableReader::rows(std::string_view key, std::size_t columns,
                       std::vector<std::vector<double>>& value) {
  const Found found = find(key);
  if (!found) return false;
  const std::string expected = fmt::format("a list of lists of {} numbers", columns);
  const toml::array* array = found.node->as_array();
  if (array == nullptr || array->empty()) {
    found.wrong(expected);
    return true;
  }
  std::vector<std::vector<double>> rows;
  for (const toml::node& entry : *array) {
    if (auto row = numbers(entry, columns))
      rows.push_back(std::move(*row));
    else
      found.wrong(entry, fmt::format("{} numbers in brackets", columns));
  }
  if (rows.size() == array->size()) value = std::move(rows);
  return true;
}

bool TableReader::integers(std::string_view key, std::size_t count,
                           std::vector<std::int64_t>& value, Range range) {
  const Found found = find(key);
  if (!found) return false;
  const std::string expected =
      with_range(fmt::format("{} whole numbers in brackets", count).c_str(), range);
  const toml::array* array = found.node->as_array();
  if (array == nullptr || array->size() != count) {
    found.wrong(expected);
    return true;
  }
  std::vector<std::int64_t> integers;
  for (const toml::node& entry : *array) {
    const auto* number = entry.as_integer();
    const double as_double = number != nullptr ? static_cast<double>(number->get()) : NAN;
    if (!(as_double >= range.low && as_double <= range.high))
      found.wrong(entry, expected);
    else
      integers.push_back(number->get());
  }
  if (integers.size() == count) value = std::move(integers);
  return true;
}

bool TableReader::pairs(std::string_view key, std::vector<std::array<double, 2>>& value) {
  std::vector<std::vector<double>> found;
  if (!rows(key, 2, found)) return false;
  if (found.empty()) return true;
  value.clear();
  for (const auto& row : found) value.push_back({row[0], row[1]});
  return true;
}

bool TableReader::curve(std::string_view key, std::vector<std::array<double, 2>>& value) {
  std::vector<std::array<double, 2>> points;
  if (!pairs(key, points)) return false;
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i][0] <= points[i - 1][0]) {
      mistake(key, fmt::format("point {}: {} must be above the one before, {}", i, points[i][0],
                               points[i - 1][0]));
      return true;
    }
  }
  if (!points.empty()) value = std::move(points);
  return true;
}

std::optional<TableReader> TableReader::table(std::string_view key) {
  const Found found = find(key);
  if (!found) return std::nullopt;
  if (const toml::table* table = found.node->as_table())
    return TableReader({*table}, found.path + ".", mistakes_);
  found.wrong(fmt::format("a table, write [{}]", found.path));
  return std::nullopt;
}

std::vector<TableReader> TableReader::tables(std::string_view key) {
  std::vector<TableReader> tables;
  const Found found = find(key);
  if (!found) return tables;
  const toml::array* array = found.node->as_array();
  if (array == nullptr) {
    found.wrong(fmt::format("a list of tables, write [[{}]]", found.path));
    return tables;
  }
  for (std::size_t i = 0; i < array->size(); ++i) {
    if (const toml::table* table = (*array)[i].as_table())
      tables.push_back(TableReader({*table}, fmt::format("{}[{}].", found.path, i), mistakes_));
    else
      found.wrong((*array)[i], "a table");
  }
  return tables;
}

void TableReader::finish() {
  for (const auto& [key, node] : table_->table) {
    const std::string name(key.str());
    if (asked_.contains(name)) continue;
    const std::string meant = nearest(name, asked_);
    mistakes_->add(
        key.source(),
        fmt::format("{}{}: unknown key ({})", path_, name,
                    meant.empty() ? fmt::format("expected one of {}", fmt::join(asked_, ", "))
                                  : fmt::format("did you mean {}?", meant)));
  }
}

Result<void> read_toml(std::string_view text, const std::string& file,
                       const std::function<void(TableReader&)>& read) {
  const auto mistakes = std::make_shared<TableReader::Mistakes>();
  mistakes->file = file;
  try {
    const toml::table root = toml::parse(text, file);
    TableReader reader({root}, "", mistakes);
    read(reader);
  } catch (const toml::parse_error& error) {
    mistakes->add(error.source(), std::string(error.description()));
  }
  if (mistakes->by_place.empty()) return {};
  return Error{ErrorCode::invalid_argument, mistakes->text()};
}

Result<void> read_toml_file(const std::string& path, std::string_view what,
                            const std::function<void(TableReader&)>& read) {
  const auto unreadable = [&](const char* why) {
    return Error{ErrorCode::not_found, fmt::format("read {} {}: {}", what, path, why)};
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return unreadable("it is a directory");
  std::ifstream in(path, std::ios::binary);
  if (!in) return unreadable(std::strerror(errno));
  std::ostringstream text;
  text << in.rdbuf();
  if (in.bad()) return unreadable(std::strerror(errno));
  return read_toml(text.str(), path, read);
}

}  // namespace latticed
