// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/image_check.hpp"

#include <algorithm>

#include "drivers/files/hdf5_filters.hpp"
#include "server/record/crc32c.hpp"
#include "server/record/paths.hpp"
#include "server/record/reading.hpp"

namespace latticed::record {
namespace {

bool is_chunk_an_image(hid_t dataset, const std::vector<hsize_t>& extent) {
  const Handle plan(H5Dget_create_plist(dataset));
  if (H5Pget_layout(plan) != H5D_CHUNKED) return false;
  std::vector<hsize_t> chunk(extent.size());
  H5Pget_chunk(plan, static_cast<int>(chunk.size()), chunk.data());
  const int filters = H5Pget_nfilters(plan);
  unsigned flags = 0, config = 0;
  std::size_t values = 0;
  const bool is_known =
      filters == 0 || (filters == 1 && H5Pget_filter2(plan, 0, &flags, &values, nullptr, 0, nullptr,
                                                      &config) == files::kBloscFilter);
  return is_known && chunk.front() == 1 &&
         std::equal(chunk.begin() + 1, chunk.end(), extent.begin() + 1);
}

}  // namespace

Result<ImageCheck> ImageCheck::open(hid_t file) {
  const QuietHdf5 quiet;
  files::use_filters();
  ImageCheck out;
  out.dataset_ = Handle(H5Dopen2(file, kImages, H5P_DEFAULT));
  if (out.dataset_) out.extent_ = files::extent_of(out.dataset_);
  if (out.extent_.size() != 3)
    return Error{ErrorCode::data_loss, std::string("no images at ") + kImages};
  out.checksums_ = read_column<std::uint32_t>(file, std::string(kFrameInfo) + "/crc32c");
  if (out.checksums_.size() > out.extent_[0]) out.checksums_.resize(out.extent_[0]);
  const Handle type(H5Dget_type(out.dataset_));
  out.image_.resize(static_cast<std::size_t>(out.extent_[1] * out.extent_[2]) * H5Tget_size(type));
  out.is_chunk_an_image_ = is_chunk_an_image(out.dataset_, out.extent_);
  return out;
}

bool ImageCheck::read_chunk(std::uint64_t row) {
  const hsize_t at[] = {row, 0, 0};
  hsize_t bytes = 0;
  if (H5Dget_chunk_storage_size(dataset_, at, &bytes) < 0 || bytes == 0) return false;
  if (bytes > 2 * image_.size() + 1024) return false;  // no chunk of ours
  chunk_.resize(static_cast<std::size_t>(bytes));
  std::uint32_t mask = 0;
  if (H5Dread_chunk(dataset_, H5P_DEFAULT, at, &mask, chunk_.data()) < 0) return false;
  const Handle plan(H5Dget_create_plist(dataset_));
  if (H5Pget_nfilters(plan) == 1 && mask == 0) return files::unpack_blosc(chunk_, image_);
  if (chunk_.size() != image_.size()) return false;
  image_.swap(chunk_);
  return true;
}

bool ImageCheck::read(std::uint64_t row) {
  if (is_chunk_an_image_) return read_chunk(row);
  const hsize_t start[] = {row, 0, 0}, count[] = {1, extent_[1], extent_[2]};
  const Handle from(H5Dget_space(dataset_)), to(H5Screate_simple(3, count, nullptr)),
      type(H5Dget_type(dataset_));
  return H5Sselect_hyperslab(from, H5S_SELECT_SET, start, nullptr, count, nullptr) >= 0 &&
         H5Dread(dataset_, type, to, from, H5P_DEFAULT, image_.data()) >= 0;
}

bool ImageCheck::is_as_recorded(std::uint64_t row) {
  const QuietHdf5 quiet;
  return row < images() && read(row) && crc32c(image_) == checksums_[row];
}

}  // namespace latticed::record
