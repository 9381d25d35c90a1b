// SPDX-License-Identifier: GPL-3.0-or-later
// Makes the objects of a new file: groups, attributes, fields, tables, links. The first failure is
// kept and everything after it left out, so that a layout reads as a list; ask result() at the end.
//
// Two kinds of text, on purpose: HyperSpy's NeXus reader knows only fixed-length strings, its own
// format only variable-length ones.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "server/record/hdf5_file.hpp"

namespace latticed::record {

class Hdf5Author {
 public:
  /// `nx_class` empty: a plain group.
  Handle group(hid_t in, const char* name, std::string_view nx_class);

  // Attributes. `room`: bytes a fixed-length text may have when it is replaced later.
  void text(hid_t object, const char* name, std::string_view value, std::size_t room = 0);
  void texts(hid_t object, const char* name, std::span<const std::string_view> values);
  void variable_text(hid_t object, const char* name, const std::string& value);
  void number(hid_t object, const char* name, double value);
  void integer(hid_t object, const char* name, std::int64_t value);
  void boolean(hid_t object, const char* name, bool value);

  // Fields: datasets of one value.
  void text_field(hid_t group, const char* name, std::string_view value, std::size_t room = 0);
  void number_field(hid_t group, const char* name, double value, std::string_view units);
  void integer_field(hid_t group, const char* name, std::uint64_t value);
  void boolean_field(hid_t group, const char* name, bool value);

  /// A dataset of doubles that stays as it is.
  Handle axis(hid_t group, const char* name, std::span<const double> values);
  /// Likewise of `shape`, values of HDF5 type `type`.
  Handle array(hid_t group, const char* name, hid_t type, std::span<const hsize_t> shape,
               const void* values);
  /// A dataset without rows that grows. `fill` (of `type`): what a row holds that was never
  /// written.
  Handle rows(hid_t group, const char* name, hid_t type, hsize_t chunk_rows, const void* fill);

  void hard_link(hid_t from, const char* name, hid_t in, const char* new_name);
  void soft_link(const std::string& target, hid_t in, const char* new_name);

  /// Keeps the failure when `is_done` is false; hands the value on.
  Handle noted(hid_t made, const char* what, const char* name);
  void note(bool is_done, const char* what, const char* name);

  [[nodiscard]] Result<void> result() const {
    if (error_) return *error_;
    return {};
  }

 private:
  [[nodiscard]] bool has_failed() const noexcept { return error_.has_value(); }
  void attribute(hid_t object, const char* name, hid_t type, const void* value);
  void field(hid_t group, const char* name, hid_t type, const void* value);

  std::optional<Error> error_;
};

// Values of objects that are there. Text is cut at the room it was given.
Result<void> replace_text(hid_t object, const char* attribute, std::string_view value);
Result<void> replace_number(hid_t object, const char* attribute, double value);
Result<void> replace_integer(hid_t object, const char* attribute, std::int64_t value);
Result<void> replace_text_field(hid_t group, const char* name, std::string_view value);
Result<void> replace_integer_field(hid_t group, const char* name, std::uint64_t value);
Result<void> replace_boolean_field(hid_t group, const char* name, bool value);

}  // namespace latticed::record
