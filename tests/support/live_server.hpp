// SPDX-License-Identifier: GPL-3.0-or-later
// A Live with a real gRPC server around it on a loopback port, and runs of scripted detectors.
#pragma once

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "server/live/live.hpp"
#include "server/process/pipeline.hpp"
#include "tests/support/collecting_sink.hpp"
#include "tests/support/deadline.hpp"
#include "tests/support/lattice_frames.hpp"
#include "tests/support/scripted_detector.hpp"

namespace latticed::test {

class LiveServer {
 public:
  explicit LiveServer(LiveOptions options, RulesControl* rules = nullptr)
      : detectors_(options.detectors) {
    Live::Parts parts;
    parts.stamper = &stamper_;
    parts.gate = &gate_;
    parts.holders = [this] {
      const std::lock_guard lock(mutex_);
      return holders_;
    };
    parts.rules = rules;
    auto made = Live::start(std::move(options), parts);
    if (!made) throw std::runtime_error(made.error().message);
    live_ = std::move(*made);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    for (grpc::Service* service : live_->services()) builder.RegisterService(service);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
    channel_ = new_channel();
  }
  ~LiveServer() {
    EXPECT_TRUE(live_->stop(kPatience));
    server_->Shutdown(std::chrono::system_clock::now() + kPatience);
  }

  [[nodiscard]] Live& live() { return *live_; }
  [[nodiscard]] const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  /// A connection of its own, so that a client that does not read holds up no other.
  [[nodiscard]] std::shared_ptr<grpc::Channel> new_channel() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // The window stays as it is, so that a client that does not read is felt soon.
    arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    return grpc::CreateCustomChannel(address_, grpc::InsecureChannelCredentials(), arguments);
  }
  [[nodiscard]] rpc::Stamper& stamper() { return stamper_; }

  /// A holder that is there from now on; its log is for the test to fill.
  std::shared_ptr<HolderLog> add_holder(const std::string& name, double longest_gap_s) {
    const std::lock_guard lock(mutex_);
    return holders_.emplace_back(std::make_shared<HolderLog>(name, longest_gap_s));
  }

 private:
  std::mutex mutex_;  // guards holders_
  HolderLogs holders_;
  std::vector<std::string> detectors_;
  rpc::Stamper stamper_{true};
  rpc::Gate gate_{rpc::GateOptions{}};
  std::unique_ptr<Live> live_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  std::shared_ptr<grpc::Channel> channel_;
};

/// One run of one detector through a pipeline, with the server's sinks and one that sees all.
class LiveRun {
 public:
  struct Options {
    std::uint32_t epoch = 1;
    std::string detector = "camera";
    std::vector<AlertRule> rules{};
    int size = 64;
    int frame_slots = 16;
    bool follows_publisher = true;  // the source waits for the publisher: it drops nothing
    ScriptedDetector::Paint paint{};
  };

  LiveRun(LiveServer& server, Script script, Options options)
      : server_(server), options_(std::move(options)) {
    Scene scene;
    scene.size = options_.size;
    for (std::uint64_t i = 0; i < 4; ++i) images_.push_back(lattice_frame(scene, i));
    const auto paint = [this](std::uint64_t n, std::span<std::byte> pixels) {
      copy_pixels(images_[n % images_.size()], pixels);
      if (options_.paint) options_.paint(n, pixels);
    };
    auto detector = std::make_unique<ScriptedDetector>(std::move(script), scene.geometry(), paint);
    detector_ = detector.get();
    detector_->is_called().name = options_.detector;
    Line::Parts parts;
    parts.detector = std::move(detector);
    parts.config.source_policy = LossPolicy::block;
    parts.config.frame_slots = options_.frame_slots;
    parts.config.rules = options_.rules;
    parts.config.pixel_size_nm = 0.02;
    seen.name = "record";
    seen.on_frame = [this](const Frame& frame) { follow(frame); };
    parts.sinks = server.live().make_sinks(options_.detector);
    parts.sinks.push_back(std::make_unique<CollectingSink>(seen));
    PipelineConfig config;
    config.pin_workers = false;
    pipeline_ = std::make_unique<Pipeline>(config);
    server.stamper().set_epoch(options_.epoch);
    auto line = pipeline_->add(std::move(parts), options_.epoch);
    if (!line) throw std::runtime_error(line.error().message);
    line_ = *line;
  }

  void start() {
    const auto ok = pipeline_->start();
    ASSERT_TRUE(ok) << ok.error().message;
  }
  /// To the end of the script.
  void wait() {
    const auto ok = pipeline_->wait();
    ASSERT_TRUE(ok) << ok.error().message;
  }
  /// And everybody is told.
  void finish(const std::string& ended = "completed") {
    wait();
    ASSERT_TRUE(server_.live().run_ended(
        ended, {{options_.detector, line_->measured(), line_->source().counters().lost_total()}}));
  }
  void play() {
    start();
    finish();
  }
  [[nodiscard]] ScriptedDetector& detector() { return *detector_; }
  [[nodiscard]] Line& line() { return *line_; }
  [[nodiscard]] const std::vector<std::vector<std::uint16_t>>& images() const { return images_; }

  Collection seen;

 private:
  void follow(const Frame& frame) {
    if (!options_.follows_publisher || !frame.has_pixels() || frame.seq < 8) return;
    EXPECT_TRUE(happens([&] {
      const auto last = server_.live().last_frame(options_.detector);
      return last && last->epoch == options_.epoch && last->seq + 8 >= frame.seq;
    }));
  }

  LiveServer& server_;
  const Options options_;
  std::vector<std::vector<std::uint16_t>> images_;
  ScriptedDetector* detector_ = nullptr;
  Line* line_ = nullptr;
  std::unique_ptr<Pipeline> pipeline_;  // before what its sinks write to
};

/// A client of one stream.
template <class Message>
class Watcher {
 public:
  using Open = std::function<std::unique_ptr<grpc::ClientReader<Message>>(grpc::ClientContext*)>;
  /// From here on the server knows it.
  explicit Watcher(const Open& open) {
    call_.set_deadline(std::chrono::system_clock::now() + 4 * kPatience);
    reader_ = open(&call_);
    reader_->WaitForInitialMetadata();
  }
  ~Watcher() { call_.TryCancel(); }

  [[nodiscard]] std::optional<Message> read() {
    Message message;
    if (!reader_->Read(&message)) return std::nullopt;
    return message;
  }
  /// All up to and with the first that fits.
  template <class Fits>
  [[nodiscard]] std::vector<Message> read_until(const Fits& fits) {
    std::vector<Message> out;
    while (auto message = read()) {
      out.push_back(*message);
      if (fits(*message)) break;
    }
    return out;
  }
  void cancel() { call_.TryCancel(); }
  /// Reads to the end.
  [[nodiscard]] grpc::Status finish() {
    while (read()) {
    }
    return reader_->Finish();
  }

 private:
  grpc::ClientContext call_;
  std::unique_ptr<grpc::ClientReader<Message>> reader_;
};

}  // namespace latticed::test
