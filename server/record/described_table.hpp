// SPDX-License-Identifier: GPL-3.0-or-later
// A table of a recording written down once: its columns, each a name and what is in it. Rows are
// packed as they lie in the file, and wait in memory until write().
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <span>
#include <string>
#include <tuple>
#include <type_traits>
#include <vector>

#include "server/record/compound.hpp"

namespace latticed::record {

/// One column of a table of `Source`s.
template <class Source>
class Column {
 public:
  /// `value`: a lambda without captures from a Source to a number, or to a std::array of chars,
  /// which is UTF-8 padded with zeros.
  template <class Value>
  Column(const char* name, Value) noexcept
      : name_(name),
        bytes_(sizeof(Held<Value>)),
        type_(&type_of<Held<Value>>),
        write_([](const Source& from, std::byte* to) {
          const Held<Value> value = Value{}(from);
          std::memcpy(to, &value, sizeof value);
        }) {}

  [[nodiscard]] const char* name() const noexcept { return name_; }
  [[nodiscard]] std::size_t bytes() const noexcept { return bytes_; }
  [[nodiscard]] Handle type() const { return type_(); }
  void write(const Source& from, std::byte* to) const { write_(from, to); }

 private:
  template <class Value>
  using Held = std::invoke_result_t<Value, const Source&>;

  template <class T>
  static Handle type_of() {
    if constexpr (std::integral<T> || std::floating_point<T>)
      return native_type<T>();
    else
      return text_type(std::tuple_size_v<T>);
  }

  const char* name_;
  std::size_t bytes_;
  Handle (*type_)();
  void (*write_)(const Source&, std::byte*);
};

/// Of one kind of Source, such as a spot and the frame it was seen in.
template <class Source>
class DescribedTable {
 public:
  struct Layout {
    const char* name;
    hsize_t chunk_rows;
    std::string meaning;
  };
  /// `columns` outlive the table: a constant list.
  static DescribedTable create(Hdf5Author& author, hid_t group, const Layout& layout,
                               std::span<const Column<Source>> columns) {
    DescribedTable table;
    table.columns_ = columns;
    std::vector<Member> members;
    for (const Column<Source>& column : columns) {
      members.push_back({column.name(), table.row_bytes_, column.type()});
      table.row_bytes_ += column.bytes();
    }
    table.rows_ = make_compound_rows(
        author, group, {layout.name, table.row_bytes_, layout.chunk_rows, layout.meaning.c_str()},
        members);
    table.waiting_.reserve(layout.chunk_rows * table.row_bytes_);  // more is grown into
    return table;
  }

  void add(const Source& source) {
    const std::size_t at = waiting_.size();
    waiting_.resize(at + row_bytes_);
    std::byte* to = waiting_.data() + at;
    for (const Column<Source>& column : columns_) {
      column.write(source, to);
      to += column.bytes();
    }
  }
  Result<void> write() {
    auto ok = rows_.append(waiting_.data(), waiting_rows());
    if (ok) waiting_.clear();
    return ok;
  }
  /// Rows, those that wait included.
  [[nodiscard]] std::uint64_t count() const noexcept { return rows_.count() + waiting_rows(); }
  [[nodiscard]] bool has_news() const noexcept { return !waiting_.empty(); }

 private:
  [[nodiscard]] std::size_t waiting_rows() const noexcept {
    return row_bytes_ == 0 ? 0 : waiting_.size() / row_bytes_;
  }

  std::span<const Column<Source>> columns_;
  std::size_t row_bytes_ = 0;
  Rows rows_;
  std::vector<std::byte> waiting_;
};

}  // namespace latticed::record
