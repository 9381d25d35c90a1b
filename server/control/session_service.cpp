// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/session_service.hpp"

namespace latticed {

grpc::ServerUnaryReactor* SessionService::Get(Call* call, const v1::GetSessionRequest*,
                                              v1::SessionReply* reply) {
  return read_call(parts_.context, call, reply, [&] {
    *reply->mutable_session() = parts_.session.get();
    return grpc::Status();
  });
}

grpc::ServerUnaryReactor* SessionService::Set(Call* call, const v1::SetSessionRequest* request,
                                              v1::SessionReply* reply) {
  return control_call(parts_.context, call, "Session.Set", request->request_id(), reply,
                      [this, request, reply](const Answer& answer) {
                        auto done = parts_.session.change(request->session());
                        if (!done) return answer(rpc::to_status(done.error()));
                        *reply->mutable_session() = std::move(*done);
                        answer({});
                      });
}

grpc::ServerUnaryReactor* SessionService::AddTag(Call* call, const v1::AddTagRequest* request,
                                                 v1::TagReply* reply) {
  // When it was said, not when the control thread gets to it.
  return control_call(parts_.context, call, "AddTag", request->request_id(), reply,
                      [this, request, reply, now = parts_.now()](const Answer& answer) {
                        auto tag = parts_.session.add_tag(request->text(), request->who(),
                                                          request->span(), now);
                        if (!tag) return answer(rpc::to_status(tag.error()));
                        parts_.tagged(*tag);
                        *reply->mutable_tag() = std::move(*tag);
                        answer({});
                      });
}

grpc::ServerUnaryReactor* SessionService::EndTag(Call* call, const v1::EndTagRequest* request,
                                                 v1::TagReply* reply) {
  return control_call(parts_.context, call, "EndTag", request->request_id(), reply,
                      [this, request, reply, now = parts_.now()](const Answer& answer) {
                        auto tag = parts_.session.end_tag(request->id(), now);
                        if (!tag) return answer(rpc::to_status(tag.error()));
                        parts_.tagged(*tag);
                        *reply->mutable_tag() = std::move(*tag);
                        answer({});
                      });
}

grpc::ServerUnaryReactor* SessionService::ListTags(Call* call, const v1::ListTagsRequest* request,
                                                   v1::ListTagsReply* reply) {
  return read_call(parts_.context, call, reply, [&] {
    for (v1::Tag& tag : parts_.session.tags(request->epoch())) *reply->add_tags() = std::move(tag);
    return grpc::Status();
  });
}

}  // namespace latticed
