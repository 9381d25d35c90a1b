// SPDX-License-Identifier: GPL-3.0-or-later
// Why a call was refused, as a client gets it: a gRPC status whose trailer carries a stable reason
// and the numbers (proto/latticed/v1/errors.proto).
#pragma once

#include <grpcpp/support/status.h>

#include <map>
#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::rpc {

/// `reason` is one of the words in errors.proto.
struct Refusal {
  Error error;
  std::string reason;
  std::map<std::string, std::string> metadata;  // limit, value, unit, oldest, ...
};

/// The reason follows from the code: not_found NOT_FOUND, failed_precondition WRONG_STATE, ...
grpc::Status to_status(const Error& error);
grpc::Status to_status(const Refusal& refusal);
/// OK, or why a request id is none: answers are kept by it, so it is short.
inline constexpr std::size_t kLongestRequestId = 128;
grpc::Status check_request_id(const std::string& request_id);
/// For codes an Error has none of: UNAUTHENTICATED, PERMISSION_DENIED, UNIMPLEMENTED.
grpc::Status to_status(grpc::StatusCode code, const std::string& message, const std::string& reason,
                       const std::map<std::string, std::string>& metadata = {});

}  // namespace latticed::rpc
