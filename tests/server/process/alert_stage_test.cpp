// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/alert_stage.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/support/lattice_frames.hpp"

namespace latticed::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// One alert as a line: "strain raised 40 since 37".
std::string said(const std::vector<AlertRule>& rules, std::uint64_t seq, const AlertEvent& event) {
  return rules[event.rule].name + (event.is_raised ? " raised " : " cleared ") +
         std::to_string(seq) + " since " + std::to_string(event.since_seq);
}

/// Feeds the stage frame by frame and keeps what it says.
class AlertStageTest : public testing::Test {
 protected:
  void use(std::vector<AlertRule> rules) {
    rules_ = rules;
    sut_ = std::make_unique<AlertStage>(std::move(rules), 0.1);
  }
  static Measurements sound() {
    Measurements out;
    out.drift.state = DriftState::locked;
    out.drift.sigma_drift_px = {0.01, 0.01};
    return out;
  }
  static Spot spot(std::uint32_t id, double d_nm = 0.5, double snr = 30.0) {
    Spot out;
    out.id = id;
    out.d_nm = d_nm;
    out.sigma_d_nm = 1e-4;
    out.snr = snr;
    out.amplitude = 0.2;
    out.is_confirmed = true;
    out.age_frames = 100;
    return out;
  }
  std::vector<AlertEvent> feed(Measurements in) {
    frame_.seq = seq_++;
    sut_->process(frame_, prepared_, in);
    for (const AlertEvent& event : in.alerts) {
      words_.push_back(said(rules_, frame_.seq, event));
      events_.push_back(event);
    }
    return {in.alerts.begin(), in.alerts.end()};
  }
  /// A frame that brings a sum of the last 16, as every fourth does.
  void feed_sum(std::vector<Spot> spots, std::optional<Lattice> lattice = {}) {
    for (int i = 0; i < 3; ++i) feed(sound());
    Measurements in = sound();
    SumMeasurement sum;
    sum.frames_added = 16;
    sum.first_seq = seq_ >= 15 ? seq_ - 15 : 0;
    sum.last_seq = seq_;
    sum.effective_seq = static_cast<double>(seq_) - 7.5;
    sum.lattice = lattice;
    for (const Spot& spot : spots) sum.spots.push_back(spot);
    in.sum = sum;
    feed(in);
  }
  void feed_counts(double value) {
    Measurements in = sound();
    in.mean_counts = value;
    feed(in);
  }

  std::vector<AlertRule> rules_;
  std::unique_ptr<AlertStage> sut_;
  Frame frame_;
  Prepared prepared_;
  std::uint64_t seq_ = 0;
  std::vector<std::string> words_;
  std::vector<AlertEvent> events_;
  Noise noise_{1};
};

AlertRule limit(double above, double hysteresis = 0.0, int dwell_frames = 1) {
  AlertRule rule{.name = "counts", .quantity = Quantity::mean_counts, .kind = RuleKind::limit};
  rule.above = above;
  rule.hysteresis = hysteresis;
  rule.dwell_frames = dwell_frames;
  return rule;
}

TEST_F(AlertStageTest, ALimitIsRaisedAboveAndClearedBelowByTheHysteresis) {
  use({limit(10.0, 2.0)});
  for (double value : {9.0, 10.0, 10.1, 12.0, 9.5, 8.1, 8.0, 9.9, 11.0}) feed_counts(value);
  EXPECT_THAT(words_, ElementsAre("counts raised 2 since 2", "counts cleared 6 since 2",
                                  "counts raised 8 since 8"));
  EXPECT_DOUBLE_EQ(events_[0].value, 10.1);
  EXPECT_DOUBLE_EQ(events_[1].value, 8.0);
}

TEST_F(AlertStageTest, ALimitBelowWorksTheSameWay) {
  AlertRule rule = limit(INFINITY, 1.0);
  rule.below = 5.0;
  use({rule});
  for (double value : {5.0, 4.9, 5.5, 6.0}) feed_counts(value);
  EXPECT_THAT(words_, ElementsAre("counts raised 1 since 1", "counts cleared 3 since 1"));
}

TEST_F(AlertStageTest, ALimitWaitsForItsDwellAndIsDatedWhenItWasFirstCrossed) {
  use({limit(10.0, 0.0, 3)});
  for (double value : {11.0, 11.0, 9.0, 11.0, 11.0, 11.0, 9.0}) feed_counts(value);
  EXPECT_THAT(words_, ElementsAre("counts raised 5 since 3", "counts cleared 6 since 3"));
}

TEST_F(AlertStageTest, AChangeIsRaisedOnceAndDatedNearTheStep) {
  use({{.name = "step", .quantity = Quantity::mean_counts}});
  constexpr std::uint64_t kStep = 60;
  for (int i = 0; i < 120; ++i) feed_counts(100.0 + noise_() + (seq_ >= kStep ? 4.0 : 0.0));
  ASSERT_EQ(words_.size(), 1u) << testing::PrintToString(words_);
  EXPECT_TRUE(events_[0].is_raised);
  EXPECT_NEAR(static_cast<double>(events_[0].since_seq), kStep, 2.0);
  EXPECT_GT(events_[0].sigma, 0.5);
  EXPECT_LT(events_[0].sigma, 2.0);
}

TEST_F(AlertStageTest, AChangeIsClearedWhenTheSeriesIsBack) {
  use({{.name = "step", .quantity = Quantity::mean_counts}});
  for (int i = 0; i < 140; ++i)
    feed_counts(100.0 + noise_() + (seq_ >= 60 && seq_ < 90 ? 6.0 : 0.0));
  ASSERT_EQ(words_.size(), 2u) << testing::PrintToString(words_);
  EXPECT_FALSE(events_[1].is_raised);
  EXPECT_EQ(events_[1].since_seq, events_[0].since_seq);
}

TEST_F(AlertStageTest, AValueThatIsNoNumberIsNoEvidence) {
  use({{.name = "step", .quantity = Quantity::mean_counts}, limit(110.0)});
  for (int i = 0; i < 120; ++i) {
    const double value = 100.0 + noise_() + (seq_ >= 60 ? 20.0 : 0.0);
    feed_counts(i % 7 == 3 ? (i % 2 ? NAN : INFINITY) : value);
  }
  EXPECT_EQ(words_.size(), 2u) << testing::PrintToString(words_);
}

TEST_F(AlertStageTest, ASteadySeriesRaisesNothing) {
  use({{.name = "step", .quantity = Quantity::mean_counts}});
  for (int i = 0; i < 3000; ++i) feed_counts(100.0 + noise_());
  EXPECT_THAT(words_, IsEmpty());
}

TEST_F(AlertStageTest, FramesOfBadQualityOrLostDriftFeedNoRule) {
  use({limit(10.0), {.name = "step", .quantity = Quantity::mean_counts}});
  for (int i = 0; i < 40; ++i) feed_counts(5.0 + 0.1 * noise_());
  for (int i = 0; i < 60; ++i) {
    Measurements bad = sound();
    bad.mean_counts = 1000.0;
    if (i % 2) bad.drift.state = DriftState::lost;
    if (!(i % 2)) bad.quality = i % 4 ? FrameQuality::blanked : FrameQuality::saturated;
    feed(bad);
  }
  EXPECT_THAT(words_, IsEmpty());
  feed_counts(11.0);
  EXPECT_THAT(words_, ElementsAre("counts raised 100 since 100"));
}

TEST_F(AlertStageTest, LostDriftIsAnAlertOfItsOwnAfterThreeFrames) {
  use(default_rules());
  Measurements lost = sound();
  lost.drift.state = DriftState::lost;
  for (int i = 0; i < 2; ++i) feed(sound());
  for (int i = 0; i < 4; ++i) feed(lost);
  feed(sound());
  EXPECT_THAT(words_, ElementsAre("drift_lost raised 4 since 2", "drift_lost cleared 6 since 2"));
}

TEST_F(AlertStageTest, ABlankedFrameNeitherRaisesNorClears) {
  use(default_rules());
  Measurements lost = sound(), blanked = sound();
  lost.drift.state = blanked.drift.state = DriftState::lost;
  blanked.quality = FrameQuality::blanked;
  for (int i = 0; i < 20; ++i) feed(blanked);
  EXPECT_THAT(words_, IsEmpty());
  for (int i = 0; i < 3; ++i) feed(lost);
  ASSERT_EQ(words_.size(), 1u);
  for (int i = 0; i < 5; ++i) feed(blanked);
  EXPECT_EQ(words_.size(), 1u) << "it is not known that drift is found again";
}

TEST_F(AlertStageTest, DriftSpeedIsMeasuredBetweenNeighboursOnly) {
  AlertRule rule{.name = "speed", .quantity = Quantity::drift_speed_px, .kind = RuleKind::limit};
  rule.above = 2.0;
  use({rule});
  const auto at = [&](double x, DriftState state = DriftState::locked) {
    Measurements in = sound();
    in.drift.drift_px = {x, 0.0};
    in.drift.state = state;
    feed(in);
  };
  at(0.0);
  at(1.9);
  EXPECT_THAT(words_, IsEmpty());
  at(5.0, DriftState::lost);
  at(20.0);  // far, but nobody knows how fast
  EXPECT_THAT(words_, IsEmpty());
  at(23.0);
  EXPECT_THAT(words_, ElementsAre("speed raised 4 since 4"));
}

// ---- spots

TEST_F(AlertStageTest, EachSpotIsWatchedByItselfAndNamed) {
  use({{.name = "spacing", .quantity = Quantity::spot_d_nm}});
  for (int i = 0; i < 100; ++i) {
    Measurements in = sound();
    in.spots.push_back(spot(4, 0.5 + 1e-4 * noise_()));
    in.spots.push_back(spot(9, 0.3 + 1e-4 * noise_() + (seq_ >= 50 ? 1e-3 : 0.0)));
    feed(in);
  }
  ASSERT_EQ(words_.size(), 1u) << testing::PrintToString(words_);
  EXPECT_EQ(events_[0].spot_id, 9u);
  EXPECT_NEAR(static_cast<double>(events_[0].since_seq), 50.0, 2.0);
  EXPECT_NEAR(events_[0].value, 0.301, 5e-4);
}

TEST_F(AlertStageTest, AChangeBelowWhatIsSystematicIsNone) {
  use({{.name = "spacing", .quantity = Quantity::spot_d_nm}});
  for (int i = 0; i < 100; ++i) {
    Measurements in = sound();
    Spot s = spot(4, 0.5 + 1e-5 * noise_() + (seq_ >= 50 ? 1e-4 : 0.0));
    s.sigma_d_sys_nm = 1e-3;
    in.spots.push_back(s);
    feed(in);
  }
  EXPECT_THAT(words_, IsEmpty());
}

TEST_F(AlertStageTest, OnlySpotsInTheRulesRangeAreWatched) {
  AlertRule rule{.name = "snr", .quantity = Quantity::spot_snr, .kind = RuleKind::limit};
  rule.above = 50.0;
  rule.d_min_nm = 0.4;
  rule.d_max_nm = 0.6;
  use({rule});
  Measurements in = sound();
  Spot unconfirmed = spot(3, 0.5, 90.0);
  unconfirmed.is_confirmed = false;
  for (const Spot& s : {spot(1, 0.3, 90.0), spot(2, 0.7, 90.0), unconfirmed, spot(5, 0.5, 90.0)})
    in.spots.push_back(s);
  const auto events = feed(in);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].spot_id, 5u);
}

class SpotPresence : public AlertStageTest {
 protected:
  void SetUp() override { use({{.name = "presence", .quantity = Quantity::spot_presence}}); }
  void feed_spots(std::initializer_list<std::uint32_t> ids, double snr = 30.0) {
    Measurements in = sound();
    for (std::uint32_t id : ids) {
      if (!born_.contains(id)) born_[id] = seq_;
      Spot s = spot(id, 0.5, snr);
      s.age_frames = static_cast<std::uint32_t>(seq_ - born_[id]);
      s.is_confirmed = s.age_frames >= 2;
      in.spots.push_back(s);
    }
    feed(in);
  }
  void feed_spots(int frames, std::initializer_list<std::uint32_t> ids, double snr = 30.0) {
    for (int i = 0; i < frames; ++i) feed_spots(ids, snr);
  }
  std::map<std::uint32_t, std::uint64_t> born_;
};

TEST_F(SpotPresence, WhatIsThereFromTheStartRaisesNothing) {
  feed_spots(200, {1, 2, 3});
  EXPECT_THAT(words_, IsEmpty());
}

TEST_F(SpotPresence, ASpotOfTheBaselinesLastFramesWasThereFromTheStart) {
  feed_spots(15, {1});
  feed_spots(100, {1, 2});  // first seen in the 16th frame, confirmed in the 18th
  EXPECT_THAT(words_, IsEmpty());
}

TEST_F(SpotPresence, ASpotThatAppearsAndStaysIsDatedWhenItWasFirstSeen) {
  feed_spots(40, {1});
  feed_spots(40, {1, 2});
  ASSERT_THAT(words_, testing::SizeIs(1));
  EXPECT_EQ(events_[0].since_seq, 40u);
  EXPECT_EQ(events_[0].spot_id, 2u);
  EXPECT_EQ(events_[0].value, 1.0);
  EXPECT_LT(seq_, 81u);
}

TEST_F(SpotPresence, ASpotThatFlickersUpIsNoNews) {
  feed_spots(40, {1});
  feed_spots(5, {1, 2});
  feed_spots(40, {1});
  EXPECT_THAT(words_, IsEmpty());
}

TEST_F(SpotPresence, AFaintSpotIsNoNews) {
  feed_spots(40, {1});
  for (int i = 0; i < 40; ++i) {
    Measurements in = sound();
    in.spots.push_back(spot(2, 0.5, 5.0));
    in.spots.back().age_frames = static_cast<std::uint32_t>(i);
    feed(in);
  }
  EXPECT_TRUE(std::none_of(events_.begin(), events_.end(),
                           [](const AlertEvent& e) { return e.spot_id == 2; }));
}

TEST_F(SpotPresence, ASpotThatVanishesIsMissedOnceAndDatedBehindItsLastFrame) {
  feed_spots(40, {1, 2});
  feed_spots(60, {2});
  EXPECT_THAT(words_, ElementsAre("presence raised 47 since 40"));
  EXPECT_EQ(events_[0].spot_id, 1u);
  EXPECT_EQ(events_[0].value, 0.0);
}

TEST_F(SpotPresence, FramesThatNeverCameAreNoEvidenceThatASpotIsGone) {
  feed_spots(40, {1, 2});
  seq_ += 50;  // lost
  feed_spots(1, {2});
  feed_spots(40, {1, 2});
  EXPECT_THAT(words_, IsEmpty());
}

TEST_F(SpotPresence, BlankedFramesAreNoEvidenceThatASpotIsGone) {
  feed_spots(40, {1, 2});
  Measurements blanked = sound();
  blanked.quality = FrameQuality::blanked;
  for (int i = 0; i < 30; ++i) feed(blanked);
  feed_spots(1, {2});
  feed_spots(20, {1, 2});
  EXPECT_THAT(words_, IsEmpty());
}

TEST_F(SpotPresence, WhatHasNoRoomInOneFramesListComesWithTheNext) {
  Measurements many = sound();
  for (std::uint32_t id = 1; id <= kMaxSpots; ++id) many.spots.push_back(spot(id));
  for (int i = 0; i < 40; ++i) feed(many);
  for (int i = 0; i < 20; ++i) feed(sound());
  ASSERT_EQ(events_.size(), kMaxSpots) << "every one that went is told";
  std::set<std::uint32_t> ids;
  for (const AlertEvent& event : events_) {
    ids.insert(event.spot_id);
    EXPECT_EQ(event.since_seq, 40u);
  }
  EXPECT_EQ(ids.size(), kMaxSpots);
}

TEST_F(AlertStageTest, ALimitThatHadNoRoomInOneFramesListIsToldWithTheNext) {
  std::vector<AlertRule> rules(kMaxAlertEvents + 4, limit(10.0));
  for (std::size_t r = 0; r < rules.size(); ++r) rules[r].name = std::to_string(r);
  use(rules);
  feed_counts(11.0);
  EXPECT_EQ(words_.size(), kMaxAlertEvents);
  feed_counts(11.0);
  EXPECT_EQ(words_.size(), rules.size());
  EXPECT_EQ(events_.back().since_seq, 0u);
  feed_counts(11.0);
  EXPECT_EQ(words_.size(), rules.size());
}

TEST_F(AlertStageTest, ManySpotsOverTimeFindASeriesEach) {
  use({{.name = "snr", .quantity = Quantity::spot_snr, .kind = RuleKind::limit, .above = 50.0}});
  for (std::uint32_t id = 1; id <= 500; ++id) {
    Measurements in = sound();
    in.spots.push_back(spot(id, 0.5, 60.0));
    feed(in);
  }
  EXPECT_EQ(std::count_if(events_.begin(), events_.end(), [](auto& e) { return e.is_raised; }),
            500);
}

TEST_F(AlertStageTest, AnAlarmOfASpotThatIsGoneIsClearedWithTheLastValueItHad) {
  use({{.name = "snr", .quantity = Quantity::spot_snr, .kind = RuleKind::limit, .above = 50.0}});
  for (int i = 0; i < 40; ++i) {
    Measurements in = sound();
    in.spots.push_back(spot(1, 0.5, 40.0));
    if (i < 10) in.spots.push_back(spot(2, 0.5, 61.0));
    feed(in);
  }
  EXPECT_THAT(words_, ElementsAre("snr raised 0 since 0", "snr cleared 17 since 0"));
  EXPECT_EQ(events_[1].spot_id, 2u);
  EXPECT_DOUBLE_EQ(events_[1].value, 61.0);
}

TEST_F(AlertStageTest, ASpotThatIsMissedForAFrameOrTwoKeepsItsAlarm) {
  use({{.name = "snr", .quantity = Quantity::spot_snr, .kind = RuleKind::limit, .above = 50.0}});
  for (int i = 0; i < 60; ++i) {
    Measurements in = sound();
    if (i % 4 == 0) in.spots.push_back(spot(2, 0.5, 61.0));
    feed(in);
  }
  EXPECT_THAT(words_, ElementsAre("snr raised 0 since 0"));
}

// ---- rules that change

TEST_F(AlertStageTest, ReplacedRulesClearWhatWasOpenAndKeepWhatStays) {
  const AlertRule counts = limit(10.0);
  AlertRule other = limit(5.0);
  other.name = "other";
  use({counts, other});
  feed_counts(11.0);
  AlertRule fresh = limit(8.0);
  fresh.name = "fresh";
  AlertStage::RuleSet set({fresh, counts}, 0.1);
  ASSERT_TRUE(sut_->replace_rules(set));
  rules_ = {counts, other, fresh};
  feed_counts(12.0);
  feed_counts(12.0);
  EXPECT_THAT(words_, ElementsAre("counts raised 0 since 0", "other raised 0 since 0",
                                  "other cleared 1 since 0", "fresh raised 1 since 1"));
  EXPECT_DOUBLE_EQ(events_[2].value, 11.0);
  std::vector<std::uint16_t> numbers;
  sut_->list_numbers(numbers);
  EXPECT_EQ(numbers, (std::vector<std::uint16_t>{2, 0}));
}

TEST_F(AlertStageTest, MoreOpenAlarmsThanAFrameHasRoomForAreAllCleared) {
  use({{.name = "snr", .quantity = Quantity::spot_snr, .kind = RuleKind::limit, .above = 50.0}});
  Measurements in = sound();
  for (std::uint32_t id = 1; id <= kMaxSpots; ++id) in.spots.push_back(spot(id, 0.5, 60.0));
  for (int i = 0; i < 3; ++i) feed(in);
  ASSERT_EQ(events_.size(), kMaxSpots);
  AlertStage::RuleSet none({}, 0.1);
  ASSERT_TRUE(sut_->replace_rules(none));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(sut_->owes(), i < 2);
    feed(in);
  }
  ASSERT_EQ(events_.size(), 2 * kMaxSpots);
  for (std::size_t i = kMaxSpots; i < events_.size(); ++i) EXPECT_FALSE(events_[i].is_raised);
}

TEST_F(AlertStageTest, ARestartClearsWhatIsOpenAndLearnsTheBaselineAnew) {
  use({{.name = "step", .quantity = Quantity::mean_counts}});
  for (int i = 0; i < 60; ++i) feed_counts(100.0 + noise_() + (seq_ >= 40 ? 8.0 : 0.0));
  ASSERT_EQ(words_.size(), 1u);
  sut_->restart();
  for (int i = 0; i < 60; ++i) feed_counts(108.0 + noise_());
  ASSERT_EQ(words_.size(), 2u) << testing::PrintToString(words_);
  EXPECT_FALSE(events_[1].is_raised);
}

TEST_F(AlertStageTest, ARunHasABoundedNumberOfRules) {
  use({});
  for (std::size_t i = 0; i < RuleBook::kMaxRules; ++i) {
    AlertStage::RuleSet set({limit(1.0 + static_cast<double>(i))}, 0.1);
    ASSERT_TRUE(sut_->replace_rules(set));
  }
  AlertStage::RuleSet more({limit(-1.0)}, 0.1), known({limit(3.0)}, 0.1);
  EXPECT_FALSE(sut_->replace_rules(more));
  EXPECT_TRUE(sut_->replace_rules(known)) << "it is in the book";
  EXPECT_TRUE(sut_->replace_rules(known)) << "to and fro";
}

AlertRule of_sum(const char* name, Quantity quantity, RuleKind kind = RuleKind::change) {
  return {.name = name, .quantity = quantity, .of = RuleOf::sum, .kind = kind};
}

// Frames have other spots with the same numbers.
TEST_F(AlertStageTest, ARuleAboutSumsLooksAtNoFrame) {
  AlertRule rule = of_sum("bright", Quantity::spot_snr, RuleKind::limit);
  rule.above = 50.0;
  rule.dwell_frames = 2;
  rule.d_min_nm = 0.4;
  use({rule});
  for (int i = 0; i < 16; ++i) {
    Measurements in = sound();
    in.spots.push_back(spot(3, 0.5, 90.0));
    feed(in);
  }
  EXPECT_THAT(words_, IsEmpty());
  feed_sum({spot(3, 0.5, 90.0), spot(4, 0.3, 90.0)});
  EXPECT_THAT(words_, IsEmpty());
  feed_sum({spot(3, 0.5, 60.0)});  // the second in a row; it stands for 7.5 frames before each
  EXPECT_THAT(words_, ElementsAre("bright raised 23 since 12"));
  EXPECT_EQ(events_[0].spot_id, 3u);
  feed_sum({spot(3, 0.5, 40.0)});
  EXPECT_EQ(words_.back(), "bright cleared 27 since 12");
}

// Three of four sums repeat what the fourth has said: they are no further evidence.
TEST_F(AlertStageTest, AChangeInSumsIsJudgedByThoseThatShareNoFrame) {
  use({of_sum("strain", Quantity::spot_d_nm)});
  double d_nm = 0.5;
  const auto sums = [&](int count, double step) {
    for (int i = 0; i < count; ++i) {
      if (i % 4 == 0) d_nm = 0.5 + 1e-4 * noise_();
      feed_sum({spot(1, d_nm + step)});
    }
  };
  sums(120, 0.0);
  EXPECT_THAT(words_, IsEmpty());
  const std::uint64_t before = seq_;
  sums(24, 1e-3);
  ASSERT_EQ(words_.size(), 1u) << testing::PrintToString(words_);
  EXPECT_TRUE(events_[0].is_raised);
  // The baseline's wander may date it a few of the sums that count too early, never too late.
  EXPECT_LE(events_[0].since_seq, before + 24);
  EXPECT_GE(events_[0].since_seq + 8 * 16, before);
  EXPECT_NEAR(events_[0].sigma, 1e-4, 5e-5);
}

TEST_F(AlertStageTest, ASpotThatComesIntoTheSumIsTold) {
  use({of_sum("presence", Quantity::spot_presence)});
  const auto aged = [&](std::uint32_t id, std::uint32_t age) {
    Spot out = spot(id);
    out.age_frames = age;
    return out;
  };
  for (std::uint32_t i = 0; i < 40; ++i) feed_sum({aged(1, 4 * i)});
  EXPECT_THAT(words_, IsEmpty());
  for (std::uint32_t i = 0; i < 10; ++i) feed_sum({aged(1, 160 + 4 * i), aged(2, 16 + 4 * i)});
  ASSERT_EQ(words_.size(), 1u);
  EXPECT_EQ(events_[0].spot_id, 2u);
  EXPECT_EQ(events_[0].value, 1.0);
}

// Coming and going are both of the frames that sums stand for, 7.5 before those that bring them.
TEST_F(AlertStageTest, ASpotThatGoesOutOfTheSumIsDatedByTheFrameTheSumStandsFor) {
  use({of_sum("presence", Quantity::spot_presence)});
  for (int i = 0; i < 40; ++i) feed_sum({spot(1), spot(2)});
  const auto last_dated =
      static_cast<std::uint64_t>(std::llround(static_cast<double>(seq_ - 1) - 7.5));
  EXPECT_THAT(words_, IsEmpty());
  for (int i = 0; i < 8; ++i) feed_sum({spot(1)});
  ASSERT_EQ(words_.size(), 1u);
  EXPECT_EQ(events_[0].spot_id, 2u);
  EXPECT_EQ(events_[0].value, 0.0);
  EXPECT_EQ(events_[0].since_seq, last_dated + 1);
}

TEST_F(AlertStageTest, WhatIsOpenIsClearedWhenSummingEnds) {
  AlertRule rule = of_sum("many", Quantity::spot_count, RuleKind::limit);
  rule.above = 0.5;
  use({rule});
  feed_sum({spot(1)});
  ASSERT_EQ(words_.size(), 1u);
  for (int i = 0; i < 60; ++i) feed(sound());
  ASSERT_EQ(words_.size(), 2u);
  EXPECT_FALSE(events_[1].is_raised);
  feed_sum({spot(1)});
  EXPECT_EQ(words_.size(), 3u);
}

TEST_F(AlertStageTest, WatchesTheCellOfFramesAndSums) {
  AlertRule frames{.name = "cell", .quantity = Quantity::lattice_a_nm, .kind = RuleKind::limit};
  frames.above = 0.3;
  AlertRule sums = of_sum("summed_cell", Quantity::lattice_gamma_deg, RuleKind::limit);
  sums.below = 89.0;
  use({frames, sums});
  Lattice lattice;
  lattice.is_main = true;
  lattice.a_nm = 0.31;
  lattice.gamma_deg = 88.0;
  Measurements in = sound();
  (void)in.lattices.push_back(lattice);
  feed(in);
  feed_sum({}, lattice);
  EXPECT_THAT(words_, IsEmpty());  // not confirmed
  in.lattices[0].is_confirmed = lattice.is_confirmed = true;
  feed(in);
  feed_sum({}, lattice);
  EXPECT_THAT(words_, ElementsAre("cell raised 5 since 5", "summed_cell raised 9 since 2"));
  EXPECT_EQ(events_[0].value, 0.31);
  EXPECT_EQ(events_[1].value, 88.0);
}

TEST_F(AlertStageTest, WatchesTheRatioOfARowsOrders) {
  AlertRule rule{.name = "ordering", .quantity = Quantity::spot_harmonic_ratio};
  rule.kind = RuleKind::limit;
  rule.above = 0.5;
  rule.d_max_nm = 0.3;
  use({rule});
  Spot second = spot(2, 0.25);
  second.harmonic_order = 2;
  second.harmonic_ratio = 0.6;
  second.sigma_harmonic_ratio = 0.01;
  Measurements in = sound();
  in.spots.push_back(spot(1, 0.5));
  in.spots.push_back(second);
  feed(in);
  ASSERT_EQ(words_.size(), 1u);
  EXPECT_EQ(events_[0].spot_id, 2u);
  EXPECT_EQ(events_[0].value, 0.6);
  EXPECT_EQ(events_[0].sigma, 0.01);
}

}  // namespace
}  // namespace latticed::test
