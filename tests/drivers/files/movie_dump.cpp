// SPDX-License-Identifier: GPL-3.0-or-later
// Says on stdout what the readers make of a file, as one JSON object, and writes all pixels as f64
// into a second file: for other_writers_test.py to compare.
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

#include "drivers/files/movie_reader.hpp"
#include "tests/support/movie_checks.hpp"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  auto movie = latticed::open_movie(argv[1]);
  if (!movie) {
    std::printf("%s\n", nlohmann::json({{"error", movie.error().message}}).dump().c_str());
    return 0;
  }
  const auto& info = (*movie)->info();
  std::ofstream out(argv[2], std::ios::binary);
  std::vector<std::byte> pixels(info.geometry.bytes());
  for (std::uint64_t i = 0; i < info.frame_count; ++i) {
    if (!(*movie)->read(i, pixels)) return 3;
    for (std::size_t p = 0; p < info.geometry.pixels(); ++p) {
      const double value = latticed::test::pixel_at(pixels, info.geometry.type, p);
      out.write(reinterpret_cast<const char*>(&value), sizeof(value));
    }
  }
  const nlohmann::json said = {
      {"shape", {info.frame_count, info.geometry.height, info.geometry.width}},
      {"type", to_string(info.geometry.type)},
      {"pixel_size_nm", info.pixel_size_nm},
      {"frame_period_s", info.frame_period_s},
      {"format", info.format}};
  std::printf("%s\n", said.dump().c_str());
  return 0;
}
