// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/recorded_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace latticed::record {
namespace {

using files::Handle;
using files::QuietHdf5;

constexpr std::size_t kMostBytes = std::size_t{4} << 30;  // of one table; longer ones are damage

enum class Kind : std::uint8_t { f64, f32, i64, u64, text };

struct Field {
  Kind kind = Kind::f64;
  Handle type;  // in memory
  std::size_t bytes = 0;
};

Error unreadable(const std::string& path, const std::string& why) {
  return {ErrorCode::data_loss, fmt::format("reading {}: {}", path, why)};
}

/// How values of the file's type are held here; nothing: not numbers and not text.
std::optional<Field> field_of(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_FLOAT:
      if (H5Tget_size(type) <= sizeof(float))
        return Field{Kind::f32, Handle(H5Tcopy(H5T_NATIVE_FLOAT)), sizeof(float)};
      return Field{Kind::f64, Handle(H5Tcopy(H5T_NATIVE_DOUBLE)), sizeof(double)};
    case H5T_INTEGER:
      if (H5Tget_sign(type) == H5T_SGN_2)
        return Field{Kind::i64, Handle(H5Tcopy(H5T_NATIVE_INT64)), sizeof(std::int64_t)};
      return Field{Kind::u64, Handle(H5Tcopy(H5T_NATIVE_UINT64)), sizeof(std::uint64_t)};
    case H5T_STRING:
      if (H5Tis_variable_str(type) != 0) return std::nullopt;
      return Field{Kind::text, Handle(H5Tcopy(type)), H5Tget_size(type)};
    default:
      return std::nullopt;
  }
}

/// One member of every row, as it lies in memory.
struct Cells {
  std::span<const std::byte> rows;
  std::size_t offset = 0, stride = 0;

  [[nodiscard]] std::size_t count() const { return rows.size() / stride; }
  [[nodiscard]] const std::byte* at(std::size_t row) const { return &rows[row * stride + offset]; }
};

template <class Value>
std::vector<Value> gathered(const Cells& cells) {
  std::vector<Value> values(cells.count());
  for (std::size_t i = 0; i < values.size(); ++i)
    std::memcpy(&values[i], cells.at(i), sizeof(Value));
  return values;
}

std::vector<std::string> texts(const Cells& cells, std::size_t bytes) {
  std::vector<std::string> values(cells.count());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto* text = reinterpret_cast<const char*>(cells.at(i));
    values[i].assign(text, std::find(text, text + bytes, '\0'));
  }
  return values;
}

ColumnValues values_of(const Field& field, const Cells& cells) {
  switch (field.kind) {
    case Kind::f32:
      return gathered<float>(cells);
    case Kind::i64:
      return gathered<std::int64_t>(cells);
    case Kind::u64:
      return gathered<std::uint64_t>(cells);
    case Kind::text:
      return texts(cells, field.bytes);
    case Kind::f64:
      break;
  }
  return gathered<double>(cells);
}

/// The first `rows` of a dataset of one dimension.
Result<std::vector<std::byte>> read_rows(hid_t dataset, hid_t type, hsize_t rows,
                                         const std::string& path) {
  const std::size_t row_bytes = H5Tget_size(type);
  if (row_bytes == 0 || rows > kMostBytes / row_bytes)
    return unreadable(path, fmt::format("{} rows of {} bytes, expected at most {} bytes", rows,
                                        row_bytes, kMostBytes));
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows) * row_bytes);
  if (rows == 0) return bytes;
  const hsize_t start = 0;
  const Handle in_file(H5Dget_space(dataset)), in_memory(H5Screate_simple(1, &rows, nullptr));
  if (H5Sselect_hyperslab(in_file, H5S_SELECT_SET, &start, nullptr, &rows, nullptr) < 0 ||
      H5Dread(dataset, type, in_memory, in_file, H5P_DEFAULT, bytes.data()) < 0)
    return unreadable(path, files::hdf5_error());
  return bytes;
}

Result<Handle> open_rows(hid_t file, const std::string& path) {
  if (!files::exists(file, path)) return unreadable(path, "the file has none");
  Handle dataset(H5Dopen2(file, path.c_str(), H5P_DEFAULT));
  if (!dataset) return unreadable(path, files::hdf5_error());
  const std::size_t dimensions = files::extent_of(dataset).size();
  if (dimensions != 1)
    return unreadable(path, fmt::format("it has {} dimensions, expected 1", dimensions));
  return dataset;
}

/// Name and kind of every member.
struct Members {
  std::vector<std::string> names;
  std::vector<Field> fields;
  std::size_t row_bytes = 0;
};

Result<Members> members_of(hid_t stored, const std::string& path) {
  if (H5Tget_class(stored) != H5T_COMPOUND)
    return unreadable(path, "its rows have no named members");
  Members members;
  for (int i = 0; i < H5Tget_nmembers(stored); ++i) {
    const auto number = static_cast<unsigned>(i);
    char* name = H5Tget_member_name(stored, number);
    members.names.emplace_back(name);
    H5free_memory(name);
    const Handle type(H5Tget_member_type(stored, number));
    std::optional<Field> field = field_of(type);
    if (!field) return unreadable(path, members.names.back() + " holds no plain numbers or texts");
    members.row_bytes += field->bytes;
    members.fields.push_back(std::move(*field));
  }
  return members;
}

/// The rows in memory: members packed in their order.
Handle memory_type_of(const Members& members) {
  Handle type(H5Tcreate(H5T_COMPOUND, members.row_bytes));
  std::size_t offset = 0;
  for (std::size_t i = 0; i < members.fields.size(); ++i) {
    H5Tinsert(type, members.names[i].c_str(), offset, members.fields[i].type);
    offset += members.fields[i].bytes;
  }
  return type;
}

}  // namespace

std::size_t RecordedColumn::rows() const {
  return std::visit([](const auto& all) { return all.size(); }, values);
}

std::size_t RecordedTable::rows() const { return columns.empty() ? 0 : columns.front().rows(); }

const RecordedColumn* RecordedTable::find(std::string_view column) const {
  const auto found = std::find_if(columns.begin(), columns.end(),
                                  [&](const RecordedColumn& c) { return c.name == column; });
  return found == columns.end() ? nullptr : &*found;
}

std::vector<double> RecordedTable::numbers(std::string_view column) const {
  const RecordedColumn* found = find(column);
  if (!found) return {};
  return std::visit(
      [](const auto& all) {
        std::vector<double> out;
        if constexpr (!std::is_same_v<decltype(all), const std::vector<std::string>&>)
          out.assign(all.begin(), all.end());
        return out;
      },
      found->values);
}

Result<RecordedTable> read_table(hid_t file, const std::string& path) {
  const QuietHdf5 quiet;
  const Result<Handle> dataset = open_rows(file, path);
  if (!dataset) return dataset.error();
  const Handle stored(H5Dget_type(*dataset));
  auto members = members_of(stored, path);
  if (!members) return members.error();
  const auto bytes =
      read_rows(*dataset, memory_type_of(*members), files::extent_of(*dataset).front(), path);
  if (!bytes) return bytes.error();
  RecordedTable table;
  table.name = path.substr(path.rfind('/') + 1);
  table.meaning = files::text_attribute(*dataset, "meaning").value_or("");
  Cells cells{*bytes, 0, members->row_bytes};
  for (std::size_t i = 0; i < members->fields.size(); ++i) {
    const Field& field = members->fields[i];
    table.columns.push_back({members->names[i], {}, {}, values_of(field, cells)});
    cells.offset += field.bytes;
  }
  return table;
}

Result<RecordedColumn> read_recorded_column(hid_t file, const std::string& path,
                                            std::uint64_t rows) {
  const QuietHdf5 quiet;
  const Result<Handle> dataset = open_rows(file, path);
  if (!dataset) return dataset.error();
  const Handle stored(H5Dget_type(*dataset));
  const std::optional<Field> field = field_of(stored);
  if (!field) return unreadable(path, "it holds no plain numbers or texts");
  const hsize_t count = std::min<hsize_t>(rows, files::extent_of(*dataset).front());
  const auto bytes = read_rows(*dataset, field->type, count, path);
  if (!bytes) return bytes.error();
  RecordedColumn column;
  column.name = path.substr(path.rfind('/') + 1);
  column.units = files::text_attribute(*dataset, "units").value_or("");
  column.meaning = files::text_attribute(*dataset, "meaning").value_or("");
  column.values = values_of(*field, {*bytes, 0, field->bytes});
  return column;
}

}  // namespace latticed::record
