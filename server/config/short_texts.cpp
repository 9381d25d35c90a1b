// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/config/short_texts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <vector>

namespace latticed {

namespace {

template <class T>
std::optional<T> whole_number(std::string_view text) {
  T value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

constexpr double kLargestIndex = 16.0;
constexpr int kLargestDenominator = 24;

// "p/q" or a decimal number.
std::optional<double> fraction(std::string_view text) {
  const auto number = [](std::string_view part) -> std::optional<double> {
    double value = 0.0;
    const char* const last = part.data() + part.size();
    const auto [end, problem] = std::from_chars(part.data(), last, value, std::chars_format::fixed);
    if (problem != std::errc{} || end != last || !std::isfinite(value)) return std::nullopt;
    return value;
  };
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return number(text);
  const auto above = whole_number<int>(text.substr(0, slash));
  const auto below = whole_number<int>(text.substr(slash + 1));
  if (!above || !below || *below <= 0) return std::nullopt;
  return static_cast<double>(*above) / *below;
}

std::string fraction_text(double value) {
  for (int below = 1; below <= kLargestDenominator; ++below) {
    const double above = std::round(value * below);
    if (above / below == value)
      return below == 1 ? fmt::format("{:.0f}", above + 0.0)
                        : fmt::format("{:.0f}/{}", above, below);
  }
  return fmt::format("{}", value);
}

}  // namespace

Result<FrameRange> parse_frame_range(std::string_view text) {
  const auto refused = [&](std::string_view why) {
    return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" ({})", text, why)};
  };
  constexpr std::string_view kForm = "expected a:b, the frames from a up to but without b";
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return refused(kForm);
  FrameRange range;
  const auto read = [](std::string_view part, std::uint64_t& value) {
    if (part.empty()) return true;
    const auto number = whole_number<std::uint64_t>(part);
    if (number) value = *number;
    return number.has_value();
  };
  if (!read(text.substr(0, colon), range.first) || !read(text.substr(colon + 1), range.end))
    return refused(kForm);
  if (range.first >= range.end) return refused("expected a below b: this is no frame");
  return range;
}

std::string to_string(const FrameRange& range) {
  return fmt::format("{}:{}", range.first ? std::to_string(range.first) : "",
                     range.end != ReplayOptions::kToTheEnd ? std::to_string(range.end) : "");
}

Result<signal::Region> parse_region(std::string_view text) {
  std::array<int, 4> values{};
  std::size_t begin = 0;
  bool is_good = true;
  for (std::size_t i = 0; i < values.size() && is_good; ++i) {
    const std::size_t comma = i + 1 < values.size() ? text.find(',', begin) : text.size();
    const auto value = comma == std::string_view::npos
                           ? std::nullopt
                           : whole_number<int>(text.substr(begin, comma - begin));
    is_good = value && *value >= (i < 2 ? 0 : 1);
    if (is_good) values[i] = *value;
    begin = comma + 1;
  }
  if (!is_good)
    return Error{
        ErrorCode::invalid_argument,
        fmt::format("\"{}\" (expected X,Y,W,H: left, top, width, height in raw pixels)", text)};
  return signal::Region{values[0], values[1], values[2], values[3]};
}

Result<Vector2> parse_fractional_index(std::string_view text) {
  const auto refused = [&](std::string_view why) {
    return Error{ErrorCode::invalid_argument, fmt::format("\"{}\" ({})", text, why)};
  };
  constexpr std::string_view kForm = "expected two fractions or numbers, as in \"1/3 -0.5\"";
  std::vector<std::string_view> words;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = text.find_first_not_of(" \t", at);
    if (begin == std::string_view::npos) break;
    at = std::min(text.find_first_of(" \t", begin), text.size());
    words.push_back(text.substr(begin, at - begin));
  }
  if (words.size() != 2) return refused(kForm);
  const auto h = fraction(words[0]), k = fraction(words[1]);
  if (!h || !k) return refused(kForm);
  if (std::abs(*h) > kLargestIndex || std::abs(*k) > kLargestIndex)
    return refused(fmt::format("expected from -{0} to {0}", kLargestIndex));
  if (*h == std::round(*h) && *k == std::round(*k))
    return refused("expected a fraction: whole indices are the lattice's own reflections");
  return Vector2{*h, *k};
}

std::string to_fractional_index(Vector2 index) {
  return fmt::format("{} {}", fraction_text(index.x), fraction_text(index.y));
}

}  // namespace latticed
