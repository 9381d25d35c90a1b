// SPDX-License-Identifier: GPL-3.0-or-later
// Alarms from a frame to a client, a person's word, and the rules, over loopback.
#include "server/live/alerts_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latticed/v1/errors.pb.h>

#include <mutex>

#include "tests/support/live_server.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;

class FakeRules final : public RulesControl {
 public:
  std::vector<AlertRule> get() override {
    const std::lock_guard lock(mutex_);
    return rules_;
  }
  Result<std::map<std::string, std::uint64_t>> set(
      std::vector<AlertRule> wanted, std::chrono::steady_clock::time_point deadline) override {
    const std::lock_guard lock(mutex_);
    if (refusal_) return *refusal_;
    rules_ = std::move(wanted);
    left_ = deadline - std::chrono::steady_clock::now();
    return std::map<std::string, std::uint64_t>{{"camera", 17}};
  }
  void put(std::vector<AlertRule> rules) {
    const std::lock_guard lock(mutex_);
    rules_ = std::move(rules);
  }
  void refuse(Error why) {
    const std::lock_guard lock(mutex_);
    refusal_ = std::move(why);
  }
  std::chrono::nanoseconds left() {
    const std::lock_guard lock(mutex_);
    return left_;
  }

 private:
  std::mutex mutex_;  // guards all below
  std::vector<AlertRule> rules_ = default_rules();
  std::optional<Error> refusal_;
  std::chrono::nanoseconds left_{0};
};

double dark_counts() {
  Scene scene;
  scene.size = 64;
  double sum = 0.0;
  for (const auto value : lattice_frame(scene, 0)) sum += value;
  return sum / (64.0 * 64.0);
}
/// Raised by the bright frames: those from 10 on that are not from 20 to 29. A fifth brighter is
/// far beyond the noise, and drift still locks.
AlertRule bright() {
  AlertRule rule;
  rule.name = "bright";
  rule.quantity = Quantity::mean_counts;
  rule.kind = RuleKind::limit;
  rule.above = 1.1 * dark_counts();
  return rule;
}
void paint(std::uint64_t n, std::span<std::byte> pixels) {
  const bool is_bright = n >= 10 && (n < 20 || n >= 30);
  if (!is_bright) return;
  auto* const values = reinterpret_cast<std::uint16_t*>(pixels.data());
  for (std::size_t i = 0; i < pixels.size() / 2; ++i)
    values[i] = static_cast<std::uint16_t>(values[i] + values[i] / 5);
}

v1::Rule one_rule() {
  v1::Rule rule;
  rule.set_name("one");
  rule.set_quantity("mean_counts");
  rule.set_kind("limit");
  rule.set_above(5.0);
  return rule;
}

class AlertsServiceTest : public testing::Test {
 protected:
  static LiveOptions options() {
    LiveOptions options;
    options.detectors = {"camera"};
    options.zmq.endpoints = {};
    return options;
  }
  std::unique_ptr<LiveRun> run(Script script, std::uint32_t epoch = 1) {
    return std::make_unique<LiveRun>(
        server_, std::move(script),
        LiveRun::Options{.epoch = epoch, .rules = {bright()}, .paint = paint});
  }
  Watcher<v1::AlertEvent> watch(const v1::WatchAlertsRequest& request = {}) {
    return Watcher<v1::AlertEvent>(
        [&](grpc::ClientContext* call) { return stub_->Watch(call, request); });
  }
  static void set_deadline(grpc::ClientContext& call) {
    call.set_deadline(std::chrono::system_clock::now() + kPatience);
  }
  v1::ListAlertsReply list(const v1::ListAlertsRequest& request = {}) {
    grpc::ClientContext call;
    v1::ListAlertsReply reply;
    EXPECT_TRUE(stub_->List(&call, request, &reply).ok());
    return reply;
  }
  grpc::Status acknowledge(std::uint64_t id, const std::string& who, v1::AlertReply& reply) {
    grpc::ClientContext call;
    set_deadline(call);
    v1::AcknowledgeRequest request;
    request.set_id(id);
    request.set_who(who);
    return stub_->Acknowledge(&call, request, &reply);
  }

  FakeRules rules_;
  LiveServer server_{options(), &rules_};
  std::unique_ptr<v1::Alerts::Stub> stub_ = v1::Alerts::NewStub(server_.channel());
};

std::string brief(const v1::AlertEvent& event) {
  return std::to_string(event.alert().id()) + " " + event.what();
}

TEST_F(AlertsServiceTest, AlarmsAreRaisedClearedAndClearedByTheEnd) {
  auto watcher = watch();
  run(Script().frames(40))->play();
  std::vector<std::string> heard;
  for (int i = 0; i < 4; ++i) {
    const auto event = watcher.read();
    ASSERT_TRUE(event);
    heard.push_back(brief(*event));
    EXPECT_EQ(event->stamp().epoch(), 1u);
    EXPECT_TRUE(event->stamp().rehearsal());
    EXPECT_EQ(event->skipped(), 0u);
  }
  EXPECT_THAT(heard, ElementsAre("1 raised", "1 cleared", "2 raised", "2 cleared"));
  const auto reply = list();
  ASSERT_EQ(reply.alerts_size(), 2);
  const v1::Alert& second = reply.alerts(0);
  EXPECT_EQ(second.id(), 2u);
  EXPECT_EQ(second.detector(), "camera");
  EXPECT_EQ(second.rule(), "bright");
  EXPECT_EQ(second.quantity(), "mean_counts");
  EXPECT_GT(second.value(), 1.1 * dark_counts());
  EXPECT_EQ(second.raised_seq(), 30u);
  EXPECT_EQ(second.raised_ns(), 3'000'000'000);
  EXPECT_EQ(second.cleared_seq(), 39u);  // the run's last frame
  EXPECT_FALSE(second.active());
  EXPECT_EQ(reply.alerts(1).cleared_seq(), 20u);
}

TEST_F(AlertsServiceTest, AFramesAlarmsCarryTheirNumbersInTheMeasurementsToo) {
  const auto measurements = v1::Measurements::NewStub(server_.channel());
  Watcher<v1::MeasurementEvent> watcher([&](grpc::ClientContext* call) {
    return measurements->Watch(call, v1::WatchMeasurementsRequest());
  });
  run(Script().frames(35))->play();
  std::vector<std::string> seen;
  for (const auto& event : watcher.read_until([](const auto& e) { return e.has_run_ends(); }))
    for (const auto& change : event.measurement().alerts())
      seen.push_back(std::to_string(event.measurement().seq()) + ": " +
                     std::to_string(change.id()) + (change.raised() ? " raised" : " cleared"));
  EXPECT_THAT(seen, ElementsAre("10: 1 raised", "20: 1 cleared", "30: 2 raised"));
}

TEST_F(AlertsServiceTest, WhoComesLateFirstHearsWhatStands) {
  Script script;
  script.frames(35).wait_for_permit().frames(5);
  auto on = run(script);
  on->start();
  ASSERT_TRUE(happens([&] { return server_.live().alerts().snapshot().alerts.size() == 2; }));
  v1::WatchAlertsRequest standing;
  standing.set_include_active(true);
  auto late = watch(standing);
  EXPECT_EQ(brief(*late.read()), "2 stands");
  v1::WatchAlertsRequest after;
  after.set_after_id(1);
  auto later = watch(after);
  EXPECT_EQ(brief(*later.read()), "2 stands");
  on->detector().permit();
  on->finish();
  EXPECT_EQ(brief(*late.read()), "2 cleared");
  EXPECT_EQ(brief(*later.read()), "2 cleared");
}

TEST_F(AlertsServiceTest, APersonsWordReachesEveryone) {
  auto watcher = watch();
  run(Script().frames(15))->play();
  v1::AlertReply reply;
  ASSERT_TRUE(acknowledge(1, "Ada", reply).ok());
  ASSERT_EQ(reply.alerts_size(), 1);
  EXPECT_EQ(reply.alerts(0).acknowledged_by(), "Ada");
  ASSERT_TRUE(acknowledge(1, "Bob", reply).ok());
  EXPECT_EQ(reply.alerts(reply.alerts_size() - 1).acknowledged_by(), "Ada");
  EXPECT_EQ(brief(*watcher.read()), "1 raised");
  EXPECT_EQ(brief(*watcher.read()), "1 cleared");
  const auto said = watcher.read();
  EXPECT_EQ(brief(*said), "1 acknowledged");
  EXPECT_EQ(said->alert().acknowledged_by(), "Ada");
  v1::ListAlertsRequest request;
  request.set_unacknowledged_only(true);
  EXPECT_EQ(list(request).alerts_size(), 0);
}

TEST_F(AlertsServiceTest, APersonWithoutANameAnUnknownAlarmAndNoDeadlineAreRefused) {
  v1::AlertReply reply;
  EXPECT_EQ(acknowledge(0, "", reply).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(acknowledge(9, "Ada", reply).error_code(), grpc::StatusCode::NOT_FOUND);
  grpc::ClientContext call;
  v1::AcknowledgeRequest request;
  request.set_who("Ada");
  const auto status = stub_->Acknowledge(&call, request, &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("deadline"));
}

TEST_F(AlertsServiceTest, RulesAreReadAndReplaced) {
  grpc::ClientContext first;
  v1::RulesReply reply;
  ASSERT_TRUE(stub_->GetRules(&first, {}, &reply).ok());
  EXPECT_EQ(reply.rules_size(), static_cast<int>(default_rules().size()));
  grpc::ClientContext second;
  set_deadline(second);
  v1::SetRulesRequest request;
  *request.add_rules() = one_rule();
  ASSERT_TRUE(stub_->SetRules(&second, request, &reply).ok());
  ASSERT_EQ(rules_.get().size(), 1u);
  EXPECT_EQ(rules_.get()[0].above, 5.0);
  EXPECT_GT(rules_.left(), 0s);
  EXPECT_LT(rules_.left(), 2 * kPatience);
  EXPECT_EQ(reply.from_seq().at("camera"), 17u);
}

TEST_F(AlertsServiceTest, AMistakeInOneRuleChangesNothing) {
  grpc::ClientContext call;
  set_deadline(call);
  v1::SetRulesRequest request;
  *request.add_rules() = one_rule();
  *request.add_rules() = one_rule();
  v1::RulesReply reply;
  const auto status = stub_->SetRules(&call, request, &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(), HasSubstr("rule 2"));
  EXPECT_EQ(rules_.get().size(), default_rules().size());
}

TEST_F(AlertsServiceTest, ACallThatComesAgainGetsTheFirstAnswerAndDoesNothing) {
  v1::SetRulesRequest request;
  request.set_request_id("a1");
  *request.add_rules() = one_rule();
  v1::RulesReply first, again;
  grpc::ClientContext call, repeated;
  set_deadline(call);
  set_deadline(repeated);
  ASSERT_TRUE(stub_->SetRules(&call, request, &first).ok());
  rules_.put(default_rules());  // somebody else's meanwhile
  ASSERT_TRUE(stub_->SetRules(&repeated, request, &again).ok());
  EXPECT_EQ(again.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(rules_.get().size(), default_rules().size());

  run(Script().frames(15))->play();
  v1::AcknowledgeRequest seen;
  seen.set_request_id("b1");
  seen.set_who("Ada");
  const auto acknowledge_all = [&] {
    grpc::ClientContext context;
    set_deadline(context);
    v1::AlertReply reply;
    EXPECT_TRUE(stub_->Acknowledge(&context, seen, &reply).ok());
    return reply.alerts_size();
  };
  EXPECT_EQ(acknowledge_all(), 0);  // the run's end has cleared it
  Script script;
  script.frames(15).wait_for_permit();
  auto on = run(script, 2);
  on->start();
  ASSERT_TRUE(happens([&] { return server_.live().alerts().standing() == 1; }));
  EXPECT_EQ(acknowledge_all(), 0);
  seen.set_request_id("b2");
  EXPECT_EQ(acknowledge_all(), 1);
  on->detector().permit();
  on->finish();
}

TEST_F(AlertsServiceTest, WhatTheAcquisitionRefusesIsRefused) {
  rules_.refuse({ErrorCode::failed_precondition, "not while a reference is taken"});
  grpc::ClientContext call;
  set_deadline(call);
  v1::RulesReply reply;
  const auto status = stub_->SetRules(&call, {}, &reply);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(AlertsServiceTest, NoAlarmIsLostToABusyPublisher) {
  Script script;
  script.frames(200);
  LiveRun on(server_, script,
             {.rules = {bright()},
              .follows_publisher = false,
              .paint = [](std::uint64_t n, auto p) { paint(n % 2 == 0 ? 0 : 15, p); }});
  on.play();
  v1::ListAlertsRequest request;
  EXPECT_EQ(list(request).alerts_size(), 100);
}

}  // namespace
}  // namespace latticed::test
