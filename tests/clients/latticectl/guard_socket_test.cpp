// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/guard_socket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/clients/latticectl/scripted_guard.hpp"

namespace latticed::latticectl {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

TEST(GuardSocket, SendsOneLineAndReadsOneLine) {
  test::ScriptedGuard guard("ok: 1 holder off\nmore");
  const auto answer = ask_guard(guard.path(), "safe-off", 30s);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(*answer, "ok: 1 holder off");
  EXPECT_EQ(guard.asked(), "safe-off\n");
}

TEST(GuardSocket, TakesALineThatEndsWithTheConversation) {
  test::ScriptedGuard guard("ok");
  const auto answer = ask_guard(guard.path(), "off", 30s);
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(*answer, "ok");
}

TEST(GuardSocket, GivesUpOnAGuardThatSaysNothing) {
  test::ScriptedGuard guard(test::ScriptedGuard::kSilent);
  const auto answer = ask_guard(guard.path(), "off", 50ms);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::timeout);
}

TEST(GuardSocket, SaysWhichSocketIsNotThereOrClosedUnanswered) {
  const auto nobody = ask_guard("/nonexistent/guard.sock", "off", 30s);
  ASSERT_FALSE(nobody);
  EXPECT_THAT(nobody.error().message, HasSubstr("/nonexistent/guard.sock"));
  test::ScriptedGuard guard("");
  const auto empty = ask_guard(guard.path(), "off", 30s);
  ASSERT_FALSE(empty);
  EXPECT_THAT(empty.error().message, HasSubstr("unanswered"));
  EXPECT_FALSE(ask_guard(std::string(300, 'x'), "off", 30s));
}

}  // namespace
}  // namespace latticed::latticectl
