// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/screen.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

namespace latticed {

namespace {

std::size_t columns_of(std::FILE* out) {
  winsize size{};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

/// At most `columns` characters of a UTF-8 line: a line that wraps could not be erased.
std::string_view cut(std::string_view line, std::size_t columns) {
  std::size_t characters = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool begins_character = (static_cast<unsigned char>(line[i]) & 0xc0) != 0x80;
    if (begins_character && characters++ == columns) return line.substr(0, i);
  }
  return line;
}

}  // namespace

Screen::Screen(std::FILE* out) : out_(out), is_terminal_(isatty(fileno(out)) == 1) {}

std::string Screen::erased() const {
  if (lines_shown_ == 0) return {};
  return "\x1b[" + std::to_string(lines_shown_) + "A\r\x1b[J";  // up, to the left, clear below
}

std::string Screen::drawn() {
  const std::size_t columns = columns_of(out_);
  std::string out;
  lines_shown_ = 0;
  for (const auto& [name, text] : parts_) {
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      out += std::string(cut(rest.substr(0, end), columns)) + "\n";
      ++lines_shown_;
      rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    }
  }
  return out;
}

void Screen::print(std::string_view line) {
  const std::lock_guard lock(mutex_);
  std::string out = erased();
  out += line;
  out += drawn();
  std::fwrite(out.data(), 1, out.size(), out_);
}

void Screen::show(const std::string& part, std::string text) {
  if (!is_terminal_) return;
  const std::lock_guard lock(mutex_);
  std::string out = erased();
  if (text.empty())
    parts_.erase(part);
  else
    parts_[part] = std::move(text);
  out += drawn();
  std::fwrite(out.data(), 1, out.size(), out_);
  std::fflush(out_);
}

void Screen::flush() {
  const std::lock_guard lock(mutex_);
  std::fflush(out_);
}

}  // namespace latticed
