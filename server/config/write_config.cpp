// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "server/config/config.hpp"
#include "server/config/describe.hpp"
#include "server/config/short_texts.hpp"

namespace latticed {

namespace {

using Words = std::vector<std::string_view>;

/// TOML 1.0 basic string.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  return out + "\"";
}

/// The shortest text that reads back to the same value, and is a TOML float.
std::string decimal(double value) {
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

/// A Visitor of describe.hpp that prints "key = value  # comment".
class KeyWriter {
 public:
  KeyWriter(std::string& out, std::string path) : out_(out), path_(std::move(path)) {}

  void require(std::string_view, std::string_view) {}
  void number(std::string_view key, double value, Range range, std::string_view comment) {
    line(key, decimal(value), comment, describe(range));
  }
  template <std::integral T>
  void integer(std::string_view key, T value, Range range, std::string_view comment) {
    line(key, fmt::format("{}", value), comment, describe(range));
  }
  void flag(std::string_view key, bool value, std::string_view comment) {
    line(key, value ? "true" : "false", comment);
  }
  void text(std::string_view key, const std::string& value, std::string_view comment) {
    line(key, quoted(value), comment);
  }
  void name(std::string_view key, const std::string& value, std::string_view comment) {
    line(key, quoted(value), comment);
  }
  void texts(std::string_view key, const std::vector<std::string>& values,
             std::string_view comment) {
    std::string list;
    for (const std::string& value : values) list += (list.empty() ? "" : ", ") + quoted(value);
    line(key, fmt::format("[{}]", list), comment);
  }
  template <class E>
  void choice(std::string_view key, E value, const Words& words, std::string_view comment) {
    line(key, quoted(words[static_cast<std::size_t>(value)]), comment,
         fmt::format("{}", fmt::join(words, ", ")));
  }
  void seconds(std::string_view key, std::chrono::milliseconds value, Range range,
               std::string_view comment) {
    number(key, static_cast<double>(value.count()) * 1e-3, range, comment);
  }
  void frames(std::string_view key, std::uint64_t first, std::uint64_t end,
              std::string_view comment) {
    line(key, quoted(to_string(FrameRange{first, end})), comment);
  }
  void region(std::string_view key, const signal::Region& r, std::string_view comment) {
    line(key, fmt::format("[{}, {}, {}, {}]", r.x, r.y, r.width, r.height), comment);
  }
  void indices(std::string_view key, const std::vector<Vector2>& values, std::size_t most,
               std::string_view comment) {
    std::string list;
    for (const Vector2 index : values)
      list += (list.empty() ? "" : ", ") + quoted(to_fractional_index(index));
    line(key, fmt::format("[{}]", list), comment, fmt::format("at most {}", most));
  }
  template <class T>
  void table(std::string_view key, T& value) {
    const std::string path = path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
    out_ += fmt::format("\n[{}]\n", path);
    KeyWriter below(out_, path);
    describe(below, value);
  }

 private:
  void line(std::string_view key, const std::string& value, std::string_view comment,
            const std::string& range = "") {
    fmt::format_to(std::back_inserter(out_), "{:<34}  # {}{}\n", fmt::format("{} = {}", key, value),
                   comment, range.empty() ? "" : fmt::format(" ({})", range));
  }

  std::string& out_;
  std::string path_;
};

template <class T>
void write_list(std::string& out, std::string_view key, std::vector<T>& list) {
  for (T& value : list) {
    out += fmt::format("\n[[{}]]\n", key);
    KeyWriter writer(out, std::string(key));
    describe(writer, value);
  }
}

}  // namespace

std::string to_toml(const Config& config) {
  Config c = config;  // describe() takes what it may write to
  std::string out =
      "# Configuration of latticed: every key. `latticed check-config FILE` checks a file and "
      "prints\n"
      "# it in this form; what is left out has the value shown in deploy/latticed.toml.\n";
  if (c.rules.empty()) out += "\nrule = []  # no alert rules\n";
  KeyWriter writer(out, "");
  writer.table("pipeline", c.pipeline);
  writer.table("serve", c.serve);
  writer.table("holder", c.holder);
  writer.table("record", c.record);
  writer.table("output", c.output);
  writer.table("log", c.log);
  write_list(out, "detector", c.detectors);
  write_list(out, "rule", c.rules);
  return out;
}

}  // namespace latticed
