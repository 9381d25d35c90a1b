// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/rules_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "drivers/toml/table_reader.hpp"

namespace latticed::latticectl {

namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    } else {
      out += c;
    }
  }
  return out + "\"";
}

/// A TOML float, by the shortest digits that read back the same.
std::string number(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0.0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string table_of(const v1::Rule& rule) {
  std::string out = "\n[[rule]]\n";
  const auto line = [&](bool is_set, const char* key, const std::string& value) {
    if (is_set) out += fmt::format("{} = {}\n", key, value);
  };
  line(true, "name", quoted(rule.name()));
  line(true, "quantity", quoted(rule.quantity()));
  line(!rule.of().empty() && rule.of() != "frame", "of", quoted(rule.of()));
  line(true, "kind", quoted(rule.kind()));
  line(rule.has_above(), "above", number(rule.above()));
  line(rule.has_below(), "below", number(rule.below()));
  line(rule.hysteresis() != 0.0, "hysteresis", number(rule.hysteresis()));
  line(rule.dwell_frames() != 0, "dwell_frames", fmt::format("{}", rule.dwell_frames()));
  line(rule.false_alarms_per_hour() != 0.0, "false_alarms_per_hour",
       number(rule.false_alarms_per_hour()));
  line(rule.d_min_nm() != 0.0, "d_min_nm", number(rule.d_min_nm()));
  line(rule.has_d_max_nm(), "d_max_nm", number(rule.d_max_nm()));
  return out;
}

/// The key's value if it is there and no infinity, which in a file means "no limit".
std::optional<double> limit(TableReader& in, const char* key) {
  double value = 0.0;
  if (!in.number(key, value, kAnyOrInfinite) || std::isinf(value)) return std::nullopt;
  return value;
}

v1::Rule read_rule(TableReader& in) {
  v1::Rule rule;
  std::string text;
  in.require("name", "a name");
  if (in.text("name", text)) rule.set_name(text);
  in.require("quantity", "what is watched");
  if (in.text("quantity", text)) rule.set_quantity(text);
  if (in.text("of", text)) rule.set_of(text);
  rule.set_kind("change");  // as in the configuration
  if (in.text("kind", text)) rule.set_kind(text);
  if (const auto above = limit(in, "above")) rule.set_above(*above);
  if (const auto below = limit(in, "below")) rule.set_below(*below);
  double value = 0.0;
  if (in.number("hysteresis", value, kNotNegative)) rule.set_hysteresis(value);
  std::int32_t frames = 0;
  if (in.integer("dwell_frames", frames, {1, 100000})) rule.set_dwell_frames(frames);
  if (in.number("false_alarms_per_hour", value, kPositive)) rule.set_false_alarms_per_hour(value);
  if (in.number("d_min_nm", value, kNotNegative)) rule.set_d_min_nm(value);
  if (const auto d_max_nm = limit(in, "d_max_nm")) rule.set_d_max_nm(*d_max_nm);
  in.finish();
  return rule;
}

v1::SetRulesRequest read_root(TableReader& root) {
  v1::SetRulesRequest request;
  root.require("rule", "[[rule]] tables, or rule = [] for none");
  for (TableReader& in : root.tables("rule")) *request.add_rules() = read_rule(in);
  root.finish();
  return request;
}

}  // namespace

std::string to_toml(const v1::RulesReply& rules) {
  std::string out = "# Alert rules; `latticectl rules set FILE` puts them in force.\n";
  if (rules.rules().empty()) out += "rule = []  # no alert rules\n";
  for (const auto& rule : rules.rules()) out += table_of(rule);
  return out;
}

Result<v1::SetRulesRequest> parse_rules(const std::string& toml, const std::string& file) {
  v1::SetRulesRequest request;
  const auto read = [&](TableReader& root) { request = read_root(root); };
  if (auto ok = read_toml(toml, file, read); !ok) return ok.error();
  return request;
}

Result<v1::SetRulesRequest> read_rules(const std::string& path) {
  v1::SetRulesRequest request;
  const auto read = [&](TableReader& root) { request = read_root(root); };
  if (auto ok = read_toml_file(path, "rules", read); !ok) return ok.error();
  return request;
}

}  // namespace latticed::latticectl
