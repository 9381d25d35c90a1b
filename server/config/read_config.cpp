// SPDX-License-Identifier: GPL-3.0-or-later
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "server/config/config.hpp"
#include "server/config/describe.hpp"
#include "server/config/short_texts.hpp"

namespace latticed {

namespace {

using Words = std::vector<std::string_view>;

/// A Visitor of describe.hpp that takes each key from a table.
class KeyReader {
 public:
  explicit KeyReader(TableReader& in) : in_(in) {}

  void require(std::string_view key, std::string_view expected) { in_.require(key, expected); }
  void number(std::string_view key, double& value, Range range, std::string_view) {
    in_.number(key, value, range);
  }
  template <std::integral T>
  void integer(std::string_view key, T& value, Range range, std::string_view) {
    in_.integer(key, value, range);
  }
  void flag(std::string_view key, bool& value, std::string_view) { in_.flag(key, value); }
  void text(std::string_view key, std::string& value, std::string_view) { in_.text(key, value); }
  void texts(std::string_view key, std::vector<std::string>& value, std::string_view) {
    in_.texts(key, value);
  }
  template <class E>
  void choice(std::string_view key, E& value, const Words& words, std::string_view) {
    auto index = static_cast<std::size_t>(value);
    in_.choice(key, index, words);
    value = static_cast<E>(index);
  }
  void seconds(std::string_view key, std::chrono::milliseconds& value, Range range,
               std::string_view) {
    double seconds = static_cast<double>(value.count()) * 1e-3;
    in_.number(key, seconds, range);
    value = std::chrono::milliseconds(std::llround(seconds * 1e3));
  }
  void frames(std::string_view key, std::uint64_t& first, std::uint64_t& end, std::string_view) {
    std::string text = ":";
    in_.text(key, text);
    const auto range = parse_frame_range(text);
    if (!range) return in_.mistake(key, range.error().message);
    first = range->first;
    end = range->end;
  }
  void region(std::string_view key, signal::Region& value, std::string_view) {
    std::vector<std::int64_t> v;
    if (!in_.integers(key, 4, v, {0, 1e6}) || v.empty()) return;
    if ((v[2] == 0) != (v[3] == 0))
      return in_.mistake(key, "width and height (expected both 0, or both above 0)");
    value = {static_cast<int>(v[0]), static_cast<int>(v[1]), static_cast<int>(v[2]),
             static_cast<int>(v[3])};
  }
  /// Fractional indices; a whole one is a reflection of the lattice itself, and (-h -k) is (h k).
  void indices(std::string_view key, std::vector<Vector2>& value, std::size_t most,
               std::string_view) {
    std::vector<std::string> texts;
    if (!in_.texts(key, texts)) return;
    if (texts.size() > most)
      return in_.mistake(key, fmt::format("{} places (expected at most {})", texts.size(), most));
    std::vector<Vector2> found;
    for (const std::string& text : texts) {
      const auto index = parse_fractional_index(text);
      if (!index) {
        in_.mistake(key, index.error().message);
        continue;
      }
      const auto is_same = [&](Vector2 other) {
        return (other.x == index->x && other.y == index->y) ||
               (other.x == -index->x && other.y == -index->y);
      };
      if (std::any_of(found.begin(), found.end(), is_same))
        in_.mistake(key, fmt::format("\"{}\" is there twice (expected (h k) once, and not its "
                                     "Friedel mate (-h -k))",
                                     text));
      found.push_back(*index);
    }
    value = std::move(found);
  }
  /// Goes into file names and JSON without quoting.
  void name(std::string_view key, std::string& value, std::string_view) {
    in_.require(key, "a name");
    if (!in_.text(key, value)) return;
    const auto is_plain = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '_' || c == '-';
    };
    if (value.empty() || value.size() > 64 || !std::all_of(value.begin(), value.end(), is_plain))
      in_.mistake(key, fmt::format("\"{}\" (expected 1 to 64 letters, digits, _ or -)", value));
  }
  template <class T>
  void table(std::string_view key, T& value) {
    auto below = in_.table(key);
    if (!below) return;
    KeyReader reader(*below);
    describe(reader, value);
    below->finish();
  }

 private:
  TableReader& in_;
};

template <class T>
void refuse_second(TableReader& in, const std::vector<T>& earlier, const T& value) {
  for (const T& other : earlier)
    if (!value.name.empty() && other.name == value.name)
      in.mistake("name",
                 fmt::format("\"{}\" is used twice (expected a name of its own)", value.name));
}

void check(TableReader& in, const DetectorConfig& detector) {
  if (detector.driver == DriverKind::simulator && detector.simulator.socket.empty())
    in.mistake("simulator", "socket: missing (expected the path of sim-world's socket)");
  if (detector.driver == DriverKind::replay && detector.replay.files.empty())
    in.mistake("replay", "files: missing (expected at least one recording)");
}

void check(TableReader& in, const AlertRule& rule) {
  const bool has_limit = std::isfinite(rule.above) || std::isfinite(rule.below);
  if (rule.kind == RuleKind::limit && !has_limit)
    in.mistake("kind", "\"limit\" without a limit (expected above, below, or both)");
  if (rule.kind == RuleKind::change && has_limit)
    in.mistake(std::isfinite(rule.above) ? "above" : "below",
               "has no meaning for kind \"change\" (expected kind = \"limit\")");
  if (rule.of == RuleOf::sum && !is_of_sums(rule.quantity))
    in.mistake("of", fmt::format("\"sum\" has no meaning for quantity {} (expected \"frame\")",
                                 to_string(rule.quantity)));
  if (rule.below > rule.above)
    in.mistake("below", fmt::format("{} (expected at most above, {})", rule.below, rule.above));
  if (rule.d_min_nm >= rule.d_max_nm)
    in.mistake("d_min_nm",
               fmt::format("{} (expected below d_max_nm, {})", rule.d_min_nm, rule.d_max_nm));
  if (!is_per_spot(rule.quantity) && (rule.d_min_nm > 0.0 || std::isfinite(rule.d_max_nm)))
    in.mistake(rule.d_min_nm > 0.0 ? "d_min_nm" : "d_max_nm",
               fmt::format("has no meaning for quantity {} (expected a quantity of spots)",
                           to_string(rule.quantity)));
}

template <class T>
std::vector<T> read_list(TableReader& root, std::string_view key) {
  std::vector<T> list;
  for (TableReader& in : root.tables(key)) {
    T value;
    KeyReader reader(in);
    describe(reader, value);
    check(in, value);
    refuse_second(in, list, value);
    in.finish();
    list.push_back(std::move(value));
  }
  return list;
}

Config read_root(TableReader& root) {
  Config config;
  KeyReader reader(root);
  reader.table("pipeline", config.pipeline);
  reader.table("serve", config.serve);
  reader.table("holder", config.holder);
  reader.table("record", config.record);
  reader.table("output", config.output);
  reader.table("log", config.log);
  config.detectors = read_list<DetectorConfig>(root, "detector");
  if (config.detectors.empty() && !root.has("detector"))
    root.mistake("detector", "missing (expected at least one [[detector]])");
  if (root.has("rule")) config.rules = read_list<AlertRule>(root, "rule");
  const auto is_of_sum = [](const AlertRule& rule) { return rule.of == RuleOf::sum; };
  const auto sums = [](const DetectorConfig& detector) { return detector.line.sum.is_on(); };
  if (std::any_of(config.rules.begin(), config.rules.end(), is_of_sum) &&
      std::none_of(config.detectors.begin(), config.detectors.end(), sums))
    root.mistake("rule",
                 "of = \"sum\", but no detector has a running sum (expected one with "
                 "sum.frames above 0 and sum.when \"auto\" or \"always\")");
  root.finish();
  return config;
}

}  // namespace

Result<Config> parse_config(std::string_view toml, const std::string& file) {
  Config config;
  const auto read = [&](TableReader& root) { config = read_root(root); };
  if (auto ok = read_toml(toml, file, read); !ok) return ok.error();
  return config;
}

Result<Config> read_config(const std::string& path) {
  Config config;
  const auto read = [&](TableReader& root) { config = read_root(root); };
  if (auto ok = read_toml_file(path, "configuration", read); !ok) return ok.error();
  return config;
}

namespace {

std::vector<AlertRule> read_rules_root(TableReader& root) {
  root.require("rule", "[[rule]] tables");
  std::vector<AlertRule> rules = read_list<AlertRule>(root, "rule");
  root.finish();
  return rules;
}

}  // namespace

Result<std::vector<AlertRule>> parse_rules(std::string_view toml, const std::string& file) {
  std::vector<AlertRule> rules;
  const auto read = [&](TableReader& root) { rules = read_rules_root(root); };
  if (auto ok = read_toml(toml, file, read); !ok) return ok.error();
  return rules;
}

Result<std::vector<AlertRule>> read_rules(const std::string& path) {
  std::vector<AlertRule> rules;
  const auto read = [&](TableReader& root) { rules = read_rules_root(root); };
  if (auto ok = read_toml_file(path, "rules", read); !ok) return ok.error();
  return rules;
}

}  // namespace latticed
