// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC Holder -> latticed-guard. Nothing is decided here: limits, ramps and refusals are the
// guard's. Commands go one after the other on a thread of their own; safe-off and hold go straight
// to the guard.
#pragma once

#include <latticed/v1/holder.grpc.pb.h>

#include <functional>
#include <map>
#include <string>

#include "server/control/call.hpp"
#include "server/holder/guard_link.hpp"
#include "server/rpc/broadcast.hpp"

namespace latticed {

class HolderService final : public v1::Holder::CallbackService {
 public:
  struct Parts {
    CallContext& context;  // whose control thread is the holders'
    GuardLink* guard;      // null: the configuration has no holder
    /// A command was given and taken, for the record. Any thread.
    std::function<void(const std::string& what, const std::string& who)> note;
  };
  explicit HolderService(Parts parts);

  /// Of the guard's link, on its thread; does not wait.
  void on_event(const HolderEvent& event);
  /// Every stream ends. Before the server shuts down.
  void close(const grpc::Status& status) { watchers_.close(status); }

  using Call = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;
  Unary* List(Call*, const v1::ListHoldersRequest*, v1::ListHoldersReply*) override;
  Unary* Read(Call*, const v1::ReadHolderRequest*, v1::HolderReply*) override;
  grpc::ServerWriteReactor<v1::HolderEvent>* Watch(Call*, const v1::WatchHolderRequest*) override;
  Unary* Arm(Call*, const v1::ArmHolderRequest*, v1::HolderReply*) override;
  Unary* Disarm(Call*, const v1::DisarmHolderRequest*, v1::HolderReply*) override;
  Unary* SetSource(Call*, const v1::SetSourceRequest*, v1::HolderReply*) override;
  Unary* SetOutput(Call*, const v1::SetOutputRequest*, v1::HolderReply*) override;
  Unary* SetTemperature(Call*, const v1::SetTemperatureRequest*, v1::HolderReply*) override;
  Unary* Hold(Call*, const v1::HoldRequest*, v1::HolderReply*) override;
  Unary* SafeOff(Call*, const v1::SafeOffRequest*, v1::SafeOffReply*) override;

 private:
  /// The commands one after the other until one is refused; then the reply, or the refusal.
  Unary* command(Call*, const char* method, const std::string& request_id,
                 std::vector<HolderCommand> commands, v1::HolderReply* reply);
  /// A request that cannot be; who may not ask hears that instead.
  Unary* refused(Call*, const grpc::Status& why);
  /// The holder's full name, or why there is none.
  Result<std::string> resolve(const std::string& name) const;

  const Parts parts_;
  const std::uint64_t token_;                  // grows with every start of the daemon
  std::map<std::string, std::uint64_t> told_;  // latd-hold: samples told so far, by holder
  rpc::Broadcast<v1::HolderEvent> watchers_;
};

}  // namespace latticed
