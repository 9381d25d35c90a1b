// SPDX-License-Identifier: GPL-3.0-or-later
// Result<T>: a value or the Error that says why there is none. The members carry std::expected's
// names, so that C++23 can make it an alias. Error codes are gRPC's, so nothing is lost at the
// edge.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace latticed {

enum class ErrorCode {
  invalid_argument,     // the request itself is wrong
  failed_precondition,  // right request, wrong state
  not_found,
  out_of_range,
  timeout,  // carries no text: waiting for a frame is normal and must not allocate
  unavailable,
  resource_exhausted,
  cancelled,
  data_loss,  // what should have been there is damaged or missing
  internal,
};

[[nodiscard]] constexpr std::string_view to_string(ErrorCode code) noexcept {
  constexpr std::string_view kNames[] = {
      "invalid_argument", "failed_precondition", "not_found", "out_of_range", "timeout",
      "unavailable",      "resource_exhausted",  "cancelled", "data_loss",    "internal"};
  return kNames[static_cast<std::size_t>(code)];
}

/// What was tried, on what, with which value and which limit. Lower case, no full stop.
struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  [[nodiscard]] bool has_value() const noexcept { return state_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }

  [[nodiscard]] T& value() & { return std::get<0>(state_); }
  [[nodiscard]] const T& value() const& { return std::get<0>(state_); }
  [[nodiscard]] T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), has_value_(false) {}

  [[nodiscard]] bool has_value() const noexcept { return has_value_; }
  explicit operator bool() const noexcept { return has_value_; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Error error_;
  bool has_value_ = true;
};

}  // namespace latticed
