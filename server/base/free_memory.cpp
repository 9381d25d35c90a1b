// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/base/free_memory.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <sstream>

namespace latticed {
namespace {

constexpr std::uint64_t kUnknown = std::numeric_limits<std::uint64_t>::max();

std::string text_of(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::uint64_t number_in(const char* path) {
  std::uint64_t value = 0;
  std::istringstream text(text_of(path));
  return text >> value ? value : kUnknown;  // "max" is no number
}

// cgroup v2, as seen from inside a container.
std::uint64_t left_to_group() {
  const std::uint64_t most = number_in("/sys/fs/cgroup/memory.max"),
                      used = number_in("/sys/fs/cgroup/memory.current");
  if (most == kUnknown || used == kUnknown) return kUnknown;
  return most > used ? most - used : 0;
}

}  // namespace

std::uint64_t available_in(const std::string& meminfo) {
  std::istringstream lines(meminfo);
  std::string name;
  std::uint64_t kilobytes = 0;
  while (lines >> name) {
    if (name == "MemAvailable:" && lines >> kilobytes) return kilobytes * 1024;
    lines.ignore(std::numeric_limits<std::streamsize>::max(), '\n');
  }
  return kUnknown;
}

std::uint64_t free_memory_bytes() {
  return std::min(available_in(text_of("/proc/meminfo")), left_to_group());
}

}  // namespace latticed
