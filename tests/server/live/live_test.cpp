// SPDX-License-Identifier: GPL-3.0-or-later
// The whole of it: runs, ZeroMQ subscribers, holders, and frames that must come home.
#include "server/live/live.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latticed/v1/frame.pb.h>

#include "tests/support/live_server.hpp"
#include "tests/support/zmq_reader.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

LiveOptions options_of(std::vector<std::string> detectors = {"camera"}) {
  LiveOptions options;
  options.detectors = std::move(detectors);
  options.zmq.endpoints = {"tcp://127.0.0.1:*"};
  return options;
}

template <class Message>
Message parsed(const std::string& bytes) {
  Message message;
  EXPECT_TRUE(message.ParseFromString(bytes));
  return message;
}

std::optional<v1::Edge> edge_of(Live& live, const std::string& name) {
  for (const v1::Edge& edge : live.counters())
    if (edge.name() == name) return edge;
  return std::nullopt;
}

/// What a reader wants has come to the publisher: holders' topics need no run to be tried with.
void wait_until_heard(LiveServer& server, ZmqReader& reader) {
  reader.subscribe("holder.knock/");
  v1::HolderDescription knock;
  knock.set_name("knock");
  ASSERT_TRUE(happens([&] {
    server.live().holder_changed("knock", knock);
    return reader.read(20ms).has_value();
  }));
  reader.unsubscribe("holder.knock/");
  while (reader.read(100ms)) {
  }
}

TEST(Live, ABusyZmqPortIsAnErrorThatNamesIt) {
  LiveServer server(options_of());
  LiveOptions same = options_of();
  same.zmq.endpoints = {server.live().zmq_endpoint()};
  rpc::Stamper stamper(true);
  rpc::Gate gate{rpc::GateOptions{}};
  Live::Parts parts;
  parts.stamper = &stamper;
  parts.gate = &gate;
  const auto second = Live::start(same, parts);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr(server.live().zmq_endpoint()));
}

TEST(Live, ZmqSubscribersGetEveryFrameWithItsPixelsAndItsMeasurement) {
  LiveOptions options = options_of();
  options.zmq_lease_quota = 32;  // more than there are slots: never reached
  options.sink_quota = 32;
  LiveServer server(options);
  ZmqReader frames(server.live().zmq_endpoint()), events(server.live().zmq_endpoint());
  frames.subscribe("frame.camera/");
  events.subscribe("measurement.camera/");
  wait_until_heard(server, frames);
  wait_until_heard(server, events);
  {
    LiveRun run(server, Script().frames(10).lost(2, LossReason::incomplete).frames(5), {});
    run.seen.on_frame = [&](const Frame& frame) {
      if (!frame.has_pixels()) return;
      const auto parts = frames.read();
      ASSERT_TRUE(parts);
      ASSERT_EQ(parts->size(), 3u);
      EXPECT_EQ((*parts)[0], "frame.camera/");
      const auto header = parsed<v1::FrameHeader>((*parts)[1]);
      EXPECT_EQ(header.seq(), frame.seq);
      EXPECT_EQ(header.counter(), frame.seq < 10 ? frame.seq + 1 : frame.seq - 1);
      EXPECT_EQ(header.detector(), "camera");
      EXPECT_EQ(header.time_ns(), frame.header.time_ns);
      EXPECT_EQ(header.width(), 64);
      EXPECT_EQ(header.pixel_type(), v1::PIXEL_TYPE_U16);
      EXPECT_EQ(header.pixel_size_nm(), 0.02);
      EXPECT_EQ(header.drift_px().x(), frame.measurements.drift.drift_px.x);
      EXPECT_EQ(header.stamp().epoch(), 1u);
      const auto raw = frame.raw();
      EXPECT_TRUE((*parts)[2] ==
                  std::string(reinterpret_cast<const char*>(raw.data()), raw.size()));
    };
    run.play();
    EXPECT_TRUE(server.live().drain(kPatience));
  }
  std::uint64_t counter = 0;
  for (std::uint64_t i = 0; i < 18; ++i) {  // begin, 15 frames, lost, end
    const auto parts = events.read();
    ASSERT_TRUE(parts) << i;
    EXPECT_EQ((*parts)[0], "measurement.camera/");
    EXPECT_EQ(parsed<v1::MessageHeader>((*parts)[1]).counter(), ++counter);
    const auto event = parsed<v1::MeasurementEvent>((*parts)[2]);
    EXPECT_EQ(event.has_run_begins(), i == 0);
    EXPECT_EQ(event.has_lost(), i == 11);
    EXPECT_EQ(event.has_run_ends(), i == 17);
  }
  const auto edge = edge_of(server.live(), "zmq frame.camera/");
  ASSERT_TRUE(edge);
  EXPECT_EQ(edge->out(), 15u);
  EXPECT_EQ(edge->dropped(), 0u);
}

TEST(Live, AlarmsGoOverZmqToo) {
  LiveServer server(options_of());
  ZmqReader reader(server.live().zmq_endpoint());
  reader.subscribe("alert/");
  wait_until_heard(server, reader);
  AlertBook::Change change;
  change.alert.set_rule("made up");
  server.live().alerts().note("camera", 3, 5, {change});
  const auto parts = reader.read();
  ASSERT_TRUE(parts);
  EXPECT_EQ((*parts)[0], "alert/");
  const auto event = parsed<v1::AlertEvent>((*parts)[2]);
  EXPECT_EQ(event.what(), "raised");
  EXPECT_EQ(event.alert().rule(), "made up");
  EXPECT_EQ(parsed<v1::MessageHeader>((*parts)[1]).stamp().epoch(), 3u);
}

TEST(Live, HolderSamplesGoOverZmqInBatchesEachOnce) {
  LiveServer server(options_of());
  const auto log = server.add_holder("stage", 1.0);
  ZmqReader reader(server.live().zmq_endpoint());
  reader.subscribe("holder.stage/");
  v1::HolderDescription described;
  described.set_name("stage");
  described.set_arming(v1::ARMING_STATE_ARMED);
  std::optional<std::vector<std::string>> parts;
  ASSERT_TRUE(happens([&] {
    server.live().holder_changed("stage", described);
    return (parts = reader.read(20ms)).has_value();
  }));
  EXPECT_EQ(parsed<v1::HolderEvent>((*parts)[2]).changed().arming(), v1::ARMING_STATE_ARMED);
  constexpr int kSamples = 500;
  for (int i = 0; i < kSamples; ++i) {
    HolderSample sample;
    sample.time_ns = 1 + i;
    sample.bias_v = i;
    log->add(sample);
  }
  int next = -1, batches = 0;
  while (next < kSamples) {
    parts = reader.read();
    ASSERT_TRUE(parts);
    const auto event = parsed<v1::HolderEvent>((*parts)[2]);
    EXPECT_EQ(event.holder(), "stage");
    batches += event.samples_size() > 0;
    for (const auto& sample : event.samples()) {
      // What came before the subscription was heard is not ours to get.
      if (next < 0) next = static_cast<int>(sample.bias_v());
      EXPECT_EQ(sample.bias_v(), next++);
      EXPECT_FALSE(sample.has_temperature_k());
    }
    if (next < 0) continue;
  }
  EXPECT_LT(batches, 50);
}

TEST(Live, AStalledZmqSubscriberCostsOnlyFramesOfItsTopicAndTheyComeHome) {
  LiveOptions options = options_of();
  options.zmq_lease_quota = 3;
  options.zmq.stalled_after = 60s;
  LiveServer server(options);
  ZmqReader stalled(server.live().zmq_endpoint(), 1);
  stalled.subscribe("frame.camera/");
  wait_until_heard(server, stalled);
  constexpr std::uint64_t kFrames = 60;
  std::vector<std::size_t> free;
  {
    LiveRun run(server, Script().frames(kFrames), {.size = 1024, .frame_slots = 8});
    run.play();
    EXPECT_EQ(run.seen.size(), kFrames);
    const auto edge = edge_of(server.live(), "zmq frame.camera/");
    ASSERT_TRUE(edge);
    EXPECT_EQ(edge->in(), kFrames);
    EXPECT_GT(edge->dropped(), 0u);
    EXPECT_EQ(edge->out() + edge->dropped(), kFrames);
    const auto ok = server.live().drain(2s);
    ASSERT_TRUE(ok) << ok.error().message;
    EXPECT_TRUE(happens([&] { return run.line().pixels().leased() == 0; }));
    EXPECT_EQ(run.line().frames().leased(), 0u);
  }
  // Another client finds everything as it was.
  ZmqReader other(server.live().zmq_endpoint());
  wait_until_heard(server, other);
}

TEST(Live, SinksThatGoBringTheirFramesHomeUnasked) {
  LiveOptions options = options_of();
  options.zmq.stalled_after = 60s;
  LiveServer server(options);
  ZmqReader stalled(server.live().zmq_endpoint(), 1);
  stalled.subscribe("frame.camera/");
  wait_until_heard(server, stalled);
  {
    LiveRun run(server, Script().frames(30), {.size = 1024, .frame_slots = 12});
    run.play();
    EXPECT_GT(run.line().pixels().leased(), 0u);
  }  // the line goes: with frames of it still lent, this would be memory that is gone
  EXPECT_TRUE(server.live().drain(0ms));
}

TEST(Live, WhatItHoldsAtTheWorstIsTheSumOfItsQuotas) {
  LiveServer server(options_of());
  const LiveOptions options = options_of();
  std::size_t held = options.zmq_lease_quota + 1;  // and the frame the preview shows last
  for (const auto& sink : server.live().make_sinks("camera"))
    held += sink->options().quota + (sink->name() == "preview" ? 0 : 1);
  EXPECT_EQ(Live::frames_held(options), held);
}

TEST(Live, ARunThatNeverStartsBeginsAndEnds) {
  LiveServer server(options_of());
  ZmqReader reader(server.live().zmq_endpoint());
  reader.subscribe("measurement.camera/");
  wait_until_heard(server, reader);
  { LiveRun run(server, Script().frames(5), {}); }
  ASSERT_TRUE(server.live().run_ended("cancelled"));
  EXPECT_TRUE(parsed<v1::MeasurementEvent>(reader.read()->back()).has_run_begins());
  EXPECT_EQ(parsed<v1::MeasurementEvent>(reader.read()->back()).run_ends().ended(), "cancelled");
  EXPECT_FALSE(server.live().last_frame("camera"));
  EXPECT_FALSE(server.live().last_frame("sphinx"));
}

}  // namespace
}  // namespace latticed::test
