// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/rpc_server.hpp"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>

#include "server/control/health_service.hpp"

namespace latticed {
namespace {

using testing::HasSubstr;

RpcServerOptions at(const std::string& address) {
  RpcServerOptions options;
  options.local = address;
  return options;
}

TEST(RpcServer, ListensAtAnyPortAndSaysWhich) {
  HealthService health;
  const auto sut = RpcServer::start(at("127.0.0.1:0"), {&health});
  ASSERT_TRUE(sut) << sut.error().message;
  EXPECT_THAT((*sut)->local(), testing::MatchesRegex("127\\.0\\.0\\.1:[1-9][0-9]*"));
}

TEST(RpcServer, NamesThePortThatIsBusy) {
  HealthService first_health, second_health;
  const auto first = RpcServer::start(at("127.0.0.1:0"), {&first_health});
  ASSERT_TRUE(first);
  const auto second = RpcServer::start(at((*first)->local()), {&second_health});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr((*first)->local()));
  EXPECT_THAT(second.error().message, HasSubstr("in use"));
}

TEST(RpcServer, RefusesAddressesThatAreNone) {
  HealthService health;
  for (const char* address :
       {"", "7440", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "a:b:1", "127.0.0.1:70000", "[::1"}) {
    const auto sut = RpcServer::start(at(address), {&health});
    ASSERT_FALSE(sut) << address;
    EXPECT_EQ(sut.error().code, ErrorCode::invalid_argument) << address;
  }
}

TEST(RpcServer, ReadsAddressesWithAndWithoutPort) {
  EXPECT_EQ(parse_host_port("scope.lab")->host, "scope.lab");
  EXPECT_EQ(parse_host_port("scope.lab")->port, -1);
  EXPECT_EQ(parse_host_port("[fe80::1]:7440")->host, "fe80::1");
  EXPECT_EQ(parse_host_port("[fe80::1]:7440")->port, 7440);
  EXPECT_EQ(to_string(*parse_host_port("[::]:1")), "[::]:1");
}

TEST(HealthService, TellsTheWholeAndTheParts) {
  HealthService sut;
  sut.set("latticed.v1.Acquisition", true);
  sut.set("latticed.v1.Holder", false);
  const auto server = RpcServer::start(at("127.0.0.1:0"), {&sut});
  ASSERT_TRUE(server);
  const auto stub = grpc::health::v1::Health::NewStub(
      grpc::CreateChannel((*server)->local(), grpc::InsecureChannelCredentials()));
  const auto check = [&](const std::string& part, HealthService::Reply& reply) {
    grpc::ClientContext call;
    call.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    HealthService::Request request;
    request.set_service(part);
    return stub->Check(&call, request, &reply);
  };
  HealthService::Reply reply;
  ASSERT_TRUE(check("latticed.v1.Acquisition", reply).ok());
  EXPECT_EQ(reply.status(), HealthService::Reply::SERVING);
  ASSERT_TRUE(check("", reply).ok());
  EXPECT_EQ(reply.status(), HealthService::Reply::NOT_SERVING) << "one part is ill";
  sut.set("latticed.v1.Holder", true);
  ASSERT_TRUE(check("", reply).ok());
  EXPECT_EQ(reply.status(), HealthService::Reply::SERVING);
  EXPECT_EQ(check("nothing", reply).error_code(), grpc::StatusCode::NOT_FOUND);

  grpc::ClientContext call;
  call.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  const auto watch = stub->Watch(&call, {});
  ASSERT_TRUE(watch->Read(&reply));
  EXPECT_EQ(reply.status(), HealthService::Reply::SERVING);
  sut.set("latticed.v1.Acquisition", false);
  ASSERT_TRUE(watch->Read(&reply));
  EXPECT_EQ(reply.status(), HealthService::Reply::NOT_SERVING);
  sut.close({grpc::StatusCode::UNAVAILABLE, "the server ends"});
  EXPECT_FALSE(watch->Read(&reply));
  EXPECT_EQ(watch->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace latticed
