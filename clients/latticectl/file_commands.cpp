// SPDX-License-Identifier: GPL-3.0-or-later
// Commands on recordings that lie on this machine: they need no server.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "clients/latticectl/commands.hpp"
#include "clients/latticectl/numbers.hpp"
#include "server/base/screen.hpp"
#include "server/record/completion.hpp"
#include "server/record/repack.hpp"
#include "server/record/verify.hpp"

namespace latticed::latticectl {

namespace {

constexpr int kNotDone = 1;  // or not whole

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
      status = kNotDone;
    } else {
      if (out.is_json())
        write_json(out, json_of(path, *found));
      else
        out.write(text_of(path, *found));
      if (!found->is_whole()) status = kNotDone;
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
      status = kNotDone;
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

const std::map<std::string, record::Storage> kStorages = {{"portable", record::Storage::portable},
                                                          {"compact", record::Storage::compact},
                                                          {"archive", record::Storage::archive}};

struct RepackOptions {
  std::string from, to;
  std::string storage = "archive";
};

int repack_file(RepackOptions o, const std::stop_token& stop, const Output& out) {
  const std::filesystem::path from(o.from);
  if (o.to.empty())
    o.to = (from.parent_path() / (from.stem().string() + "-" + o.storage + ".nxs")).string();
  Bar bar;
  const auto done = record::repack(o.from, o.to, kStorages.at(o.storage), bar.of(o.from, stop));
  bar.clear();
  if (!done) {
    say_error(out, o.from, done.error());
    return kNotDone;
  }
  if (out.is_json())
    write_json(out, {{"file", o.from},
                     {"written", o.to},
                     {"images", done->images},
                     {"bytes_before", done->bytes_before},
                     {"bytes", done->bytes_after}});
  else
    out.write(fmt::format("{}: {} images, {} instead of {}; {} stays\n", o.to, done->images,
                          bytes_text(done->bytes_after), bytes_text(done->bytes_before), o.from));
  return kDone;
}

void add_repack(CLI::App& app, Desk& desk) {
  auto* command = add_command(
      app, "repack",
      "writes a complete recording again with its images stored in another way, and verifies it; "
      "the original stays",
      "no server; a complete recording", "repack run.nxs --storage archive");
  const auto o = std::make_shared<RepackOptions>();
  command->add_option("FILE", o->from, "a recording on this machine")->required();
  command
      ->add_option("--storage", o->storage,
                   "archive: gzip, smallest, opened by everything, slow (default); compact: as the "
                   "recorder packs; portable: as the detector delivered")
      ->check(CLI::IsMember({"portable", "compact", "archive"}));
  command->add_option("--out", o->to, "the new file (default: NAME-STORAGE.nxs beside it)");
  command->callback([o, &desk] {
    desk.run_unconnected = [o, stop = desk.stop](const Output& out) {
      return repack_file(*o, stop, out);
    };
  });
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
  add_repack(app, desk);
}

}  // namespace latticed::latticectl
