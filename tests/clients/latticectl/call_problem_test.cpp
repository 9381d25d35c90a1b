// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/call_problem.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/clients/latticectl/scripted_server.hpp"

namespace latticed::latticectl {
namespace {

using testing::HasSubstr;

grpc::Status above_limit() {
  return test::refused(grpc::StatusCode::OUT_OF_RANGE, "set bias 12.0 V: above holder limit 10.0 V",
                       "ABOVE_LIMIT", {{"limit", "10.0"}, {"value", "12.0"}, {"unit", "V"}});
}

TEST(CallProblem, CarriesTheServersReasonAndNumbers) {
  const CallProblem problem = decode(above_limit());
  EXPECT_EQ(problem.reason, "ABOVE_LIMIT");
  EXPECT_EQ(problem.metadata.at("limit"), "10.0");
  EXPECT_EQ(problem.exit_status(), kRefused);
}

TEST(CallProblem, TellsPeopleReasonLimitValueAndUnit) {
  const std::string text = to_text(decode(above_limit()));
  EXPECT_THAT(text, HasSubstr("set bias 12.0 V: above holder limit 10.0 V"));
  EXPECT_THAT(text, HasSubstr("ABOVE_LIMIT  limit 10.0 V  value 12.0 V"));
}

TEST(CallProblem, TellsProgramsTheSame) {
  const auto json = nlohmann::json::parse(to_json(decode(above_limit())));
  EXPECT_EQ(json["error"]["code"], "OUT_OF_RANGE");
  EXPECT_EQ(json["error"]["reason"], "ABOVE_LIMIT");
  EXPECT_EQ(json["error"]["metadata"]["unit"], "V");
}

TEST(CallProblem, IsReadWithoutDetailsAndWithDetailsThatAreNone) {
  const CallProblem plain = decode({grpc::StatusCode::NOT_FOUND, "no detector 'x'"});
  EXPECT_EQ(plain.reason, "");
  EXPECT_THAT(to_text(plain), HasSubstr("NOT_FOUND"));
  const CallProblem garbage = decode({grpc::StatusCode::INTERNAL, "broken", "\xff\xff\xff\xff"});
  EXPECT_EQ(garbage.reason, "");
  EXPECT_EQ(garbage.message, "broken");
}

TEST(CallProblem, DistinguishesAServerThatIsGoneFromOneThatHasNoGuard) {
  EXPECT_EQ(decode({grpc::StatusCode::UNAVAILABLE, "connection refused"}).exit_status(),
            kUnreachable);
  EXPECT_EQ(decode(test::refused(grpc::StatusCode::UNAVAILABLE, "the guard does not answer",
                                 "GUARD_UNREACHABLE"))
                .exit_status(),
            kRefused);
}

TEST(CallProblem, CountsEveryMissedDeadlineAsNotInTime) {
  EXPECT_EQ(decode({grpc::StatusCode::DEADLINE_EXCEEDED, ""}).exit_status(), kUnreachable);
  EXPECT_EQ(decode(test::refused(grpc::StatusCode::DEADLINE_EXCEEDED, "stop goes on", "INTERNAL"))
                .exit_status(),
            kUnreachable);
}

}  // namespace
}  // namespace latticed::latticectl
