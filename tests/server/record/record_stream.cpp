// SPDX-License-Identifier: GPL-3.0-or-later
// A recorder at work, to be killed: RecordSink with a frame every PERIOD_MS, for the formulas of
// tests/support/recorded_run.hpp. Says at once what it has handed over and what readers can see.
//
//   record_stream DIR FRAMES PERIOD_MS portable|compact WIDTH HEIGHT
//
//   made PATH      the file is there
//   handed SEQ     this frame is the recorder's
//   shown COUNT    so many frames are with the operating system
//   ended PATH
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>

#include "server/record/record_sink.hpp"
#include "tests/support/recorded_run.hpp"

namespace latticed::test {
namespace {

int run(const std::string& directory, std::uint64_t frames, int period_ms, bool is_compact,
        FrameGeometry geometry) {
  RecordedRun run(geometry, 64);
  auto holder = std::make_shared<HolderLog>("bias1", 0.02);
  RecordingOptions options;
  options.directory = directory;
  options.name = "run";
  options.profile = is_compact ? RecordingProfile::compact : RecordingProfile::portable;
  options.holders = {holder};
  options.started_ns = kRunStart_ns;
  options.least_free_bytes = 0;
  auto sink = RecordSink::create(options);
  if (!sink) return 1;
  if (auto ok = (*sink)->begin(run.facts().run); !ok) {
    std::cerr << ok.error().message << "\n";
    return 1;
  }
  std::cout << "made " << (*sink)->progress().file << std::endl;
  std::int64_t shown_ns = 0, sample = 0;
  for (std::uint64_t seq = 0; seq < frames; ++seq) {
    if (seq % 50 == 49) {
      FrameLease lost = run.lost(seq, 1);
      (*sink)->consume(lost);
    } else {
      (*sink)->consume(run.frame(seq));
      std::cout << "handed " << seq << std::endl;
    }
    play_holder(*holder, sample, recorded_time_ns(seq));
    const RecordingProgress now = (*sink)->progress();
    if (now.flushed_ns != shown_ns) std::cout << "shown " << now.frames << std::endl;
    shown_ns = now.flushed_ns;
    std::this_thread::sleep_for(std::chrono::milliseconds(period_ms));
  }
  if (auto ok = (*sink)->finish(); !ok) return 1;
  std::cout << "ended " << (*sink)->progress().file << std::endl;
  return 0;
}

}  // namespace
}  // namespace latticed::test

int main(int count, char** arguments) {
  if (count != 7) {
    std::cerr << "usage: record_stream DIR FRAMES PERIOD_MS portable|compact WIDTH HEIGHT\n";
    return 2;
  }
  return latticed::test::run(
      arguments[1], std::strtoull(arguments[2], nullptr, 10), std::atoi(arguments[3]),
      std::string(arguments[4]) == "compact",
      {std::atoi(arguments[5]), std::atoi(arguments[6]), latticed::PixelType::u16});
}
