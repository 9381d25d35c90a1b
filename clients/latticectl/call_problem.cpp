// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/call_problem.hpp"

#include <fmt/format.h>
#include <latticed/v1/errors.pb.h>

#include <nlohmann/json.hpp>

namespace latticed::latticectl {

namespace {

constexpr const char* kErrorInfo = "google.rpc.ErrorInfo";

/// The type's name behind the last slash: the host in front of it means nothing.
bool is_error_info(const std::string& type_url) {
  return type_url.substr(type_url.rfind('/') + 1) == kErrorInfo;
}

}  // namespace

bool CallProblem::is_unreachable() const noexcept {
  if (!reason.empty()) return false;  // only a server gives reasons
  return code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED;
}

int CallProblem::exit_status() const noexcept {
  const bool is_late = code == grpc::StatusCode::DEADLINE_EXCEEDED;
  return is_unreachable() || is_late ? kUnreachable : kRefused;
}

CallProblem decode(const grpc::Status& status) {
  CallProblem problem{status.error_code(), status.error_message(), "", {}, ""};
  v1::ErrorStatus details;
  if (!details.ParseFromString(status.error_details())) return problem;
  for (const auto& any : details.details()) {
    v1::ErrorInfo info;
    if (!is_error_info(any.type_url()) || !info.ParseFromString(any.value())) continue;
    problem.reason = info.reason();
    problem.metadata = {info.metadata().begin(), info.metadata().end()};
  }
  return problem;
}

CallProblem refusal(std::string reason, std::string message) {
  return {grpc::StatusCode::FAILED_PRECONDITION, std::move(message), std::move(reason), {}, ""};
}

std::string name_of(grpc::StatusCode code) {
  static constexpr const char* kNames[] = {"OK",
                                           "CANCELLED",
                                           "UNKNOWN",
                                           "INVALID_ARGUMENT",
                                           "DEADLINE_EXCEEDED",
                                           "NOT_FOUND",
                                           "ALREADY_EXISTS",
                                           "PERMISSION_DENIED",
                                           "RESOURCE_EXHAUSTED",
                                           "FAILED_PRECONDITION",
                                           "ABORTED",
                                           "OUT_OF_RANGE",
                                           "UNIMPLEMENTED",
                                           "INTERNAL",
                                           "UNAVAILABLE",
                                           "DATA_LOSS",
                                           "UNAUTHENTICATED"};
  const auto number = static_cast<std::size_t>(code);
  return number < std::size(kNames) ? kNames[number] : "UNKNOWN";
}

std::string to_text(const CallProblem& problem) {
  if (problem.is_unreachable()) {
    return fmt::format("latticectl: {}\n  {}: {}\n", problem.tried, name_of(problem.code),
                       problem.message);
  }
  std::string out = fmt::format("latticectl: {}\n", problem.message);
  if (problem.reason.empty()) return out + fmt::format("  {}\n", name_of(problem.code));
  out += fmt::format("  {}", problem.reason);
  const auto unit = problem.metadata.find("unit");
  for (const auto& [key, value] : problem.metadata) {
    if (key == "unit") continue;
    const bool has_unit = unit != problem.metadata.end() && (key == "limit" || key == "value");
    out += fmt::format("  {} {}{}", key, value, has_unit ? " " + unit->second : "");
  }
  return out + "\n";
}

std::string to_json(const CallProblem& problem) {
  nlohmann::json error = {{"code", name_of(problem.code)},
                          {"message", problem.message},
                          {"reason", problem.reason},
                          {"metadata", problem.metadata}};
  if (!problem.tried.empty()) error["tried"] = problem.tried;
  const nlohmann::json document = {{"error", error}};
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace latticed::latticectl
