// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/holder_steps.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "clients/latticectl/numbers.hpp"

namespace latticed::latticectl {

namespace {

using nlohmann::json;

struct Mistake {
  std::string what;
};

void read_number(const json& step, const char* key, std::optional<double>& value) {
  const auto found = step.find(key);
  if (found == step.end() || found->is_null()) return;
  if (!found->is_number()) throw Mistake{fmt::format("{}: expected a number", key)};
  value = found->get<double>();
  if (!std::isfinite(*value)) throw Mistake{fmt::format("{}: not finite", key)};
}

void refuse_unknown(const json& step) {
  for (const auto& [key, value] : step.items()) {
    const bool is_known = key == "frame" || key == "current_a" || key == "bias_v" ||
                          key == "temperature_k" || value.is_null();
    if (!is_known) {
      throw Mistake{key + ": unknown (expected frame, current_a, bias_v, temperature_k)"};
    }
  }
}

HolderStep read_step(const json& step) {
  if (!step.is_object()) throw Mistake{"expected an object"};
  refuse_unknown(step);
  const auto frame = step.find("frame");
  if (frame == step.end() || !frame->is_number_unsigned()) {
    throw Mistake{"frame: expected a whole number from 0"};
  }
  HolderStep read;
  read.frame = frame->get<std::uint64_t>();
  read_number(step, "current_a", read.current_a);
  read_number(step, "bias_v", read.bias_v);
  read_number(step, "temperature_k", read.temperature_k);
  if (read.current_a && read.bias_v) throw Mistake{"a source holds current_a or bias_v, not both"};
  if (read.temperature_k && *read.temperature_k < 0.0) throw Mistake{"temperature_k: below 0 K"};
  if (!read.current_a && !read.bias_v && !read.temperature_k) throw Mistake{"tells nothing"};
  return read;
}

}  // namespace

Result<std::vector<HolderStep>> parse_steps(const std::string& text, const std::string& file) {
  const auto wrong = [&](const std::string& what) {
    return Error{ErrorCode::invalid_argument, fmt::format("steps '{}': {}", file, what)};
  };
  const json document = json::parse(text, nullptr, false);
  if (!document.is_array()) return wrong("expected a JSON list of steps");
  std::vector<HolderStep> steps;
  for (const json& item : document) {
    const std::size_t number = steps.size() + 1;
    try {
      steps.push_back(read_step(item));
    } catch (const Mistake& mistake) {
      return wrong(fmt::format("step {}: {}", number, mistake.what));
    }
    if (number > 1 && steps[number - 2].frame > steps.back().frame) {
      return wrong(fmt::format("step {}: frame {} after frame {}", number, steps.back().frame,
                               steps[number - 2].frame));
    }
  }
  return steps;
}

Result<std::vector<HolderStep>> read_steps(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) {
    return Error{ErrorCode::not_found, fmt::format("steps '{}': {}", path, std::strerror(errno))};
  }
  return parse_steps({std::istreambuf_iterator<char>(in), {}}, path);
}

std::string to_text(const HolderStep& step) {
  std::vector<std::string> parts;
  if (step.current_a) parts.push_back(with_prefix(*step.current_a, "A"));
  if (step.bias_v) parts.push_back(with_prefix(*step.bias_v, "V"));
  if (step.temperature_k) parts.push_back(fmt::format("{:.1f} K", *step.temperature_k));
  return fmt::format("{}", fmt::join(parts, ", "));
}

}  // namespace latticed::latticectl
