// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/daemon.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <mutex>

#include "server/control/acquisition_service.hpp"
#include "server/control/calibration_service.hpp"
#include "server/control/describe_holder.hpp"
#include "server/control/health_service.hpp"
#include "server/control/holder_service.hpp"
#include "server/control/output_sinks.hpp"
#include "server/control/recorder.hpp"
#include "server/control/recording_service.hpp"
#include "server/control/recovery.hpp"
#include "server/control/rpc_server.hpp"
#include "server/control/session_service.hpp"
#include "server/control/track_service.hpp"
#include "server/live/live.hpp"
#include "server/publish/alert_log_sink.hpp"

namespace latticed {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

constexpr int kDefaultPort = 7440;
constexpr auto kReleaseTimeout = 2s;

constexpr const char* kAcquisitionHealth = "latticed.v1.Acquisition";
constexpr const char* kHolderHealth = "latticed.v1.Holder";
constexpr const char* kRecordingHealth = "latticed.v1.Recording";

Result<std::string> read_text(const std::string& path, const char* what) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return Error{ErrorCode::not_found, fmt::format("{} {}: cannot be read", what, path)};
  return std::string(std::istreambuf_iterator<char>(in), {});
}

/// The token is the file's first line.
Result<std::string> read_token(const std::string& path) {
  auto text = read_text(path, "serve.token_file");
  if (!text) return text.error();
  std::string token = text->substr(0, text->find_first_of("\r\n"));
  if (token.size() < 16)
    return Error{ErrorCode::invalid_argument,
                 fmt::format("serve.token_file {}: {} characters in its first line (expected at "
                             "least 16)",
                             path, token.size())};
  return token;
}

/// What the lab network gets, and that it is something.
struct Network {
  std::string grpc, zmq;  // empty = nothing
  std::string certificate, key, token;
};

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

/// serve.grpc and serve.zmq have no say in who may read; serve.listen has.
Result<void> check_local(const ServeConfig& config) {
  constexpr std::string_view kTcp = "tcp://";
  const bool is_tcp = config.zmq.rfind(kTcp, 0) == 0;
  struct Asked {
    const char* key;
    std::string said, address;
    std::string_view form;
  };
  for (const auto& [key, text, at, form] :
       {Asked{"grpc", config.grpc, config.grpc, "HOST:PORT"},
        Asked{"zmq", config.zmq, is_tcp ? config.zmq.substr(kTcp.size()) : "localhost:0",
              "tcp://HOST:PORT"}}) {
    const auto address = parse_host_port(at);
    if (!address || address->port < 0)
      return Error{ErrorCode::invalid_argument,
                   fmt::format("serve.{} \"{}\": expected {}", key, text, form)};
    if (!is_loopback(address->host))
      return Error{ErrorCode::invalid_argument,
                   fmt::format("serve.{} {}: expected an address of this machine alone, such as "
                               "127.0.0.1; serve.listen is for the network",
                               key, text)};
  }
  return {};
}

Result<Network> network_of(const ServeConfig& config) {
  Network out;
  if (auto ok = check_local(config); !ok) return ok.error();
  if (!config.token_file.empty()) {
    auto token = read_token(config.token_file);
    if (!token) return token.error();
    out.token = std::move(*token);
  }
  if (config.listen.empty()) return out;
  auto address = parse_host_port(config.listen);
  if (!address) return Error{address.error().code, "serve.listen: " + address.error().message};
  if (address->port < 0) address->port = kDefaultPort;
  if (config.tls_certificate.empty() != config.tls_key.empty())
    return Error{ErrorCode::invalid_argument,
                 "serve.tls_certificate and serve.tls_key: expected both or none"};
  if (!config.tls_certificate.empty()) {
    auto certificate = read_text(config.tls_certificate, "serve.tls_certificate");
    if (!certificate) return certificate.error();
    auto key = read_text(config.tls_key, "serve.tls_key");
    if (!key) return key.error();
    out.certificate = std::move(*certificate);
    out.key = std::move(*key);
  }
  const bool is_control_possible = !out.certificate.empty() && !out.token.empty();
  if (!config.open_reading && !is_control_possible)
    return Error{
        ErrorCode::failed_precondition,
        fmt::format("serve.listen {}: nobody could do anything there: reading is not open "
                    "(serve.open_reading), and control off this machine needs TLS "
                    "(serve.tls_certificate, serve.tls_key) and a token (serve.token_file)",
                    config.listen)};
  out.grpc = to_string(*address);
  if (config.open_reading) {
    // The local endpoint's port, at the network's address.
    const auto colon = config.zmq.rfind(':');
    const std::string port = colon == std::string::npos ? "0" : config.zmq.substr(colon + 1);
    HostPort zmq = *address;
    zmq.port = 0;
    const std::string host = to_string(zmq);
    out.zmq = "tcp://" + host.substr(0, host.rfind(':') + 1) + port;
  }
  return out;
}

std::vector<std::string> names_of(const std::vector<DetectorConfig>& detectors) {
  std::vector<std::string> out;
  for (const DetectorConfig& detector : detectors) out.push_back(detector.name);
  return out;
}

LiveOptions live_options(const Config& config, const std::string& network_zmq) {
  LiveOptions out;
  out.detectors = names_of(config.detectors);
  out.zmq.endpoints = {config.serve.zmq};
  if (!network_zmq.empty()) out.zmq.endpoints.push_back(network_zmq);
  out.zmq.hwm = config.serve.zmq_high_water_mark;
  out.zmq_lease_quota = static_cast<std::size_t>(config.serve.frame_lease_quota);
  out.history_events = static_cast<std::size_t>(config.serve.history_frames);
  return out;
}

/// With slots for what recorder and clients may hold, so that they never hold the detector's.
Config with_slots_for_outputs(Config config, const std::string& network_zmq) {
  const auto live = Live::frames_held(live_options(config, network_zmq));
  for (DetectorConfig& detector : config.detectors)
    detector.line.frame_slots += static_cast<int>(live + Recorder::frames_held(config.record));
  return config;
}

void say_recovered(const std::string& part, const Result<record::Recovered>& done) {
  if (!done)
    spdlog::warn("an earlier recording stays as it is: {}", done.error().message);
  else
    spdlog::warn(
        "{} was not completed by its writer; recovered as {}: {} images, {} lost, {} incomplete "
        "ones cut off its end, {} damaged ones flagged",
        part, done->path, done->images, done->lost, done->cut, done->damaged);
}

/// One simulated detector is enough: nobody should take such a session for an experiment.
bool is_simulated(const Config& config) {
  return std::any_of(config.detectors.begin(), config.detectors.end(),
                     [](const auto& detector) { return detector.driver == DriverKind::simulator; });
}

/// Rules for those who ask by gRPC.
class RulesOfRuns final : public RulesControl {
 public:
  explicit RulesOfRuns(Acquisition& acquisition) : acquisition_(acquisition) {}
  [[nodiscard]] std::vector<AlertRule> get() override { return acquisition_.rules(); }
  Result<std::map<std::string, std::uint64_t>> set(
      std::vector<AlertRule> rules, std::chrono::steady_clock::time_point deadline) override {
    return acquisition_.set_rules(std::move(rules),
                                  std::chrono::duration_cast<std::chrono::milliseconds>(
                                      deadline - std::chrono::steady_clock::now()));
  }

 private:
  Acquisition& acquisition_;
};

}  // namespace

class Daemon::Parts final : public RunParticipants {
 public:
  Parts(const Config& config, std::string version, Network network)
      : config_(config),
        version_(std::move(version)),
        network_(std::move(network)),
        stamper_(is_simulated(config)),
        gate_({config.serve.open_reading, network_.token}),
        acquisition_(config_, runs_, *this),
        rules_(acquisition_) {}

  ~Parts() override {
    // Against the flow: no news, no calls, no commands, no run. Calls that wait for a run's end
    // would keep the server.
    {
      const std::lock_guard lock(news_mutex_);
      is_up_ = false;
    }
    runs_.post([this] { acquisition_.abort([] {}); });
    server_.reset();
    changes_.finish();
    holders_.finish();
    runs_.finish();
    acquisition_.release();
    if (guard_link_) guard_link_->stop();  // before the service its thread answers calls with
  }

  Result<void> start();
  bool stop(std::chrono::milliseconds timeout);
  [[nodiscard]] Endpoints endpoints() const {
    return {server_->local(), live_->zmq_endpoint(), server_->network()};
  }
  [[nodiscard]] bool is_rehearsal() const { return stamper_.is_rehearsal(); }

  // RunParticipants
  void configured(ConfiguredDetector& detector) override;
  Result<std::vector<std::unique_ptr<Sink>>> make_sinks(Run& run,
                                                        const ConfiguredDetector& detector,
                                                        std::uint32_t epoch) override;
  void run_ended(std::uint32_t epoch, RunEnd how, const std::string& fault) override;
  void run_released() override;
  void state_changed() override;

 private:
  Result<void> open_stores();
  Result<void> start_guard_link();
  void make_services();
  void on_holder(const HolderEvent& event);
  void tell_holders();
  void add_status(v1::StatusReply& out) const;
  void note(EventKind kind, EventSeverity severity, const std::string& source,
            const std::string& text);
  void tagged(const v1::Tag& tag);
  void say(const std::string& detector, const RecordTrouble& trouble);
  [[nodiscard]] std::vector<RecordedEvent> open_spans(const std::string& detector) const;
  [[nodiscard]] SessionStore::Moment now() const;
  [[nodiscard]] HolderLogs holder_logs() const {
    return guard_link_ ? guard_link_->logs() : HolderLogs{};
  }

  const Config config_;
  const std::string version_;
  const Network network_;
  rpc::Stamper stamper_;
  rpc::Gate gate_;
  std::mutex news_mutex_;  // of the guard's link: guards is_up_, held while it is told
  bool is_up_ = false;     // services are there for whoever tells them

  // Threads of commands: for runs, for holders, for what waits for a frame.
  ControlThread runs_{"latd-control"}, holders_{"latd-holders"}, changes_{"latd-changes"};
  RequestLog run_requests_, holder_requests_, change_requests_;
  CallContext run_calls_{gate_, stamper_, runs_, run_requests_};
  CallContext holder_calls_{gate_, stamper_, holders_, holder_requests_};
  CallContext change_calls_{gate_, stamper_, changes_, change_requests_};

  std::unique_ptr<SessionStore> session_;
  std::optional<ReferenceStore> references_;
  std::unique_ptr<CalibrationStore> calibrations_;
  HealthService health_;
  // Before all that asks it; it tells news only while is_up_.
  std::unique_ptr<GuardLink> guard_link_;  // null = no holder
  std::unique_ptr<Live> live_;
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<Recovery> recovery_;
  Acquisition acquisition_;
  RulesOfRuns rules_;
  std::atomic<bool> is_ending_{false};
  std::unique_ptr<AcquisitionService> acquisition_service_;
  std::unique_ptr<HolderService> holder_service_;
  std::unique_ptr<RecordingService> recording_service_;
  std::unique_ptr<SessionService> session_service_;
  std::unique_ptr<TrackService> track_service_;
  std::unique_ptr<CalibrationService> calibration_service_;
  std::unique_ptr<RpcServer> server_;
};

// --- start ---------------------------------------------------------------------------------------

Result<void> Daemon::Parts::open_stores() {
  std::error_code problem;
  fs::create_directories(config_.serve.state_directory, problem);
  if (problem)
    return Error{ErrorCode::unavailable,
                 fmt::format("serve.state_directory {}: {}", config_.serve.state_directory,
                             problem.message())};
  const fs::path state(config_.serve.state_directory);
  auto session = SessionStore::open((state / "session.json").string());
  if (!session) return session.error();
  session_ = std::move(*session);
  auto references = ReferenceStore::open((state / "references").string(), acquisition_.detectors());
  if (!references) return references.error();
  references_ = std::move(*references);
  auto calibrations = CalibrationStore::open((state / "calibrations.json").string());
  if (!calibrations) return calibrations.error();
  calibrations_ = std::move(*calibrations);
  return {};
}

Result<void> Daemon::Parts::start_guard_link() {
  health_.set(kHolderHealth, config_.holder.guard_socket.empty());
  if (config_.holder.guard_socket.empty()) return {};
  GuardLinkOptions options;
  options.socket = config_.holder.guard_socket;
  options.longest_gap_s = config_.holder.longest_gap_s;
  options.on_event = [this](const HolderEvent& event) { on_holder(event); };
  auto link = GuardLink::start(std::move(options));
  if (!link) return link.error();
  guard_link_ = std::move(*link);
  return {};
}

void Daemon::Parts::make_services() {
  acquisition_service_ = std::make_unique<AcquisitionService>(AcquisitionService::Parts{
      run_calls_, acquisition_, *references_, [this](v1::StatusReply& out) { add_status(out); },
      [this](v1::CountersReply& out) {
        for (v1::Edge& edge : live_->counters()) *out.add_edges() = std::move(edge);
      },
      [this](const std::string& command) {
        note(EventKind::command, EventSeverity::info, "acquisition", command);
      }});
  holder_service_ = std::make_unique<HolderService>(HolderService::Parts{
      holder_calls_, guard_link_.get(), [this](const std::string& what, const std::string& who) {
        spdlog::info("{}{}{}", what, who.empty() ? "" : ", by ", who);
        note(EventKind::command, EventSeverity::info, who, what);
      }});
  recording_service_ = std::make_unique<RecordingService>(run_calls_, *recorder_);
  session_service_ = std::make_unique<SessionService>(
      SessionService::Parts{run_calls_, *session_, [this] { return now(); },
                            [this](const v1::Tag& tag) { tagged(tag); }});
  track_service_ = std::make_unique<TrackService>(change_calls_, acquisition_, runs_);
  calibration_service_ = std::make_unique<CalibrationService>(
      CalibrationService::Parts{run_calls_, *calibrations_, names_of(config_.detectors),
                                [this](const std::string& detector, std::size_t frames) {
                                  return live_->last_frames(detector, frames);
                                },
                                [this](const std::string& detector, const std::string& what) {
                                  spdlog::info("{}: {}", detector, what);
                                  note(EventKind::command, EventSeverity::info, detector, what);
                                }});
}

Result<void> Daemon::Parts::start() {
  if (auto ok = open_stores(); !ok) return ok;
  if (auto ok = start_guard_link(); !ok) return ok;
  health_.set(kAcquisitionHealth, true);
  health_.set(kRecordingHealth, true);

  Live::Parts parts;
  parts.stamper = &stamper_;
  parts.gate = &gate_;
  parts.holders = [this] { return holder_logs(); };
  parts.rules = &rules_;
  auto live = Live::start(live_options(config_, network_.zmq), parts);
  if (!live) return live.error();
  live_ = std::move(*live);
  recorder_ = std::make_unique<Recorder>(Recorder::Parts{
      config_.record, *session_, [this] { return holder_logs(); }, to_toml(config_),
      stamper_.is_rehearsal(), [this](const std::string& detector) { return open_spans(detector); },
      [this](const std::string& detector, const RecordTrouble& trouble) {
        say(detector, trouble);
      }});
  recovery_ = std::make_unique<Recovery>(
      std::vector{config_.record.directory, config_.record.second_directory}, say_recovered);
  make_services();

  std::vector<grpc::Service*> services{acquisition_service_.get(),
                                       holder_service_.get(),
                                       recording_service_.get(),
                                       session_service_.get(),
                                       track_service_.get(),
                                       calibration_service_.get(),
                                       &health_};
  for (grpc::Service* service : live_->services()) services.push_back(service);
  RpcServerOptions server;
  server.local = config_.serve.grpc;
  server.network = network_.grpc;
  server.certificate = network_.certificate;
  server.key = network_.key;
  auto started = RpcServer::start(server, services);
  if (!started) return started.error();
  server_ = std::move(*started);
  const std::lock_guard lock(news_mutex_);
  is_up_ = true;
  if (guard_link_) tell_holders();
  return {};
}

// --- what happens --------------------------------------------------------------------------------

void Daemon::Parts::configured(ConfiguredDetector& detector) {
  LineConfig& line = detector.config.line;
  const double nominal_nm =
      line.pixel_size_nm > 0.0 ? line.pixel_size_nm : detector.configuration.pixel_size_nm;
  if (const auto calibration = calibrations_->configured(detector.config.name, nominal_nm)) {
    line.pixel_size_nm = calibration->fit.pixel_size_nm;
    line.pixel_size_sigma_ratio = calibration->fit.pixel_size_sigma_ratio;
    line.pixel_size_source = words_of(*calibration);
    spdlog::info("{}: {:.6g} nm/px, relative sigma {:.2g}: {}", detector.config.name,
                 line.pixel_size_nm, line.pixel_size_sigma_ratio, line.pixel_size_source);
  }
  // What will really happen is what is replied.
  line.take_scale(detector.configuration);
  detector.configuration.pixel_size_nm = line.pixel_size_nm;
}

Result<std::vector<std::unique_ptr<Sink>>> Daemon::Parts::make_sinks(
    Run& run, const ConfiguredDetector& detector, std::uint32_t epoch) {
  const std::string& name = detector.config.name;
  stamper_.set_epoch(epoch);
  std::vector<std::unique_ptr<Sink>> sinks;
  auto recording = recorder_->make_sink(name, !detector.configuration.is_paced, utc_now_ns());
  if (!recording) return recording.error();
  if (*recording)
    sinks.push_back(
        run.reported(std::move(*recording), config_.record.on_failure == RecordFailure::stop_run
                                                ? Run::OnFailure::stop_run
                                                : Run::OnFailure::go_on));
  for (auto& sink : live_->make_sinks(name)) sinks.push_back(std::move(sink));
  auto output = make_output_sinks(run, config_.output, name);
  if (!output) return output.error();
  for (auto& sink : output->sinks) sinks.push_back(std::move(sink));
  sinks.push_back(std::make_unique<AlertLogSink>(name, std::make_shared<AlertBoard>()));
  return sinks;
}

void Daemon::Parts::say(const std::string& detector, const RecordTrouble& trouble) {
  if (trouble.is_over)
    spdlog::info("{}: {}", detector, trouble.text);
  else
    spdlog::warn("{}: {}", detector, trouble.text);
  AlertBook::Change change;
  change.is_raised = !trouble.is_over;
  change.alert.set_rule("recording");
  change.alert.set_quantity(std::string(to_string(trouble.kind)));
  change.alert.set_value(trouble.value);
  change.alert.set_text(trouble.text);
  change.alert.set_raised_ns(utc_now_ns());
  if (trouble.seq != kNoFrame) {
    change.alert.set_raised_seq(trouble.seq);
    change.alert.set_since_seq(trouble.seq);
  }
  live_->alerts().note_own(detector, stamper_.epoch(), std::move(change));
}

void Daemon::Parts::run_ended(std::uint32_t epoch, RunEnd how, const std::string&) {
  // Their recordings have them already, see open_spans().
  if (const SessionStore::Moment end = now(); end.epoch == epoch) (void)session_->end_spans(end);
  std::vector<RunTotals> totals;
  for (const DetectorProgress& progress : acquisition_.status().detectors)
    totals.push_back({progress.name, progress.measured, progress.lost});
  if (auto ok = live_->run_ended(std::string(to_string(how)), totals); !ok)
    spdlog::error("run {}: {}", epoch, ok.error().message);
  health_.set(kAcquisitionHealth, how != RunEnd::failed);
  const v1::RecordingStatus recording = recorder_->status();
  health_.set(kRecordingHealth, recording.error().empty());
}

void Daemon::Parts::run_released() {
  if (recorder_) recorder_->release();
  if (!live_) return;
  if (auto ok = live_->drain(kReleaseTimeout); !ok) spdlog::error("{}", ok.error().message);
}

void Daemon::Parts::state_changed() {
  if (!acquisition_service_) return;
  if (!is_ending_.load(std::memory_order_relaxed))
    health_.set(kAcquisitionHealth, acquisition_.state() != RunState::fault);
  acquisition_service_->state_changed();
}

void Daemon::Parts::tell_holders() {
  for (v1::HolderDescription& holder : describe_holders(*guard_link_)) {
    const std::string name = holder.name();
    live_->holder_changed(name, std::move(holder));
  }
}

void Daemon::Parts::on_holder(const HolderEvent& event) {
  using Kind = HolderEvent::Kind;
  const std::lock_guard lock(news_mutex_);
  if (event.kind == Kind::connected) health_.set(kHolderHealth, true);
  if (event.kind == Kind::disconnected) health_.set(kHolderHealth, false);
  if (!is_up_) return;
  const auto tell_state = [&](const std::string& holder) {
    if (auto now = describe_holder(*guard_link_, holder)) live_->holder_changed(holder, *now);
  };
  switch (event.kind) {
    case Kind::connected:
      spdlog::info("the guard answers");
      note(EventKind::state, EventSeverity::info, "guard", "the guard answers");
      tell_holders();
      break;
    case Kind::disconnected:
      spdlog::error("the guard does not answer: holders are unreachable");
      note(EventKind::state, EventSeverity::alarm, "guard", "the guard does not answer");
      tell_holders();
      break;
    case Kind::trip:
      for (const HolderStatus& status : guard_link_->status()) {
        if (status.name != event.holder) continue;
        spdlog::error("holder {} tripped: {}", event.holder, to_string(status.cause));
        note(EventKind::state, EventSeverity::alarm, event.holder,
             fmt::format("tripped: {}", to_string(status.cause)));
      }
      tell_state(event.holder);
      break;
    case Kind::state:
      tell_state(event.holder);
      break;
    case Kind::samples:
      break;
  }
  holder_service_->on_event(event);
}

void Daemon::Parts::add_status(v1::StatusReply& out) const {
  *out.mutable_recording() = recorder_->status();
  out.set_guard_reachable(guard_link_ && guard_link_->is_connected());
  out.set_version(version_);
  out.set_zmq_endpoint(live_->zmq_endpoint());
  for (const Calibration& one : calibrations_->list()) {
    if (!one.is_in_use) continue;
    v1::PixelCalibration& calibration = *out.add_calibrations();
    calibration = to_proto(one);
    calibration.clear_spacings();
  }
}

void Daemon::Parts::note(EventKind kind, EventSeverity severity, const std::string& source,
                         const std::string& text) {
  const SessionStore::Moment moment = now();
  RecordedEvent event;
  event.time_ns = moment.time_ns;
  event.kind = kind;
  event.severity = severity;
  event.source = source;
  event.text = text;
  for (const auto& [detector, seq] : moment.seq) {
    event.frame_first = seq;
    recorder_->add(detector, event);
  }
  if (moment.seq.empty()) recorder_->add(event);
}

void Daemon::Parts::tagged(const v1::Tag& tag) {
  // A span is one row, written when it is over; a moment at once.
  if (tag.span() && !tag.has_end_ns()) return;
  RecordedEvent event;
  event.time_ns = tag.begin_ns();
  event.kind = tag.span() ? EventKind::span : EventKind::tag;
  event.source = tag.who();
  event.text = tag.text();
  for (const auto& [detector, seq] : tag.begin_seq()) {
    event.frame_first = seq;
    const auto end = tag.end_seq().find(detector);
    event.frame_last = end == tag.end_seq().end() ? kNoFrame : end->second;
    recorder_->add(detector, event);
  }
  if (tag.begin_seq().empty()) recorder_->add(event);
}

std::vector<RecordedEvent> Daemon::Parts::open_spans(const std::string& detector) const {
  std::vector<RecordedEvent> out;
  const AcquisitionStatus status = acquisition_.status();
  if (status.epoch == 0) return out;
  for (const v1::Tag& tag : session_->tags(status.epoch)) {
    if (!tag.span() || tag.has_end_ns()) continue;
    RecordedEvent& event = out.emplace_back();
    event.time_ns = tag.begin_ns();
    event.kind = EventKind::span;
    event.source = tag.who();
    event.text = tag.text();
    if (const auto begin = tag.begin_seq().find(detector); begin != tag.begin_seq().end())
      event.frame_first = begin->second;
    for (const DetectorProgress& progress : status.detectors)
      if (progress.name == detector) event.frame_last = progress.last_seq;
  }
  return out;
}

SessionStore::Moment Daemon::Parts::now() const {
  SessionStore::Moment out;
  out.time_ns = utc_now_ns();
  const AcquisitionStatus status = acquisition_.status();
  if (status.epoch == 0) return out;
  if (status.state != RunState::running && status.state != RunState::stopping) return out;
  out.epoch = status.epoch;
  // By the frames' clock: a simulated experiment runs faster than ours.
  bool has_time = false;
  for (const DetectorProgress& detector : status.detectors)
    if (const auto last = live_->last_frame(detector.name); last && last->epoch == status.epoch) {
      out.seq[detector.name] = last->seq;
      if (last->time_ns != kUnknownTime && !has_time) out.time_ns = last->time_ns;
      has_time = true;
    }
  return out;
}

// --- end -----------------------------------------------------------------------------------------

bool Daemon::Parts::stop(std::chrono::milliseconds timeout) {
  is_ending_.store(true, std::memory_order_relaxed);
  health_.set(kAcquisitionHealth, false);
  const auto ended = std::make_shared<std::promise<void>>();
  auto end = ended->get_future();
  runs_.post([this, ended] {
    acquisition_.close();
    acquisition_.stop(RunEnd::stopped, [ended] { ended->set_value(); });
  });
  const bool is_drained = end.wait_for(timeout / 2) == std::future_status::ready;
  if (!is_drained) {
    spdlog::error("the run did not end within {} ms: it is given up", (timeout / 2).count());
    runs_.post([this] { acquisition_.abort([] {}); });
    (void)end.wait_for(timeout / 4);
  }
  const grpc::Status ends(grpc::StatusCode::UNAVAILABLE, "the server ends");
  acquisition_service_->close(ends);
  holder_service_->close(ends);
  health_.close(ends);
  live_->stop(timeout / 8);
  server_->stop(timeout / 8);
  return is_drained;
}

Daemon::Daemon(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
Daemon::~Daemon() = default;

Result<std::unique_ptr<Daemon>> Daemon::start(const Config& config, const std::string& version) {
  auto network = network_of(config.serve);
  if (!network) return network.error();
  auto parts = std::make_unique<Parts>(with_slots_for_outputs(config, network->zmq), version,
                                       std::move(*network));
  if (auto ok = parts->start(); !ok) return ok.error();
  return std::unique_ptr<Daemon>(new Daemon(std::move(parts)));
}

Daemon::Endpoints Daemon::endpoints() const { return parts_->endpoints(); }
bool Daemon::is_rehearsal() const { return parts_->is_rehearsal(); }
bool Daemon::stop(std::chrono::milliseconds timeout) { return parts_->stop(timeout); }

}  // namespace latticed
