// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/scenario/table_reader.hpp"

#include <fmt/format.h>

#include <cmath>
#include <optional>

#include "sim/scenario/joined.hpp"

namespace latticed::sim {
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

std::optional<std::array<double, 2>> two_numbers(const toml::node& node) {
  const toml::array* array = node.as_array();
  if (array == nullptr || array->size() != 2) return std::nullopt;
  const auto first = (*array)[0].value<double>();
  const auto second = (*array)[1].value<double>();
  if (!first || !second || !std::isfinite(*first) || !std::isfinite(*second)) return std::nullopt;
  return std::array<double, 2>{*first, *second};
}

std::string limits(Range range) {
  if (range.low == std::numeric_limits<double>::min()) return "above 0";
  if (range.high == std::numeric_limits<double>::max()) return fmt::format("{} or more", range.low);
  return fmt::format("from {} to {}", range.low, range.high);
}

}  // namespace

TableReader::TableReader(const toml::table& table, std::string file, std::string path,
                         std::vector<std::string>& mistakes)
    : table_(table), file_(std::move(file)), path_(std::move(path)), mistakes_(mistakes) {}

const toml::node* TableReader::find(std::string_view key) {
  asked_.emplace(key);
  return table_.get(key);
}

void TableReader::report(const toml::node& node, std::string_view key, const std::string& what) {
  mistakes_.push_back(
      fmt::format("{}:{}: {}{}: {}", file_, node.source().begin.line, path_, key, what));
}

void TableReader::mistake(std::string_view key, const std::string& what) {
  const toml::node* node = table_.get(key);
  report(node != nullptr ? *node : table_, key, what);
}

void TableReader::require(std::string_view key) {
  if (table_.get(key) == nullptr) report(table_, key, "missing");
}

bool TableReader::number(std::string_view key, double& value, Range range) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto found = node->value<double>();
  if (!node->is_number() || !found) {
    report(*node, key, fmt::format("{} is not a number", describe(*node)));
  } else if (!(*found >= range.low && *found <= range.high)) {
    report(*node, key, fmt::format("{} must be {}", describe(*node), limits(range)));
  } else {
    value = *found;
  }
  return true;
}

bool TableReader::integer(std::string_view key, std::int64_t& value, Range range) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const toml::value<std::int64_t>* found = node->as_integer();
  if (found == nullptr) {
    report(*node, key, fmt::format("{} is not a whole number", describe(*node)));
  } else if (const double as_double = static_cast<double>(found->get());
             as_double < range.low || as_double > range.high) {
    report(*node, key, fmt::format("{} must be {}", found->get(), limits(range)));
  } else {
    value = found->get();
  }
  return true;
}

bool TableReader::text(std::string_view key, std::string& value) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  const auto* found = node->as_string();
  if (found == nullptr) {
    report(*node, key, fmt::format("{} is not a text", describe(*node)));
  } else {
    value = found->get();
  }
  return true;
}

bool TableReader::choice(std::string_view key, std::size_t& index,
                         const std::vector<std::string_view>& words) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  if (const auto* found = node->as_string()) {
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (found->get() == words[i]) {
        index = i;
        return true;
      }
    }
  }
  report(*node, key, fmt::format("{} must be one of {}", describe(*node), joined(words, ", ")));
  return true;
}

bool TableReader::pair(std::string_view key, std::array<double, 2>& value) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  if (const auto found = two_numbers(*node)) {
    value = *found;
  } else {
    report(*node, key, fmt::format("{} is not a pair of numbers", describe(*node)));
  }
  return true;
}

bool TableReader::pairs(std::string_view key, std::vector<std::array<double, 2>>& value) {
  const toml::node* node = find(key);
  if (node == nullptr) return false;
  std::vector<std::array<double, 2>> found;
  if (const toml::array* array = node->as_array()) {
    for (const toml::node& point : *array) {
      if (const auto numbers = two_numbers(point)) found.push_back(*numbers);
    }
    if (found.size() == array->size() && !found.empty()) {
      value = std::move(found);
      return true;
    }
  }
  report(*node, key, fmt::format("{} is not a list of pairs of numbers", describe(*node)));
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

const toml::table* TableReader::table(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return nullptr;
  if (node->as_table() == nullptr) report(*node, key, describe(*node) + " is not a table");
  return node->as_table();
}

std::vector<const toml::table*> TableReader::tables(std::string_view key) {
  std::vector<const toml::table*> found;
  const toml::node* node = find(key);
  if (node == nullptr) return found;
  const toml::array* array = node->as_array();
  if (array == nullptr) {
    report(*node, key,
           fmt::format("{} is not a list of tables, write [[{}]]", describe(*node), key));
    return found;
  }
  for (const toml::node& entry : *array) {
    if (entry.as_table() == nullptr) {
      report(entry, key, describe(entry) + " is not a table");
    } else {
      found.push_back(entry.as_table());
    }
  }
  return found;
}

void TableReader::finish() {
  for (const auto& [key, node] : table_) {
    if (!asked_.contains(std::string(key.str()))) report(node, key.str(), "unknown key");
  }
}

}  // namespace latticed::sim
