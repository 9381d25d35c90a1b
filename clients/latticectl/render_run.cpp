// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>

#include "clients/latticectl/numbers.hpp"
#include "clients/latticectl/render.hpp"
#include "clients/latticectl/text_table.hpp"

namespace latticed::latticectl {

namespace {

/// The enumerator's name without its type's: RUN_STATE_IDLE is "IDLE".
std::string without(const std::string& prefix, const std::string& name) {
  return name.rfind(prefix, 0) == 0 ? name.substr(prefix.size()) : name;
}

std::string lowered(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string frames_of(std::uint64_t count) {
  return count == 0 ? "endless" : fmt::format("{}", count);
}

std::string progress_table(const v1::StatusReply& reply) {
  TextTable table({"detector", "measured", "of", "lost", "frames/s", "latency p99", "last frame"});
  for (const auto& d : reply.detectors()) {
    table.add({d.detector(), fmt::format("{}", d.measured()), frames_of(d.frame_count()),
               fmt::format("{}", d.lost()), fmt::format("{:.1f}", d.frames_per_s()),
               with_prefix(d.latency_p99_s(), "s"), fmt::format("{}", d.last_seq())});
  }
  return table.is_empty() ? "" : table.text();
}

std::string recording_text(const v1::RecordingStatus& r) {
  std::string out = r.active() ? "being written" : r.wanted() ? "on for the next runs" : "off";
  if (r.frames() > 0) out += fmt::format(", {} frames, {}", r.frames(), bytes_text(r.bytes()));
  if (r.raw_bytes() > r.bytes() && r.bytes() > 0)
    out += fmt::format(" ({:.1f} times packed)",
                       static_cast<double>(r.raw_bytes()) / static_cast<double>(r.bytes()));
  if (r.not_recorded() > 0) out += fmt::format(", {} NOT RECORDED", r.not_recorded());
  if (r.has_minutes_left()) {
    out += fmt::format(", disk full in {}", duration_text(r.minutes_left() * 60.0));
  }
  if (!r.error().empty()) out += ", STOPPED: " + r.error();
  for (const auto& file : r.files()) out += "\n           " + file;
  return out;
}

std::string pixel_text(const v1::DetectorConfiguration& c) {
  if (!(c.pixel_size_nm() > 0.0)) return "?";
  if (!(c.pixel_size_sigma_ratio() > 0.0)) return fmt::format("{:.4g} nm", c.pixel_size_nm());
  const std::string size =
      plus_minus(c.pixel_size_nm(), c.pixel_size_nm() * c.pixel_size_sigma_ratio()) + " nm";
  return c.pixel_size_source().empty() ? size : size + ", " + c.pixel_size_source();
}

std::string configuration_table(
    const google::protobuf::RepeatedPtrField<v1::DetectorConfiguration>& detectors) {
  TextTable table({"detector", "size", "exposure", "period", "frames", "pixel", "paced"});
  for (const auto& c : detectors) {
    table.add({c.detector(), fmt::format("{} x {}", c.width(), c.height()),
               c.exposure_s() > 0.0 ? with_prefix(c.exposure_s(), "s") : "?",
               c.frame_period_s() > 0.0 ? with_prefix(c.frame_period_s(), "s") : "?",
               frames_of(c.frame_count()), pixel_text(c), c.paced() ? "yes" : "no"});
  }
  return table.text();
}

std::string lost_text(const v1::Edge& edge) {
  std::map<std::string, std::uint64_t> sorted(edge.lost().begin(), edge.lost().end());
  std::string out;
  for (const auto& [reason, count] : sorted) {
    if (count > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", reason, count);
  }
  return out.empty() ? "0" : out;
}

void add_reference(TextTable& table, const v1::Reference& r) {
  table.add({r.in_use() ? "*" : "", r.detector(), word(r.kind()), utc(r.time_ns()),
             r.frame_count() > 0 ? fmt::format("{}", r.frame_count()) : "?",
             fmt::format("{:.4g}", r.mean()), fmt::format("{}", r.hot_pixels_size()), r.file()});
}

TextTable reference_table() {
  return TextTable({"", "detector", "kind", "taken", "frames", "mean", "hot px", "file"});
}

}  // namespace

std::string banner(const v1::Stamp& stamp) {
  return stamp.rehearsal() ? "REHEARSAL: frames and holder are simulated\n" : "";
}

std::string mark(const v1::Stamp& stamp) { return stamp.rehearsal() ? "REHEARSAL " : ""; }

std::string word(v1::RunState state) { return without("RUN_STATE_", v1::RunState_Name(state)); }
std::string word(v1::ArmingState state) {
  return without("ARMING_STATE_", v1::ArmingState_Name(state));
}
std::string word(v1::ReferenceKind kind) {
  return lowered(without("REFERENCE_KIND_", v1::ReferenceKind_Name(kind)));
}
std::string word(v1::DriftState state) {
  return lowered(without("DRIFT_STATE_", v1::DriftState_Name(state)));
}

std::string to_text(const v1::StatusReply& reply) {
  std::string out = word(reply.state());
  if (reply.stamp().epoch() > 0) out += fmt::format(", run {}", reply.stamp().epoch());
  if (reply.started_ns() != 0) out += ", started " + utc(reply.started_ns());
  if (!reply.ended().empty()) out += ", " + reply.ended();
  out += "\n";
  if (!reply.fault().empty()) out += "fault      " + reply.fault() + "\n";
  out += progress_table(reply);
  for (const auto& calibration : reply.calibrations())
    out += fmt::format("scale      {}: {}\n", calibration.detector(), to_text(calibration));
  out += "recording  " + recording_text(reply.recording()) + "\n";
  out += fmt::format("guard      {}\n", reply.guard_reachable() ? "answers" : "DOES NOT ANSWER");
  out += fmt::format("server     latticed {}", reply.version());
  if (!reply.zmq_endpoint().empty()) out += ", frames at " + reply.zmq_endpoint();
  return out + "\n";
}

std::string to_text(const v1::ListDetectorsReply& reply) {
  TextTable table({"detector", "driver", "state", "model", "serial"});
  google::protobuf::RepeatedPtrField<v1::DetectorConfiguration> configured;
  for (const auto& d : reply.detectors()) {
    table.add({d.name(), d.driver(), d.state(), d.model(), d.serial()});
    if (d.has_configuration()) *configured.Add() = d.configuration();
  }
  if (table.is_empty()) return "no detectors are configured\n";
  return table.text() + (configured.empty() ? "" : "\n" + configuration_table(configured));
}

std::string to_text(const v1::ConfigureReply& reply) {
  return configuration_table(reply.detectors());
}

std::string to_text(const v1::CountersReply& reply) {
  TextTable table({"detector", "edge", "policy", "in", "out", "dropped", "lost", "waits", "most",
                   "oldest", "p50", "p99", "max"});
  for (const auto& e : reply.edges()) {
    table.add({e.detector(), e.name(), e.policy(), fmt::format("{}", e.in()),
               fmt::format("{}", e.out()), fmt::format("{}", e.dropped()), lost_text(e),
               fmt::format("{}", e.level()), fmt::format("{}", e.level_max()),
               with_prefix(e.oldest_age_s(), "s"), with_prefix(e.duration_p50_s(), "s"),
               with_prefix(e.duration_p99_s(), "s"), with_prefix(e.duration_max_s(), "s")});
  }
  return table.is_empty() ? "no run yet\n" : table.text();
}

std::string to_text(const v1::ReferenceReply& reply) {
  TextTable table = reference_table();
  add_reference(table, reply.reference());
  return table.text();
}

std::string to_text(const v1::ListReferencesReply& reply) {
  TextTable table = reference_table();
  for (const auto& reference : reply.references()) add_reference(table, reference);
  return table.is_empty() ? "no references\n" : table.text();
}

std::string to_text(const v1::RecordingReply& reply) {
  return "recording  " + recording_text(reply.recording()) + "\n";
}

}  // namespace latticed::latticectl
