// SPDX-License-Identifier: GPL-3.0-or-later
// `latticectl rehearse` against a server that plays a run: order and values of the holder's
// commands, what ends it early, and that the holder is safe afterwards in every case.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "clients/latticectl/rehearsal.hpp"
#include "tests/clients/latticectl/program.hpp"
#include "tests/clients/latticectl/replies.hpp"
#include "tests/clients/latticectl/scripted_server.hpp"
#include "tests/support/deadline.hpp"

namespace latticed {
namespace {

using nlohmann::json;
using test::Ended;
using test::Program;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kTwoSteps =
    R"([{"frame":2,"current_a":1e-9},{"frame":5,"current_a":0,"temperature_k":400}])";

v1::StatusReply simulated(v1::RunState state, std::uint32_t epoch) {
  auto reply = test::status(state, epoch);
  reply.mutable_stamp()->set_rehearsal(true);
  return reply;
}

v1::MeasurementEvent frame(std::uint64_t seq) {
  auto event = test::measurement(seq);
  event.mutable_stamp()->set_epoch(4);
  return event;
}

v1::MeasurementEvent end_of_run(const std::string& word) {
  v1::MeasurementEvent event;
  event.mutable_stamp()->set_epoch(4);
  event.set_detector("haadf");
  event.mutable_run_ends()->set_ended(word);
  event.mutable_run_ends()->set_measured(6);
  return event;
}

class RehearseTest : public testing::Test {
 protected:
  RehearseTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ctl-test-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    server_.reply("Acquisition.ListDetectors", test::detectors({"haadf"}));
    server_.reply("Acquisition.GetStatus", simulated(v1::RUN_STATE_IDLE, 3));
    server_.reply("Acquisition.Start", simulated(v1::RUN_STATE_RUNNING, 4));
    play("completed");
  }
  ~RehearseTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  /// Six frames; the third comes once the first step was told, the end once the second was.
  void play(const std::string& ended) {
    server_.on_stream(
        "Measurements.Watch", [this, ended](grpc::ServerContext& context, const auto& write) {
          const auto wait_for = [&](std::size_t sources) {
            while (server_.count("Holder.SetSource") < sources && !context.IsCancelled()) {
              std::this_thread::yield();
            }
          };
          for (std::uint64_t seq = 0; seq < 2; ++seq) write(frame(seq));
          wait_for(1);
          sources_at_frame_2_ = server_.count("Holder.SetSource");
          for (std::uint64_t seq = 2; seq < 6; ++seq) write(frame(seq));
          wait_for(2);
          write(end_of_run(ended));
          return test::wait_for_the_client(context);
        });
  }

  Program::Words words(const std::string& steps, Program::Words more = {}) const {
    const auto path = folder_ / "steps.json";
    std::ofstream(path) << steps;
    Program::Words all = {"rehearse", "--steps", path.string()};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
  Program::Environment environment() const { return {{"LATTICED_SERVER", server_.address()}}; }
  Ended run(const std::string& steps, Program::Words more = {}) const {
    return test::run_program(words(steps, std::move(more)), environment());
  }

  std::atomic<std::size_t> sources_at_frame_2_{0};  // outlives the server, which writes it
  test::ScriptedServer server_;
  std::filesystem::path folder_;
};

TEST_F(RehearseTest, TellsTheHolderEachStepWhenTheRunHasComeToItsFrame) {
  const Ended ended = run(kTwoSteps, {"--frames", "6", "--compliance", "4.5", "--record", "try"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(server_.methods(),
              ElementsAre("Recording.Enable", "Acquisition.GetStatus", "Acquisition.ListDetectors",
                          "Acquisition.GetStatus", "Acquisition.ListDetectors",
                          "Acquisition.Configure", "Acquisition.Arm", "Acquisition.Start",
                          testing::_, testing::_, "Holder.SetSource", "Holder.SetOutput",
                          "Holder.SetSource", "Holder.SetTemperature", "Holder.SafeOff"));
  EXPECT_EQ(sources_at_frame_2_, 1u);  // sent at its frame, and the second one not yet
  const json arm = json::parse(server_.last("Holder.Arm").request);
  EXPECT_EQ(arm["who"], "rehearsal");
  const json source = json::parse(server_.last("Holder.SetSource").request);
  EXPECT_EQ(source["mode"], "SOURCE_MODE_CURRENT");
  EXPECT_EQ(source["level"], 0.0);
  EXPECT_EQ(source["compliance"], 4.5);
  EXPECT_EQ(json::parse(server_.last("Holder.SetTemperature").request)["temperature_k"], 400.0);
  EXPECT_THAT(ended.out, HasSubstr("REHEARSAL step 1 of 2: frame 2"));
  EXPECT_THAT(ended.out, HasSubstr("REHEARSAL completed: 6 frames measured, 0 lost"));
}

TEST_F(RehearseTest, PrintsOneJsonDocumentAndItsProgressBesideIt) {
  const Ended ended = run(kTwoSteps, {"--json"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  const json document = json::parse(ended.out);
  EXPECT_EQ(document["ended"], "completed");
  EXPECT_EQ(document["steps"].size(), 2u);
  EXPECT_EQ(document["steps"][0]["current_a"], 1e-9);
  EXPECT_GE(document["steps"][0]["sent_at_frame"], 2);
  EXPECT_THAT(ended.err, HasSubstr("step 2 of 2"));
}

TEST_F(RehearseTest, NeverPlaysOnARealSpecimen) {
  server_.reply("Acquisition.GetStatus", test::status(v1::RUN_STATE_IDLE));
  const Ended ended = run(kTwoSteps);
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("NOT_SIMULATED"));
  EXPECT_THAT(server_.methods(), ElementsAre("Acquisition.GetStatus"));
}

TEST_F(RehearseTest, TakesTheHistoryAsFarBackAsItReaches) {
  std::atomic<int> tries{0};
  server_.on_stream("Measurements.Watch", [&](grpc::ServerContext& context, const auto& write) {
    if (tries++ == 0) {
      return test::refused(grpc::StatusCode::OUT_OF_RANGE, "gone", "HISTORY_GONE",
                           {{"oldest", "3"}});
    }
    write(frame(5));
    while (server_.count("Holder.SetTemperature") < 1 && !context.IsCancelled()) {
      std::this_thread::yield();
    }
    write(end_of_run("completed"));
    return grpc::Status::OK;
  });
  EXPECT_EQ(run(kTwoSteps).status, 0);
  EXPECT_EQ(json::parse(server_.last("Measurements.Watch").request)["from_seq"], "3");
}

TEST_F(RehearseTest, GivesUpAStepWhoseFrameDoesNotCome) {
  const Ended ended = run(R"([{"frame":900,"current_a":1e-9}])", {"--step-timeout", "0.3"});
  EXPECT_EQ(ended.status, 3);
  EXPECT_THAT(ended.err, HasSubstr("STEP_TIMEOUT"));
  EXPECT_THAT(ended.err, HasSubstr("for frame 900; 2 frames are measured or lost"));
  EXPECT_EQ(server_.count("Holder.SafeOff"), 1u);
  EXPECT_EQ(server_.count("Acquisition.Cancel"), 1u);
}

TEST_F(RehearseTest, SaysThatTheRunEndedBeforeAllStepsWerePlayed) {
  const Ended ended =
      run(R"([{"frame":0,"current_a":1e-9},{"frame":1,"bias_v":1},{"frame":900,"bias_v":2}])");
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("the run ended (completed) while waiting for frame 900"));
  EXPECT_EQ(server_.count("Holder.SafeOff"), 1u);
}

TEST_F(RehearseTest, Returns1WhenTheRunFails) {
  play("failed");
  EXPECT_EQ(run(kTwoSteps).status, 1);
  EXPECT_EQ(server_.count("Holder.SafeOff"), 1u);
}

TEST_F(RehearseTest, IsSafeAfterTheGuardRefusedAStep) {
  server_.refuse("Holder.SetSource", test::refused(grpc::StatusCode::OUT_OF_RANGE, "too much",
                                                   "ABOVE_LIMIT", {{"limit", "1e-10"}}));
  const Ended ended = run(kTwoSteps);
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("ABOVE_LIMIT"));
  EXPECT_EQ(server_.count("Holder.SafeOff"), 1u);
  EXPECT_EQ(server_.count("Acquisition.Cancel"), 1u);
}

TEST_F(RehearseTest, LeavesTheHolderAloneThatItCouldNotArm) {
  server_.refuse("Holder.Arm",
                 test::refused(grpc::StatusCode::FAILED_PRECONDITION, "tripped", "WRONG_STATE"));
  EXPECT_EQ(run(kTwoSteps).status, 1);
  EXPECT_EQ(server_.count("Holder.SafeOff"), 0u);
  EXPECT_EQ(server_.count("Acquisition.Cancel"), 1u);
}

TEST_F(RehearseTest, ReturnsAProblemWhenSafeOffIsNotTaken) {
  server_.refuse("Holder.SafeOff",
                 test::refused(grpc::StatusCode::UNAVAILABLE, "no guard", "GUARD_UNREACHABLE"));
  const Ended ended = run(kTwoSteps);
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("NOT SWITCHED OFF"));
}

TEST_F(RehearseTest, IsSafeWhenNobodyReadsItsProgress) {
  Program sut(words(kTwoSteps), environment(), Program::Out::nobody);
  EXPECT_EQ(sut.wait().status, 0);
  EXPECT_EQ(server_.count("Holder.SafeOff"), 1u);
}

TEST_F(RehearseTest, SwitchesOffAHolderOfWhichItDoesNotKnowWhetherItIsArmed) {
  server_.hang("Holder.Arm");
  EXPECT_EQ(run(kTwoSteps, {"--timeout", "0.5"}).status, 3);
  EXPECT_EQ(server_.count("Holder.SafeOff"), 1u);
}

TEST_F(RehearseTest, SwitchesOffBeforeItEndsTheRun) {
  server_.refuse("Holder.SetOutput",
                 test::refused(grpc::StatusCode::FAILED_PRECONDITION, "tripped", "DISARMED"));
  EXPECT_EQ(run(kTwoSteps).status, 1);
  const auto methods = server_.methods();
  ASSERT_GE(methods.size(), 2u);
  EXPECT_EQ(methods[methods.size() - 2], "Holder.SafeOff");
  EXPECT_EQ(methods.back(), "Acquisition.Cancel");
}

TEST_F(RehearseTest, IsSafeAfterASignal) {
  Program sut(words(R"([{"frame":2,"current_a":1e-9},{"frame":900,"current_a":0}])"),
              environment());
  ASSERT_TRUE(test::happens([&] { return server_.count("Holder.SetOutput") == 1; }));
  sut.send(SIGHUP);  // its terminal was closed
  EXPECT_EQ(sut.wait().status, 129);
  EXPECT_EQ(server_.count("Holder.SafeOff"), 1u);
  EXPECT_EQ(server_.count("Acquisition.Cancel"), 1u);
}

}  // namespace
}  // namespace latticed
