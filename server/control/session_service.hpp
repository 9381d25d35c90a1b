// SPDX-License-Identifier: GPL-3.0-or-later
// gRPC Session -> what the experiment is about, and tags.
#pragma once

#include <latticed/v1/session.grpc.pb.h>

#include <functional>

#include "server/control/call.hpp"
#include "server/control/session_store.hpp"

namespace latticed {

class SessionService final : public v1::Session::CallbackService {
 public:
  struct Parts {
    CallContext& context;
    SessionStore& session;
    /// Where the frames are now. Any thread.
    std::function<SessionStore::Moment()> now;
    /// A tag was set or ended, for the record. Control thread.
    std::function<void(const v1::Tag&)> tagged;
  };
  explicit SessionService(Parts parts) : parts_(std::move(parts)) {}

  using Call = grpc::CallbackServerContext;
  using Unary = grpc::ServerUnaryReactor;
  Unary* Get(Call*, const v1::GetSessionRequest*, v1::SessionReply*) override;
  Unary* Set(Call*, const v1::SetSessionRequest*, v1::SessionReply*) override;
  Unary* AddTag(Call*, const v1::AddTagRequest*, v1::TagReply*) override;
  Unary* EndTag(Call*, const v1::EndTagRequest*, v1::TagReply*) override;
  Unary* ListTags(Call*, const v1::ListTagsRequest*, v1::ListTagsReply*) override;

 private:
  const Parts parts_;
};

}  // namespace latticed
