// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/live/requests.hpp"

#include <algorithm>

#include "server/rpc/refusal.hpp"

namespace latticed {
namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

grpc::Status check_detector(const std::string& name, const std::vector<std::string>& detectors) {
  if (std::find(detectors.begin(), detectors.end(), name) != detectors.end()) return {};
  return rpc::to_status(
      Error{ErrorCode::not_found,
            "detector \"" + name + "\": the configuration has " + joined(detectors)});
}

grpc::Status find_detector(std::string& name, const std::vector<std::string>& detectors) {
  if (!name.empty()) return check_detector(name, detectors);
  if (detectors.size() != 1)
    return rpc::to_status(
        Error{ErrorCode::invalid_argument, "detector \"\": expected one of " + joined(detectors)});
  name = detectors.front();
  return {};
}

grpc::Status too_busy(const std::string& what) {
  return rpc::to_status(rpc::Refusal{
      {ErrorCode::resource_exhausted, what + ": too many calls at once"}, "TOO_MANY", {}});
}

}  // namespace latticed
