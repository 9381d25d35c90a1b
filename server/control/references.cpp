// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/control/references.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "drivers/files/movie_reader.hpp"
#include "server/signal/hot_pixels.hpp"

namespace latticed {

namespace {

Result<std::vector<float>> load_map(const std::string& path, const char* what,
                                    const FrameGeometry& geometry) {
  if (path.empty()) return std::vector<float>{};
  auto movie = open_movie(path);
  if (!movie) return movie.error();
  const FrameGeometry& found = (*movie)->info().geometry;
  if (found.width != geometry.width || found.height != geometry.height)
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{} reference {}: {}x{} pixels, expected {}x{} as the frames", what,
                             path, found.width, found.height, geometry.width, geometry.height)};
  std::vector<std::byte> raw(found.bytes());
  if (auto ok = (*movie)->read(0, raw); !ok) return ok.error();
  std::vector<float> map = signal::to_float(raw, found);
  const auto bad = std::count_if(map.begin(), map.end(), [](float v) { return !std::isfinite(v); });
  if (bad)
    return Error{ErrorCode::invalid_argument,
                 fmt::format("{} reference {}: {} pixels are not finite", what, path, bad)};
  return map;
}

}  // namespace

Result<signal::CorrectionMaps> load_references(const ReferenceFiles& files,
                                               const FrameGeometry& geometry) {
  signal::CorrectionMaps maps;
  auto dark = load_map(files.dark, "dark", geometry);
  if (!dark) return dark.error();
  auto gain = load_map(files.gain, "gain", geometry);
  if (!gain) return gain.error();
  if (!dark->empty()) maps.hot_pixels = signal::hot_pixels_of_dark(*dark);
  // A gain far from its neighbours' is a defect too: dead pixels show only in the flat field.
  for (std::size_t i = 0; i < gain->size(); ++i)
    if (!((*gain)[i] > 0.2f && (*gain)[i] < 5.0f)) {
      maps.hot_pixels.push_back(static_cast<std::uint32_t>(i));
      (*gain)[i] = 1.0f;
    }
  maps.hot_pixels = joined(std::move(maps.hot_pixels), {});
  maps.dark = std::move(*dark);
  maps.gain = std::move(*gain);
  return maps;
}

std::vector<std::uint32_t> joined(std::vector<std::uint32_t> a,
                                  const std::vector<std::uint32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  std::sort(a.begin(), a.end());
  a.erase(std::unique(a.begin(), a.end()), a.end());
  return a;
}

std::vector<std::uint32_t> hot_pixels_of_movie(const std::string& path) {
  auto movie = open_movie(path);
  if (!movie) return {};
  const MovieInfo& info = (*movie)->info();
  signal::HotPixelSearch search(info.geometry);
  std::vector<std::byte> raw(info.geometry.bytes());
  const std::uint64_t frames = std::min<std::uint64_t>(info.frame_count, 8);
  for (std::uint64_t i = 0; i < frames; ++i)
    if ((*movie)->read(i * info.frame_count / frames, raw)) search.add(raw);
  return search.found();
}

}  // namespace latticed
