// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/request_log.hpp"

#include <gtest/gtest.h>

namespace latticed {
namespace {

TEST(RequestLog, GivesARepeatedCallTheFirstOnesAnswer) {
  RequestLog sut;
  const auto unexpected = [](const RequestLog::Outcome&) { FAIL() << "it is new"; };
  EXPECT_TRUE(sut.begin("Arm a", unexpected));
  std::string early, late;
  EXPECT_FALSE(sut.begin("Arm a", [&](const auto& outcome) { early = outcome.reply; }));
  EXPECT_EQ(early, "") << "the first has not ended";
  sut.finish("Arm a", {grpc::Status(), "armed"});
  EXPECT_EQ(early, "armed");
  EXPECT_FALSE(sut.begin("Arm a", [&](const auto& outcome) { late = outcome.reply; }));
  EXPECT_EQ(late, "armed");
  EXPECT_TRUE(sut.begin("Start a", unexpected)) << "another method is another call";
}

TEST(RequestLog, RemembersRefusalsToo) {
  RequestLog sut;
  EXPECT_TRUE(sut.begin("Arm a", {}));
  sut.finish("Arm a", {grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "idle"), ""});
  grpc::Status again;
  EXPECT_FALSE(sut.begin("Arm a", [&](const auto& outcome) { again = outcome.status; }));
  EXPECT_EQ(again.error_message(), "idle");
}

TEST(RequestLog, ForgetsAllButTheLast256) {
  RequestLog sut;
  const auto key = [](int i) { return "Arm " + std::to_string(i); };
  for (int i = 0; i < 257; ++i) {
    EXPECT_TRUE(sut.begin(key(i), {}));
    sut.finish(key(i), {grpc::Status(), "done"});
  }
  EXPECT_FALSE(sut.begin(key(1), [](const auto&) {}));
  EXPECT_TRUE(sut.begin(key(0), {})) << "the oldest is forgotten";
}

}  // namespace
}  // namespace latticed
