// SPDX-License-Identifier: GPL-3.0-or-later
// What correction costs while binning uint16 frames: `maps_bench [SIZE] [BIN]`. Without maps, by
// the maps as floats, by CompactMaps, and by a compact dark alone; one thread, best of 100, eight
// frames in turn, so that a frame comes from memory or the last cache. Not run by CTest.
#include <chrono>
#include <cstdio>
#include <random>

#include "server/signal/bin_image.hpp"
#include "tests/support/number_argument.hpp"

namespace latticed::signal {
namespace {

struct Bench {
  FrameGeometry geometry;
  AnalysisGrid grid;
  std::vector<AlignedBuffer<std::uint16_t>> frames;
  AlignedBuffer<float> scratch, cells;

  void time(const char* what, const CorrectionMaps& maps, const CompactMaps& compact) {
    using Clock = std::chrono::steady_clock;
    double best_ms = 1e9;
    for (std::size_t i = 0; i < 100; ++i) {
      const auto began = Clock::now();
      (void)bin_image(std::as_bytes(frames[i % frames.size()].span()), geometry, grid, maps, {},
                      0.0, scratch.span(), cells.span(), compact);
      const std::chrono::duration<double, std::milli> spent = Clock::now() - began;
      best_ms = std::min(best_ms, spent.count());
    }
    std::printf("%-16s %.3f ms\n", what, best_ms);
  }
};

int run(int size, int bin) {
  Bench bench{{size, size, PixelType::u16}, {}, {}, {}, {}};
  const auto grid = make_grid(bench.geometry, bin, {}, 0.8);
  if (!grid) return 2;
  bench.grid = *grid;
  bench.scratch = AlignedBuffer<float>(static_cast<std::size_t>(size));
  bench.cells = AlignedBuffer<float>(static_cast<std::size_t>(grid->width) *
                                     static_cast<std::size_t>(grid->height));
  std::mt19937_64 random(1);
  std::poisson_distribution<int> counts(300.0);
  std::normal_distribution<float> gain(1.0f, 0.02f), dark(100.0f, 2.0f);
  CorrectionMaps maps, dark_only;
  for (int i = 0; i < 8; ++i) {
    auto& frame = bench.frames.emplace_back(bench.geometry.pixels());
    for (std::size_t k = 0; k < frame.size(); ++k)
      frame[k] = i == 0 ? static_cast<std::uint16_t>(counts(random)) : bench.frames[0][k];
  }
  for (std::size_t i = 0; i < bench.geometry.pixels(); ++i) {
    maps.gain.push_back(gain(random));
    maps.dark.push_back(dark(random));
  }
  dark_only.dark = maps.dark;
  std::printf("%d x %d, bin %d\n", size, size, bin);
  bench.time("without maps", {}, {});
  bench.time("maps as floats", maps, {});
  bench.time("compact maps", maps, CompactMaps(*grid, bench.geometry, maps));
  bench.time("compact dark", dark_only, CompactMaps(*grid, bench.geometry, dark_only));
  return 0;
}

}  // namespace
}  // namespace latticed::signal

int main(int argc, char** argv) {
  using latticed::test::number_argument;
  return latticed::signal::run(number_argument(argc, argv, 1, 2048),
                               number_argument(argc, argv, 2, 2));
}
