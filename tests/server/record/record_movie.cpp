// SPDX-License-Identifier: GPL-3.0-or-later
// Writes the run of recorded_run.hpp for readers in other languages.
//
//   record_movie whole DIR FRAMES      records and says the file's path
//   record_movie live DIR FRAMES       stops every ten frames, flushed: says the path, waits for a
//                                      line, goes on; the last path is the complete file's
//   record_movie recover PART          recovers what a killed one left
//   record_movie verify FILE           what is wrong with it; exit 1: something is
//   record_movie repack FROM TO portable|compact|archive
//
// Frames 5, 6 and 7 are lost. The holder's samples end 0.3 s before the last frame.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>

#include "server/record/completion.hpp"
#include "server/record/image_packer.hpp"
#include "server/record/repack.hpp"
#include "server/record/verify.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

template <class T>
T or_die(Result<T> result) {
  if (result) return std::move(*result);
  std::cerr << result.error().message << "\n";
  std::exit(1);
}

void or_die(const Result<void>& result) {
  if (result) return;
  std::cerr << result.error().message << "\n";
  std::exit(1);
}

void say(const std::string& path) { std::cout << path << std::endl; }

/// Packed where the profile says so; of a compact one every third frame is not, as under pressure.
Result<void> add(record::Recording& recording, record::ImagePacker& packer, FrameLease frame) {
  const std::uint64_t seq = frame->seq;
  if (seq % 3 == 2) return recording.add(*frame);
  packer.add(std::move(frame));
  const record::PackedFrame& packed = packer.oldest();
  auto ok = recording.add(*packed.frame, packed.image);
  packer.release();
  return ok;
}

void record(const std::string& directory, std::uint64_t frames, bool is_live,
            RecordingProfile profile) {
  RecordedRun run;
  run.facts().profile = profile;
  const FrameGeometry geometry = run.facts().run.configuration.geometry;
  record::ImagePacker packer({profile == RecordingProfile::compact ? 1 : 0, geometry.bytes(),
                              bytes_per_pixel(geometry.type)});
  auto holder = std::make_shared<HolderLog>("bias1", 0.02);
  run.facts().holders = {holder};
  auto recording = or_die(record::Recording::create(directory, run.facts()));
  RecordedEvent tag{recorded_time_ns(1), 1,          kNoFrame,           EventKind::tag,
                    EventSeverity::info, "operator", "here it cracks: µ"};
  recording->add(tag);
  RecordedEvent change{recorded_time_ns(4),
                       4,
                       kNoFrame,
                       EventKind::parameter,
                       EventSeverity::info,
                       "track",
                       std::string(1300, 'x') + "end"};
  recording->add(change);
  const std::int64_t silent_ns = recorded_time_ns(frames - 1) - 300'000'000;
  std::int64_t sample = 0;
  for (std::uint64_t seq = 0; seq < frames; ++seq) {
    if (seq == 5) {
      or_die(recording->add(*run.lost(5, 3)));
      seq = 8;
    }
    or_die(add(*recording, packer, run.frame(seq)));
    play_holder(*holder, sample, std::min(recorded_time_ns(seq) - 30'000'000, silent_ns));
    if (seq % 10 != 9) continue;
    or_die(recording->flush());
    if (!is_live) continue;
    say(recording->path());
    std::string line;
    if (!std::getline(std::cin, line)) std::exit(1);
  }
  record::Recording::End end;
  end.ended_ns = kRunStart_ns + static_cast<std::int64_t>(frames) * kPeriod_ns;
  say(or_die(recording->finish(end)));
}

/// A quiet run: nothing lost, no reflection, a holder that says nothing.
void record_bare(const std::string& directory, std::uint64_t frames) {
  RecordedRun run;
  run.facts().holders = {std::make_shared<HolderLog>("bias1", 0.02)};
  auto recording = or_die(record::Recording::create(directory, run.facts()));
  for (std::uint64_t seq = 0; seq < frames; ++seq) {
    const FrameLease frame = run.frame(seq);
    frame->measurements = {};
    or_die(recording->add(*frame));
  }
  say(or_die(recording->finish({})));
}

}  // namespace
}  // namespace latticed::test

int main(int count, char** arguments) {
  using namespace latticed::test;
  const std::string what = count > 2 ? arguments[1] : "";
  if (what == "recover") {
    say(or_die(latticed::record::recover(arguments[2])).path);
  } else if (count == 4 && what == "bare") {
    record_bare(arguments[2], std::strtoull(arguments[3], nullptr, 10));
  } else if (count == 5 && what == "repack") {
    using latticed::record::Storage;
    const std::string storage = arguments[4];
    const auto done = or_die(latticed::record::repack(arguments[2], arguments[3],
                                                      storage == "archive"   ? Storage::archive
                                                      : storage == "compact" ? Storage::compact
                                                                             : Storage::portable));
    say(std::to_string(done.images));
  } else if (what == "verify") {
    const auto found = or_die(latticed::record::verify(arguments[2]));
    for (const std::string& problem : found.problems) say(problem);
    return found.is_whole() ? 0 : 1;
  } else if (count >= 4 && (what == "whole" || what == "live")) {
    const bool is_compact = count > 4 && std::string(arguments[4]) == "compact";
    record(arguments[2], std::strtoull(arguments[3], nullptr, 10), what == "live",
           is_compact ? latticed::RecordingProfile::compact : latticed::RecordingProfile::portable);
  } else {
    std::cerr << "usage: record_movie whole|live DIR FRAMES [compact], bare DIR FRAMES, or recover "
                 "PART, verify "
                 "FILE, or repack FROM TO STORAGE\n";
    return 2;
  }
}
