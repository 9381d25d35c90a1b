// SPDX-License-Identifier: GPL-3.0-or-later
// Commands on recordings that lie on this machine: they need no server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "clients/latticectl/commands.hpp"
#include "clients/latticectl/numbers.hpp"
#include "server/base/screen.hpp"
#include "server/record/completion.hpp"
#include "server/record/verify.hpp"

namespace latticed::latticectl {

namespace {

constexpr int kNotWhole = 1;

/// A bar on a terminal, of the file that is worked on.
class Bar {
 public:
  record::ImageProgress of(const std::string& path, const std::stop_token& stop) {
    return [this, path, stop](std::uint64_t done, std::uint64_t all) {
      const double share = all > 0 ? static_cast<double>(done) / static_cast<double>(all) : 1.0;
      const auto filled = static_cast<std::size_t>(share * kWidth);
      screen_.show("bar", fmt::format("{} [{}{}] {:3.0f} %", path, std::string(filled, '#'),
                                      std::string(kWidth - filled, ' '), 100.0 * share));
      return !stop.stop_requested();
    };
  }
  void clear() { screen_.show("bar", ""); }

 private:
  static constexpr std::size_t kWidth = 30;
  Screen screen_{stderr};
};

void write_json(const Output& out, const nlohmann::json& document) {
  out.write(document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void say_error(const Output& out, const std::string& path, const Error& error) {
  if (out.is_json()) write_json(out, {{"file", path}, {"error", error.message}});
  out.hint("latticectl: " + error.message);
}

std::string text_of(const std::string& path, const record::Verification& v) {
  std::string text =
      fmt::format("{}: {}{}, {} images, {} lost, {}\n", path, v.is_whole() ? "whole" : "NOT WHOLE",
                  v.is_recovered ? " (recovered)" : "", v.images, v.lost, bytes_text(v.bytes));
  for (const std::string& problem : v.problems) text += "  " + problem + "\n";
  return text;
}

nlohmann::json json_of(const std::string& path, const record::Verification& v) {
  return {{"file", path},
          {"whole", v.is_whole()},
          {"complete", v.is_complete},
          {"recovered", v.is_recovered},
          {"images", v.images},
          {"lost", v.lost},
          {"bytes", v.bytes},
          {"damaged", v.damaged},
          {"damaged_frames", v.damaged_frames},
          {"problems", v.problems}};
}

int verify_files(const std::vector<std::string>& files, const std::stop_token& stop,
                 const Output& out) {
  Bar bar;
  int status = kDone;
  for (const std::string& path : files) {
    const auto found = record::verify(path, bar.of(path, stop));
    bar.clear();
    if (!found) {
      say_error(out, path, found.error());
      status = kNotWhole;
    } else {
      if (out.is_json())
        write_json(out, json_of(path, *found));
      else
        out.write(text_of(path, *found));
      if (!found->is_whole()) status = kNotWhole;
    }
    if (stop.stop_requested()) break;
  }
  return status;
}

int recover_files(const std::vector<std::string>& files, const std::stop_token& stop,
                  const Output& out) {
  Bar bar;
  int status = kDone;
  for (const std::string& path : files) {
    record::RecoverOptions options;
    options.progress = bar.of(path, stop);
    const auto done = record::recover(path, options);
    bar.clear();
    if (!done) {
      say_error(out, path, done.error());
      status = kNotWhole;
    } else if (out.is_json()) {
      write_json(out, {{"file", path},
                       {"recovered", done->path},
                       {"images", done->images},
                       {"lost", done->lost},
                       {"cut", done->cut},
                       {"damaged", done->damaged}});
    } else {
      out.write(
          fmt::format("{}: {} images, {} lost, {} incomplete ones cut off its end, {} damaged "
                      "ones flagged\n",
                      done->path, done->images, done->lost, done->cut, done->damaged));
    }
    if (stop.stop_requested()) break;
  }
  return status;
}

using Work = int (*)(const std::vector<std::string>&, const std::stop_token&, const Output&);

void add_of_files(CLI::App* command, Desk& desk, Work work) {
  const auto files = std::make_shared<std::vector<std::string>>();
  command->add_option("FILE", *files, "recordings on this machine")->required();
  command->callback([files, &desk, work] {
    desk.run_unconnected = [files, stop = desk.stop, work](const Output& out) {
      return work(*files, stop, out);
    };
  });
}

}  // namespace

void add_file_commands(CLI::App& app, Desk& desk) {
  add_of_files(add_command(app, "verify",
                           "whether recordings are whole: every image against its checksum, every "
                           "frame there or listed as lost; exit 1: one is not",
                           "no server; reads only", "verify run.nxs"),
               desk, verify_files);
  add_of_files(add_command(app, "recover",
                           "completes recordings whose writer was killed or lost its power: "
                           "NAME.nxs.part becomes NAME.nxs",
                           "no server; nobody writes the file (a server does it when it starts)",
                           "recover run.nxs.part"),
               desk, recover_files);
}

}  // namespace latticed::latticectl
