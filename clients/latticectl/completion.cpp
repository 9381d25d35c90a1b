// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/completion.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "clients/latticectl/commands.hpp"

namespace latticed::latticectl {

namespace {

std::string words_of(const CLI::App& command) {
  std::string words;
  const auto add = [&](const std::string& word) { words += (words.empty() ? "" : " ") + word; };
  for (const CLI::App* below : command.get_subcommands({})) {
    if (!below->get_name().empty()) add(below->get_name());
  }
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) add("--" + name);
  }
  for (const CLI::App* group : command.get_subcommands({})) {  // option groups have no name
    if (!group->get_name().empty()) continue;
    for (const CLI::Option* option : group->get_options()) {
      for (const std::string& name : option->get_lnames()) add("--" + name);
    }
  }
  return words;
}

/// One line of the script's table for `command` and each below it.
void add_lines(const CLI::App& command, const std::string& path, std::string& out) {
  out += fmt::format("    [\"{}\"]=\"{}\"\n", path, words_of(command));
  for (const CLI::App* below : command.get_subcommands({})) {
    if (!below->get_name().empty()) add_lines(*below, path + "/" + below->get_name(), out);
  }
}

constexpr const char* kScript = R"(  local path="latticectl" word i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    [[ -n ${{words["$path/$word"]+set}} ]] && path=$path/$word
  done
  COMPREPLY=($(compgen -W "${{words[$path]}} {}" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _latticectl latticectl
)";

}  // namespace

std::string bash_completion(const CLI::App& app) {
  std::string everywhere;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) everywhere += " --" + name;
  }
  std::string out = "# eval \"$(latticectl completion bash)\"\n_latticectl() {\n";
  out += "  local -A words=(\n";
  add_lines(app, "latticectl", out);
  out += "  )\n";
  return out + fmt::format(fmt::runtime(kScript), everywhere);
}

void add_completion_command(CLI::App& app, Desk& desk) {
  auto* command =
      add_command(app, "completion", "prints a completion script", "nothing",
                  "completion bash > ~/.local/share/bash-completion/completions/latticectl");
  command
      ->add_option_function<std::string>(
          "SHELL", [](const std::string&) {}, "bash")
      ->required()
      ->check(CLI::IsMember({"bash"}));
  command->callback([&app, &desk] {
    desk.run_unconnected = [&app](const Output& out) {
      out.write(bash_completion(app));
      return kDone;
    };
  });
}

}  // namespace latticed::latticectl
