// SPDX-License-Identifier: GPL-3.0-or-later
// Alarms from their frame to being forgotten.
#include "server/live/alert_book.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

AlertBook::Change change(bool is_raised, const std::string& rule, std::uint32_t spot = 0) {
  AlertBook::Change out;
  out.is_raised = is_raised;
  out.alert.set_rule(rule);
  out.alert.set_spot_id(spot);
  return out;
}

class AlertBookTest : public testing::Test {
 protected:
  void note(std::uint64_t seq, std::vector<AlertBook::Change> changes, std::uint32_t epoch = 1) {
    book_.note("camera", epoch, seq, std::move(changes));
  }
  std::vector<std::string> news() {
    std::vector<std::string> out;
    for (const AlertNews& news : book_.take_news())
      out.push_back(std::to_string(news.alert.id()) + " " + news.what);
    return out;
  }
  std::vector<std::uint64_t> ids(const v1::ListAlertsRequest& wanted = {}) const {
    std::vector<std::uint64_t> out;
    for (const v1::Alert& alert : book_.list(wanted)) out.push_back(alert.id());
    return out;
  }
  AlertBook book_{4, [] { return std::int64_t{777}; }};
};

TEST_F(AlertBookTest, RaisesAndClearsByRuleAndSpot) {
  note(5, {change(true, "spacing", 1), change(true, "spacing", 2)});
  note(6, {});
  note(9, {change(false, "spacing", 2)});
  EXPECT_THAT(news(), ElementsAre("1 raised", "2 raised", "2 cleared"));
  const auto alerts = book_.list({});
  ASSERT_EQ(alerts.size(), 2u);
  EXPECT_EQ(alerts[0].id(), 2u);
  EXPECT_FALSE(alerts[0].active());
  EXPECT_EQ(alerts[0].cleared_seq(), 9u);
  EXPECT_TRUE(alerts[1].active());
  EXPECT_FALSE(alerts[1].has_cleared_seq());
  EXPECT_EQ(alerts[1].detector(), "camera");
  EXPECT_EQ(alerts[1].epoch(), 1u);
  EXPECT_EQ(book_.standing(), 1u);
}

TEST_F(AlertBookTest, TheEndOfARunClearsWhatStandsAsOfItsLastFrame) {
  note(5, {change(true, "spacing", 1)});
  note(41, {});
  book_.end_run("other", 1);
  book_.end_run("camera", 2);
  EXPECT_EQ(book_.standing(), 1u);
  book_.end_run("camera", 1);
  EXPECT_EQ(book_.standing(), 0u);
  EXPECT_EQ(book_.list({}).front().cleared_seq(), 41u);
  EXPECT_THAT(news(), ElementsAre("1 raised", "1 cleared"));
}

TEST_F(AlertBookTest, TheNextRunsAlarmsAreOthers) {
  note(5, {change(true, "spacing", 1)});
  book_.end_run("camera", 1);
  note(0, {change(false, "spacing", 1)}, 2);  // clears nothing of run 1
  note(1, {change(true, "spacing", 1)}, 2);
  EXPECT_THAT(ids(), ElementsAre(2, 1));
  EXPECT_EQ(book_.list({}).front().epoch(), 2u);
}

TEST_F(AlertBookTest, AcknowledgingKeepsTheFirstName) {
  note(5, {change(true, "spacing")});
  auto first = book_.acknowledge(1, "Ada", "seen");
  ASSERT_TRUE(first);
  EXPECT_EQ(first->front().acknowledged_by(), "Ada");
  EXPECT_EQ(first->front().acknowledged_ns(), 777);
  EXPECT_EQ(first->front().comment(), "seen");
  auto second = book_.acknowledge(1, "Bob", "me too");
  ASSERT_TRUE(second);
  EXPECT_EQ(second->front().acknowledged_by(), "Ada");
  EXPECT_THAT(news(), ElementsAre("1 raised", "1 acknowledged"));
}

TEST_F(AlertBookTest, AcknowledgingAllMeansThoseThatStand) {
  note(5, {change(true, "a"), change(true, "b"), change(true, "c")});
  note(6, {change(false, "b")});
  const auto done = book_.acknowledge(0, "Ada", "");
  ASSERT_TRUE(done);
  ASSERT_EQ(done->size(), 2u);
  v1::ListAlertsRequest wanted;
  wanted.set_unacknowledged_only(true);
  EXPECT_THAT(ids(wanted), ElementsAre(2));
}

TEST_F(AlertBookTest, AcknowledgingNeedsAPersonAndAnAlarm) {
  EXPECT_EQ(book_.acknowledge(0, "", "").error().code, ErrorCode::invalid_argument);
  for (const auto& [who, comment] : {std::pair{std::string(257, 'a'), std::string()},
                                     std::pair{std::string("Ada"), std::string(4097, 'a')}})
    EXPECT_EQ(book_.acknowledge(0, who, comment).error().code, ErrorCode::invalid_argument);
  const auto unknown = book_.acknowledge(12, "Ada", "");
  EXPECT_EQ(unknown.error().code, ErrorCode::not_found);
  EXPECT_THAT(unknown.error().message, HasSubstr("12"));
  EXPECT_TRUE(book_.acknowledge(0, "Ada", "")->empty());
}

TEST_F(AlertBookTest, ForgetsTheOldestThatNoLongerStand) {
  note(0, {change(true, "stays")});
  for (std::uint64_t i = 1; i <= 6; ++i) {
    note(2 * i, {change(true, "comes")});
    note(2 * i + 1, {change(false, "comes")});
  }
  EXPECT_THAT(ids(), ElementsAre(7, 6, 5, 1));
  EXPECT_EQ(book_.forgotten(), 3u);
}

TEST_F(AlertBookTest, ListsByWhatIsAskedFor) {
  note(0, {change(true, "a"), change(true, "b"), change(true, "c")});
  note(1, {change(false, "a")});
  v1::ListAlertsRequest wanted;
  wanted.set_active_only(true);
  EXPECT_THAT(ids(wanted), ElementsAre(3, 2));
  wanted.set_limit(1);
  EXPECT_THAT(ids(wanted), ElementsAre(3));
  wanted.Clear();
  wanted.set_after_id(2);
  EXPECT_THAT(ids(wanted), ElementsAre(3));
}

TEST_F(AlertBookTest, TellsTheNumbersOfAFramesAlarms) {
  note(3, {change(true, "a"), change(true, "b")});
  note(4, {change(false, "a"), change(false, "never raised")});
  EXPECT_THAT(book_.ids_of("camera", 1, 3, 0ms), ElementsAre(1, 2));
  EXPECT_THAT(book_.ids_of("camera", 1, 4, 0ms), ElementsAre(1, 0));
  EXPECT_THAT(book_.ids_of("camera", 1, 5, 0ms), IsEmpty());
  EXPECT_THAT(book_.ids_of("camera", 2, 3, 0ms), IsEmpty());
}

TEST_F(AlertBookTest, WhoAsksForNumbersTooEarlyWaits) {
  std::thread later([&] { note(3, {change(true, "a")}); });
  EXPECT_THAT(book_.ids_of("camera", 1, 3, 30s), ElementsAre(1));
  later.join();
}

TEST_F(AlertBookTest, TheListenerHearsOfNewsOnly) {
  int heard = 0;
  book_.set_listener([&] { ++heard; });
  note(0, {});
  EXPECT_EQ(heard, 0);
  note(1, {change(true, "a")});
  EXPECT_EQ(heard, 1);
  ASSERT_TRUE(book_.acknowledge(1, "Ada", ""));
  ASSERT_TRUE(book_.acknowledge(1, "Ada", ""));
  EXPECT_EQ(heard, 2);
  EXPECT_EQ(book_.snapshot().last_news, 2u);
}

}  // namespace
}  // namespace latticed::test
