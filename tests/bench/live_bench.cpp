// SPDX-License-Identifier: GPL-3.0-or-later
// What watching costs: CPU a frame with a measurement stream, a preview at 10/s and a ZeroMQ
// subscriber to raw frames, over the same without; and how late a client in another process has a
// measurement. `live_bench [SIZE] [RATE_HZ] [SECONDS] [ROUNDS]`. Not run by CTest.
#include <grpcpp/grpcpp.h>
#include <latticed/v1/measurements.grpc.pb.h>
#include <latticed/v1/preview.grpc.pb.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <thread>

#include "server/live/live.hpp"
#include "server/process/pipeline.hpp"
#include "tests/support/lattice_frames.hpp"

namespace latticed {
namespace {

using namespace std::chrono_literals;

struct Plan {
  int size = 1024;
  double rate_hz = 100.0, seconds = 5.0;
  int rounds = 3;
};

/// Four images in turn, at their time.
class PacedDetector final : public Detector {
 public:
  explicit PacedDetector(const Plan& plan) : plan_(plan) {
    test::Scene scene;
    scene.size = plan.size;
    for (std::uint64_t i = 0; i < 4; ++i) images_.push_back(lattice_frame(scene, i));
    configuration_.geometry = scene.geometry();
    configuration_.frame_period_s = 1.0 / plan.rate_hz;
    configuration_.frame_count = static_cast<std::uint64_t>(plan.rate_hz * plan.seconds);
    configuration_.pixel_size_nm = 0.02;
  }
  [[nodiscard]] const DeviceInfo& info() const noexcept override { return device_; }
  [[nodiscard]] DeviceState state() const noexcept override { return DeviceState::running; }
  Result<DetectorConfiguration> configure(const DetectorSettings&) override {
    return configuration_;
  }
  Result<void> arm() override { return {}; }
  Result<void> start() override {
    next_ = std::chrono::steady_clock::now();
    return {};
  }
  void stop() noexcept override {}
  Result<FrameHeader> read_frame(std::span<std::byte> pixels, std::chrono::milliseconds) override {
    FrameHeader header;
    if (count_ == configuration_.frame_count) {
      header.kind = FrameKind::end;
      return header;
    }
    next_ += std::chrono::nanoseconds(static_cast<std::int64_t>(1e9 / plan_.rate_hz));
    std::this_thread::sleep_until(next_);
    test::copy_pixels(images_[count_ % 4], pixels);
    header.hardware_sequence = count_++;
    header.time_ns = utc_now_ns();
    return header;
  }

 private:
  const Plan plan_;
  std::vector<std::vector<std::uint16_t>> images_;
  DeviceInfo device_{"camera", "bench", "", ""};
  DetectorConfiguration configuration_;
  std::uint64_t count_ = 0;
  std::chrono::steady_clock::time_point next_;
};

double process_cpu_ms() {
  rusage used{};
  getrusage(RUSAGE_SELF, &used);
  const auto ms = [](const timeval& t) {
    return 1e3 * static_cast<double>(t.tv_sec) + 1e-3 * static_cast<double>(t.tv_usec);
  };
  return ms(used.ru_utime) + ms(used.ru_stime);
}

/// CPU of the threads that outlive a run, ms, by name; gRPC's own together.
std::map<std::string, double> lasting_threads_cpu_ms() {
  std::map<std::string, double> out;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    double ns = 0.0;
    std::getline(std::ifstream(task.path() / "comm"), name);
    std::ifstream(task.path() / "schedstat") >> ns;
    const bool is_ours = name.starts_with("latd-") || name.starts_with("ZMQbg/IO");
    const bool is_main = task.path().filename() == std::to_string(getpid());  // makes the images
    if (!is_main) out[is_ours ? name : "gRPC"] += 1e-6 * ns;
  }
  return out;
}

// --- the clients, a process of their own ---------------------------------------------------------

void print_latency(std::vector<double> ms) {
  if (ms.empty()) return;
  std::sort(ms.begin(), ms.end());
  const auto at = [&](double part) {
    return ms[static_cast<std::size_t>(part * static_cast<double>(ms.size() - 1))];
  };
  std::printf("slot filled -> client: %zu measurements, p50 %.2f p99 %.2f max %.2f ms\n", ms.size(),
              at(0.5), at(0.99), ms.back());
}

int count_frames(const std::string& endpoint, const std::atomic<bool>& is_over) {
  void* const context = zmq_ctx_new();
  void* const socket = zmq_socket(context, ZMQ_SUB);
  const int patience_ms = 200;
  zmq_setsockopt(socket, ZMQ_RCVTIMEO, &patience_ms, sizeof(patience_ms));
  zmq_setsockopt(socket, ZMQ_SUBSCRIBE, "frame.camera/", 13);
  zmq_connect(socket, endpoint.c_str());
  int frames = 0;
  while (!is_over.load()) {
    zmq_msg_t part;
    zmq_msg_init(&part);
    if (zmq_msg_recv(&part, socket, 0) > 4096) ++frames;
    zmq_msg_close(&part);
  }
  zmq_close(socket);
  zmq_ctx_term(context);
  return frames;
}

int run_clients(const std::string& grpc_address, const std::string& zmq_endpoint) {
  const auto channel = grpc::CreateChannel(grpc_address, grpc::InsecureChannelCredentials());
  std::atomic<bool> is_over{false};
  int frames = 0, images = 0;
  std::thread zmq([&] { frames = count_frames(zmq_endpoint, is_over); });
  grpc::ClientContext preview_call;
  std::thread preview([&] {
    v1::WatchPreviewRequest wanted;
    wanted.set_kind(v1::IMAGE_KIND_ALIGNED);
    v1::Image image;
    auto reader = v1::Preview::NewStub(channel)->Watch(&preview_call, wanted);
    while (reader->Read(&image)) ++images;
  });
  grpc::ClientContext call;
  std::vector<double> latency_ms;
  auto reader = v1::Measurements::NewStub(channel)->Watch(&call, {});
  reader->WaitForInitialMetadata();
  std::puts("ready");
  std::fflush(stdout);
  v1::MeasurementEvent event;
  while (reader->Read(&event) && !event.has_run_ends())
    if (event.has_measurement())
      latency_ms.push_back(1e3 * event.measurement().latency_s() +
                           1e-6 * static_cast<double>(utc_now_ns() - event.stamp().time_ns()));
  is_over = true;
  call.TryCancel();
  preview_call.TryCancel();
  preview.join();
  zmq.join();
  print_latency(std::move(latency_ms));
  std::printf("images %d, raw frames %d, skipped events %llu\n", images, frames,
              static_cast<unsigned long long>(event.skipped()));
  return 0;
}

// --- the server ----------------------------------------------------------------------------------

/// CPU a frame, ms.
double play(const Plan& plan, std::vector<std::unique_ptr<Sink>> sinks, std::uint32_t epoch) {
  PipelineConfig config;
  config.nice = 10;
  Pipeline pipeline(config);
  Line::Parts parts;
  parts.detector = std::make_unique<PacedDetector>(plan);
  parts.config.rules = default_rules();
  parts.sinks = std::move(sinks);
  auto line = pipeline.add(std::move(parts), epoch);
  if (!line) std::exit(2);
  const double before = process_cpu_ms();
  if (!pipeline.start() || !pipeline.wait()) std::exit(2);
  const double used = process_cpu_ms() - before;
  if ((*line)->source().counters().lost_total() > 0)
    std::printf("lost %llu frames\n",
                static_cast<unsigned long long>((*line)->source().counters().lost_total()));
  return used / static_cast<double>((*line)->measured());
}

void watched(const Plan& plan, Live& live, int port, const char* self, std::uint32_t epoch) {
  const double alone = play(plan, {}, epoch);
  const double idle = play(plan, live.make_sinks("camera"), epoch);
  if (!live.run_ended("completed")) std::exit(2);
  const std::string command = std::string(self) + " --clients 127.0.0.1:" + std::to_string(port) +
                              " " + live.zmq_endpoint();
  std::FILE* const clients = popen(command.c_str(), "r");
  char line[256];
  if (!clients || !std::fgets(line, sizeof(line), clients)) std::exit(2);
  const auto before = lasting_threads_cpu_ms();
  const double seen = play(plan, live.make_sinks("camera"), epoch);
  const auto after = lasting_threads_cpu_ms();
  if (!live.run_ended("completed") || !live.drain(2s)) std::exit(2);
  std::printf("CPU ms/frame: alone %.3f, nobody watches %.3f (%+.1f %%), watched %.3f (%+.1f %%)\n",
              alone, idle, 100.0 * (idle / alone - 1.0), seen, 100.0 * (seen / alone - 1.0));
  std::printf("watched, by thread, ms/frame:");
  for (const auto& [name, ms] : after) {
    const auto was = before.find(name);
    const double spent =
        (ms - (was == before.end() ? 0.0 : was->second)) / (plan.rate_hz * plan.seconds);
    if (spent > 0.005) std::printf(" %s %.3f", name.c_str(), spent);
  }
  std::puts("; the rest is the pipeline");
  while (std::fgets(line, sizeof(line), clients)) std::fputs(line, stdout);
  pclose(clients);
}

int bench(const Plan& plan, const char* self) {
  rpc::Stamper stamper(true);
  const rpc::Gate gate{rpc::GateOptions{}};
  LiveOptions options;
  options.detectors = {"camera"};
  options.zmq.endpoints = {"tcp://127.0.0.1:0"};
  Live::Parts parts;
  parts.stamper = &stamper;
  parts.gate = &gate;
  auto live = Live::start(options, parts);
  if (!live) return 2;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  for (grpc::Service* service : (*live)->services()) builder.RegisterService(service);
  const auto server = builder.BuildAndStart();
  std::printf("%d x %d uint16 at %.0f frames/s, %.0f s a run\n", plan.size, plan.size, plan.rate_hz,
              plan.seconds);
  for (int round = 1; round <= plan.rounds; ++round)
    watched(plan, **live, port, self, static_cast<std::uint32_t>(round));
  (*live)->stop(2s);
  server->Shutdown(std::chrono::system_clock::now() + 2s);
  return 0;
}

}  // namespace
}  // namespace latticed

int main(int count, char** words) {
  if (count == 4 && std::strcmp(words[1], "--clients") == 0)
    return latticed::run_clients(words[2], words[3]);
  latticed::Plan plan;
  if (count > 1) plan.size = std::atoi(words[1]);
  if (count > 2) plan.rate_hz = std::atof(words[2]);
  if (count > 3) plan.seconds = std::atof(words[3]);
  if (count > 4) plan.rounds = std::atoi(words[4]);
  return latticed::bench(plan, words[0]);
}
