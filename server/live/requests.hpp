// SPDX-License-Identifier: GPL-3.0-or-later
// What the streaming services ask of every request: its bytes as a message, its detector.
#pragma once

#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

#include <string>
#include <vector>

namespace latticed {

/// Raw methods get bytes; OK when they are a message.
template <class Message>
grpc::Status read_request(const grpc::ByteBuffer& bytes, Message& out) {
  grpc::ByteBuffer copy = bytes;  // reading takes a buffer apart
  return grpc::SerializationTraits<Message>::Deserialize(&copy, &out);
}

/// NOT_FOUND unless `name` is one of `detectors`.
grpc::Status check_detector(const std::string& name, const std::vector<std::string>& detectors);
/// As check_detector; empty means the only one, and INVALID_ARGUMENT where there are several.
grpc::Status find_detector(std::string& name, const std::vector<std::string>& detectors);
/// What a stream is told when its thread has too much to do.
grpc::Status too_busy(const std::string& what);

}  // namespace latticed
