// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/client.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latticed/v1/acquisition.grpc.pb.h>
#include <latticed/v1/holder.grpc.pb.h>

#include <set>

#include "clients/latticectl/connection.hpp"
#include "tests/clients/latticectl/scripted_server.hpp"
#include "tests/support/deadline.hpp"

namespace latticed::latticectl {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ClientTest : public testing::Test {
 protected:
  Client client(double timeout_s = 30.0, std::stop_token stop = {}) {
    ConnectionOptions options;
    options.server = server_.address();
    options.timeout_s = timeout_s;
    options.has_timeout = true;
    options.token = "sesame";
    return {*connect(options), options, std::move(stop)};
  }

  test::ScriptedServer server_;
};

TEST_F(ClientTest, SendsADeadlineTheTokenAndARequestId) {
  auto sut = client();
  ASSERT_TRUE(sut.call(&v1::Acquisition::Stub::Stop, v1::StopRequest()));
  const auto call = server_.last("Acquisition.Stop");
  EXPECT_TRUE(call.has_deadline);
  EXPECT_EQ(call.authorization, "Bearer sesame");
  EXPECT_THAT(call.request_id, testing::MatchesRegex("[0-9a-f]{16}"));
}

TEST_F(ClientTest, RepeatsTheRequestIdInARetryAndMakesANewOneForANewCall) {
  int failures = 2;
  server_.on("Acquisition.Stop", [&](const auto&, auto&) {
    return failures-- > 0 ? grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting")
                          : grpc::Status::OK;
  });
  auto sut = client();
  EXPECT_TRUE(sut.call(&v1::Acquisition::Stub::Stop, v1::StopRequest()));
  EXPECT_TRUE(sut.call(&v1::Acquisition::Stub::Stop, v1::StopRequest()));
  const auto calls = server_.calls();
  ASSERT_EQ(calls.size(), 4u);
  EXPECT_EQ(calls[0].request_id, calls[1].request_id);
  EXPECT_EQ(calls[0].request_id, calls[2].request_id);
  EXPECT_NE(calls[0].request_id, calls[3].request_id);
}

TEST_F(ClientTest, DoesNotAskAgainWhatTheServerRefused) {
  server_.refuse("Holder.SetSource",
                 test::refused(grpc::StatusCode::UNAVAILABLE, "no guard", "GUARD_UNREACHABLE"));
  const auto reply = client().call(&v1::Holder::Stub::SetSource, v1::SetSourceRequest());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.problem().reason, "GUARD_UNREACHABLE");
  EXPECT_EQ(server_.count("Holder.SetSource"), 1u);
}

TEST_F(ClientTest, GivesUpAtTheDeadline) {
  server_.hang("Acquisition.Stop");
  const auto reply = client(0.05).call(&v1::Acquisition::Stub::Stop, v1::StopRequest());
  ASSERT_FALSE(reply);
  EXPECT_EQ(reply.problem().exit_status(), kUnreachable);
  EXPECT_THAT(reply.problem().tried, HasSubstr("no answer in time from " + server_.address()));
}

TEST_F(ClientTest, GivesUpACallWhenASignalComes) {
  std::stop_source stop;
  server_.on("Acquisition.Stop", [&](const auto&, auto&) {
    stop.request_stop();  // while the server works
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "restarting");
  });
  auto sut = client(30.0, stop.get_token());
  EXPECT_FALSE(sut.call(&v1::Acquisition::Stub::Stop, v1::StopRequest()));
  EXPECT_EQ(server_.count("Acquisition.Stop"), 1u);
}

std::shared_ptr<v1::StatusReply> status(v1::RunState state) {
  auto reply = std::make_shared<v1::StatusReply>();
  reply->set_state(state);
  return reply;
}

TEST_F(ClientTest, HandsOnAStreamsEventsUntilThereAreEnough) {
  server_.stream_for_ever(
      "Acquisition.WatchStatus",
      {status(v1::RUN_STATE_IDLE), status(v1::RUN_STATE_RUNNING), status(v1::RUN_STATE_STOPPING)});
  std::vector<v1::RunState> seen;
  const auto problem =
      client().listen<v1::Acquisition::Stub, v1::GetStatusRequest, v1::StatusReply>(
          &v1::Acquisition::Stub::WatchStatus, {}, [&](const v1::StatusReply& reply) {
            seen.push_back(reply.state());
            return seen.size() == 2 ? Next::enough : Next::go_on;
          });
  EXPECT_FALSE(problem);
  EXPECT_THAT(seen, ElementsAre(v1::RUN_STATE_IDLE, v1::RUN_STATE_RUNNING));
}

TEST_F(ClientTest, EndsAStreamCleanlyWhenASignalComes) {
  server_.stream_for_ever("Acquisition.WatchStatus", {status(v1::RUN_STATE_IDLE)});
  std::stop_source stop;
  auto sut = client(30.0, stop.get_token());
  const auto problem = sut.listen<v1::Acquisition::Stub, v1::GetStatusRequest, v1::StatusReply>(
      &v1::Acquisition::Stub::WatchStatus, {}, [&](const v1::StatusReply&) {
        stop.request_stop();
        return Next::go_on;
      });
  EXPECT_FALSE(problem);
  EXPECT_TRUE(sut.is_stopped());
}

TEST_F(ClientTest, TakesASilentStreamForAliveAsLongAsTheServerAnswers) {
  server_.on_stream("Acquisition.WatchStatus", [&](auto& context, const auto&) {
    while (server_.count("Acquisition.GetStatus") < 3 && !context.IsCancelled()) {
      std::this_thread::yield();
    }
    return grpc::Status::OK;
  });
  auto sut = client(0.2);
  const auto problem = sut.listen<v1::Acquisition::Stub, v1::GetStatusRequest, v1::StatusReply>(
      &v1::Acquisition::Stub::WatchStatus, {}, [](const v1::StatusReply&) { return Next::go_on; });
  EXPECT_FALSE(problem);
  EXPECT_GE(server_.count("Acquisition.GetStatus"), 3u);
}

TEST_F(ClientTest, EndsAStreamOfAServerThatNoLongerAnswers) {
  server_.stream_for_ever("Acquisition.WatchStatus", {status(v1::RUN_STATE_RUNNING)});
  server_.hang("Acquisition.GetStatus");
  auto sut = client(0.05);
  const auto problem = sut.listen<v1::Acquisition::Stub, v1::GetStatusRequest, v1::StatusReply>(
      &v1::Acquisition::Stub::WatchStatus, {}, [](const v1::StatusReply&) { return Next::go_on; });
  ASSERT_TRUE(problem);
  EXPECT_EQ(problem->exit_status(), kUnreachable);
}

TEST(Connection, SendsNoTokenAcrossANetworkInTheClear) {
  ConnectionOptions options;
  options.token = "sesame";
  options.server = "scope.example:7440";
  const auto refused = connect(options);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("in the clear"));
  options.server = "localhost:7440";
  EXPECT_TRUE(connect(options));
}

TEST(Connection, SaysWhichFileItCannotRead) {
  ConnectionOptions options;
  options.tls_ca_file = "/nonexistent/ca.pem";
  const auto refused = connect(options);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("/nonexistent/ca.pem"));
}

TEST(RequestId, IsAnotherOneEveryTime) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) ids.insert(new_request_id());
  EXPECT_EQ(ids.size(), 1000u);
}

}  // namespace
}  // namespace latticed::latticectl
