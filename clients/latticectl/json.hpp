// SPDX-License-Identifier: GPL-3.0-or-later
// Replies as JSON: the field names of the .proto files, zeros and falses printed, what is not set
// left out, 64-bit integers as strings (protobuf's JSON mapping).
#pragma once

#include <string>

namespace google::protobuf {
class Message;
}

namespace latticed::latticectl {

/// One line, without its newline.
[[nodiscard]] std::string to_json(const google::protobuf::Message& message);

}  // namespace latticed::latticectl
