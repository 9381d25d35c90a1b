// SPDX-License-Identifier: GPL-3.0-or-later
// Several movie files as one: frames are numbered on over them. The first file says what a frame
// is; a file of another geometry counts, but its frames cannot be read.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "drivers/files/movie_reader.hpp"
#include "drivers/kit/result.hpp"

namespace latticed {

class MovieSequence final : public MovieReader {
 public:
  /// Every file must open; the first that does not is the Error.
  static Result<std::unique_ptr<MovieSequence>> open(const std::vector<std::string>& paths);

  /// Calibration is the first file's; time_ns is empty, see time_ns(). Remarks are everyone's.
  [[nodiscard]] const MovieInfo& info() const noexcept override { return info_; }

  /// Does not allocate where the file's own reader does not, as long as there are no more than
  /// kMaxOpenFiles files; beyond that the next file is opened when its turn comes.
  Result<void> read(std::uint64_t index, std::span<std::byte> pixels) override;

  /// kUnknownTime where the file has none.
  [[nodiscard]] std::int64_t time_ns(std::uint64_t index) const noexcept;

  static constexpr std::size_t kMaxOpenFiles = 64;

 private:
  struct Part {
    std::string path;
    std::uint64_t first = 0;  // its frame 0 in the sequence
    std::uint64_t count = 0;
    FrameGeometry geometry;
    std::vector<std::int64_t> time_ns;
    std::unique_ptr<MovieReader> reader;  // null = opened when needed
  };
  void append(const std::string& path, std::unique_ptr<MovieReader> reader);
  void remark_differences(const std::string& path, const MovieInfo& other);
  [[nodiscard]] std::size_t part_of(std::uint64_t index) const noexcept;
  Result<MovieReader*> reader_of(std::size_t part);

  MovieInfo info_;
  std::vector<Part> parts_;
  std::size_t reopened_ =
      0;  // the part beyond kMaxOpenFiles that is open now, if its reader is set
};

}  // namespace latticed
