// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include "clients/latticectl/numbers.hpp"
#include "clients/latticectl/render.hpp"
#include "clients/latticectl/text_table.hpp"

namespace latticed::latticectl {

namespace {

template <class Frames>
std::string frames_text(const Frames& by_detector) {
  const std::map<std::string, std::uint64_t> sorted(by_detector.begin(), by_detector.end());
  std::string out;
  for (const auto& [detector, seq] : sorted) {
    out += fmt::format("{}{} {}", out.empty() ? "" : ", ", detector, seq);
  }
  return out.empty() ? "-" : out;
}

std::string end_text(const v1::Tag& tag) {
  if (!tag.span()) return "";
  return tag.has_end_ns() ? fmt::format("{} ({})", utc(tag.end_ns()), frames_text(tag.end_seq()))
                          : "goes on";
}

void add_tag(TextTable& table, const v1::Tag& tag) {
  table.add({fmt::format("{}", tag.id()), fmt::format("{}", tag.epoch()), utc(tag.begin_ns()),
             frames_text(tag.begin_seq()), end_text(tag), tag.who(), tag.text()});
}

TextTable tag_table() { return TextTable({"id", "run", "at", "frame", "until", "who", "text"}); }

}  // namespace

std::string to_text(const v1::SessionReply& reply) {
  const v1::SessionInfo& s = reply.session();
  std::string out;
  const auto line = [&](bool is_set, const char* key, const std::string& value) {
    if (is_set) out += fmt::format("{:<20}{}\n", key, value);
  };
  line(s.has_sample(), "sample", s.sample());
  line(!s.elements().empty(), "elements", fmt::format("{}", fmt::join(s.elements(), ",")));
  line(s.has_electrode_mass_kg(), "electrode_mass_kg", fmt::format("{}", s.electrode_mass_kg()));
  line(s.has_zone_axis(), "zone_axis", s.zone_axis());
  line(s.has_high_tension_v(), "high_tension_v", fmt::format("{}", s.high_tension_v()));
  line(s.has_operator_(), "operator", s.operator_());
  line(s.has_comment(), "comment", s.comment());
  return out.empty() ? "nothing is said about the experiment yet\n" : out;
}

std::string to_text(const v1::TagReply& reply) {
  TextTable table = tag_table();
  add_tag(table, reply.tag());
  return table.text();
}

std::string to_text(const v1::ListTagsReply& reply) {
  TextTable table = tag_table();
  for (const auto& tag : reply.tags()) add_tag(table, tag);
  return table.is_empty() ? "no tags\n" : table.text();
}

std::string to_text(const v1::TrackReply& reply) {
  const v1::Region& r = reply.region();
  std::string out = reply.detector() + "\n";
  out += r.width() > 0
             ? fmt::format("region     {} x {} at ({}, {})\n", r.width(), r.height(), r.x(), r.y())
             : "region     the whole frame\n";
  for (const auto& g : reply.watched()) {
    out += fmt::format("watched    g = ({:.4f}, {:.4f}) 1/nm\n", g.x(), g.y());
  }
  if (reply.has_from_seq()) out += fmt::format("from       frame {}\n", reply.from_seq());
  return out;
}

}  // namespace latticed::latticectl
