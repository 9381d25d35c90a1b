// SPDX-License-Identifier: GPL-3.0-or-later
// A completion script for bash, made from the command line itself.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace latticed::latticectl {

[[nodiscard]] std::string bash_completion(const CLI::App& app);

}  // namespace latticed::latticectl
