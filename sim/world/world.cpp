// SPDX-License-Identifier: GPL-3.0-or-later
#include "sim/world/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "sim/scenario/joined.hpp"

namespace latticed::sim {
namespace {

using Json = nlohmann::json;

Error wrong_state(const char* command, const char* wanted) {
  return {ErrorCode::failed_precondition, fmt::format("{}: {} first", command, wanted)};
}

constexpr std::array<std::string_view, 5> kHolderWords = {"samples", "source", "output",
                                                          "temperature", "heater"};
constexpr std::size_t kSamplesAReply = 500;  // a reply is a line of at most 64 KiB

Json step_line(const StimulusStep& step) {
  Json line{{"frame", step.frame}};
  if (step.current_a) line["current_a"] = *step.current_a;
  if (step.temperature_k) line["temperature_k"] = *step.temperature_k;
  return line;
}

Result<Json> frame_line(const Result<std::uint64_t>& frame) {
  if (!frame) return frame.error();
  return Json{{"frame", *frame}};
}

std::string phase_names(const PhaseTable& phases) {
  std::vector<std::string> names;
  for (const Phase& phase : phases) names.push_back(phase.name);
  return joined(names, ", ");
}

}  // namespace

Result<void> check_phases(const Scenario& scenario, const PhaseTable& phases) {
  std::vector<std::string> wanted{scenario.specimen.phase};
  if (scenario.specimen.transition) wanted.push_back(scenario.specimen.transition->to);
  for (const std::string& name : wanted) {
    if (find_phase(phases, name) != nullptr) continue;
    return Error{ErrorCode::not_found, fmt::format("scenario {}: no phase \"{}\", there are {}",
                                                   scenario.name, name, phase_names(phases))};
  }
  return {};
}

Result<std::unique_ptr<World>> World::create(const Scenario& scenario, const RunOptions& options) {
  auto phases = parse_phases(built_in_phases(), "phases.toml");
  if (!phases) return phases.error();
  if (auto checked = check_phases(scenario, *phases); !checked) return checked.error();
  std::unique_ptr<World> world(new World(scenario, std::move(*phases), options));
  for (std::size_t i = 0; i < world->scenario_.detectors.size(); ++i) {
    auto run = DetectorRun::create(world->scenario_, world->phases_, i, options, world->log_,
                                   world->holder_);
    if (!run) return run.error();
    world->runs_.push_back(std::move(*run));
  }
  return world;
}

World::World(const Scenario& scenario, PhaseTable phases, const RunOptions& options)
    : scenario_(options.holder.stimulus != Stimulus::scenario ? without_stimulus(scenario)
                                                              : scenario),
      phases_(std::move(phases)),
      options_(options),
      log_(scenario_.detectors.size()),
      holder_(scenario, options.holder, log_) {}

World::Reply World::answer(Client& client, const std::string& line) {
  Reply reply;
  Json out;
  try {
    const Json command = Json::parse(line);
    auto result = obey(client, command, reply.fd);
    out = result
              ? std::move(*result)
              : Json{{"code", to_string(result.error().code)}, {"message", result.error().message}};
    out["ok"] = result.has_value();
  } catch (const Json::exception& error) {
    out = Json{{"ok", false},
               {"code", "invalid_argument"},
               {"message", fmt::format("command {:.80}: {}", line, error.what())}};
  }
  // Whatever bytes the client sent may be quoted in the message: they must not break the reply.
  reply.line = out.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return reply;
}

Result<Json> World::obey(Client& client, const Json& command, int& fd) {
  const auto word = command.at("cmd").get<std::string>();
  if (word == "describe") return describe();
  if (word == "status") return status();
  if (word == "set") return set(command);
  if (word == "open") return open(client, command, fd);
  if (word == "open_holder") return open_holder(client);
  if (word == "safe_holder") return Json{{"frame", holder_.make_safe()}};
  if (std::find(kHolderWords.begin(), kHolderWords.end(), word) != kHolderWords.end()) {
    if (!client.has_holder) return wrong_state(word.c_str(), "open_holder");
    return obey_holder(word, command);
  }
  if (client.detector == nullptr) return wrong_state(word.c_str(), "open a detector");
  if (word == "configure") return configure(client, command);
  if (word == "arm") {
    if (!client.is_configured) return wrong_state("arm", "configure");
    client.is_armed = true;
    return Json::object();
  }
  if (word == "start") {
    if (!client.is_armed) return wrong_state("start", "arm");
    client.is_armed = false;
    auto started = client.detector->start(client.frames, client.close_link);
    if (!started) return started.error();
    return Json::object();
  }
  if (word == "stop") {
    client.is_armed = false;
    client.detector->stop();
    return Json::object();
  }
  return Error{ErrorCode::invalid_argument,
               fmt::format("command \"{}\": must be one of describe, status, set, open, configure, "
                           "arm, start, stop, open_holder, safe_holder, {}",
                           word, joined(kHolderWords, ", "))};
}

Result<Json> World::open(Client& client, const Json& command, int& fd) {
  const std::string name = command.value("detector", "");
  for (const auto& run : runs_) {
    if (run->model().name != name && !name.empty()) continue;
    if (std::find(taken_.begin(), taken_.end(), run.get()) != taken_.end()) {
      return Error{ErrorCode::failed_precondition,
                   fmt::format("open detector \"{}\": another client has it", run->model().name)};
    }
    if (client.detector != nullptr) return wrong_state("open", "close the detector this link has");
    client.detector = run.get();
    taken_.push_back(run.get());
    fd = run->ring().fd();
    return Json{{"detector", run->model().name}};
  }
  std::vector<std::string> names;
  for (const auto& run : runs_) names.push_back(run->model().name);
  return Error{ErrorCode::not_found,
               fmt::format("open detector \"{}\": this world has {}", name, joined(names, ", "))};
}

Result<Json> World::configure(Client& client, const Json& command) {
  const auto wanted = command.value("frame_count", std::uint64_t{0});
  client.frames = wanted > 0 ? wanted : scenario_.frames;
  client.is_configured = true;
  client.is_armed = false;
  const DetectorModel& model = client.detector->model();
  return Json{{"width", model.width},
              {"height", model.height},
              {"exposure_s", model.exposure_s},
              {"scan_line_time_s", model.scan_line_time_s},
              {"frame_period_s", scenario_.frame_period_s},
              {"frame_count", client.frames},
              {"pixel_size_nm", model.pixel_size_nm},
              {"is_paced", options_.speed > 0.0},
              {"prefetched", options_.prefetch}};
}

Result<Json> World::set(const Json& command) {
  Step step;
  if (command.contains("current_a")) step.current_a = command.at("current_a").get<double>();
  if (command.contains("temperature_k"))
    step.temperature_k = command.at("temperature_k").get<double>();
  if (command.contains("beam_on")) step.beam_on = command.at("beam_on").get<bool>();
  if (command.contains("specimen_in")) step.specimen_in = command.at("specimen_in").get<bool>();
  if (step == Step{}) {
    return Error{ErrorCode::invalid_argument,
                 "set: nothing to set, give current_a, temperature_k, beam_on or specimen_in"};
  }
  if (step.current_a && !(std::abs(*step.current_a) <= 1.0)) {
    return Error{ErrorCode::out_of_range,
                 fmt::format("set current_a {}: must be from -1 to 1", *step.current_a)};
  }
  if (step.temperature_k && !(*step.temperature_k >= 1.0 && *step.temperature_k <= 2000.0)) {
    return Error{ErrorCode::out_of_range,
                 fmt::format("set temperature_k {}: must be from 1 to 2000", *step.temperature_k)};
  }
  return Json{{"frame", log_.add(step)}};
}

Result<Json> World::open_holder(Client& client) {
  if (is_holder_taken_) {
    return Error{ErrorCode::failed_precondition, "open_holder: another client has it"};
  }
  is_holder_taken_ = client.has_holder = true;
  holder_.make_safe();
  return Json{{"holder", "holder"},
              {"scenario", scenario_.name},
              {"seed", scenario_.seed},
              {"current_a", HolderDevice::kCurrentA},
              {"voltage_v", HolderDevice::kVoltageV},
              {"temperature_k", HolderDevice::kTemperatureK},
              {"next", holder_.next_sample()}};
}

Result<Json> World::obey_holder(const std::string& word, const Json& command) {
  if (word == "samples") return samples(command.value("after", std::uint64_t{0}));
  if (word == "source") {
    const auto mode = command.at("mode").get<std::string>();
    if (mode != to_string(SourceMode::voltage) && mode != to_string(SourceMode::current)) {
      return Error{ErrorCode::invalid_argument,
                   fmt::format("source mode \"{}\": must be voltage or current", mode)};
    }
    return frame_line(holder_.set_source(
        {mode == to_string(SourceMode::voltage) ? SourceMode::voltage : SourceMode::current,
         command.at("level").get<double>(), command.at("compliance").get<double>()}));
  }
  if (word == "temperature")
    return frame_line(holder_.set_temperature(command.at("temperature_k").get<double>()));
  const bool is_on = command.at("on").get<bool>();
  return Json{{"frame", word == "output" ? holder_.set_output(is_on) : holder_.set_heater(is_on)}};
}

/// Each as [time_ns, bias_v, current_a, temperature_k, output, heater, in compliance].
Json World::samples(std::uint64_t after) const {
  const HolderDevice::Samples found = holder_.samples(after, kSamplesAReply);
  Json lines = Json::array();
  for (const HolderSample& s : found.samples) {
    lines.push_back({s.time_ns, s.bias_v, s.current_a, s.temperature_k, s.is_output_on,
                     s.is_heater_on, s.is_in_compliance});
  }
  return Json{{"samples", lines}, {"next", found.next}, {"clock", found.clock}};
}

Json to_json(const std::vector<StimulusStep>& steps) {
  Json out = Json::array();
  for (const StimulusStep& step : steps) out.push_back(step_line(step));
  return out;
}

Json World::describe() const {
  Json detectors = Json::array();
  for (const auto& run : runs_) {
    const DetectorModel& model = run->model();
    detectors.push_back({{"name", model.name},
                         {"width", model.width},
                         {"height", model.height},
                         {"type", "u16"},
                         {"pixel_size_nm", model.pixel_size_nm},
                         {"exposure_s", model.exposure_s},
                         {"scan_line_time_s", model.scan_line_time_s}});
  }
  return Json{{"protocol", 1},
              {"stimulus", word_of(holder_.stimulus())},
              {"steps", to_json(holder_.steps())},
              {"scenario", scenario_.name},
              {"seed", scenario_.seed},
              {"frames", scenario_.frames},
              {"frame_period_s", scenario_.frame_period_s},
              {"detectors", detectors}};
}

Json World::status() const {
  Json detectors = Json::array();
  for (const auto& run : runs_) {
    const RunStatus status = run->status();
    detectors.push_back({{"name", run->model().name},
                         {"running", status.is_running},
                         {"next_frame", status.next_frame},
                         {"lost", status.lost},
                         {"late", status.late}});
  }
  const auto waiting = holder_.waiting_for();
  const HolderDevice::Present present = holder_.present();
  const bool holds_voltage = present.source.mode == SourceMode::voltage;
  return Json{{"detectors", detectors},
              {"holder",
               {{"output", present.is_output_on},
                {"heater", present.is_heater_on},
                {"current_a", holds_voltage ? Json(nullptr) : Json(present.source.level)},
                {"source_v", holds_voltage ? Json(present.source.level) : Json(nullptr)},
                {"temperature_k", present.temperature_k}}},
              {"waiting_for_step", waiting ? step_line(*waiting) : Json(nullptr)}};
}

void World::leave(Client& client) noexcept {
  if (client.has_holder) {
    holder_.make_safe();
    client.has_holder = is_holder_taken_ = false;
  }
  if (client.detector == nullptr) return;
  client.detector->stop();
  std::erase(taken_, client.detector);
  client.detector = nullptr;
}

}  // namespace latticed::sim
