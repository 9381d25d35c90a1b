// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/rpc/refusal.hpp"

#include <latticed/v1/errors.pb.h>

namespace latticed::rpc {

namespace {

struct Mapped {
  grpc::StatusCode code;
  const char* reason;
};

Mapped mapped(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return {grpc::StatusCode::INVALID_ARGUMENT, "INVALID_VALUE"};
    case ErrorCode::failed_precondition:
      return {grpc::StatusCode::FAILED_PRECONDITION, "WRONG_STATE"};
    case ErrorCode::not_found:
      return {grpc::StatusCode::NOT_FOUND, "NOT_FOUND"};
    case ErrorCode::out_of_range:
      return {grpc::StatusCode::OUT_OF_RANGE, "INVALID_VALUE"};
    case ErrorCode::timeout:
      return {grpc::StatusCode::DEADLINE_EXCEEDED, "TIMEOUT"};
    case ErrorCode::unavailable:
      return {grpc::StatusCode::UNAVAILABLE, "UNAVAILABLE"};
    case ErrorCode::resource_exhausted:
      return {grpc::StatusCode::RESOURCE_EXHAUSTED, "NO_SPACE"};
    case ErrorCode::cancelled:
      return {grpc::StatusCode::CANCELLED, "CANCELLED"};
    case ErrorCode::data_loss:
      return {grpc::StatusCode::DATA_LOSS, "DATA_LOSS"};
    case ErrorCode::internal:
      break;
  }
  return {grpc::StatusCode::INTERNAL, "INTERNAL"};
}

}  // namespace

grpc::Status to_status(grpc::StatusCode code, const std::string& message, const std::string& reason,
                       const std::map<std::string, std::string>& metadata) {
  v1::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("latticed");
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = value;
  v1::ErrorStatus details;
  details.set_code(code);
  details.set_message(message);
  auto& any = *details.add_details();
  // Not PackFrom: a client that has google.rpc's own classes looks for their name.
  any.set_type_url("type.googleapis.com/google.rpc.ErrorInfo");
  any.set_value(info.SerializeAsString());
  return {code, message, details.SerializeAsString()};
}

grpc::Status check_request_id(const std::string& request_id) {
  if (request_id.size() <= kLongestRequestId) return {};
  return to_status(
      Error{ErrorCode::invalid_argument, "request_id: " + std::to_string(request_id.size()) +
                                             " bytes (expected at most " +
                                             std::to_string(kLongestRequestId) + ")"});
}

grpc::Status to_status(const Error& error) {
  const Mapped to = mapped(error.code);
  return to_status(to.code, error.message, to.reason);
}

grpc::Status to_status(const Refusal& refusal) {
  const Mapped to = mapped(refusal.error.code);
  return to_status(to.code, refusal.error.message,
                   refusal.reason.empty() ? to.reason : refusal.reason, refusal.metadata);
}

}  // namespace latticed::rpc
