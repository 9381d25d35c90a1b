// SPDX-License-Identifier: GPL-3.0-or-later
// The rules by callers on this machine and by the form of addresses; over TLS and from elsewhere
// they are asked in tests/scenario.
#include "server/rpc/gate.hpp"

#include <grpcpp/create_channel.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <latticed/v1/recording.grpc.pb.h>

namespace latticed::rpc {
namespace {

TEST(Gate, KnowsThisMachineByItsAddresses) {
  for (const char* peer :
       {"ipv4:127.0.0.1:5000", "ipv4:127.3.2.1:1", "ipv6:[::1]:5000", "ipv6:%5B::1%5D:5000",
        "unix:", "unix:/tmp/x", "ipv6:[::ffff:127.0.0.1]:77"})
    EXPECT_TRUE(is_local_peer(peer)) << peer;
  for (const char* peer : {"ipv4:192.168.1.20:5000", "ipv4:12.7.0.0:1", "ipv6:[::2]:1",
                           "ipv6:[fe80::1]:5000", "", "ipv6:[::ffff:192.168.1.20]:77"})
    EXPECT_FALSE(is_local_peer(peer)) << peer;
}

/// Answers by what the gate says of the caller.
class GatedService final : public v1::Recording::Service {
 public:
  explicit GatedService(const Gate& gate) : gate_(gate) {}
  grpc::Status Get(grpc::ServerContext* call, const v1::GetRecordingRequest*,
                   v1::RecordingReply*) override {
    return gate_.reading(*call);
  }
  grpc::Status Enable(grpc::ServerContext* call, const v1::EnableRecordingRequest*,
                      v1::RecordingReply*) override {
    return gate_.control(*call);
  }
  grpc::Status Disable(grpc::ServerContext* call, const v1::DisableRecordingRequest*,
                       v1::RecordingReply*) override {
    return gate_.safety(*call);
  }

 private:
  const Gate& gate_;
};

class LocalGate : public testing::Test {
 protected:
  LocalGate() {
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    stub_ = v1::Recording::NewStub(grpc::CreateChannel("127.0.0.1:" + std::to_string(port),
                                                       grpc::InsecureChannelCredentials()));
  }

  Gate gate_{{}};
  GatedService service_{gate_};
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::Recording::Stub> stub_;
  v1::RecordingReply reply_;
};

TEST_F(LocalGate, LetsThisMachineReadWithoutAnything) {
  grpc::ClientContext call;
  EXPECT_TRUE(stub_->Get(&call, {}, &reply_).ok());
}

TEST_F(LocalGate, AsksForADeadlineBeforeAnythingIsChanged) {
  grpc::ClientContext without;
  const auto refused = stub_->Enable(&without, {}, &reply_);
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_NE(refused.error_details().find("DEADLINE_REQUIRED"), std::string::npos);

  grpc::ClientContext with;
  with.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  EXPECT_TRUE(stub_->Enable(&with, {}, &reply_).ok());
}

TEST_F(LocalGate, SwitchesOffAlsoWithoutADeadline) {
  grpc::ClientContext call;
  EXPECT_TRUE(stub_->Disable(&call, {}, &reply_).ok());
}

}  // namespace
}  // namespace latticed::rpc
