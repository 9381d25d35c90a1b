// SPDX-License-Identifier: GPL-3.0-or-later
// Whether the images of a recording are still the bytes that were recorded: each against its
// checksum in frame_info.
#pragma once

#include <cstdint>
#include <vector>

#include "server/record/hdf5_file.hpp"

namespace latticed::record {

class ImageCheck {
 public:
  /// Of an open file, which must stay open. Error data_loss: there are no images in it.
  static Result<ImageCheck> open(hid_t file);

  /// Those that have a checksum.
  [[nodiscard]] std::uint64_t images() const noexcept { return checksums_.size(); }
  [[nodiscard]] bool is_as_recorded(std::uint64_t row);

 private:
  ImageCheck() = default;
  bool read(std::uint64_t row);
  bool read_chunk(std::uint64_t row);

  Handle dataset_;
  std::vector<hsize_t> extent_;
  std::vector<std::uint32_t> checksums_;
  bool is_chunk_an_image_ = false;  // and packed by Blosc or not at all: then HDF5 need not help
  std::vector<std::byte> chunk_, image_;
};

}  // namespace latticed::record
