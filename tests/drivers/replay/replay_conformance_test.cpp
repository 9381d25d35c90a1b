// SPDX-License-Identifier: GPL-3.0-or-later
// The replay detector keeps the contract every detector keeps.
#include "drivers/replay/replay_detector.hpp"
#include "tests/conformance/detector_conformance.hpp"
#include "tests/support/movie_writers.hpp"

namespace latticed::test {
namespace {

DetectorUnderTest replay_of(int frames, std::size_t missing_bytes) {
  auto folder = std::make_shared<TemporaryFolder>();
  SmallMovie movie;
  movie.frames = frames;
  Bytes bytes = mrc_bytes<std::uint16_t>(movie, 6);
  bytes.resize(bytes.size() - missing_bytes);
  ReplayOptions options;
  options.files = {write_bytes(*folder / "movie.mrc", bytes)};
  auto detector = ReplayDetector::open(options);
  if (!detector) {
    ADD_FAILURE() << detector.error().message;
    return {};
  }
  return {folder, std::move(*detector)};
}

DetectorCase mrc_case() {
  constexpr std::size_t kFrameBytes = 9 * 6 * 2;
  return {"mrc", [] { return replay_of(20, 0); },
          // Ten frames by its header; the last two and a half are not in the file.
          [] { return replay_of(10, kFrameBytes * 5 / 2); }};
}

INSTANTIATE_TEST_SUITE_P(Replay, DetectorConformance, testing::Values(mrc_case()),
                         [](const auto& which) { return which.param.name; });

}  // namespace
}  // namespace latticed::test
