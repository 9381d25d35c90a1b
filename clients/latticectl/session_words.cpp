// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/session_words.hpp"

#include <charconv>
#include <cmath>
#include <functional>
#include <utility>

namespace latticed::latticectl {

namespace {

using v1::SessionInfo;

bool set_number(const std::string& text, const std::function<void(double)>& set) {
  double value = 0.0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool is_whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
  if (!is_whole || !std::isfinite(value)) return false;
  set(value);
  return true;
}

bool set_elements(SessionInfo& info, const std::string& text) {
  info.clear_elements();
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    if (end == at) return false;
    info.add_elements(text.substr(at, end - at));
    at = end + 1;
  }
  return true;
}

struct Field {
  const char* key;
  bool (*set)(SessionInfo&, const std::string&);  // false: the value is none
  const char* expected;
};

constexpr Field kFields[] = {
    {"sample", [](SessionInfo& s, const std::string& t) { return s.set_sample(t), true; }, "text"},
    {"elements", set_elements, "symbols with commas: Na,Mn,O"},
    {"electrode_mass_kg",
     [](SessionInfo& s, const std::string& t) {
       return set_number(t, [&](double value) { s.set_electrode_mass_kg(value); });
     },
     "a number"},
    {"zone_axis", [](SessionInfo& s, const std::string& t) { return s.set_zone_axis(t), true; },
     "text"},
    {"high_tension_v",
     [](SessionInfo& s, const std::string& t) {
       return set_number(t, [&](double value) { s.set_high_tension_v(value); });
     },
     "a number"},
    {"operator", [](SessionInfo& s, const std::string& t) { return s.set_operator_(t), true; },
     "text"},
    {"comment", [](SessionInfo& s, const std::string& t) { return s.set_comment(t), true; },
     "text"}};

Error wrong(const std::string& word, const std::string& why) {
  return {ErrorCode::invalid_argument, "session set '" + word + "': " + why};
}

}  // namespace

std::string session_keys() {
  std::string out;
  for (const Field& field : kFields) out += (out.empty() ? "" : ", ") + std::string(field.key);
  return out;
}

Result<SessionInfo> parse_session(const std::vector<std::string>& words) {
  SessionInfo info;
  for (const std::string& word : words) {
    const std::size_t equals = word.find('=');
    if (equals == std::string::npos) return wrong(word, "expected key=value");
    const std::string key = word.substr(0, equals);
    const auto* field = std::find_if(std::begin(kFields), std::end(kFields),
                                     [&](const Field& f) { return f.key == key; });
    if (field == std::end(kFields)) return wrong(word, "expected one of " + session_keys());
    if (!field->set(info, word.substr(equals + 1))) {
      return wrong(word, std::string("expected ") + field->expected);
    }
  }
  return info;
}

}  // namespace latticed::latticectl
