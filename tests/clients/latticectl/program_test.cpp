// SPDX-License-Identifier: GPL-3.0-or-later
// The real program against a real server: what each command calls, prints and returns.
#include "tests/clients/latticectl/program.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <latticed/v1/alerts.pb.h>
#include <latticed/v1/preview.pb.h>
#include <latticed/v1/recording.pb.h>
#include <latticed/v1/session.pb.h>
#include <latticed/v1/track.pb.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "clients/latticectl/rules_file.hpp"
#include "tests/clients/latticectl/replies.hpp"
#include "tests/clients/latticectl/scripted_guard.hpp"
#include "tests/clients/latticectl/scripted_server.hpp"
#include "tests/support/deadline.hpp"

namespace latticed {
namespace {

using nlohmann::json;
using test::Ended;
using test::Program;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

template <class T>
std::shared_ptr<test::Message> shared(const T& message) {
  return std::make_shared<T>(message);
}

/// Everything that `wanted` says is in `is`.
void expect_part(const json& is, const json& wanted, const std::string& where) {
  for (const auto& [key, value] : wanted.items()) {
    ASSERT_TRUE(is.contains(key)) << where << ": no " << key << " in " << is;
    if (value.is_object()) {
      expect_part(is[key], value, where + "." + key);
    } else {
      EXPECT_EQ(is[key], value) << where << "." << key;
    }
  }
}

class ProgramTest : public testing::Test {
 protected:
  ProgramTest() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ctl-test-XXXXXX").string();
    folder_ = mkdtemp(pattern.data());
    server_.reply("Acquisition.ListDetectors", test::detectors({"haadf"}));
  }
  ~ProgramTest() override {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }

  Program::Environment environment() const {
    return {{"LATTICED_SERVER", server_.address()}, {"LOGNAME", "tester"}};
  }
  Ended run(const Program::Words& arguments) const {
    return test::run_program(arguments, environment());
  }
  std::string file(const std::string& name, const std::string& text) const {
    const auto path = folder_ / name;
    std::ofstream(path) << text;
    return path.string();
  }
  json last_request(const std::string& method) const {
    return json::parse(server_.last(method).request);
  }

  test::ScriptedServer server_;
  std::filesystem::path folder_;
};

struct Case {
  Program::Words arguments;
  std::string method;
  json request;
};

std::vector<Case> unary_cases() {
  return {
      {{"status"}, "Acquisition.GetStatus", {}},
      {{"detectors"}, "Acquisition.ListDetectors", {}},
      {{"configure"}, "Acquisition.Configure", {{"settings", json::array()}}},
      {{"arm"}, "Acquisition.Arm", {}},
      {{"stop"}, "Acquisition.Stop", {}},
      {{"cancel"}, "Acquisition.Cancel", {}},
      {{"abort"}, "Acquisition.Abort", {}},
      {{"counters"}, "Acquisition.GetCounters", {}},
      {{"holders"}, "Holder.List", {}},
      {{"holders", "list"}, "Holder.List", {}},
      {{"holders", "arm", "--who", "M. Weber", "--holder", "chip"},
       "Holder.Arm",
       {{"who", "M. Weber"}, {"holder", "chip"}}},
      {{"holders", "source", "--voltage", "-1.5", "--compliance", "1e-6", "--rate", "0.1"},
       "Holder.SetSource",
       {{"mode", "SOURCE_MODE_VOLTAGE"},
        {"level", -1.5},
        {"compliance", 1e-6},
        {"rate_per_s", 0.1},
        {"who", "tester"}}},
      {{"holders", "source", "--current", "0"},
       "Holder.SetSource",
       {{"mode", "SOURCE_MODE_CURRENT"}, {"level", 0.0}}},
      {{"holders", "output", "on"}, "Holder.SetOutput", {{"on", true}, {"who", "tester"}}},
      {{"holders", "output", "off"}, "Holder.SetOutput", {{"on", false}}},
      {{"holders", "temperature", "573.15", "--rate", "5"},
       "Holder.SetTemperature",
       {{"temperature_k", 573.15}, {"rate_k_per_s", 5.0}}},
      {{"holders", "hold"}, "Holder.Hold", {{"holder", ""}, {"who", "tester"}}},
      {{"safe-off"}, "Holder.SafeOff", {{"holder", ""}, {"immediately", false}}},
      {{"safe-off", "--immediately", "--holder", "chip", "--who", "x"},
       "Holder.SafeOff",
       {{"holder", "chip"}, {"immediately", true}, {"who", "x"}}},
      {{"alerts"}, "Alerts.List", {{"active_only", false}}},
      {{"alerts", "list", "--active", "--unacknowledged", "--limit", "5"},
       "Alerts.List",
       {{"active_only", true}, {"unacknowledged_only", true}, {"limit", 5}}},
      {{"alerts", "ack", "12", "--who", "M. Weber", "--comment", "seen"},
       "Alerts.Acknowledge",
       {{"id", "12"}, {"who", "M. Weber"}, {"comment", "seen"}}},
      {{"alerts", "ack", "--all", "--who", "x"}, "Alerts.Acknowledge", {{"id", "0"}}},
      {{"rules"}, "Alerts.GetRules", {}},
      {{"session"}, "Session.Get", {}},
      {{"session", "set", "sample=NMO-7", "elements=Na,Mn"},
       "Session.Set",
       {{"session", {{"sample", "NMO-7"}, {"elements", {"Na", "Mn"}}}}}},
      {{"tag", "beam moved", "--span"},
       "Session.AddTag",
       {{"text", "beam moved"}, {"span", true}, {"who", "tester"}}},
      {{"tag", "end", "3"}, "Session.EndTag", {{"id", "3"}}},
      {{"tag", "list", "--run", "2"}, "Session.ListTags", {{"epoch", 2}}},
      {{"track"}, "Track.Get", {{"detector", ""}}},
      {{"track", "get", "--detector", "abf"}, "Track.Get", {{"detector", "abf"}}},
      {{"track", "region", "512", "0", "256", "128"},
       "Track.SetRegion",
       {{"region", {{"x", 512}, {"y", 0}, {"width", 256}, {"height", 128}}}}},
      {{"track", "region", "full"}, "Track.SetRegion", {{"region", {{"width", 0}}}}},
      {{"track", "reference"}, "Track.SetReference", {}},
      {{"track", "spot", "3.6", "-0.25", "--tolerance", "0.05"},
       "Track.WatchSpot",
       {{"g_per_nm", {{"x", 3.6}, {"y", -0.25}}}, {"tolerance_per_nm", 0.05}}},
      {{"track", "forget", "4"}, "Track.ForgetSpot", {{"spot_id", 4}}},
      {{"track", "forget", "all"}, "Track.ForgetSpot", {{"spot_id", 0}}},
      {{"track", "reset"}, "Track.Reset", {}},
      {{"calibrate", "--standard", "Si", "--frames", "32"},
       "Calibration.Calibrate",
       {{"standard", "Si"}, {"frame_count", 32}, {"spacings", json::array()}}},
      {{"calibrate", "--d", "0.31356,0.19202", "--sigma", "1e-4", "--detector", "abf"},
       "Calibration.Calibrate",
       {{"detector", "abf"}, {"standard", ""}, {"standard_sigma_ratio", 1e-4}}},
      {{"calibrate", "--show"}, "Calibration.List", {{"detector", ""}}},
      {{"calibrate", "--clear"}, "Calibration.Clear", {{"detector", ""}}},
      {{"record"}, "Recording.Get", {}},
      {{"record", "on", "charge-2"}, "Recording.Enable", {{"name", "charge-2"}}},
      {{"record", "off"}, "Recording.Disable", {}},
      {{"reference"}, "Acquisition.ListReferences", {}},
      {{"reference", "dark", "--frames", "32"},
       "Acquisition.AcquireReference",
       {{"detector", "haadf"}, {"kind", "REFERENCE_KIND_DARK"}, {"frame_count", 32}}},
      {{"reference", "gain", "--detector", "abf"},
       "Acquisition.AcquireReference",
       {{"detector", "abf"}, {"kind", "REFERENCE_KIND_GAIN"}}},
      {{"reference", "use", "dark", "none"},
       "Acquisition.UseReference",
       {{"detector", "haadf"}, {"kind", "REFERENCE_KIND_DARK"}, {"file", ""}}},
  };
}

std::string line_of(const Program::Words& words) {
  std::string line;
  for (const auto& word : words) line += word + " ";
  return line;
}

TEST_F(ProgramTest, MakesTheCallOfEachCommandWithADeadlineAndARequestId) {
  for (const Case& c : unary_cases()) {
    const Ended ended = run(c.arguments);
    EXPECT_EQ(ended.status, 0) << line_of(c.arguments) << ended.err;
    EXPECT_FALSE(ended.out.empty()) << line_of(c.arguments);
    EXPECT_TRUE(server_.last(c.method).has_deadline) << line_of(c.arguments);
    if (last_request(c.method).contains("request_id")) {
      EXPECT_EQ(server_.last(c.method).request_id.size(), 16u) << line_of(c.arguments);
    }
    if (!c.request.is_null()) expect_part(last_request(c.method), c.request, c.method);
  }
}

TEST_F(ProgramTest, PrintsOneJsonDocumentForEachCommandThatIsAskedTo) {
  for (const Case& c : unary_cases()) {
    auto arguments = c.arguments;
    arguments.emplace_back("--json");
    const Ended ended = run(arguments);
    EXPECT_EQ(ended.status, 0) << line_of(arguments) << ended.err;
    EXPECT_TRUE(json::accept(ended.out)) << line_of(arguments) << ended.out;
    EXPECT_EQ(std::count(ended.out.begin(), ended.out.end(), '\n'), 1) << ended.out;
  }
}

TEST_F(ProgramTest, SaysRehearsalInEveryOutputForPeople) {
  server_.rehearse();
  for (const Case& c : unary_cases()) {
    const Ended ended = run(c.arguments);
    EXPECT_THAT(ended.out, testing::AnyOf(StartsWith("REHEARSAL"), StartsWith("# REHEARSAL")))
        << line_of(c.arguments);
  }
  auto measured = test::measurement(0);
  measured.mutable_stamp()->set_rehearsal(true);
  v1::AlertEvent alert;
  alert.mutable_stamp()->set_rehearsal(true);
  v1::HolderEvent sample;
  sample.mutable_stamp()->set_rehearsal(true);
  sample.add_samples();
  auto status = test::status(v1::RUN_STATE_IDLE);
  status.mutable_stamp()->set_rehearsal(true);
  server_.stream("Measurements.Watch", {shared(measured)});
  server_.stream("Alerts.Watch", {shared(alert)});
  server_.stream("Holder.Watch", {shared(sample)});
  server_.stream("Acquisition.WatchStatus", {shared(status)});
  for (const Program::Words& stream : {Program::Words{"watch"},
                                       {"alerts", "watch"},
                                       {"holders", "watch"},
                                       {"status", "--watch"}}) {
    EXPECT_THAT(run(stream).out, StartsWith("REHEARSAL")) << line_of(stream);
  }
}

TEST_F(ProgramTest, Returns1AndTheServersReasonWhenItSaysNo) {
  server_.refuse(
      "Holder.SetSource",
      test::refused(grpc::StatusCode::OUT_OF_RANGE, "set bias 12.0 V: above holder limit 10.0 V",
                    "ABOVE_LIMIT", {{"limit", "10.0"}, {"value", "12.0"}, {"unit", "V"}}));
  const Ended text = run({"holders", "source", "--voltage", "12"});
  EXPECT_EQ(text.status, 1);
  EXPECT_EQ(text.out, "");
  EXPECT_THAT(text.err, HasSubstr("ABOVE_LIMIT  limit 10.0 V  value 12.0 V"));
  const Ended document = run({"holders", "source", "--voltage", "12", "--json"});
  EXPECT_EQ(document.status, 1);
  EXPECT_EQ(json::parse(document.out)["error"]["metadata"]["limit"], "10.0");
}

TEST_F(ProgramTest, Returns2ForWrongUsageWithoutACall) {
  for (const Program::Words& wrong : {Program::Words{},
                                      {"fly"},
                                      {"holders", "arm"},
                                      {"track", "region", "1", "2", "3"},
                                      {"track", "region", "0", "0", "-5", "5"},
                                      {"track", "forget", "some"},
                                      {"tag"},
                                      {"session", "set", "colour=red"},
                                      {"rules", "set", "/nonexistent"},
                                      {"status", "--tls-ca", "/nonexistent"},
                                      {"rehearse", "--steps", "/nonexistent"}}) {
    EXPECT_EQ(run(wrong).status, 2) << line_of(wrong);
  }
  EXPECT_THAT(server_.calls(), testing::IsEmpty());
}

TEST_F(ProgramTest, Returns3AndSaysWhatItTriedWhenNobodyIsThere) {
  const Ended ended = test::run_program({"status", "--server", "127.0.0.1:1"}, {});
  EXPECT_EQ(ended.status, 3);
  EXPECT_THAT(ended.err, HasSubstr("no answer from 127.0.0.1:1"));
  const Ended document = test::run_program({"status", "--server", "127.0.0.1:1", "--json"}, {});
  EXPECT_EQ(document.status, 3);
  EXPECT_EQ(json::parse(document.out)["error"]["code"], "UNAVAILABLE");
}

TEST_F(ProgramTest, Returns3WhenTheServerTakesLongerThanItMay) {
  server_.hang("Acquisition.GetStatus");
  const Ended ended = run({"status", "--timeout", "0.2"});
  EXPECT_EQ(ended.status, 3);
  EXPECT_THAT(ended.err, HasSubstr("no answer in time"));
}

TEST_F(ProgramTest, SendsTheTokenOfItsFileOrEnvironment) {
  auto variables = environment();
  variables["LATTICED_TOKEN"] = "from-environment";
  ASSERT_EQ(test::run_program({"status"}, variables).status, 0);
  EXPECT_EQ(server_.last("Acquisition.GetStatus").authorization, "Bearer from-environment");
  const std::string token = file("token", "from-file\n");
  ASSERT_EQ(test::run_program({"status", "--token-file", token}, variables).status, 0);
  EXPECT_EQ(server_.last("Acquisition.GetStatus").authorization, "Bearer from-file");
}

TEST_F(ProgramTest, SpeaksTlsToAServerItsAuthorityVouchesFor) {
  const std::string key = (folder_ / "key.pem").string();
  const std::string certificate = (folder_ / "certificate.pem").string();
  const std::string make =
      "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
      " -subj /CN=latticed -addext subjectAltName=IP:127.0.0.1 -keyout " +
      key + " -out " + certificate + " 2>/dev/null";
  ASSERT_EQ(std::system(make.c_str()), 0);
  const auto contents = [](const std::string& path) {
    std::ifstream in(path);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  grpc::SslServerCredentialsOptions options;
  options.pem_key_cert_pairs = {{contents(key), contents(certificate)}};
  test::ScriptedServer secured(grpc::SslServerCredentials(options));
  const Program::Environment variables = {{"LATTICED_SERVER", secured.address()},
                                          {"LATTICED_TOKEN", "sesame"}};
  EXPECT_EQ(test::run_program({"status", "--tls-ca", certificate}, variables).status, 0);
  EXPECT_EQ(secured.last("Acquisition.GetStatus").authorization, "Bearer sesame");
  EXPECT_EQ(test::run_program({"status"}, variables).status, 3);  // in the clear: no answer
  EXPECT_EQ(secured.count("Acquisition.GetStatus"), 1u);
}

TEST_F(ProgramTest, ConfiguresAllDetectorsUnlessOneIsNamed) {
  server_.reply("Acquisition.ListDetectors", test::detectors({"haadf", "abf"}));
  ASSERT_EQ(run({"configure", "--frames", "100", "--exposure", "0.03"}).status, 0);
  auto settings = last_request("Acquisition.Configure")["settings"];
  ASSERT_EQ(settings.size(), 2u);
  EXPECT_EQ(settings[1]["detector"], "abf");
  EXPECT_EQ(settings[1]["frame_count"], "100");
  ASSERT_EQ(run({"configure", "--period", "0.5", "--detector", "abf"}).status, 0);
  settings = last_request("Acquisition.Configure")["settings"];
  ASSERT_EQ(settings.size(), 1u);
  EXPECT_EQ(settings[0]["frame_period_s"], 0.5);
}

TEST_F(ProgramTest, StartsFromWhereverTheRunIs) {
  const std::string configure = "Acquisition.Configure";
  const std::string arm = "Acquisition.Arm";
  const std::string start = "Acquisition.Start";
  const std::string ask = "Acquisition.GetStatus";
  const std::pair<v1::RunState, std::vector<std::string>> expected[] = {
      {v1::RUN_STATE_IDLE, {ask, configure, arm, start}},
      {v1::RUN_STATE_FAULT, {ask, configure, arm, start}},
      {v1::RUN_STATE_CONFIGURED, {ask, arm, start}},
      {v1::RUN_STATE_ARMED, {ask, start}}};
  std::size_t before = 0;
  for (const auto& [state, methods] : expected) {
    server_.reply(ask, test::status(state));
    EXPECT_EQ(run({"start"}).status, 0);
    auto all = server_.methods();
    EXPECT_EQ(std::vector(all.begin() + static_cast<std::ptrdiff_t>(before), all.end()), methods);
    before = all.size();
  }
}

TEST_F(ProgramTest, DoesNotStartOverARunOrAgainstFixedSettings) {
  server_.reply("Acquisition.GetStatus", test::status(v1::RUN_STATE_RUNNING));
  const Ended running = run({"start"});
  EXPECT_EQ(running.status, 1);
  EXPECT_THAT(running.err, HasSubstr("the state is RUNNING"));
  server_.reply("Acquisition.GetStatus", test::status(v1::RUN_STATE_ARMED));
  EXPECT_EQ(run({"start", "--frames", "5"}).status, 1);
  EXPECT_EQ(server_.count("Acquisition.Start"), 0u);
}

TEST_F(ProgramTest, WaitsForTheRunsEndAndReturnsHowItWent) {
  server_.reply("Acquisition.Start", test::status(v1::RUN_STATE_RUNNING, 4));
  auto ended = test::status(v1::RUN_STATE_IDLE, 4);
  for (const auto& [word, status] : {std::pair("completed", 0), std::pair("stopped", 0),
                                     std::pair("failed", 1), std::pair("cancelled", 1)}) {
    ended.set_ended(word);
    server_.stream_for_ever("Acquisition.WatchStatus",
                            {shared(test::status(v1::RUN_STATE_RUNNING, 4)),
                             shared(test::status(v1::RUN_STATE_STOPPING, 4)), shared(ended)});
    const Ended result = run({"start", "--wait", "--json"});
    EXPECT_EQ(result.status, status) << word;
    EXPECT_EQ(json::parse(result.out)["ended"], word);
  }
}

TEST_F(ProgramTest, WatchesEveryFrameForPeopleAndPrintsALineForEveryNth) {
  std::vector<std::shared_ptr<test::Message>> events;
  for (std::uint64_t seq = 0; seq < 10; ++seq) events.push_back(shared(test::measurement(seq)));
  server_.stream("Measurements.Watch", events);
  const Ended ended = run({"watch", "--from", "0", "--every", "5", "--detector", "haadf"});
  EXPECT_EQ(ended.status, 0);
  EXPECT_EQ(std::count(ended.out.begin(), ended.out.end(), '\n'), 2) << ended.out;
  expect_part(last_request("Measurements.Watch"),
              {{"from_seq", "0"}, {"decimation", 0}, {"detector", "haadf"}}, "watch");
  EXPECT_EQ(run({"watch"}).status, 0);
  EXPECT_FALSE(last_request("Measurements.Watch").contains("from_seq"));
}

TEST_F(ProgramTest, WatchesAsJsonOneEventALine) {
  server_.stream("Measurements.Watch",
                 {shared(test::measurement(0)), shared(test::measurement(5))});
  const Ended ended = run({"watch", "--every", "5", "--json"});
  std::istringstream lines(ended.out);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const json event = json::parse(line);
    EXPECT_EQ(event["measurement"]["drift_state"], "DRIFT_STATE_LOCKED");
    EXPECT_EQ(event["measurement"]["cell_ambiguous"], false);  // zeros and falses are there
    EXPECT_FALSE(event["measurement"].contains("time_ns"));    // unknown is not
  }
  EXPECT_EQ(count, 2);
  EXPECT_EQ(last_request("Measurements.Watch")["decimation"], 5);
}

TEST_F(ProgramTest, RepaintsTheTableInPlaceOnATerminal) {
  server_.stream("Measurements.Watch",
                 {shared(test::measurement(0)), shared(test::measurement(1))});
  Program sut({"watch"}, environment(), Program::Out::terminal);
  const Ended ended = sut.wait();
  EXPECT_EQ(ended.status, 0);
  EXPECT_THAT(ended.out, HasSubstr("\x1b["));  // up and over what was there
  EXPECT_THAT(ended.out, HasSubstr("frame 1 "));
}

TEST_F(ProgramTest, EndsStreamsCleanlyOnASignal) {
  v1::HolderEvent sample;
  sample.set_holder("chip");
  sample.add_samples();
  v1::AlertEvent alert;
  alert.set_what("stands");
  server_.stream_for_ever("Measurements.Watch", {shared(test::measurement(0))});
  server_.stream_for_ever("Holder.Watch", {shared(sample)});
  server_.stream_for_ever("Alerts.Watch", {shared(alert)});
  server_.stream_for_ever("Acquisition.WatchStatus", {shared(test::status(v1::RUN_STATE_IDLE))});
  const std::pair<Program::Words, int> cases[] = {{{"watch"}, SIGINT},
                                                  {{"holders", "watch"}, SIGTERM},
                                                  {{"alerts", "watch"}, SIGINT},
                                                  {{"status", "--watch"}, SIGTERM}};
  for (const auto& [words, signal] : cases) {
    Program sut(words, environment());
    EXPECT_TRUE(test::happens([&] { return !sut.out().empty(); })) << line_of(words);
    sut.send(signal);
    const Ended ended = sut.wait();
    EXPECT_EQ(ended.status, 128 + signal) << line_of(words);
    EXPECT_EQ(ended.err, "") << line_of(words);
  }
}

TEST_F(ProgramTest, Returns3WhenAStreamBreaksOff) {
  server_.on_stream("Measurements.Watch", [](auto&, const auto& write) {
    write(test::measurement(0));
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "going down");
  });
  const Ended ended = run({"watch"});
  EXPECT_EQ(ended.status, 3);
  EXPECT_THAT(ended.out, HasSubstr("frame 0"));
}

TEST_F(ProgramTest, PassesOnThatTheHistoryDoesNotReachBack) {
  server_.on_stream("Measurements.Watch", [](auto&, const auto&) {
    return test::refused(grpc::StatusCode::OUT_OF_RANGE, "frame 0: history begins at 900",
                         "HISTORY_GONE", {{"oldest", "900"}});
  });
  const Ended ended = run({"watch", "--from", "0"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("HISTORY_GONE  oldest 900"));
}

v1::Image preview() {
  v1::Image image;
  image.set_detector("haadf");
  image.set_kind(v1::IMAGE_KIND_FFT);
  image.set_seq(123);
  image.set_width(32);
  image.set_height(16);
  image.set_encoding(v1::ENCODING_GRAY16);
  image.set_pixels(std::string(32 * 16 * 2, 'x'));
  image.set_pixel_size(0.1);
  image.set_pixel_unit("1/nm");
  image.set_white(9.0);
  image.set_unit("ln(magnitude)");
  return image;
}

TEST_F(ProgramTest, WritesASnapshotAsPng) {
  server_.stream_for_ever("Preview.Watch", {shared(preview())});
  const std::string path = (folder_ / "fft.png").string();
  const Ended ended = run({"snapshot", "fft", path, "--size", "256", "--white", "9"});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("Fourier transform, frame 123"));
  std::ifstream png(path, std::ios::binary);
  std::string begin(8, ' ');
  png.read(begin.data(), 8);
  EXPECT_EQ(begin, "\x89PNG\r\n\x1a\n");
  const json request = last_request("Preview.Watch");
  expect_part(request, {{"kind", "IMAGE_KIND_FFT"}, {"size", 256}, {"count", 1}, {"white", 9.0}},
              "snapshot");
  EXPECT_FALSE(request.contains("black"));
  EXPECT_TRUE(server_.last("Preview.Watch").has_deadline);
  const Ended document = run({"snapshot", "fft", path, "--json"});
  EXPECT_EQ(json::parse(document.out)["file"], path);
  EXPECT_FALSE(json::parse(document.out).contains("pixels"));
}

TEST_F(ProgramTest, SaysWhenThereIsNoSnapshot) {
  EXPECT_EQ(run({"snapshot", "raw", (folder_ / "a.png").string()}).status, 1);  // no image came
  server_.stream_for_ever("Preview.Watch", {});
  EXPECT_EQ(run({"snapshot", "raw", (folder_ / "a.png").string(), "--timeout", "0.2"}).status, 3);
  server_.stream_for_ever("Preview.Watch", {shared(preview())});
  EXPECT_EQ(run({"snapshot", "raw", "/nonexistent/a.png"}).status, 2);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a.png"));
}

TEST_F(ProgramTest, SetsTheRulesItGot) {
  v1::RulesReply rules;
  auto* rule = rules.add_rules();
  rule->set_name("hot");
  rule->set_quantity("drift_speed_px");
  rule->set_kind("limit");
  rule->set_above(0.5);
  (*rules.mutable_from_seq())["haadf"] = 77;
  server_.reply("Alerts.GetRules", rules);
  server_.reply("Alerts.SetRules", rules);
  const std::string path = file("rules.toml", run({"rules", "get"}).out);
  const Ended ended = run({"rules", "set", path});
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_THAT(ended.out, HasSubstr("haadf from frame 77"));
  EXPECT_EQ(last_request("Alerts.SetRules")["rules"][0]["above"], 0.5);
}

TEST_F(ProgramTest, AsksWhichDetectorWhenThereAreSeveral) {
  server_.reply("Acquisition.ListDetectors", test::detectors({"haadf", "abf"}));
  const Ended ended = run({"reference", "dark"});
  EXPECT_EQ(ended.status, 1);
  EXPECT_THAT(ended.err, HasSubstr("2 detectors (haadf, abf)"));
  EXPECT_EQ(server_.count("Acquisition.AcquireReference"), 0u);
}

TEST_F(ProgramTest, SwitchesOffThroughTheGuardWithoutTheServer) {
  const Program::Environment nobody = {{"LATTICED_SERVER", "127.0.0.1:1"}};
  test::ScriptedGuard guard("ok 1 holder\n");
  const Ended ended = test::run_program({"safe-off", "--local", guard.path()}, nobody);
  EXPECT_EQ(ended.status, 0) << ended.err;
  EXPECT_EQ(ended.out, "guard: ok 1 holder\n");
  EXPECT_EQ(guard.asked(), "safe-off\n");
  test::ScriptedGuard other("ok\n");
  auto variables = nobody;
  variables["LATTICED_GUARD_SAFE_OFF"] = other.path();
  const Ended document =
      test::run_program({"--json", "safe-off", "--immediately", "--local"}, variables);
  EXPECT_EQ(document.status, 0) << document.err;
  EXPECT_EQ(json::parse(document.out)["answer"], "ok");
  EXPECT_EQ(other.asked(), "off\n");
}

TEST_F(ProgramTest, ReturnsTheGuardsNoAndItsAbsence) {
  test::ScriptedGuard guard("error: malformed\n");
  EXPECT_EQ(run({"safe-off", "--local", guard.path()}).status, 1);
  const Ended gone = run({"safe-off", "--local", "/nonexistent/guard.sock"});
  EXPECT_EQ(gone.status, 3);
  EXPECT_THAT(gone.err, HasSubstr("/nonexistent/guard.sock"));
  EXPECT_THAT(run({"safe-off", "--help"}).out, HasSubstr("/run/latticed/safe-off.sock"));
}

TEST_F(ProgramTest, HintsAtTheGuardWhenTheServerCannotSwitchOff) {
  const Ended ended = test::run_program({"safe-off", "--server", "127.0.0.1:1"}, {});
  EXPECT_EQ(ended.status, 3);
  EXPECT_THAT(ended.err, HasSubstr("safe-off --local"));
}

TEST_F(ProgramTest, TeachesWithHelp) {
  const Ended ended = run({"--help"});
  EXPECT_EQ(ended.status, 0);
  EXPECT_THAT(ended.out, HasSubstr("A first session:"));
  EXPECT_THAT(run({"holders", "source", "--help"}).out, HasSubstr("Needs: ARMED"));
  EXPECT_THAT(run({"completion", "bash"}).out, HasSubstr("complete -o default"));
}

}  // namespace
}  // namespace latticed
