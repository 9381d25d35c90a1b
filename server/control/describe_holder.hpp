// SPDX-License-Identifier: GPL-3.0-or-later
// Holders as the API says them.
#pragma once

#include <latticed/v1/holder.pb.h>

#include <optional>
#include <string>

#include "server/holder/guard_link.hpp"
#include "server/rpc/refusal.hpp"

namespace latticed {

v1::HolderDescription to_proto(const HolderDescription& description, const HolderStatus& status);
/// As the guard says it, reason and numbers included; in the API's words where it has its own.
grpc::Status to_status(const GuardError& error);

/// Any thread. Nothing: there is no such holder. An empty name means the only one.
std::optional<v1::HolderDescription> describe_holder(const GuardLink& guard,
                                                     const std::string& name);
std::vector<v1::HolderDescription> describe_holders(const GuardLink& guard);

}  // namespace latticed
