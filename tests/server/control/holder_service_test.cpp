// SPDX-License-Identifier: GPL-3.0-or-later
// A client, the service, and a real guard behind it whose device is a fake one.
#include "server/control/holder_service.hpp"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <latticed/v1/errors.pb.h>

#include <atomic>
#include <limits>
#include <mutex>

#include "server/control/describe_holder.hpp"
#include "server/control/rpc_server.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/fake_guard.hpp"

namespace latticed::test {
namespace {

using testing::HasSubstr;

class HolderServiceTest : public testing::Test {
 protected:
  void SetUp() override {
    guard_.start();
    GuardLinkOptions options;
    options.socket = guard_.config().socket;
    options.on_event = [this](const HolderEvent& event) {
      if (HolderService* const sut = told_.load()) sut->on_event(event);
    };
    auto link = GuardLink::start(options);
    ASSERT_TRUE(link) << link.error().message;
    link_ = std::move(*link);
    ASSERT_TRUE(happens([&] { return link_->is_connected(); }));
    sut_ = std::make_unique<HolderService>(HolderService::Parts{
        calls_, link_.get(), [this](const std::string& what, const std::string& who) {
          const std::lock_guard lock(mutex_);
          noted_.push_back(who + ": " + what);
        }});
    told_ = sut_.get();
    RpcServerOptions server;
    server.local = "127.0.0.1:0";
    auto started = RpcServer::start(server, {sut_.get()});
    ASSERT_TRUE(started) << started.error().message;
    server_ = std::move(*started);
    stub_ = v1::Holder::NewStub(
        grpc::CreateChannel(server_->local(), grpc::InsecureChannelCredentials()));
  }
  void TearDown() override {
    server_.reset();
    holders_.finish();
    link_.reset();
  }

  /// What the call answers, and how it ends.
  template <class Reply = v1::HolderReply, class Method, class Request>
  std::pair<grpc::Status, Reply> call(Method method, const Request& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    Reply reply;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &reply);
    return {status, reply};
  }
  static std::string reason_of(const grpc::Status& status) {
    v1::ErrorStatus details;
    v1::ErrorInfo info;
    details.ParseFromString(status.error_details());
    if (details.details_size() > 0) info.ParseFromString(details.details(0).value());
    return info.reason();
  }
  std::pair<grpc::Status, v1::HolderReply> arm(const std::string& who = "Ada",
                                               const std::string& request_id = "") {
    v1::ArmHolderRequest request;
    request.set_who(who);
    request.set_request_id(request_id);
    return call(&v1::Holder::Stub::Arm, request);
  }
  std::pair<grpc::Status, v1::HolderReply> set(double level_v,
                                               v1::SourceMode mode = v1::SOURCE_MODE_VOLTAGE) {
    v1::SetSourceRequest request;
    request.set_mode(mode);
    request.set_level(level_v);
    return call(&v1::Holder::Stub::SetSource, request);
  }
  v1::HolderDescription now() {
    return call(&v1::Holder::Stub::Read, v1::ReadHolderRequest{}).second.holder();
  }
  std::vector<std::string> noted() {
    const std::lock_guard lock(mutex_);
    return noted_;
  }

  FakeGuard guard_;
  rpc::Stamper stamper_{true};
  rpc::Gate gate_{rpc::GateOptions{}};
  ControlThread holders_{"test-holders"};
  RequestLog requests_;
  CallContext calls_{gate_, stamper_, holders_, requests_};
  std::unique_ptr<GuardLink> link_;
  std::mutex mutex_;  // guards noted_
  std::vector<std::string> noted_;
  std::unique_ptr<HolderService> sut_;
  std::atomic<HolderService*> told_{nullptr};
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::Holder::Stub> stub_;
};

TEST_F(HolderServiceTest, CarriesCommandsOutAndTellsWhatIsWanted) {
  ASSERT_TRUE(arm().first.ok());
  ASSERT_TRUE(set(2.0).first.ok());
  EXPECT_FALSE(now().output_target_on());
  v1::SetOutputRequest on;
  on.set_on(true);
  on.set_who("Ada");
  ASSERT_TRUE(call(&v1::Holder::Stub::SetOutput, on).first.ok());
  EXPECT_TRUE(happens([&] { return now().output_target_on(); }));
  EXPECT_EQ(now().source_target(), 2.0);
  EXPECT_EQ(now().compliance(), 1e-3) << "0 asked for: the guard's limit";
  v1::SetTemperatureRequest heat;
  heat.set_temperature_k(320.0);
  ASSERT_TRUE(call(&v1::Holder::Stub::SetTemperature, heat).first.ok());
  EXPECT_TRUE(happens([&] { return now().heater_target_on(); }));
  EXPECT_TRUE(happens([&] { return now().has_sample() && now().sample_age_s() >= 0.0; }));
  EXPECT_LT(now().sample_age_s(), 60.0) << "since it came, not since its time stamp";
  EXPECT_THAT(noted(), testing::Contains("Ada: bias set_output on"));
}

TEST_F(HolderServiceTest, DisarmsAndNeedsNoArmingForIt) {
  v1::DisarmHolderRequest disarm;
  disarm.set_who("Ada");
  ASSERT_TRUE(call(&v1::Holder::Stub::Disarm, disarm).first.ok());
  ASSERT_TRUE(arm().first.ok());
  EXPECT_TRUE(happens([&] { return now().arming() == v1::ARMING_STATE_ARMED; }));
  ASSERT_TRUE(call(&v1::Holder::Stub::Disarm, disarm).first.ok());
  EXPECT_TRUE(happens([&] { return now().arming() == v1::ARMING_STATE_DISARMED; }));
  EXPECT_EQ(reason_of(set(1.0).first), "DISARMED");
}

TEST_F(HolderServiceTest, RefusesInTheWordsOfErrorsProto) {
  EXPECT_EQ(reason_of(arm("").first), "NOBODY_NAMED");
  ASSERT_TRUE(arm().first.ok());
  EXPECT_EQ(reason_of(set(11.0).first), "ABOVE_LIMIT");
  EXPECT_EQ(reason_of(set(-2.0).first), "BELOW_LIMIT");
  EXPECT_EQ(reason_of(set(std::numeric_limits<double>::quiet_NaN()).first), "NOT_FINITE");
  EXPECT_EQ(reason_of(set(1.0, v1::SOURCE_MODE_UNSPECIFIED).first), "INVALID_VALUE");
  EXPECT_EQ(reason_of(set(1.0, static_cast<v1::SourceMode>(77)).first), "INVALID_VALUE");
  v1::ReadHolderRequest other;
  other.set_holder("no");
  EXPECT_EQ(reason_of(call(&v1::Holder::Stub::Read, other).first), "NOT_FOUND");
}

TEST_F(HolderServiceTest, DoesNothingTwiceForOneRequestId) {
  const auto first = arm("Ada", "7"), again = arm("Bob", "7");
  ASSERT_TRUE(first.first.ok() && again.first.ok());
  EXPECT_EQ(again.second.SerializeAsString(), first.second.SerializeAsString());
  EXPECT_EQ(noted().size(), 1u);
  const auto refused = arm("Ada", std::string(kLongestRequestId + 1, 'x')).first;
  EXPECT_EQ(refused.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(refused.error_message(), HasSubstr("request_id"));
}

TEST_F(HolderServiceTest, SaysThatTheGuardIsAway) {
  ASSERT_TRUE(arm().first.ok());
  guard_.stop();
  ASSERT_TRUE(happens([&] { return !link_->is_connected(); }));
  EXPECT_EQ(reason_of(set(1.0).first), "GUARD_UNREACHABLE");
  EXPECT_EQ(
      reason_of(call<v1::SafeOffReply>(&v1::Holder::Stub::SafeOff, v1::SafeOffRequest{}).first),
      "GUARD_UNREACHABLE");
  EXPECT_EQ(now().arming(), v1::ARMING_STATE_UNREACHABLE);
  EXPECT_NE(now().cause(), "");
}

TEST_F(HolderServiceTest, RefusesRatesThatAreNone) {
  for (const double rate_hz : {-1.0, std::numeric_limits<double>::quiet_NaN()}) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    v1::WatchHolderRequest request;
    request.set_max_rate_hz(rate_hz);
    const auto stream = stub_->Watch(&context, request);
    v1::HolderEvent event;
    EXPECT_FALSE(stream->Read(&event));
    EXPECT_EQ(reason_of(stream->Finish()), "INVALID_VALUE") << rate_hz;
  }
}

TEST_F(HolderServiceTest, TellsOneSampleWhenAskedForHardlyAny) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::WatchHolderRequest request;
  request.set_max_rate_hz(1e-300);
  const auto stream = stub_->Watch(&context, request);
  int samples = 0;
  v1::HolderEvent event;
  ASSERT_TRUE(stream->Read(&event)) << "the state now";
  while (samples == 0 && stream->Read(&event)) samples += event.samples_size();
  ASSERT_TRUE(arm().first.ok());  // and now a change, before any other sample
  while (stream->Read(&event) && event.changed().arming() != v1::ARMING_STATE_ARMED)
    samples += event.samples_size();
  EXPECT_EQ(samples, 1);
  context.TryCancel();
}

}  // namespace
}  // namespace latticed::test
