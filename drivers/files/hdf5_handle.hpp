// SPDX-License-Identifier: GPL-3.0-or-later
// The HDF5 C library behind the few things the readers need: handles that close themselves, its
// messages as text instead of on stderr, attributes as values. The one header that names HDF5.
// Debian's build is thread-safe (one lock inside the library).
#pragma once

#include <hdf5.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace latticed::files {

/// An HDF5 identifier of any kind, closed with it. Negative = none.
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) noexcept : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, -1)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) H5Idec_ref(id_);
  }
  explicit operator bool() const noexcept { return id_ >= 0; }
  operator hid_t() const noexcept { return id_; }
  explicit operator int() const = delete;
  /// Gives the identifier away; the caller closes it, or has.
  hid_t release() noexcept { return std::exchange(id_, -1); }

 private:
  hid_t id_ = -1;
};

/// While it lives, this thread's HDF5 errors are kept for hdf5_error() and not printed.
class QuietHdf5 {
 public:
  QuietHdf5() noexcept {
    H5Eget_auto2(H5E_DEFAULT, &print_, &argument_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~QuietHdf5() { H5Eset_auto2(H5E_DEFAULT, print_, argument_); }
  QuietHdf5(const QuietHdf5&) = delete;
  QuietHdf5& operator=(const QuietHdf5&) = delete;

 private:
  H5E_auto2_t print_ = nullptr;
  void* argument_ = nullptr;
};

/// The innermost message of this thread's last failed call.
[[nodiscard]] std::string hdf5_error();

/// Attributes of `object`; nothing where absent or of another kind.
[[nodiscard]] std::optional<std::string> text_attribute(hid_t object, const char* name);
[[nodiscard]] std::vector<std::string> text_list_attribute(hid_t object, const char* name);
[[nodiscard]] std::optional<double> number_attribute(hid_t object, const char* name);

/// Whether `path` below `location` leads to an object, without an error at any step.
[[nodiscard]] bool exists(hid_t location, const std::string& path);

/// Names of the links in a group, in name order, at most `limit`.
[[nodiscard]] std::vector<std::string> link_names(hid_t group, std::size_t limit);

/// All of a one-dimensional numeric dataset of at most `limit` numbers.
[[nodiscard]] std::optional<std::vector<double>> read_numbers(hid_t location,
                                                              const std::string& path,
                                                              std::size_t limit);

/// A dataset of one finite number, or of one fixed-length text of at most a thousand bytes.
[[nodiscard]] std::optional<double> read_number(hid_t location, const std::string& path);
[[nodiscard]] std::optional<std::string> read_text(hid_t location, const std::string& path);

/// Extent of a dataset; empty for a scalar, or what is no dataset.
[[nodiscard]] std::vector<hsize_t> extent_of(hid_t dataset);

}  // namespace latticed::files
