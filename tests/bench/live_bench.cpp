// SPDX-License-Identifier: GPL-3.0-or-later
// What watching costs: CPU a frame of a serving process with each kind of client, over the same
// without, and with all of them; what a bare socket takes for the same pixels; and how late a
// client has a measurement. Clients are another process. `live_bench [SIZE] [RATE_HZ] [SECONDS]
// [ROUNDS]`. Not run by CTest.
#include <fcntl.h>
#include <grpcpp/grpcpp.h>
#include <latticed/v1/measurements.grpc.pb.h>
#include <latticed/v1/preview.grpc.pb.h>
#include <netdb.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

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
  std::string only{};  // kinds of client, "+" between them; empty = each, and all
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

double cpu_ms(int of) {  // RUSAGE_SELF, RUSAGE_THREAD
  rusage used{};
  getrusage(of, &used);
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
  std::printf("  slot filled -> client: %zu measurements, p50 %.2f p99 %.2f max %.2f ms\n",
              ms.size(), at(0.5), at(0.99), ms.back());
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

/// What a client process watches: kinds of client, "+" between them.
bool watches(const std::string& kinds, const std::string& kind) {
  return ("+" + kinds + "+").find("+" + kind + "+") != std::string::npos;
}

constexpr std::array<std::pair<const char*, v1::ImageKind>, 3> kPictures{
    {{"aligned", v1::IMAGE_KIND_ALIGNED},
     {"mean", v1::IMAGE_KIND_RUNNING_MEAN},
     {"fourier", v1::IMAGE_KIND_FFT}}};

class PictureClient {
 public:
  PictureClient(const std::shared_ptr<grpc::Channel>& channel, v1::ImageKind kind)
      : stub_(v1::Preview::NewStub(channel)) {
    v1::WatchPreviewRequest wanted;
    wanted.set_kind(kind);
    reader_ = stub_->Watch(&call_, wanted);
    reader_->WaitForInitialMetadata();
    thread_ = std::thread([this] {
      v1::Image image;
      while (reader_->Read(&image)) ++images_;
    });
  }
  int stop() {
    call_.TryCancel();
    thread_.join();
    return images_;
  }

 private:
  std::unique_ptr<v1::Preview::Stub> stub_;
  grpc::ClientContext call_;
  std::unique_ptr<grpc::ClientReader<v1::Image>> reader_;
  std::thread thread_;
  int images_ = 0;
};

/// Until the line that says that the run is over.
int run_clients(const std::string& grpc_address, const std::string& zmq_endpoint,
                const std::string& kinds) {
  const auto channel = grpc::CreateChannel(grpc_address, grpc::InsecureChannelCredentials());
  std::atomic<bool> is_over{false};
  int frames = 0, images = 0;
  std::thread zmq, measurements;
  if (watches(kinds, "pixels"))
    zmq = std::thread([&] { frames = count_frames(zmq_endpoint, is_over); });
  std::vector<std::unique_ptr<PictureClient>> pictures;
  for (const auto& [name, kind] : kPictures)
    if (watches(kinds, name)) pictures.push_back(std::make_unique<PictureClient>(channel, kind));
  grpc::ClientContext call;
  const auto stub = v1::Measurements::NewStub(channel);
  std::vector<double> latency_ms;
  if (watches(kinds, "stream")) {
    auto reader = stub->Watch(&call, {});
    reader->WaitForInitialMetadata();
    measurements = std::thread([&, reader = std::move(reader)] {
      v1::MeasurementEvent event;
      while (reader->Read(&event))
        if (event.has_measurement())
          latency_ms.push_back(1e3 * event.measurement().latency_s() +
                               1e-6 * static_cast<double>(utc_now_ns() - event.stamp().time_ns()));
    });
  }
  std::puts("ready");
  std::fflush(stdout);
  (void)std::getchar();
  is_over = true;
  call.TryCancel();
  if (measurements.joinable()) measurements.join();
  for (const auto& picture : pictures) images += picture->stop();
  if (zmq.joinable()) zmq.join();
  print_latency(std::move(latency_ms));
  std::printf("  images %d, raw frames %d\n", images, frames);
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
  const double before = cpu_ms(RUSAGE_SELF);
  if (!pipeline.start() || !pipeline.wait()) std::exit(2);
  const double used = cpu_ms(RUSAGE_SELF) - before;
  if ((*line)->source().counters().lost_total() > 0)
    std::printf("lost %llu frames\n",
                static_cast<unsigned long long>((*line)->source().counters().lost_total()));
  return used / static_cast<double>((*line)->measured());
}

/// The clients' process: started by reading its first line, ended by writing one.
class Clients {
 public:
  Clients(std::vector<std::string> words) {
    int to_it[2], from_it[2];
    if (pipe2(to_it, O_CLOEXEC) != 0 || pipe2(from_it, O_CLOEXEC) != 0) std::exit(2);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(to_it[0], STDIN_FILENO);
      dup2(from_it[1], STDOUT_FILENO);
      std::vector<char*> arguments;
      for (std::string& word : words) arguments.push_back(word.data());
      arguments.push_back(nullptr);
      execv("/proc/self/exe", arguments.data());
      _exit(127);
    }
    close(to_it[0]);
    close(from_it[1]);
    in_ = fdopen(to_it[1], "w");
    out_ = fdopen(from_it[0], "r");
    char line[256];
    if (!std::fgets(line, sizeof(line), out_)) std::exit(2);
  }
  /// What they have to say.
  void end_and_print() {
    std::fputs("over\n", in_);
    std::fclose(in_);
    char line[256];
    while (std::fgets(line, sizeof(line), out_)) std::fputs(line, stdout);
    std::fclose(out_);
    waitpid(pid_, nullptr, 0);
  }

 private:
  pid_t pid_ = -1;
  std::FILE *in_ = nullptr, *out_ = nullptr;
};

void print_threads(const Plan& plan, const std::map<std::string, double>& before,
                   const std::map<std::string, double>& after) {
  std::printf("  by thread:");
  for (const auto& [name, ms] : after) {
    const auto was = before.find(name);
    const double spent =
        (ms - (was == before.end() ? 0.0 : was->second)) / (plan.rate_hz * plan.seconds);
    if (spent > 0.005) std::printf(" %s %.3f", name.c_str(), spent);
  }
  std::puts("; the rest is the pipeline");
}

/// CPU to write a frame's bytes into a bare socket that another process empties: what anybody pays
/// who sends every pixel, ms.
double bare_socket_ms(const Plan& plan) {
  int ends[2];
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), length) != 0 ||
      listen(listener, 1) != 0 ||
      getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0)
    std::exit(2);
  const std::size_t bytes = std::size_t{2} * static_cast<std::size_t>(plan.size * plan.size);
  const pid_t reader = fork();
  if (reader == 0) {
    ends[1] = socket(AF_INET, SOCK_STREAM, 0);
    std::vector<char> here(bytes);
    if (connect(ends[1], reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) _exit(1);
    while (read(ends[1], here.data(), here.size()) > 0) continue;
    _exit(0);
  }
  ends[0] = accept(listener, nullptr, nullptr);
  constexpr int kFrames = 60, kDistinct = 16;  // more than the caches hold
  std::vector<char> frames(kDistinct * bytes, 'x');
  const double before = cpu_ms(RUSAGE_THREAD);
  for (int i = 0; i < kFrames; ++i) {
    const char* const frame = frames.data() + static_cast<std::size_t>(i % kDistinct) * bytes;
    for (std::size_t sent = 0; sent < bytes;) {
      const ssize_t n = write(ends[0], frame + sent, bytes - sent);
      if (n <= 0) std::exit(2);
      sent += static_cast<std::size_t>(n);
    }
    std::this_thread::sleep_for(std::chrono::duration<double>(1.0 / plan.rate_hz));
  }
  const double used = cpu_ms(RUSAGE_THREAD) - before;
  close(ends[0]);
  close(listener);
  waitpid(reader, nullptr, 0);
  return used / kFrames;
}

/// One round: without anybody, then with each kind of client.
class Round {
 public:
  Round(const Plan& plan, Live& live, std::string grpc_address)
      : plan_(plan), live_(live), grpc_address_(std::move(grpc_address)) {}

  void run() {
    const double alone = play(plan_, {}, ++epoch_);
    std::printf("CPU ms/frame: alone %.3f, bare socket %.3f\n", alone, bare_socket_ms(plan_));
    if (!plan_.only.empty()) return watched(plan_.only);
    for (const char* kinds : {"", "stream", "pixels", "aligned", "mean", "fourier",
                              "stream+pixels+aligned", "stream+pixels+aligned+mean+fourier"})
      watched(kinds);
    std::fflush(stdout);
  }

 private:
  void watched(const std::string& kinds) {
    // Right before: the machine's clocks wander.
    const double alone = play(plan_, {}, ++epoch_);
    std::optional<Clients> clients;
    if (!kinds.empty())
      clients.emplace(std::vector<std::string>{"live_bench", "--clients", grpc_address_,
                                               live_.zmq_endpoint(), kinds});
    const auto before = lasting_threads_cpu_ms();
    const double seen = play(plan_, live_.make_sinks("camera"), ++epoch_);
    const auto after = lasting_threads_cpu_ms();
    if (!live_.run_ended("completed") || !live_.drain(2s)) std::exit(2);
    std::printf("%s: %.3f - %.3f = %+.3f ms/frame (%+.0f %%)\n",
                kinds.empty() ? "nobody watches" : kinds.c_str(), seen, alone, seen - alone,
                100.0 * (seen / alone - 1.0));
    if (!clients) return;
    print_threads(plan_, before, after);
    clients->end_and_print();
  }

  const Plan& plan_;
  Live& live_;
  const std::string grpc_address_;
  static inline std::uint32_t epoch_ = 0;
};

int bench(const Plan& plan) {
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
    Round(plan, **live, "127.0.0.1:" + std::to_string(port)).run();
  (*live)->stop(2s);
  server->Shutdown(std::chrono::system_clock::now() + 2s);
  return 0;
}

}  // namespace
}  // namespace latticed

int main(int count, char** words) {
  if (count == 5 && std::strcmp(words[1], "--clients") == 0)
    return latticed::run_clients(words[2], words[3], words[4]);
  latticed::Plan plan;
  if (count > 1) plan.size = std::atoi(words[1]);
  if (count > 2) plan.rate_hz = std::atof(words[2]);
  if (count > 3) plan.seconds = std::atof(words[3]);
  if (count > 4) plan.rounds = std::atoi(words[4]);
  if (count > 5) plan.only = words[5];
  return latticed::bench(plan);
}
