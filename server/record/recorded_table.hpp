// SPDX-License-Identifier: GPL-3.0-or-later
// A table of a recording in memory: named columns with their units. Whoever reads recordings calls
// it; it knows nothing of what a column is for.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "drivers/files/hdf5_handle.hpp"
#include "drivers/kit/result.hpp"

namespace latticed::record {

/// Every number as it is in the file: times in ns and frame numbers are exact, and a float is not
/// turned into a double with digits that were never there. Shorter integers are widened.
using ColumnValues =
    std::variant<std::vector<double>, std::vector<float>, std::vector<std::int64_t>,
                 std::vector<std::uint64_t>, std::vector<std::string>>;

struct RecordedColumn {
  std::string name;
  std::string units;    // empty: none, or said by the name's ending
  std::string meaning;  // one sentence; may be empty
  ColumnValues values;

  [[nodiscard]] std::size_t rows() const;
};

struct RecordedTable {
  std::string name;
  std::string meaning;
  std::vector<RecordedColumn> columns;  // all of the same length

  [[nodiscard]] std::size_t rows() const;
  /// Null: there is none.
  [[nodiscard]] const RecordedColumn* find(std::string_view column) const;
  /// Numbers as doubles, whatever they are in the file; empty: there is no such column of numbers.
  [[nodiscard]] std::vector<double> numbers(std::string_view column) const;
  /// Empty: there is no such column of exactly this type.
  template <class Value>
  [[nodiscard]] std::span<const Value> exact(std::string_view column) const {
    const RecordedColumn* found = find(column);
    const auto* values = found ? std::get_if<std::vector<Value>>(&found->values) : nullptr;
    return values ? std::span<const Value>(*values) : std::span<const Value>{};
  }
};

/// The dataset `path`, whose rows have named members. Error data_loss, with what is wrong.
Result<RecordedTable> read_table(hid_t file, const std::string& path);

/// At most `rows` of the dataset `path` of one dimension; its attributes say units and meaning.
Result<RecordedColumn> read_recorded_column(hid_t file, const std::string& path,
                                            std::uint64_t rows);

}  // namespace latticed::record
