// SPDX-License-Identifier: GPL-3.0-or-later
// Topics, numbers, lent frames and ports, on real sockets.
#include "server/live/zmq_publisher.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/deadline.hpp"
#include "tests/support/zmq_reader.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

ZmqOptions any_port() {
  ZmqOptions options;
  options.endpoints = {"tcp://127.0.0.1:0"};
  return options;
}

/// A pool of frames whose pixels are `bytes` long.
class Frames {
 public:
  explicit Frames(std::size_t count, int side = 64)
      : side_(side),
        pixels_(count,
                [side](PixelBuffer& b) { b.allocate(static_cast<std::size_t>(side * side)); }),
        frames_(count, [](Frame&) {}) {}
  FrameLease lend(char fill) {
    FrameLease frame = frames_.try_acquire();
    if (!frame) return {};
    frame->pixels = pixels_.try_acquire();
    frame->header.kind = FrameKind::frame;
    frame->geometry = {side_, side_, PixelType::u8};
    for (std::byte& b : frame->pixels->bytes()) b = static_cast<std::byte>(fill);
    return frame;
  }
  [[nodiscard]] std::size_t out() const { return frames_.leased(); }

 private:
  int side_;
  PixelPool pixels_;
  FramePool frames_;
};

class ZmqPublisherTest : public testing::Test {
 protected:
  void open(const ZmqOptions& options) {
    auto made = ZmqPublisher::open(options);
    ASSERT_TRUE(made) << made.error().message;
    publisher_ = std::move(*made);
  }
  /// The subscription has come here.
  void wait_for(const std::string& topic) {
    ASSERT_TRUE(happens([&] {
      publisher_->poll();
      return publisher_->is_wanted(topic);
    })) << topic;
  }
  std::unique_ptr<ZmqPublisher> publisher_;
};

TEST_F(ZmqPublisherTest, AnyPortIsReportedAsTheRealOne) {
  open(any_port());
  EXPECT_THAT(publisher_->endpoint(), StartsWith("tcp://127.0.0.1:"));
  EXPECT_THAT(publisher_->endpoint(), Not(HasSubstr("*")));
  EXPECT_NE(publisher_->endpoint(), "tcp://127.0.0.1:0");
}

TEST_F(ZmqPublisherTest, ABusyPortIsAnErrorThatNamesIt) {
  open(any_port());
  ZmqOptions same;
  same.endpoints = {publisher_->endpoint()};
  const auto second = ZmqPublisher::open(same);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::unavailable);
  EXPECT_THAT(second.error().message, HasSubstr(publisher_->endpoint()));
  EXPECT_THAT(second.error().message, HasSubstr("in use"));
}

TEST_F(ZmqPublisherTest, AnEndpointThatIsNoneIsRefused) {
  ZmqOptions options;
  options.endpoints = {"carrier-pigeon://coop"};
  const auto none = ZmqPublisher::open(options);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, ErrorCode::invalid_argument);
  EXPECT_THAT(none.error().message, HasSubstr("carrier-pigeon"));
}

TEST_F(ZmqPublisherTest, WithoutEndpointsNothingIsWantedOrSent) {
  ZmqOptions options;
  options.endpoints = {};
  open(options);
  EXPECT_EQ(publisher_->endpoint(), "");
  publisher_->poll();
  EXPECT_FALSE(publisher_->is_wanted("alert/"));
  publisher_->send("alert/", "h", "b");
  EXPECT_TRUE(publisher_->reopen());
}

TEST_F(ZmqPublisherTest, ATopicIsNoPrefixOfAnother) {
  open(any_port());
  ZmqReader reader(publisher_->endpoint());
  reader.subscribe("measurement.haadf/");
  wait_for("measurement.haadf/");
  EXPECT_FALSE(publisher_->is_wanted("measurement.haadf2/"));
  publisher_->send("measurement.haadf2/", "h", "wrong");
  publisher_->send("measurement.haadf/", "h", "right");
  const auto parts = reader.read();
  ASSERT_TRUE(parts);
  EXPECT_THAT(*parts, testing::ElementsAre("measurement.haadf/", "h", "right"));
}

TEST_F(ZmqPublisherTest, WhoSubscribesToAPrefixWantsAllBelowIt) {
  open(any_port());
  ZmqReader reader(publisher_->endpoint());
  reader.subscribe("");
  wait_for("alert/");
  EXPECT_TRUE(publisher_->is_wanted("frame.haadf/"));
  reader.unsubscribe("");
  ASSERT_TRUE(happens([&] {
    publisher_->poll();
    return !publisher_->is_wanted("frame.haadf/");
  }));
}

TEST_F(ZmqPublisherTest, NumbersCountWhatNobodyWantedToo) {
  open(any_port());
  EXPECT_EQ(publisher_->next_counter("alert/"), 1u);
  EXPECT_EQ(publisher_->next_counter("alert/"), 2u);
  EXPECT_EQ(publisher_->next_counter("frame.haadf/"), 1u);
  ZmqReader reader(publisher_->endpoint());
  reader.subscribe("alert/");
  wait_for("alert/");
  EXPECT_EQ(publisher_->next_counter("alert/"), 3u);
  publisher_->send("alert/", "h", "b");
  const auto edges = publisher_->edges();
  ASSERT_EQ(edges.size(), 2u);
  EXPECT_EQ(edges[0].name(), "zmq alert/");
  EXPECT_EQ(edges[0].in(), 1u);
  EXPECT_EQ(edges[0].out(), 1u);
  EXPECT_EQ(edges[1].detector(), "haadf");
}

TEST_F(ZmqPublisherTest, LentFramesArriveUnchangedAndComeHome) {
  open(any_port());
  Frames frames(4);
  const auto loans = std::make_shared<FrameLoans>(4);
  ZmqReader reader(publisher_->endpoint());
  reader.subscribe("frame.a/");
  wait_for("frame.a/");
  for (char c = 'a'; c < 'z'; ++c) {
    ASSERT_TRUE(happens([&] { return loans->has_room() && frames.out() < 4; }));
    publisher_->next_counter("frame.a/");
    publisher_->send_frame("frame.a/", std::string(1, c), frames.lend(c), loans);
    const auto parts = reader.read();
    ASSERT_TRUE(parts);
    EXPECT_EQ((*parts)[1], std::string(1, c));
    EXPECT_EQ((*parts)[2], std::string(64 * 64, c));
  }
  EXPECT_TRUE(loans->wait_until_home(kPatience));
  EXPECT_TRUE(happens([&] { return frames.out() == 0; }));
}

TEST_F(ZmqPublisherTest, NobodyPaysForFramesNobodyWants) {
  open(any_port());
  Frames frames(2);
  const auto loans = std::make_shared<FrameLoans>(1);
  publisher_->send_frame("frame.a/", "h", frames.lend('x'), loans);
  EXPECT_EQ(loans->out(), 0u);
  EXPECT_EQ(frames.out(), 0u);
}

/// A subscriber that takes nothing: frames of 1 MiB fill its buffers, then ours.
class StalledReaderTest : public ZmqPublisherTest {
 protected:
  void TearDown() override { publisher_.reset(); }  // before the frames it may still have
  void stall(std::chrono::milliseconds cut_off_after) {
    ZmqOptions options = any_port();
    options.stalled_after = cut_off_after;
    open(options);
    reader_ = std::make_unique<ZmqReader>(publisher_->endpoint(), 1);
    reader_->subscribe("frame.a/");
    wait_for("frame.a/");
    // What ZeroMQ and the kernel take before it stalls is theirs to say; a quota is full soon.
    ASSERT_TRUE(happens([&] {
      send();
      return !loans_->has_room();
    }));
  }
  void send() {
    publisher_->next_counter("frame.a/");
    publisher_->send_frame("frame.a/", "h", frames_.lend('x'), loans_);
  }
  Frames frames_{8, 1024};
  std::shared_ptr<FrameLoans> loans_ = std::make_shared<FrameLoans>(3);
  std::unique_ptr<ZmqReader> reader_;
};

TEST_F(StalledReaderTest, OverTheQuotaFramesAreCountedAndNotSent) {
  stall(60s);
  const auto before = publisher_->edges().front();
  for (int i = 0; i < 5; ++i) send();
  const auto after = publisher_->edges().front();
  EXPECT_EQ(after.in(), before.in() + 5);
  EXPECT_LE(loans_->out(), 3u);
  EXPECT_GT(after.dropped(), before.dropped());
  EXPECT_LE(frames_.out(), 3u);
}

TEST_F(StalledReaderTest, ANewSocketBringsEverythingHome) {
  stall(60s);
  const std::string endpoint = publisher_->endpoint();
  const auto ok = publisher_->reopen();
  ASSERT_TRUE(ok) << ok.error().message;
  EXPECT_TRUE(loans_->wait_until_home(kPatience));
  EXPECT_EQ(publisher_->endpoint(), endpoint);
  ZmqReader other(endpoint);
  other.subscribe("alert/");
  wait_for("alert/");
  publisher_->send("alert/", "h", "still there");
  EXPECT_EQ(other.read()->back(), "still there");
}

TEST_F(StalledReaderTest, WhoTakesNothingForLongIsCutOffAlone) {
  stall(500ms);
  ZmqReader other(publisher_->endpoint());
  other.subscribe("alert/");
  wait_for("alert/");
  EXPECT_TRUE(happens([&] {
    publisher_->poll();
    return loans_->out() == 0;
  }));
  publisher_->send("alert/", "h", "as before");
  EXPECT_EQ(other.read()->back(), "as before");
}

TEST_F(StalledReaderTest, TheEndBringsEverythingHome) {
  stall(60s);
  publisher_.reset();
  EXPECT_EQ(loans_->out(), 0u);
  EXPECT_EQ(frames_.out(), 0u);
}

}  // namespace
}  // namespace latticed::test
