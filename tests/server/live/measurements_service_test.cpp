// SPDX-License-Identifier: GPL-3.0-or-later
// Measurements.Watch as clients see it, over loopback, from runs through a real pipeline.
#include "server/live/measurements_service.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latticed/v1/errors.pb.h>

#include <numeric>
#include <thread>

#include "tests/support/live_server.hpp"

namespace latticed::test {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using Event = v1::MeasurementEvent;

LiveOptions options_of(std::vector<std::string> detectors = {"camera"}) {
  LiveOptions options;
  options.detectors = std::move(detectors);
  options.zmq.endpoints = {};
  options.sink_quota = 32;
  return options;
}

v1::WatchMeasurementsRequest from(std::uint64_t seq) {
  v1::WatchMeasurementsRequest request;
  request.set_from_seq(seq);
  return request;
}

class Client {
 public:
  explicit Client(const std::shared_ptr<grpc::Channel>& channel,
                  v1::WatchMeasurementsRequest request = {})
      : stub_(v1::Measurements::NewStub(channel)),
        watch_([this, request](grpc::ClientContext* call) { return stub_->Watch(call, request); }) {
  }
  Watcher<Event>& watch() { return watch_; }
  std::vector<Event> to_the_end() {
    return watch_.read_until([](const Event& event) { return event.has_run_ends(); });
  }

 private:
  std::unique_ptr<v1::Measurements::Stub> stub_;
  Watcher<Event> watch_;
};

std::vector<std::uint64_t> measured(const std::vector<Event>& events) {
  std::vector<std::uint64_t> out;
  for (const Event& event : events)
    if (event.has_measurement()) out.push_back(event.measurement().seq());
  return out;
}

std::vector<std::uint64_t> numbers(std::uint64_t first, std::uint64_t count) {
  std::vector<std::uint64_t> out(count);
  std::iota(out.begin(), out.end(), first);
  return out;
}

/// Streams that a list of edges is about.
std::vector<v1::Edge> streams_in(const std::vector<v1::Edge>& edges) {
  std::vector<v1::Edge> out;
  for (const v1::Edge& edge : edges)
    if (edge.name().rfind("measurements ", 0) == 0) out.push_back(edge);
  return out;
}

TEST(MeasurementsService, EveryEventComesOnceInOrderOverSeveralRuns) {
  LiveServer server(options_of());
  Client client(server.channel());
  for (std::uint32_t epoch = 1; epoch <= 2; ++epoch) {
    LiveRun run(server, Script().frames(60).lost(4, LossReason::truncated).frames(40),
                {.epoch = epoch});
    run.play();
    const auto events = client.to_the_end();
    ASSERT_EQ(events.size(), 103u);
    EXPECT_TRUE(events.front().has_run_begins());
    EXPECT_EQ(events.front().run_begins().width(), 64);
    EXPECT_EQ(events[61].lost().seq(), 60u);
    EXPECT_EQ(events[61].lost().count(), 4u);
    EXPECT_EQ(events[61].lost().reason(), "truncated");
    auto expected = numbers(0, 60);
    const auto rest = numbers(64, 40);
    expected.insert(expected.end(), rest.begin(), rest.end());
    EXPECT_EQ(measured(events), expected);
    EXPECT_EQ(events.back().run_ends().measured(), 100u);
    EXPECT_EQ(events.back().run_ends().lost(), 4u);
    EXPECT_EQ(events.back().run_ends().ended(), "completed");
    for (const Event& event : events) {
      EXPECT_EQ(event.detector(), "camera");
      EXPECT_EQ(event.stamp().epoch(), epoch);
      EXPECT_EQ(event.skipped(), 0u);
    }
    const auto& spots = events[30].measurement().spots();
    EXPECT_GE(spots.size(), 2);
  }
}

TEST(MeasurementsService, FramesTheRecorderHasAreThoseTheClientHas) {
  LiveServer server(options_of());
  Client client(server.channel());
  LiveRun run(server, Script().frames(50), {});
  run.play();
  const auto events = client.to_the_end();
  const auto frames = run.seen.frames();
  ASSERT_EQ(measured(events).size(), frames.size());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const v1::Measurement& m = events[i + 1].measurement();
    EXPECT_EQ(m.drift_px().x(), frames[i].measurements.drift.drift_px.x);
    EXPECT_EQ(m.mean_counts(), frames[i].measurements.mean_counts);
    EXPECT_EQ(m.spots_size(), static_cast<int>(frames[i].measurements.spots.size()));
    EXPECT_GT(m.latency_s(), 0.0);
  }
}

TEST(MeasurementsService, DecimationLeavesOutFramesButNoLosses) {
  LiveServer server(options_of());
  v1::WatchMeasurementsRequest request;
  request.set_decimation(7);
  Client client(server.channel(), request);
  LiveRun run(server, Script().frames(20).lost(3, LossReason::incomplete).frames(20), {});
  run.play();
  const auto events = client.to_the_end();
  EXPECT_THAT(measured(events), ElementsAre(0, 7, 14, 28, 35, 42));
  EXPECT_EQ(events.size(), 9u);  // begin, lost, end
}

TEST(MeasurementsService, DecimationLeavesOutNoFrameWithAnAlarm) {
  LiveServer server(options_of());
  v1::WatchMeasurementsRequest request;
  request.set_decimation(7);
  Client client(server.channel(), request);
  LiveRun::Options options;
  AlertRule& rule = options.rules.emplace_back();
  rule.name = "bright";
  rule.quantity = Quantity::mean_counts;
  rule.kind = RuleKind::limit;
  rule.above = 1.0;
  rule.dwell_frames = 4;  // raised in frame 3
  LiveRun run(server, Script().frames(20), options);
  run.play();
  EXPECT_THAT(measured(client.to_the_end()), ElementsAre(0, 3, 7, 14));
}

TEST(MeasurementsService, TheHistoryGoesBackExactlyAsFarAsItSays) {
  LiveOptions options = options_of();
  options.history_events = 20;
  LiveServer server(options);
  LiveRun run(server, Script().frames(100), {});
  run.play();  // 100 frames and the end: 81 to 99 are left
  Client oldest(server.channel(), from(81));
  const auto events = oldest.to_the_end();
  EXPECT_EQ(measured(events), numbers(81, 19));
  EXPECT_TRUE(events.front().has_run_begins());

  const auto stub = v1::Measurements::NewStub(server.channel());
  grpc::ClientContext call;
  auto reader = stub->Watch(&call, from(80));
  Event event;
  EXPECT_FALSE(reader->Read(&event));
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(status.error_message(), HasSubstr("80"));
  v1::ErrorStatus details;
  ASSERT_TRUE(details.ParseFromString(status.error_details()));
  v1::ErrorInfo info;
  ASSERT_TRUE(info.ParseFromString(details.details(0).value()));
  EXPECT_EQ(info.reason(), "HISTORY_GONE");
  EXPECT_EQ(info.metadata().at("oldest"), "81");
}

TEST(MeasurementsService, HistoryAndLiveHaveNoGapUnderLoad) {
  LiveServer server(options_of());
  Script script;
  script.frames(40).wait_for_permit().frames(400);
  LiveRun run(server, script, {});
  run.start();
  ASSERT_TRUE(happens([&] { return run.seen.size() >= 40; }));
  run.detector().permit();
  // While frames flow, one client after the other begins in the past.
  std::vector<std::unique_ptr<Client>> clients;
  for (std::uint64_t i = 0; i < 12; ++i)
    clients.push_back(std::make_unique<Client>(server.channel(), from(3 * i)));
  run.finish();
  for (std::uint64_t i = 0; i < clients.size(); ++i) {
    const auto events = clients[i]->to_the_end();
    EXPECT_EQ(measured(events), numbers(3 * i, 440 - 3 * i));
    EXPECT_EQ(events.back().skipped(), 0u);
  }
}

TEST(MeasurementsService, ABeginInTheFutureWaitsForIt) {
  LiveServer server(options_of());
  Script script;
  script.frames(5).wait_for_permit().frames(20);
  LiveRun run(server, script, {});
  run.start();
  ASSERT_TRUE(happens([&] { return server.live().last_frame("camera").has_value(); }));
  Client client(server.channel(), from(12));
  run.detector().permit();
  run.finish();
  EXPECT_EQ(measured(client.to_the_end()), numbers(12, 13));
}

TEST(MeasurementsService, StalledSubscribersChangeNothingButTheirOwnCounters) {
  LiveOptions options = options_of();
  options.subscriber.events = 64;
  options.history_events = 64;
  LiveServer server(options);
  constexpr std::size_t kReading = 40, kStalled = 10;
  constexpr std::uint64_t kFrames = 2000;
  std::vector<std::unique_ptr<Client>> stalled;
  for (std::size_t i = 0; i < kStalled; ++i)
    stalled.push_back(std::make_unique<Client>(server.new_channel()));
  std::vector<std::unique_ptr<Client>> reading;
  std::vector<std::vector<Event>> got(kReading);
  for (std::size_t i = 0; i < kReading; ++i)
    reading.push_back(std::make_unique<Client>(server.channel()));
  LiveRun run(server, Script().frames(kFrames), {});
  std::vector<std::thread> readers;
  for (std::size_t i = 0; i < kReading; ++i)
    readers.emplace_back([&, i] { got[i] = reading[i]->to_the_end(); });
  run.play();
  for (std::thread& reader : readers) reader.join();

  EXPECT_EQ(run.seen.seqs(), numbers(0, kFrames));
  for (const auto& sink : run.line().sinks()) {
    if (sink->sink().name() == "preview") continue;  // the latest only
    EXPECT_EQ(sink->counters().dropped(), 0u) << sink->sink().name();
  }
  std::uint64_t own_skips = 0;  // a reader may be late on a busy machine, and is told
  for (const auto& events : got) {
    ASSERT_FALSE(events.empty());
    EXPECT_EQ(events.size() + events.back().skipped(), kFrames + 2);
    own_skips += events.back().skipped();
  }
  std::size_t dropping = 0;
  std::uint64_t dropped = 0;
  for (const v1::Edge& edge : streams_in(server.live().counters())) {
    EXPECT_EQ(edge.in(), kFrames + 2);
    EXPECT_EQ(edge.in(), edge.out() + edge.dropped() + edge.level());
    EXPECT_TRUE(edge.lost().empty());
    dropping += edge.level() > 0;
    dropped += edge.dropped();
  }
  EXPECT_EQ(dropping, kStalled);
  EXPECT_GT(dropped, own_skips);
  // Who wakes up is told what it missed, and gets the newest.
  const auto late = stalled.front()->to_the_end();
  EXPECT_EQ(late.size() + late.back().skipped(), kFrames + 2);
  EXPECT_GT(late.back().skipped(), 0u);
}

TEST(MeasurementsService, WhatThePublisherItselfDropsIsSkippedForAll) {
  LiveOptions options = options_of();
  options.sink_quota = 1;
  LiveServer server(options);
  Client client(server.channel());
  constexpr std::uint64_t kFrames = 1500;
  LiveRun run(server, Script().frames(kFrames), {.follows_publisher = false});
  run.play();
  const auto events = client.to_the_end();
  EXPECT_EQ(measured(events).size() + events.back().skipped(), kFrames);
  EXPECT_EQ(events.back().run_ends().measured(), kFrames);
  EXPECT_EQ(run.seen.size(), kFrames);
}

TEST(MeasurementsService, AClientThatVanishesIsFreed) {
  LiveServer server(options_of());
  auto vanishing = std::make_unique<Client>(server.new_channel());
  Client staying(server.channel());
  EXPECT_EQ(streams_in(server.live().counters()).size(), 2u);
  Script script;
  script.frames(10).wait_for_permit().frames(10);
  LiveRun run(server, script, {});
  run.start();
  ASSERT_TRUE(vanishing->watch().read());
  vanishing.reset();
  EXPECT_TRUE(happens([&] { return streams_in(server.live().counters()).size() == 1; }));
  run.detector().permit();
  run.finish();
  EXPECT_EQ(measured(staying.to_the_end()), numbers(0, 20));
}

TEST(MeasurementsService, FinalHolderValuesFollowWhoWantsThem) {
  LiveServer server(options_of());
  const auto log = server.add_holder("stage", 10.0);
  const auto sample = [&](double time_s) {
    HolderSample now;
    now.time_ns = static_cast<std::int64_t>(time_s * 1e9);
    now.bias_v = 2.0 * time_s;
    log->add(now);
  };
  sample(-0.05);
  Client plain(server.channel());
  v1::WatchMeasurementsRequest request;
  request.set_holder_updates(true);
  request.set_decimation(2);
  Client wanting(server.channel(), request);
  Script script;  // a frame every 0.1 s of its own time
  script.frames(10).wait_for_permit();
  LiveRun run(server, script, {});
  run.start();
  ASSERT_TRUE(happens([&] {
    const auto last = server.live().last_frame("camera");
    return last && last->seq == 9;
  }));
  sample(0.75);
  run.detector().permit();
  run.finish();
  EXPECT_EQ(plain.to_the_end().size(), 12u);
  const auto events = wanting.to_the_end();
  std::vector<std::uint64_t> updated;
  for (const Event& event : events) {
    if (event.has_measurement()) {
      ASSERT_EQ(event.measurement().holders_size(), 1);
      EXPECT_TRUE(event.measurement().holders(0).provisional());
      EXPECT_NEAR(event.measurement().holders(0).bias_v(), -0.1, 1e-9);
      EXPECT_NEAR(event.measurement().holders(0).age_s(),
                  0.1 * static_cast<double>(event.measurement().seq()) + 0.05, 1e-6);
    }
    if (!event.has_holder_update()) continue;
    updated.push_back(event.holder_update().seq());
    const v1::HolderState& state = event.holder_update().holders(0);
    const double time_s = 0.1 * static_cast<double>(updated.back());
    EXPECT_EQ(state.provisional(), time_s > 0.75) << time_s;
    EXPECT_NEAR(state.bias_v(), 2.0 * std::min(time_s, 0.75), 1e-6);
  }
  EXPECT_THAT(updated, ElementsAre(0, 2, 4, 6, 8));
}

TEST(MeasurementsService, TwoDetectorsAreKeptApart) {
  LiveServer server(options_of({"camera", "edx"}));
  v1::WatchMeasurementsRequest request;
  request.set_detector("edx");
  Client one(server.channel(), request);
  Client all(server.channel());
  LiveRun first(server, Script().frames(5), {});
  LiveRun second(server, Script().frames(7), {.detector = "edx"});
  first.start();
  second.start();
  first.wait();
  second.wait();
  ASSERT_TRUE(server.live().run_ended("completed"));
  const auto of_one = one.to_the_end();
  EXPECT_EQ(measured(of_one).size(), 7u);
  for (const Event& event : of_one) EXPECT_EQ(event.detector(), "edx");
  std::map<std::string, std::size_t> frames;
  int ends = 0;
  const auto of_all = all.watch().read_until(
      [&](const Event& event) { return event.has_run_ends() && ++ends == 2; });
  for (const Event& event : of_all) frames[event.detector()] += event.has_measurement();
  EXPECT_EQ(frames["camera"], 5u);
  EXPECT_EQ(frames["edx"], 7u);
}

TEST(MeasurementsService, AWrongDetectorIsRefused) {
  LiveServer server(options_of({"camera", "edx"}));
  const auto status_of = [&](const v1::WatchMeasurementsRequest& request) {
    const auto stub = v1::Measurements::NewStub(server.channel());
    grpc::ClientContext call;
    return stub->Watch(&call, request)->Finish();
  };
  v1::WatchMeasurementsRequest request;
  request.set_detector("sphinx");
  EXPECT_EQ(status_of(request).error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status_of(request).error_message(), HasSubstr("camera, edx"));
  EXPECT_EQ(status_of(from(0)).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST(MeasurementsService, AServerThatStopsSaysSoToEveryone) {
  auto server = std::make_unique<LiveServer>(options_of());
  Client reading(server->channel());
  Client stalled(server->new_channel());
  LiveRun run(*server, Script().frames(3000), {});
  run.play();
  EXPECT_TRUE(reading.to_the_end().back().has_run_ends());
  EXPECT_TRUE(server->live().stop(4s));
  EXPECT_EQ(reading.watch().finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(streams_in(server->live().counters()).empty());
  Client late(server->channel());
  EXPECT_EQ(late.watch().finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace latticed::test
