// SPDX-License-Identifier: GPL-3.0-or-later
// What the drift of one frame costs: `drift_bench [SIZE] [BIN] [FRAMES]`. Frames of the simulator
// with fresh noise each are rendered and transformed once, then tracked several times; for
// comparing before and after a change on one machine. Not run by CTest.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "server/signal/drift_tracker.hpp"
#include "sim/render/renderer.hpp"
#include "sim/scenario/read_scenario.hpp"
#include "sim/specimen/specimen.hpp"
#include "tests/support/analysed_frame.hpp"
#include "tests/support/number_argument.hpp"

namespace latticed {
namespace {

std::string scenario(int size) {
  const std::string side = std::to_string(size);
  return "name = \"bench\"\nseed = 1\nframe_period_s = 0.01\n[[detector]]\nname = "
         "\"camera\"\nwidth = " +
         side + "\nheight = " + side + "\npixel_size_nm = " + std::to_string(0.03 * 512.0 / size) +
         "\ndose_e_per_px = 10.0\n[specimen]\nphase = \"P2\"\nlayer_normal_deg = 28.0\n"
         "edges = [[15.0, 4.5], [-62.0, 5.5]]\nrim_nm = 0.7\n[drift]\n"
         "rate_nm_per_s = [0.3, -0.2]\nwalk_nm_per_sqrt_s = 0.05\n";
}

struct Analysed {
  signal::Spectrum spectrum;
  signal::PeakList peaks;
};

std::vector<Analysed> render(int size, int frames, test::FrameAnalysis& analysis) {
  const sim::Scenario world = sim::parse_scenario(scenario(size), "drift_bench").value();
  const sim::PhaseTable phases = sim::parse_phases(sim::built_in_phases(), "built in").value();
  sim::Specimen specimen(world, phases, 0.0);
  sim::Renderer renderer(world, world.detectors.front(), 2);
  std::vector<std::uint16_t> raw(static_cast<std::size_t>(size) * static_cast<std::size_t>(size));
  std::vector<float> image(raw.size());
  std::vector<Analysed> out;
  for (int i = 0; i < frames; ++i) {
    renderer.render(specimen.advance({}), raw);
    std::copy(raw.begin(), raw.end(), image.begin());
    const Prepared& prepared = analysis(image);
    Analysed& frame = out.emplace_back();
    frame.spectrum = signal::Spectrum(prepared.spectrum.size());
    std::copy_n(prepared.spectrum.data(), prepared.spectrum.size(), frame.spectrum.data());
    frame.peaks = prepared.peaks;
  }
  return out;
}

int run(int size, int bin, int frames) {
  test::FrameAnalysis analysis(size, size, {.bin = bin, .taper = 0.25, .band = 0.8, .detect = {}});
  const std::vector<Analysed> movie = render(size, frames, analysis);
  std::vector<double> ms;
  for (int round = 0; round < 5; ++round) {
    signal::DriftTracker sut(analysis.fft(), {});
    double sum = 0.0;
    std::vector<double> settled;
    for (std::size_t i = 0; i < movie.size(); ++i) {
      const auto before = std::chrono::steady_clock::now();
      (void)sut.track(movie[i].spectrum, movie[i].peaks.noise,
                      {movie[i].peaks.peaks.begin(), movie[i].peaks.peaks.size()});
      const double spent =
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - before)
              .count();
      if (i >= movie.size() / 2) sum += spent, settled.push_back(spent);
    }
    std::sort(settled.begin(), settled.end());
    ms.push_back(sum / static_cast<double>(settled.size()));
    std::printf("%d x %d, bin %d: mean %.3f ms, median %.3f, longest %.3f (frames %zu to %zu)\n",
                size, size, bin, ms.back(), settled[settled.size() / 2], settled.back(),
                movie.size() / 2, movie.size() - 1);
  }
  std::printf("best mean of five: %.3f ms a frame\n", *std::min_element(ms.begin(), ms.end()));
  return 0;
}

}  // namespace
}  // namespace latticed

int main(int argc, char** argv) {
  using latticed::test::number_argument;
  return latticed::run(number_argument(argc, argv, 1, 2048), number_argument(argc, argv, 2, 2),
                       number_argument(argc, argv, 3, 96));
}
