// SPDX-License-Identifier: GPL-3.0-or-later
// Writes MRC 2014 stacks: mode 2 (float) for references, mode 6 (unsigned 16 bit) for raw frames.
#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>

#include "drivers/kit/result.hpp"

namespace latticed::sim {

enum class MrcMode : std::int32_t { f32 = 2, u16 = 6 };

class MrcWriter {
 public:
  static Result<MrcWriter> create(const std::string& path, int width, int height, MrcMode mode,
                                  double pixel_size_nm);

  /// One section, rows top first. The header tells of it only after close().
  void add(std::span<const std::byte> section);
  Result<void> close();

 private:
  MrcWriter(std::ofstream out, std::string path, int width, int height, MrcMode mode, double px);
  void write_header();

  std::ofstream out_;
  std::string path_;
  std::int32_t width_;
  std::int32_t height_;
  std::int32_t sections_ = 0;
  MrcMode mode_;
  double pixel_size_nm_;
};

}  // namespace latticed::sim
