// SPDX-License-Identifier: GPL-3.0-or-later
// Why a call did not succeed: the status, and what the server put into grpc-status-details-bin
// (latticed/v1/errors.proto). Made by the client, told to people or programs by the output.
#pragma once

#include <grpcpp/support/status.h>

#include <map>
#include <string>
#include <utility>
#include <variant>

namespace latticed::latticectl {

inline constexpr int kDone = 0;
inline constexpr int kRefused = 1;      // the server said no
inline constexpr int kWrongUsage = 2;   // the arguments, or a file they name
inline constexpr int kUnreachable = 3;  // no answer, or not in time

struct CallProblem {
  grpc::StatusCode code = grpc::StatusCode::UNKNOWN;
  std::string message;
  std::string reason;  // a stable word of errors.proto; empty = the server gave none
  std::map<std::string, std::string> metadata;  // limit, value, unit, oldest, ...
  std::string tried;                            // not reachable: what was tried, in words

  [[nodiscard]] bool is_unreachable() const noexcept;
  [[nodiscard]] int exit_status() const noexcept;
};

[[nodiscard]] CallProblem decode(const grpc::Status& status);
/// What latticectl itself found, as the server would have said it.
[[nodiscard]] CallProblem refusal(std::string reason, std::string message);

/// "FAILED_PRECONDITION"
[[nodiscard]] std::string name_of(grpc::StatusCode code);
/// A few lines for people, each with its newline.
[[nodiscard]] std::string to_text(const CallProblem& problem);
/// One line: {"error":{"code":...,"message":...,"reason":...,"metadata":{...}}}
[[nodiscard]] std::string to_json(const CallProblem& problem);

/// A reply, or why there is none.
template <class T>
class [[nodiscard]] Answer {
 public:
  Answer(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Answer(CallProblem problem) : state_(std::in_place_index<1>, std::move(problem)) {}

  explicit operator bool() const noexcept { return state_.index() == 0; }
  T& operator*() { return std::get<0>(state_); }
  const T& operator*() const { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }
  [[nodiscard]] const CallProblem& problem() const { return std::get<1>(state_); }

 private:
  std::variant<T, CallProblem> state_;
};

}  // namespace latticed::latticectl
