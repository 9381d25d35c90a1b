// SPDX-License-Identifier: GPL-3.0-or-later
// `latticed check-config`: all mistakes of a configuration, or what it comes to.
#include <fmt/format.h>

#include <cstdio>

#include "server/app/commands.hpp"
#include "server/config/config.hpp"

namespace latticed {

int check_config(const std::string& path) {
  const auto config = read_config(path);
  if (!config) {
    fmt::print(stderr, "{}\n", config.error().message);
    return 1;
  }
  const std::string text = to_toml(*config);
  const bool is_written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!is_written) std::perror("latticed check-config: writing the configuration");
  return is_written ? 0 : 1;
}

}  // namespace latticed
