// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/hdf5_reader.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "drivers/files/hdf5_filters.hpp"
#include "drivers/files/hdf5_handle.hpp"
#include "drivers/files/hdf5_layout.hpp"
#include "drivers/files/hdf5_probe.hpp"
#include "drivers/files/limits.hpp"

namespace latticed::files {
namespace {

constexpr haddr_t kSuperblockBytes = 48;  // of its smallest form; no pixels lie in it
constexpr hsize_t kShortList = 5000;      // HDF5 1.10 goes through all entries to find one
constexpr std::size_t kMaxChunkCache = std::size_t{512} << 20;

/// Where the movie's three axes are among the dataset's.
struct Shape {
  std::vector<hsize_t> extent;
  std::size_t y = 0;
  std::size_t x = 0;
  hsize_t frames = 1;
};

Result<Shape> shape_of(const std::string& path, std::vector<hsize_t> extent, bool is_frame_last) {
  Shape shape;
  shape.y = is_frame_last ? 0 : extent.size() - 2;
  shape.x = shape.y + 1;
  for (std::size_t i = 0; i < extent.size(); ++i) {
    if (i == shape.y || i == shape.x) continue;
    if (extent[i] != 0 && shape.frames > (hsize_t{1} << 40) / extent[i]) {
      return open_error(ErrorCode::invalid_argument, path, "more than 2^40 frames");
    }
    shape.frames *= extent[i];
  }
  if (shape.frames == 0) return open_error(ErrorCode::data_loss, path, "no frames in the dataset");
  shape.extent = std::move(extent);
  return shape;
}

struct Samples {
  PixelType pixel;
  hid_t memory_type;
};

/// How the library is to hand us the numbers; it converts byte order and width itself.
std::optional<Samples> samples_of(hid_t dataset) {
  const Handle type(H5Dget_type(dataset));
  const std::size_t bytes = H5Tget_size(type);
  const H5T_class_t kind = H5Tget_class(type);
  if (kind == H5T_FLOAT && bytes <= 8) return Samples{PixelType::f32, H5T_NATIVE_FLOAT};
  if (kind != H5T_INTEGER || bytes > 8) return std::nullopt;
  const bool is_signed = H5Tget_sign(type) == H5T_SGN_2;
  if (bytes == 1) {
    return is_signed ? Samples{PixelType::i8, H5T_NATIVE_INT8}
                     : Samples{PixelType::u8, H5T_NATIVE_UINT8};
  }
  if (bytes == 2) {
    return is_signed ? Samples{PixelType::i16, H5T_NATIVE_INT16}
                     : Samples{PixelType::u16, H5T_NATIVE_UINT16};
  }
  if (bytes <= 4) {
    return is_signed ? Samples{PixelType::i32, H5T_NATIVE_INT32}
                     : Samples{PixelType::u32, H5T_NATIVE_UINT32};
  }
  return Samples{PixelType::f32, H5T_NATIVE_FLOAT};
}

struct OpenFile {
  Handle handle;
  std::string damage;  // what the library said against it; empty = a whole file
  [[nodiscard]] bool is_cut_off() const noexcept { return !damage.empty(); }
};

/// As it should be; as one whose writer is still at it or died; then as one that was cut off.
Result<OpenFile> open_file(const std::string& path) {
  OpenFile file{Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT)), {}};
  if (file.handle) return file;
  file.damage = hdf5_error();
  file.handle = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY | H5F_ACC_SWMR_READ, H5P_DEFAULT));
  if (!file.handle) {
    const Handle access(H5Pcreate(H5P_FILE_ACCESS));
    const hbool_t yes = true;
    if (H5Pset(access, "skip_eof_check", &yes) >= 0) {  // what h5clear uses
      file.handle = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access));
    }
  }
  if (file.handle) return file;
  return open_error(ErrorCode::data_loss, path, "not a whole hdf5 file: " + file.damage);
}

class Hdf5Reader final : public MovieReader {
 public:
  Hdf5Reader(OpenFile file, Handle dataset, Shape shape, Samples samples, MovieInfo info,
             std::string path, std::uint64_t file_size)
      : file_(std::move(file)),
        dataset_(std::move(dataset)),
        shape_(std::move(shape)),
        samples_(samples),
        info_(std::move(info)),
        path_(std::move(path)),
        file_size_(file_size),
        file_space_(H5Dget_space(dataset_)),
        start_(shape_.extent.size(), 0),
        count_(shape_.extent.size(), 1) {
    count_[shape_.y] = shape_.extent[shape_.y];
    count_[shape_.x] = shape_.extent[shape_.x];
    const hsize_t pixels = info_.geometry.pixels();
    memory_space_ = Handle(H5Screate_simple(1, &pixels, nullptr));
    const Handle plist(H5Dget_create_plist(dataset_));
    if (H5Pget_layout(plist) == H5D_CHUNKED) {
      chunk_.resize(shape_.extent.size());
      H5Pget_chunk(plist, static_cast<int>(chunk_.size()), chunk_.data());
      describe_chunks(plist);
    }
  }

  const MovieInfo& info() const noexcept override { return info_; }

  /// Goes through the list of all chunks and decodes the first frame: everything of the file that
  /// the library has to understand before it comes to pixels.
  void touch_all_indices() {
    std::vector<std::byte> pixels(info_.geometry.bytes());
    (void)read(0, pixels);
    const QuietHdf5 quiet;
    hsize_t chunks = 0;
    const Handle everything(H5Dget_space(dataset_));
    if (!chunk_.empty()) H5Dget_num_chunks(dataset_, everything, &chunks);
  }

  Result<void> read(std::uint64_t index, std::span<std::byte> pixels) override {
    if (auto ok = check_read(path_, index, info_.frame_count, pixels.size(), info_.geometry); !ok) {
      return ok.error();
    }
    const QuietHdf5 quiet;
    seek(index);
    if (auto stored = check_stored(index); !stored) return stored.error();
    if (H5Sselect_hyperslab(file_space_, H5S_SELECT_SET, start_.data(), nullptr, count_.data(),
                            nullptr) < 0 ||
        H5Dread(dataset_, samples_.memory_type, memory_space_, file_space_, H5P_DEFAULT,
                pixels.data()) < 0) {
      return frame_error(ErrorCode::data_loss, index, path_, hdf5_error());
    }
    return {};
  }

 private:
  /// How large a chunk is in memory, which of its filters (bits) change that, and how many there
  /// are.
  void describe_chunks(hid_t plist) {
    const Handle type(H5Dget_type(dataset_));
    chunk_bytes_ = H5Tget_size(type);
    hsize_t chunks = 1;
    for (std::size_t i = 0; i < chunk_.size(); ++i) {
      chunk_bytes_ *= chunk_[i];
      chunks *= (shape_.extent[i] + chunk_[i] - 1) / chunk_[i];
    }
    is_list_short_ = chunks <= kShortList;
    for (int i = 0; i < std::min(H5Pget_nfilters(plist), 32); ++i) {
      std::size_t values = 0;
      const H5Z_filter_t filter = H5Pget_filter2(plist, static_cast<unsigned>(i), nullptr, &values,
                                                 nullptr, 0, nullptr, nullptr);
      const bool keeps_size = filter == H5Z_FILTER_SHUFFLE || filter == H5Z_FILTER_FLETCHER32;
      if (!keeps_size) compressors_ |= 1u << i;
    }
  }

  void seek(std::uint64_t index) {
    for (std::size_t i = start_.size(); i-- > 0;) {
      if (i == shape_.y || i == shape_.x) continue;
      start_[i] = index % shape_.extent[i];
      index /= shape_.extent[i];
    }
  }

  /// The library fills what was never written, or lies beyond the end, with zeros and says nothing.
  Result<void> check_stored(std::uint64_t index) const {
    if (chunk_.empty()) return check_contiguous(index);
    std::vector<hsize_t> corner(start_);
    for (std::size_t i = 0; i < corner.size(); ++i) corner[i] -= corner[i] % chunk_[i];
    for (corner[shape_.y] = 0; corner[shape_.y] < count_[shape_.y];
         corner[shape_.y] += chunk_[shape_.y]) {
      for (corner[shape_.x] = 0; corner[shape_.x] < count_[shape_.x];
           corner[shape_.x] += chunk_[shape_.x]) {
        if (auto ok = check_chunk(index, corner); !ok) return ok;
      }
    }
    return {};
  }

  Result<void> check_contiguous(std::uint64_t index) const {
    if (!file_.is_cut_off()) return {};
    const haddr_t begin = H5Dget_offset(dataset_);
    const Handle type(H5Dget_type(dataset_));
    const std::uint64_t frame = info_.geometry.pixels() * H5Tget_size(type);
    if (begin == HADDR_UNDEF) return {};  // compact: inside the header
    const std::uint64_t end = shape_.y == 0 && shape_.extent.size() == 3
                                  ? begin + frame * info_.frame_count
                                  : begin + frame * (index + 1);
    if (end <= file_size_) return {};
    return frame_error(ErrorCode::out_of_range, index, path_,
                       "its pixels end at byte " + std::to_string(end) + ", the file at " +
                           std::to_string(file_size_));
  }

  Result<void> check_chunk(std::uint64_t index, const std::vector<hsize_t>& corner) const {
    hsize_t bytes = 0;
    if (!file_.is_cut_off() && !is_list_short_) {
      if (H5Dget_chunk_storage_size(dataset_, corner.data(), &bytes) >= 0 && bytes > 0) return {};
      return frame_error(ErrorCode::data_loss, index, path_, "it was never written");
    }
    unsigned filters = 0;
    haddr_t begin = HADDR_UNDEF;
    if (H5Dget_chunk_info_by_coord(dataset_, corner.data(), &filters, &begin, &bytes) < 0) {
      return frame_error(ErrorCode::data_loss, index, path_, hdf5_error());
    }
    if (begin == HADDR_UNDEF || begin < kSuperblockBytes) {  // 0: from a list that was cut off
      return frame_error(ErrorCode::data_loss, index, path_, "the file does not say where it is");
    }
    if (bytes < chunk_bytes_ && (filters & compressors_) == compressors_) {
      return frame_error(ErrorCode::data_loss, index, path_,
                         "a chunk that is not compressed has " + std::to_string(bytes) + " of " +
                             std::to_string(chunk_bytes_) + " bytes");
    }
    if (begin <= file_size_ && bytes <= file_size_ - begin) return {};
    return frame_error(ErrorCode::out_of_range, index, path_,
                       "its pixels end at byte " + std::to_string(begin + bytes) +
                           ", the file at " + std::to_string(file_size_));
  }

  OpenFile file_;
  Handle dataset_;
  Shape shape_;
  Samples samples_;
  MovieInfo info_;
  std::string path_;
  std::uint64_t file_size_;
  Handle file_space_;
  Handle memory_space_;
  std::vector<hsize_t> start_;
  std::vector<hsize_t> count_;
  std::vector<hsize_t> chunk_;  // empty = not chunked
  hsize_t chunk_bytes_ = 0;
  unsigned compressors_ = 0;    // a chunk with these bits set in its mask is stored as it is
  bool is_list_short_ = false;  // so short that each chunk's entry can be looked at
};

/// Opens the dataset with a cache for the chunks one frame touches, so that a chunk of several
/// frames is not decoded once for each of them. Bounds what a chunk may ask for.
Result<Handle> open_cached(const OpenFile& file, const std::string& path, const std::string& name,
                           const Shape& shape, std::uint64_t file_size) {
  Handle dataset(H5Dopen2(file.handle, name.c_str(), H5P_DEFAULT));
  const Handle plist(H5Dget_create_plist(dataset));
  if (H5Pget_layout(plist) != H5D_CHUNKED) return dataset;
  std::vector<hsize_t> chunk(shape.extent.size());
  if (H5Pget_chunk(plist, static_cast<int>(chunk.size()), chunk.data()) < 0) {
    return open_error(ErrorCode::data_loss, path, hdf5_error());
  }
  const Handle type(H5Dget_type(dataset));
  double chunk_bytes = static_cast<double>(H5Tget_size(type));
  double cache_bytes = chunk_bytes;
  for (std::size_t i = 0; i < chunk.size(); ++i) {
    const auto side = static_cast<double>(chunk[i]);
    const bool is_image = i == shape.y || i == shape.x;
    chunk_bytes *= side;
    cache_bytes *= is_image ? static_cast<double>(shape.extent[i]) + side : side;
  }
  if (chunk_bytes > static_cast<double>(kMaxFrameBytes) ||
      chunk_bytes > static_cast<double>(file_size) * static_cast<double>(kMaxCompression)) {
    return open_error(ErrorCode::invalid_argument, path,
                      "chunks of " + std::to_string(chunk_bytes) + " bytes in a file of " +
                          std::to_string(file_size));
  }
  const Handle access(H5Pcreate(H5P_DATASET_ACCESS));
  const auto cache = static_cast<std::size_t>(
      std::clamp(cache_bytes, 1048576.0, static_cast<double>(kMaxChunkCache)));
  H5Pset_chunk_cache(access, 12421, cache, 1.0);
  return Handle(H5Dopen2(file.handle, name.c_str(), access));
}

/// A dataset of less storage than its first frame can be packed into was never written.
Result<void> check_storage(const std::string& path, hid_t dataset, const FrameGeometry& geometry,
                           std::uint64_t file_size) {
  if (H5Dget_storage_size(dataset) == 0) {
    return open_error(ErrorCode::data_loss, path, "no frame was ever written");
  }
  if (geometry.bytes() / kMaxCompression > file_size) {
    return open_error(ErrorCode::invalid_argument, path,
                      "frames of " + std::to_string(geometry.bytes()) + " bytes in a file of " +
                          std::to_string(file_size));
  }
  return {};
}

Result<std::unique_ptr<Hdf5Reader>> open_unprobed(const File& file) {
  const QuietHdf5 quiet;
  use_filters();
  const std::string& path = file.path();
  auto opened = open_file(path);
  if (!opened) return opened.error();
  auto layout = find_movie(opened->handle, path);
  if (!layout && opened->is_cut_off()) {
    return open_error(ErrorCode::data_loss, path,
                      "not a whole hdf5 file, and what is left lists no images: " + opened->damage);
  }
  if (!layout) return layout.error();
  Handle dataset(H5Dopen2(opened->handle, layout->dataset.c_str(), H5P_DEFAULT));
  auto shape = shape_of(path, extent_of(dataset), layout->is_frame_axis_last);
  if (!shape) return shape.error();
  const auto samples = samples_of(dataset);
  if (!samples) {
    return open_error(ErrorCode::invalid_argument, path,
                      "dataset '" + layout->dataset +
                          "' holds no plain numbers, expected integers or floats of 1 to 8 bytes");
  }
  auto geometry =
      checked_geometry(path, static_cast<std::int64_t>(shape->extent[shape->x]),
                       static_cast<std::int64_t>(shape->extent[shape->y]), samples->pixel);
  if (!geometry) return geometry.error();
  if (auto ok = check_storage(path, dataset, *geometry, file.size()); !ok) return ok.error();
  auto cached = open_cached(*opened, path, layout->dataset, *shape, file.size());
  if (!cached) return cached.error();
  MovieInfo info;
  info.format = layout->format;
  info.geometry = *geometry;
  info.frame_count = shape->frames;
  info.pixel_size_nm = layout->pixel_size_nm;
  info.pixel_size_sigma_ratio = layout->pixel_size_sigma_ratio;
  info.pixel_size_source = layout->pixel_size_source;
  info.scan_line_time_s = layout->scan_line_time_s;
  info.frame_period_s = layout->frame_period_s;
  info.exposure_s = layout->exposure_s;
  info.time_ns = std::move(layout->time_ns);
  if (opened->is_cut_off()) {
    info.remarks.push_back("'" + path + "': not a whole hdf5 file: " + opened->damage);
  }
  return std::unique_ptr<Hdf5Reader>(
      std::make_unique<Hdf5Reader>(std::move(*opened), std::move(*cached), std::move(*shape),
                                   *samples, std::move(info), path, file.size()));
}

}  // namespace

Result<std::unique_ptr<MovieReader>> open_hdf5(const File& file) {
  auto survived = survive_in_a_child(file.path(), [&file] {
    auto reader = open_unprobed(file);
    if (reader) (*reader)->touch_all_indices();
  });
  if (!survived) return survived.error();
  auto reader = open_unprobed(file);
  if (!reader) return reader.error();
  return std::unique_ptr<MovieReader>(std::move(*reader));
}

}  // namespace latticed::files
