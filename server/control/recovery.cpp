// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/recovery.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "server/record/file_names.hpp"
#include "server/record/page_log.hpp"
#include "server/record/writer_lock.hpp"

namespace latticed {
namespace {

namespace fs = std::filesystem;

constexpr int kNice = 15;  // behind the frames of a run that begins meanwhile

/// Logs of recordings that are complete: a crash came between that and their removal.
void remove_orphans(const std::string& directory) {
  std::error_code problem;
  for (fs::directory_iterator at(directory, problem), end; !problem && at != end;
       at.increment(problem)) {
    const std::string path = at->path().string();
    for (const std::string_view ending : {".log", ".log.new"}) {
      const std::string part = path.substr(0, path.size() - std::min(path.size(), ending.size()));
      if (path.ends_with(ending) && part.ends_with(record::kPart) && !record::is_taken(part))
        record::remove_page_log(part);
    }
  }
}

std::vector<std::string> parts_in(const std::vector<std::string>& directories) {
  std::vector<std::string> out;
  for (const std::string& directory : directories) {
    if (directory.empty()) continue;
    remove_orphans(directory);
    std::error_code problem;
    for (fs::directory_iterator at(directory, problem), end; !problem && at != end;
         at.increment(problem))
      if (at->path().string().ends_with(record::kPart)) out.push_back(at->path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

}  // namespace

Recovery::Recovery(const std::vector<std::string>& directories, Told told)
    : parts_(parts_in(directories)),
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
  for (const std::string& part : parts_) {
    if (is_stopping_.load()) break;
    if (record::is_being_written(part)) continue;
    told_(part, record::recover(part, options));
  }
  has_ended_.store(true);
}

}  // namespace latticed
