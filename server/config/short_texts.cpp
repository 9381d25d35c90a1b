// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/config/short_texts.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>

namespace latticed {

namespace {

template <class T>
std::optional<T> whole_number(std::string_view text) {
  T value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
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

}  // namespace latticed
