// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/tiff_reader.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "drivers/files/limits.hpp"
#include "drivers/files/raw_frames.hpp"
#include "drivers/files/tiff_directories.hpp"
#include "drivers/files/tiff_image.hpp"

namespace latticed::files {
namespace {

/// ImageJ's stacks beyond 4 GB, and tifffile's: the first directory speaks for all.
class RawStackReader final : public MovieReader {
 public:
  RawStackReader(RawFrames frames, MovieInfo info)
      : frames_(std::move(frames)), info_(std::move(info)) {}
  const MovieInfo& info() const noexcept override { return info_; }
  Result<void> read(std::uint64_t index, std::span<std::byte> pixels) override {
    return frames_.read(index, pixels);
  }

 private:
  RawFrames frames_;
  MovieInfo info_;
};

class TiffReader final : public MovieReader {
 public:
  TiffReader(std::unique_ptr<TiffImage> image, std::vector<std::uint64_t> directories,
             const TiffShape& shape, MovieInfo info, const File& file)
      : image_(std::move(image)),
        directories_(std::move(directories)),
        shape_(shape),
        info_(std::move(info)),
        path_(file.path()),
        file_size_(file.size()) {
    if (shape_.sample > SampleType::f32) {
      stored_.resize(info_.geometry.pixels() * bytes_per_sample(shape_.sample));
    }
  }

  const MovieInfo& info() const noexcept override { return info_; }

  Result<void> read(std::uint64_t index, std::span<std::byte> pixels) override {
    if (auto ok = check_read(path_, index, info_.frame_count, pixels.size(), info_.geometry); !ok) {
      return ok.error();
    }
    if (index >= directories_.size()) {
      return frame_error(ErrorCode::out_of_range, index, path_,
                         "the file ends after " + std::to_string(directories_.size()) + " images");
    }
    if (!image_->select(directories_[index])) return unreadable(index);
    const auto shape = image_->shape();
    if (!shape) return unreadable(index);
    if (*shape != shape_) {
      return frame_error(ErrorCode::failed_precondition, index, path_,
                         std::to_string(shape->width) + " x " + std::to_string(shape->height) +
                             " " + std::string(to_string(pixel_type(shape->sample))) +
                             ", frame 0 has another geometry");
    }
    if (const std::uint64_t end = image_->end_of_pixels(); end > file_size_) {
      return frame_error(ErrorCode::out_of_range, index, path_,
                         "its pixels end at byte " + std::to_string(end) + ", the file at " +
                             std::to_string(file_size_));
    }
    return decode(index, pixels);
  }

 private:
  Result<void> decode(std::uint64_t index, std::span<std::byte> pixels) {
    const bool is_converted = !stored_.empty();
    const auto out = is_converted ? std::span(stored_) : pixels.first(info_.geometry.bytes());
    if (!image_->decode(shape_, out)) return unreadable(index);
    if (is_converted) convert_to_f32(shape_.sample, ByteOrder::little, stored_, pixels.data());
    return {};
  }

  Error unreadable(std::uint64_t index) const {
    return frame_error(ErrorCode::data_loss, index, path_, image_->complaint());
  }

  std::unique_ptr<TiffImage> image_;
  std::vector<std::uint64_t> directories_;
  TiffShape shape_;
  MovieInfo info_;
  std::string path_;
  std::uint64_t file_size_;
  std::vector<std::byte> stored_;  // only for samples that are converted
};

Result<std::unique_ptr<MovieReader>> open_raw_stack(File file, const TiffShape& shape,
                                                    std::uint64_t offset, ByteOrder order,
                                                    std::int64_t images, MovieInfo info) {
  RawLayout layout;
  layout.offset = offset;
  layout.width = shape.width;
  layout.height = shape.height;
  layout.sample = shape.sample;
  layout.order = order;
  layout.declared_count = images;
  layout.extra_frames = ExtraFrames::ignored;
  auto frames = RawFrames::open(std::move(file), layout, info.remarks);
  if (!frames) return frames.error();
  info.frame_count = frames->frame_count();
  return std::unique_ptr<MovieReader>(
      std::make_unique<RawStackReader>(std::move(*frames), std::move(info)));
}

/// Where frame 0 is, if one directory speaks for frames that lie one behind the other: there is no
/// second directory, or the file was cut off before one that lies behind all of them.
std::optional<std::uint64_t> raw_stack_offset(const TiffDirectories& found, TiffImage& image,
                                              const TiffShape& shape, std::int64_t images) {
  const auto offset = image.raw_offset();
  if (images < 2 || found.offsets.size() != 1 || !offset) return std::nullopt;
  const std::uint64_t frame =
      std::uint64_t{shape.width} * shape.height * bytes_per_sample(shape.sample);
  if (image.end_of_pixels() != *offset + frame) return std::nullopt;  // strips are scattered
  const auto count = static_cast<std::uint64_t>(images);
  const bool is_behind =
      found.broken_at / frame >= count && found.broken_at >= *offset + frame * count;
  return found.damage.empty() || is_behind ? offset : std::nullopt;
}

/// A chain that broke off has lost at least one frame; the description may say how many.
void count_frames(const std::string& path, const TiffDirectories& found, std::int64_t declared,
                  MovieInfo& info) {
  const std::uint64_t images = found.offsets.size();
  info.frame_count = images;
  if (found.damage.empty()) return;
  const auto wanted = static_cast<std::uint64_t>(declared);
  const bool is_plausible = wanted > images && wanted - images <= kMaxMissingFrames;
  info.frame_count = is_plausible ? wanted : images + 1;
  info.remarks.push_back("'" + path + "': " + found.damage + " after " + std::to_string(images) +
                         " images; " + std::to_string(info.frame_count - images) +
                         " count as lost");
}

}  // namespace

Result<std::unique_ptr<MovieReader>> open_tiff(File file) {
  const std::string path = file.path();
  auto found = find_directories(file);
  if (!found) return found.error();
  std::string reason;
  auto image = TiffImage::open(path, reason);
  if (!image) return open_error(ErrorCode::data_loss, path, reason);
  if (!image->select(found->offsets.front())) {
    return open_error(ErrorCode::data_loss, path, image->complaint());
  }
  const auto shape = image->shape();
  if (!shape) return open_error(ErrorCode::invalid_argument, path, image->complaint());
  auto geometry = checked_geometry(path, shape->width, shape->height, pixel_type(shape->sample));
  if (!geometry) return geometry.error();
  if (geometry->bytes() / kMaxCompression > file.size()) {
    return open_error(ErrorCode::data_loss, path,
                      "frames of " + std::to_string(geometry->bytes()) + " bytes in a file of " +
                          std::to_string(file.size()));
  }
  const TiffCalibration calibration = image->calibration();
  MovieInfo info;
  info.format = "tiff";
  info.geometry = *geometry;
  info.pixel_size_nm = calibration.pixel_size_nm;
  info.frame_period_s = calibration.frame_period_s;
  if (const auto offset = raw_stack_offset(*found, *image, *shape, calibration.stack_images)) {
    return open_raw_stack(std::move(file), *shape, *offset, found->order, calibration.stack_images,
                          std::move(info));
  }
  count_frames(path, *found, calibration.stack_images, info);
  return std::unique_ptr<MovieReader>(std::make_unique<TiffReader>(
      std::move(image), std::move(found->offsets), *shape, std::move(info), file));
}

}  // namespace latticed::files
