// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/recovery.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "server/record/file_names.hpp"
#include "server/record/writer_lock.hpp"

namespace latticed {
namespace {

namespace fs = std::filesystem;

constexpr int kNice = 15;  // behind the frames of a run that begins meanwhile

std::vector<std::string> parts_in(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code problem;
  for (fs::directory_iterator at(directory, problem), end; !problem && at != end;
       at.increment(problem))
    if (at->path().string().ends_with(record::kPart)) out.push_back(at->path().string());
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

Recovery::Recovery(std::vector<std::string> directories, Told told)
    : directories_(std::move(directories)),
      told_(std::move(told)),
      thread_({"latd-recover", kNice}, [this] { run(); }) {}

Recovery::~Recovery() {
  is_stopping_.store(true);
  thread_.join();
}

void Recovery::run() {
  record::RecoverOptions options;
  options.checks_all = false;
  options.progress = [this](auto, auto) { return !is_stopping_.load(); };
  for (const std::string& directory : directories_) {
    if (directory.empty()) continue;
    for (const std::string& part : parts_in(directory)) {
      if (is_stopping_.load()) break;
      if (record::is_being_written(part)) continue;
      told_(part, record::recover(part, options));
    }
  }
  has_ended_.store(true);
}

}  // namespace latticed
