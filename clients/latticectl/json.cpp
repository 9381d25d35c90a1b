// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/json.hpp"

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

namespace latticed::latticectl {

std::string to_json(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (status.ok()) return text;
  const nlohmann::json problem = {
      {"error", {{"code", "INTERNAL"}, {"message", "print as JSON: " + status.ToString()}}}};
  return problem.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace latticed::latticectl
