// SPDX-License-Identifier: GPL-3.0-or-later
// How long a run takes to begin: `start_bench [WIDTH] [HEIGHT] [BIN]`. From an open detector to an
// armed line (plans, memory, templates), and from start to the first measurement. Plans are read
// from and kept where latticed keeps them, so an empty XDG_CACHE_HOME makes it a cold start and the
// same one again a warm one. Not run by CTest.
#include <cstdio>
#include <cstring>
#include <thread>

#include "server/app/block_detector.hpp"
#include "server/base/stage_clock.hpp"
#include "server/process/pipeline.hpp"
#include "server/signal/frame_fft.hpp"
#include "tests/support/lattice_frames.hpp"
#include "tests/support/number_argument.hpp"

namespace latticed {
namespace {

using namespace std::chrono_literals;

double ms_since(std::chrono::nanoseconds began) {
  return static_cast<double>((steady_now() - began).count()) * 1e-6;
}

int run(int width, int height, int bin) {
  test::Scene scene;
  scene.size = std::max(width, height);
  const auto picture = test::lattice_frame(scene, 1);
  DetectorConfiguration configuration;
  configuration.geometry = {width, height, PixelType::u16};
  configuration.exposure_s = configuration.frame_period_s = 0.01;
  auto detector = std::make_unique<BlockDetector>(configuration, 1, 0.0);
  BlockDetector& frames = *detector;
  std::memcpy(frames.frame(0).data(), picture.data(), frames.frame(0).size());

  const auto began = steady_now();
  const std::string wisdom = signal::default_wisdom_path();
  const bool is_warm = signal::load_fft_wisdom(wisdom);
  Pipeline pipeline({});
  Line::Parts parts;
  parts.config.prepare.bin = bin;
  parts.config.source_policy = LossPolicy::block;
  parts.config.rules = default_rules();
  parts.detector = std::move(detector);
  auto line = pipeline.add(std::move(parts), 1);
  if (!line) return 2;
  signal::store_fft_wisdom(wisdom);
  const double armed_ms = ms_since(began);

  const auto started = steady_now();
  if (!pipeline.start()) return 2;
  frames.play();
  while ((*line)->measured() == 0) {
    if (steady_now() - started > 30s) {
      std::fprintf(stderr, "start_bench: no frame was measured within 30 s of the start\n");
      return 1;
    }
    std::this_thread::sleep_for(100us);
  }
  const double first_ms = ms_since(started);
  frames.finish();
  if (!pipeline.wait()) return 2;
  std::printf("%d x %d, bin %d, %s: armed after %.0f ms, first measurement %.1f ms after start\n",
              width, height, (*line)->run().grid.bin, is_warm ? "plans kept" : "no plans yet",
              armed_ms, first_ms);
  return 0;
}

}  // namespace
}  // namespace latticed

int main(int argc, char** argv) {
  using latticed::test::number_argument;
  return latticed::run(number_argument(argc, argv, 1, 2048), number_argument(argc, argv, 2, 2048),
                       number_argument(argc, argv, 3, 0));
}
