// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/app/movie.hpp"

#include <span>
#include <string>
#include <utility>

namespace latticed {

using namespace std::chrono_literals;

Result<Movie> take_movie(Detector& detector, std::size_t count) {
  DetectorSettings wanted;
  wanted.frame_count = count;
  auto configuration = detector.configure(wanted);
  if (!configuration) return configuration.error();
  const std::string name = "detector " + detector.info().name + ": ";
  if (configuration->geometry.type != PixelType::u16)
    return Error{ErrorCode::invalid_argument, name + "expected pixels of uint16"};
  if (auto ok = detector.arm(); !ok) return ok.error();
  if (auto ok = detector.start(); !ok) return ok.error();
  Movie movie{*configuration, {}};
  while (movie.pictures.size() < count) {
    std::vector<std::uint16_t> picture(configuration->geometry.pixels());
    auto got = detector.read_frame(std::as_writable_bytes(std::span(picture)), 5000ms);
    if (!got) return got.error();
    if (got->kind != FrameKind::frame)
      return Error{ErrorCode::data_loss,
                   name +
                       (got->kind == FrameKind::end ? "its frames ended after "
                                                    : "a frame was lost after ") +
                       std::to_string(movie.pictures.size()) + " of " + std::to_string(count) +
                       " pictures"};
    movie.pictures.push_back(std::move(picture));
  }
  return movie;
}

}  // namespace latticed
