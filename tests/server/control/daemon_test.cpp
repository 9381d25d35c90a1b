// SPDX-License-Identifier: GPL-3.0-or-later
// The whole daemon in one process, with a recording as its detector. Whole processes:
// tests/scenario.
#include "server/control/daemon.hpp"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <gtest/gtest.h>
#include <latticed/v1/acquisition.grpc.pb.h>
#include <latticed/v1/track.grpc.pb.h>

#include <filesystem>
#include <thread>

#include "server/control/control_thread.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/movie_writers.hpp"

namespace latticed::test {
namespace {

using testing::HasSubstr;

class DaemonTest : public testing::Test {
 protected:
  DaemonTest() {
    write_bytes(folder_ / "movie.mrc",
                mrc_bytes<std::uint16_t>({.width = 64, .height = 64, .frames = 40}, 6));
    config_.serve.grpc = "127.0.0.1:0";
    config_.serve.zmq = "tcp://127.0.0.1:0";
    config_.serve.state_directory = folder_ / "state";
    config_.record.directory = folder_ / "recordings";
    config_.record.least_free_gb = 0.0;
    config_.output.directory = folder_ / "output";
    config_.pipeline.pin_workers = false;
    DetectorConfig& detector = config_.detectors.emplace_back();
    detector.name = "haadf";
    detector.driver = DriverKind::replay;
    detector.replay.files = {folder_ / "movie.mrc"};
    detector.replay.name = "haadf";
    detector.line.frame_period_s = 0.01;
  }
  void make_endless() {
    config_.detectors[0].replay.pace = 0.001;
    config_.detectors[0].line.frame_period_s = 0.1;
  }
  void start() {
    auto daemon = Daemon::start(config_, "test");
    ASSERT_TRUE(daemon) << daemon.error().message;
    sut_ = std::move(*daemon);
    const auto channel =
        grpc::CreateChannel(sut_->endpoints().grpc, grpc::InsecureChannelCredentials());
    acquisition_ = v1::Acquisition::NewStub(channel);
    track_ = v1::Track::NewStub(channel);
  }
  std::string refusal() {
    const auto daemon = Daemon::start(config_, "test");
    return daemon ? "" : daemon.error().message;
  }
  template <class Reply, class Stub, class Method, class Request>
  grpc::Status call(Stub& stub, Method method, const Request& request, Reply& reply) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + kPatience);
    return (stub.get()->*method)(&context, request, &reply);
  }
  v1::StatusReply status() {
    v1::StatusReply reply;
    EXPECT_TRUE(
        call(acquisition_, &v1::Acquisition::Stub::GetStatus, v1::GetStatusRequest{}, reply).ok());
    return reply;
  }
  void configure() {
    v1::ConfigureReply configured;
    const auto ok =
        call(acquisition_, &v1::Acquisition::Stub::Configure, v1::ConfigureRequest{}, configured);
    ASSERT_TRUE(ok.ok()) << ok.error_message();
  }
  void run() {
    configure();
    v1::StatusReply reply;
    const auto armed = call(acquisition_, &v1::Acquisition::Stub::Arm, v1::ArmRequest{}, reply);
    ASSERT_TRUE(armed.ok()) << armed.error_message();
    ASSERT_TRUE(call(acquisition_, &v1::Acquisition::Stub::Start, v1::StartRequest{}, reply).ok());
  }

  TemporaryFolder folder_;
  Config config_;
  std::unique_ptr<Daemon> sut_;
  std::unique_ptr<v1::Acquisition::Stub> acquisition_;
  std::unique_ptr<v1::Track::Stub> track_;
};

TEST_F(DaemonTest, SaysWhatOfItsConfigurationCannotBe) {
  const auto refuses = [&](auto change, const char* why) {
    const Config before = config_;
    change(config_.serve);
    EXPECT_THAT(refusal(), HasSubstr(why));
    config_ = before;
  };
  refuses([](auto& serve) { serve.grpc = "0.0.0.0:0"; }, "serve.grpc 0.0.0.0:0");
  refuses([](auto& serve) { serve.zmq = "tcp://*:0"; }, "serve.listen is for the network");
  refuses([](auto& serve) { serve.zmq = "tcp://192.0.2.1:0"; }, "serve.zmq");
  refuses([](auto& serve) { serve.zmq = "tcp://127.0.0.1"; }, "expected tcp://HOST:PORT");
  refuses([](auto& serve) { serve.grpc = "127.0.0.1"; }, "serve.grpc");
  refuses([](auto& serve) { serve.listen = "127.0.0.1:0"; }, "reading is not open");
  refuses([](auto& serve) { serve.token_file = "/no/such"; }, "/no/such");
  refuses(
      [&](auto& serve) {
        serve.token_file = write_bytes(folder_ / "token", {'a', 'b', '\n'});
      },
      "expected at least 16");
  refuses([&](auto& serve) { serve.state_directory = folder_ / "movie.mrc"; }, "movie.mrc");
}

TEST_F(DaemonTest, EndsInTheMiddleOfARunAndKeepsWhatCame) {
  make_endless();
  start();
  run();
  ASSERT_TRUE(happens([&] { return status().detectors(0).measured() > 0; }));
  EXPECT_TRUE(sut_->stop(std::chrono::seconds(60)));
  sut_.reset();
  int recordings = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_ / "recordings"))
    if (file.path().extension() == ".nxs") ++recordings;
  EXPECT_EQ(recordings, 1) << "complete under its own name";
}

TEST_F(DaemonTest, EndsThoughSomebodyWaitsForARunThatDoesNot) {
  make_endless();
  start();
  // A reference run waits for 64 frames that take hours.
  std::thread client([&] {
    v1::AcquireReferenceRequest request;
    request.set_kind(v1::REFERENCE_KIND_DARK);
    v1::ReferenceReply reply;
    EXPECT_FALSE(call(acquisition_, &v1::Acquisition::Stub::AcquireReference, request, reply).ok());
  });
  EXPECT_TRUE(happens([&] { return status().state() == v1::RUN_STATE_RUNNING; }));
  EXPECT_EQ(status().detectors_size(), 1);
  sut_.reset();  // without stop(): as when a program fails
  client.join();
}

TEST_F(DaemonTest, RefusesRegionsThatAreNoneAlsoBeforeItKnowsTheFrame) {
  start();
  const auto refused = [&](int x, int y, int width, int height) {
    v1::SetRegionRequest request;
    request.mutable_region()->set_x(x);
    request.mutable_region()->set_y(y);
    request.mutable_region()->set_width(width);
    request.mutable_region()->set_height(height);
    v1::TrackReply reply;
    return call(track_, &v1::Track::Stub::SetRegion, request, reply).error_code();
  };
  EXPECT_EQ(refused(-1, 0, 32, 32), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(refused(0, 0, -32, 32), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(refused(0, 0, 32, 0), grpc::StatusCode::INVALID_ARGUMENT);
  configure();
  EXPECT_EQ(refused(2147483647, 0, 32, 32), grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_EQ(refused(40, 0, 32, 32), grpc::StatusCode::OUT_OF_RANGE);
}

TEST_F(DaemonTest, IsAtFaultWhenARunCannotBeMadeAndStillAnswers) {
  config_.detectors[0].references.dark = folder_ / "none.mrc";
  start();
  configure();
  v1::StatusReply reply;
  const auto armed = call(acquisition_, &v1::Acquisition::Stub::Arm, v1::ArmRequest{}, reply);
  EXPECT_THAT(armed.error_message(), HasSubstr("none.mrc"));
  const v1::StatusReply now = status();
  EXPECT_EQ(now.state(), v1::RUN_STATE_FAULT);
  EXPECT_EQ(now.ended(), "failed");
  EXPECT_FALSE(now.recording().active()) << "the recording went with the run";
  ASSERT_TRUE(call(acquisition_, &v1::Acquisition::Stub::Abort, v1::AbortRequest{}, reply).ok());
  EXPECT_EQ(status().state(), v1::RUN_STATE_IDLE);
}

TEST(ControlThread, RunsWhatWasPostedInOrderThenEnds) {
  std::vector<int> seen;
  ControlThread sut("test-control");
  for (int i = 0; i < 3; ++i) sut.post([&, i] { seen.push_back(i); });
  sut.finish();
  sut.post([&] { seen.push_back(99); });
  sut.finish();
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2}));
}

}  // namespace
}  // namespace latticed::test
