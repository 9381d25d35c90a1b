// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/acquire/frame_source.hpp"

#include <gtest/gtest.h>

#include <mutex>
#include <thread>
#include <vector>

#include "tests/support/deadline.hpp"
#include "tests/support/scripted_detector.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using enum LossPolicy;

constexpr FrameGeometry kGeometry{4, 2, PixelType::u8};

/// What came out of the source, in words: "0" a frame, "3-4 truncated" lost ones, "end 7".
class FrameSourceTest : public testing::Test {
 protected:
  void SetUp() override { pixels_ = pool_of(4); }

  static std::unique_ptr<PixelPool> pool_of(std::size_t slots) {
    return std::make_unique<PixelPool>(
        slots, [](PixelBuffer& buffer) { buffer.allocate(kGeometry.bytes()); });
  }
  void make(Script script, SourceConfig config = {}) {
    detector_ = std::make_unique<ScriptedDetector>(
        std::move(script), kGeometry, [](std::uint64_t n, std::span<std::byte> pixels) {
          std::fill(pixels.begin(), pixels.end(), static_cast<std::byte>(n + 1));
        });
    DetectorConfiguration configuration;
    configuration.geometry = kGeometry;
    sut_ = std::make_unique<FrameSource>(*detector_, configuration, config, *pixels_, *frames_,
                                         [this](FrameLease frame) { take(std::move(frame)); });
  }
  void run(Script script, SourceConfig config = {}) {
    make(std::move(script), config);
    sut_->run();
  }
  void take(FrameLease frame) {
    std::string said;
    const FrameHeader& header = frame->header;
    if (header.kind == FrameKind::end) said = "end " + std::to_string(frame->seq);
    if (header.kind == FrameKind::frame) {
      said = std::to_string(frame->seq);
      EXPECT_TRUE(frame->pixels);
    }
    if (header.kind == FrameKind::lost) {
      said = std::to_string(frame->seq) + "-" + std::to_string(frame->seq + header.lost_count - 1) +
             " " + std::string(to_string(header.loss));
      EXPECT_FALSE(frame->pixels);
    }
    const std::lock_guard lock(guard_);
    got_.push_back(said);
    if (is_holding_) held_.push_back(std::move(frame));
    if (on_frame_) on_frame_();
  }
  std::vector<std::string> got() {
    const std::lock_guard lock(guard_);
    return got_;
  }
  void release_all() {
    std::vector<FrameLease> gone;
    const std::lock_guard lock(guard_);
    gone.swap(held_);
  }
  std::uint64_t lost(LossReason reason) const {
    return sut_->counters().lost[static_cast<std::size_t>(reason)];
  }
  void expect_honest() const {
    const EdgeCounters& c = sut_->counters();
    EXPECT_EQ(c.in, c.out + c.gone());
    EXPECT_EQ(c.level(), 0u);
  }

  std::unique_ptr<PixelPool> pixels_;
  std::unique_ptr<FramePool> frames_ = std::make_unique<FramePool>(64, [](Frame&) {});
  std::mutex guard_;  // of the three below
  std::vector<std::string> got_;
  std::vector<FrameLease> held_;
  bool is_holding_ = false;
  std::function<void()> on_frame_;
  std::unique_ptr<ScriptedDetector> detector_;
  std::unique_ptr<FrameSource> sut_;
};
using Words = std::vector<std::string>;

TEST_F(FrameSourceTest, NumbersFramesFromZeroAndSendsTheEndBehindThem) {
  is_holding_ = true;
  run(Script().frames(3), {.epoch = 9});
  EXPECT_EQ(got(), (Words{"0", "1", "2", "end 3"}));
  for (const FrameLease& frame : held_) EXPECT_EQ(frame->epoch, 9u);
  for (std::uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(held_[i]->raw()[7], static_cast<std::byte>(i + 1));
    EXPECT_EQ(held_[i]->geometry, kGeometry);
    EXPECT_GT(held_[i]->filled_at.count(), 0);
  }
  EXPECT_FALSE(sut_->error());
  expect_honest();
}

TEST_F(FrameSourceTest, BeginsAtTheNumberItIsGiven) {
  run(Script().frames(2).lost(2, LossReason::truncated), {.first_seq = 100});
  EXPECT_EQ(got(), (Words{"100", "101", "102-103 truncated", "end 104"}));
}

TEST_F(FrameSourceTest, AGapInTheCountIsAnEntryInItsPlace) {
  run(Script().frames(2).gap(3).frames(1));
  EXPECT_EQ(got(), (Words{"0", "1", "2-4 sequence_gap", "5", "end 6"}));
  EXPECT_EQ(lost(LossReason::sequence_gap), 3u);
  EXPECT_EQ(sut_->counters().in, 6u);
  expect_honest();
}

// Else a glitch of the counter makes a sink write 10^15 lines.
TEST_F(FrameSourceTest, ACountThatCannotBeBelievedEndsTheRun) {
  run(Script().frames(2).frame(std::uint64_t{1} << 50).frames(5));
  EXPECT_EQ(got(), (Words{"0", "1", "end 2"}));
  ASSERT_TRUE(sut_->error());
  EXPECT_EQ(sut_->error()->code, ErrorCode::data_loss);
  EXPECT_EQ(sut_->error()->message,
            "detector scripted: its count went from 2 to 1125899906842624, 0 lost: more than "
            "16777216 missing frames cannot be");
  EXPECT_EQ(sut_->counters().lost_total(), 0u);
}

TEST_F(FrameSourceTest, ALossThatCannotBeBelievedEndsTheRun) {
  run(Script().frames(2).lost(std::uint64_t{1} << 40, LossReason::truncated).frames(5));
  EXPECT_EQ(got(), (Words{"0", "1", "end 2"}));
  EXPECT_TRUE(sut_->error());
}

TEST_F(FrameSourceTest, AGapBeforeTheFirstFrameIsAnEntryToo) {
  run(Script().gap(2).frames(1));
  EXPECT_EQ(got(), (Words{"0-1 sequence_gap", "2", "end 3"}));
}

TEST_F(FrameSourceTest, PassesOnWhatTheDetectorSaysIsLost) {
  run(Script().frames(1).lost(2, LossReason::incomplete).lost(1, LossReason::unreadable).frames(1));
  EXPECT_EQ(got(), (Words{"0", "1-2 incomplete", "3-3 unreadable", "4", "end 5"}));
  EXPECT_EQ(sut_->counters().lost_total(), 3u);
  expect_honest();
}

TEST_F(FrameSourceTest, AGapInFrontOfALostEntryIsNotForgotten) {
  run(Script().frames(1).gap(2).lost(1, LossReason::wrong_size).frames(1));
  EXPECT_EQ(got(), (Words{"0", "1-2 sequence_gap", "3-3 wrong_size", "4", "end 5"}));
  expect_honest();
}

TEST_F(FrameSourceTest, ALostEntryCountsOnlyWhatWasNotHereAlready) {
  run(Script()
          .frames(3)
          .lost_at(1, 4, LossReason::incomplete)
          .lost_at(0, 2, LossReason::incomplete));
  EXPECT_EQ(got(), (Words{"0", "1", "2", "3-4 incomplete", "end 5"}));
  EXPECT_EQ(sut_->counters().lost_total(), 2u);
  expect_honest();
}

TEST_F(FrameSourceTest, FramesThatWereHereAlreadyAreCountedAndDropped) {
  run(Script().frames(3).frame(1).frame(2).frames(1));
  EXPECT_EQ(got(), (Words{"0", "1", "2", "3", "end 4"}));
  EXPECT_EQ(sut_->counters().stale(), 2u);
  EXPECT_EQ(sut_->counters().lost_total(), 0u) << "nothing of this run is missing";
  EXPECT_EQ(pixels_->count_free(), pixels_->size());
  expect_honest();
}

TEST_F(FrameSourceTest, AFaultOfTheDetectorStillLetsTheEndTravel) {
  run(Script().frames(2).fault("cable out"));
  EXPECT_EQ(got(), (Words{"0", "1", "end 2"}));
  ASSERT_TRUE(sut_->error());
  EXPECT_EQ(sut_->error()->code, ErrorCode::unavailable);
  EXPECT_EQ(sut_->error()->message, "cable out");
}

TEST_F(FrameSourceTest, WithoutAFreeSlotDropNewestTellsWhatItLost) {
  is_holding_ = true;
  pixels_ = pool_of(2);
  // Frames 2 and 3 find no slot; behind the permit there are some again.
  make(Script().frames(4).wait_for_permit().frames(1), {.policy = drop_newest});
  std::thread source([this] { sut_->run(); });
  ASSERT_TRUE(happens([this] { return lost(LossReason::no_free_slot) == 2; }));
  release_all();
  detector_->permit();
  source.join();
  EXPECT_EQ(got(), (Words{"0", "1", "2-3 no_free_slot", "4", "end 5"}));
  expect_honest();
}

TEST_F(FrameSourceTest, ASlotThatComesFreeWhileTheSpareIsFilledSavesTheFrame) {
  is_holding_ = true;
  pixels_ = pool_of(1);
  std::vector<std::byte> kept;
  on_frame_ = [&] {
    const Frame& frame = *held_.back();
    if (frame.pixels) kept.assign(frame.raw().begin(), frame.raw().end());
  };
  make(Script().frames(1).timeouts(1).wait_for_permit().frames(1), {.policy = drop_newest});
  std::thread source([this] { sut_->run(); });
  // Now it has looked for a slot in vain and reads into the spare.
  ASSERT_TRUE(happens([this] { return detector_->waits() > 0; }));
  release_all();
  detector_->permit();
  source.join();
  EXPECT_EQ(got(), (Words{"0", "1", "end 2"}));
  EXPECT_EQ(kept, std::vector<std::byte>(8, std::byte{2})) << "the spare's pixels";
}

TEST_F(FrameSourceTest, LossesAtTheVeryEndAreToldBeforeIt) {
  is_holding_ = true;
  pixels_ = pool_of(1);
  run(Script().frames(3), {.policy = drop_newest});
  EXPECT_EQ(got(), (Words{"0", "1-2 no_free_slot", "end 3"}));
}

TEST_F(FrameSourceTest, LossesOfTwoReasonsInARowAreTwoEntriesInOrder) {
  is_holding_ = true;
  pixels_ = pool_of(1);
  run(Script().frames(2).gap(2).frames(1), {.policy = drop_newest});
  EXPECT_EQ(got(),
            (Words{"0", "1-1 no_free_slot", "2-3 sequence_gap", "4-4 no_free_slot", "end 5"}));
  expect_honest();
}

TEST_F(FrameSourceTest, BlockWaitsForASlotAndLosesNothing) {
  is_holding_ = true;
  pixels_ = pool_of(2);
  make(Script().frames(6), {.policy = block});
  std::thread source([this] { sut_->run(); });
  ASSERT_TRUE(happens([this] { return got().size() == 2; }));
  ASSERT_TRUE(happens(
      [this] { return std::string(sut_->activity().what) == "waits for a free frame slot"; }));
  EXPECT_EQ(sut_->activity().patience, Patience::behind_sinks);
  EXPECT_EQ(sut_->activity().seq, 2u);
  ASSERT_TRUE(happens([this] {
    release_all();
    return got().size() == 7;
  }));
  source.join();
  EXPECT_EQ(got(), (Words{"0", "1", "2", "3", "4", "5", "end 6"}));
  EXPECT_EQ(sut_->counters().gone(), 0u);
}

TEST_F(FrameSourceTest, StopRunEndsWithAnErrorThatNamesDetectorFrameAndSlots) {
  is_holding_ = true;
  pixels_ = pool_of(3);
  run(Script().frames(3).frames(1).silence(), {.policy = stop_run});
  EXPECT_EQ(got(), (Words{"0", "1", "2", "3-3 no_free_slot", "end 4"}));
  ASSERT_TRUE(sut_->error());
  EXPECT_EQ(sut_->error()->code, ErrorCode::resource_exhausted);
  EXPECT_EQ(sut_->error()->message,
            "detector scripted: no free frame slot for frame 3: all 3 slots are in use "
            "(policy stop_run)");
}

TEST_F(FrameSourceTest, StopWhileTheDetectorIsSilentReturns) {
  make(Script().frames(1).silence());
  std::thread source([this] { sut_->run(); });
  ASSERT_TRUE(happens([this] { return got().size() == 1; }));
  sut_->stop();
  source.join();
  EXPECT_EQ(got(), (Words{"0", "end 1"}));
  EXPECT_FALSE(sut_->error());
  EXPECT_EQ(sut_->activity().since_ns, 0);
}

TEST_F(FrameSourceTest, StopWhileEverySlotIsOutReturns) {
  is_holding_ = true;
  pixels_ = pool_of(1);
  make(Script().frames(5), {.policy = block});
  std::thread source([this] { sut_->run(); });
  ASSERT_TRUE(happens(
      [this] { return std::string(sut_->activity().what) == "waits for a free frame slot"; }));
  sut_->stop();
  source.join();
  EXPECT_EQ(got(), (Words{"0", "end 1"}));
}

TEST_F(FrameSourceTest, AbandonedItReturnsAlsoWhenNoEntryIsFreeForTheEnd) {
  is_holding_ = true;
  frames_ = std::make_unique<FramePool>(2, [](Frame&) {});
  make(Script().frames(3));
  std::thread source([this] { sut_->run(); });
  ASSERT_TRUE(
      happens([this] { return std::string(sut_->activity().what) == "waits for a free entry"; }));
  sut_->abandon();
  source.join();
  EXPECT_EQ(got(), (Words{"0", "1"}));
}

TEST_F(FrameSourceTest, ASilentDetectorIsOneWaitSinceTheFirstTimeoutAlsoWithoutAFreeSlot) {
  is_holding_ = true;
  pixels_ = pool_of(1);
  make(Script().frames(1).timeouts(5).wait_for_permit().silence());
  std::thread source([this] { sut_->run(); });
  ASSERT_TRUE(happens([this] { return detector_->position() >= 2; }));
  const std::int64_t since = sut_->activity().since_ns;
  ASSERT_TRUE(happens([this] { return detector_->position() == 6; }));
  EXPECT_EQ(sut_->activity().since_ns, since);
  EXPECT_STREQ(sut_->activity().what, "waits for a frame of the detector");
  EXPECT_EQ(sut_->activity().patience, Patience::own);
  sut_->stop();
  source.join();
}

}  // namespace
}  // namespace latticed::test
