// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/record/repack.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <vector>

#include "drivers/files/hdf5_filters.hpp"
#include "server/record/disk_driver.hpp"
#include "server/record/file_names.hpp"
#include "server/record/hdf5_author.hpp"
#include "server/record/layout.hpp"
#include "server/record/paths.hpp"
#include "server/record/verify.hpp"

namespace latticed::record {
namespace {

// Of 512 x 512 at 20 e/px, shuffled: 4 gives 1.75 times at 52 MB/s, 6 gives 1.77 at 20.
constexpr unsigned kGzipLevel = 4;
constexpr std::size_t kMostLinks = 100000;

/// Copies all but the images, whose dataset it makes without rows.
class Copy {
 public:
  Copy(hid_t from, hid_t to, Storage storage) : from_(from), to_(to), storage_(storage) {
    const Handle images(H5Dopen2(from, kImages, H5P_DEFAULT));
    images_at_ = address_of(images);
  }
  Result<void> run() {
    copy_attributes(from_, to_);
    copy_group("/");
    if (failure_) return *failure_;
    return {};
  }

 private:
  static haddr_t address_of(hid_t object) {
    H5O_info_t info{};
    return object >= 0 && H5Oget_info2(object, &info, H5O_INFO_BASIC) >= 0 ? info.addr
                                                                           : HADDR_UNDEF;
  }
  void note(bool is_done, const std::string& what) {
    if (!is_done && !failure_) failure_ = hdf5_failure("copying " + what);
  }

  void copy_group(const std::string& path) {
    const Handle group(H5Gopen2(from_, path.c_str(), H5P_DEFAULT));
    for (const std::string& name : files::link_names(group, kMostLinks)) {
      if (failure_) return;
      copy_link(group, (path == "/" ? "" : path) + "/" + name, name);
    }
  }

  void copy_link(hid_t group, const std::string& path, const std::string& name) {
    H5L_info_t link{};
    note(H5Lget_info(group, name.c_str(), &link, H5P_DEFAULT) >= 0, path);
    if (failure_) return;
    if (link.type == H5L_TYPE_SOFT) {
      std::vector<char> target(link.u.val_size + 1);
      note(H5Lget_val(group, name.c_str(), target.data(), target.size(), H5P_DEFAULT) >= 0 &&
               H5Lcreate_soft(target.data(), to_, path.c_str(), H5P_DEFAULT, H5P_DEFAULT) >= 0,
           path);
      return;
    }
    const Handle object(H5Oopen(group, name.c_str(), H5P_DEFAULT));
    const haddr_t address = address_of(object);
    // What has two names has two names there too.
    if (const auto seen = seen_.find(address); seen != seen_.end()) {
      note(H5Lcreate_hard(to_, seen->second.c_str(), to_, path.c_str(), H5P_DEFAULT, H5P_DEFAULT) >=
               0,
           path);
      return;
    }
    seen_.emplace(address, path);
    if (address == images_at_) return make_images(path, object);
    if (H5Iget_type(object) != H5I_GROUP) {
      note(H5Ocopy(group, name.c_str(), to_, path.c_str(), H5P_DEFAULT, H5P_DEFAULT) >= 0, path);
      return;
    }
    {
      const Handle made(H5Gcreate2(to_, path.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
      note(static_cast<bool>(made), path);
      copy_attributes(object, made);
    }
    copy_group(path);
  }

  void copy_attributes(hid_t from, hid_t to) {
    const auto copy = [](hid_t object, const char* name, const H5A_info_t*,
                         void* target) -> herr_t {
      const Handle old(H5Aopen(object, name, H5P_DEFAULT)), type(H5Aget_type(old)),
          space(H5Aget_space(old)),
          made(H5Acreate2(*static_cast<hid_t*>(target), name, type, space, H5P_DEFAULT,
                          H5P_DEFAULT));
      const auto count = static_cast<std::size_t>(H5Sget_simple_extent_npoints(space));
      std::vector<std::byte> value(count * H5Tget_size(type));
      const bool is_done =
          made && H5Aread(old, type, value.data()) >= 0 && H5Awrite(made, type, value.data()) >= 0;
      if (H5Tis_variable_str(type) > 0) H5Dvlen_reclaim(type, space, H5P_DEFAULT, value.data());
      return is_done ? 0 : -1;
    };
    hsize_t at = 0;
    note(H5Aiterate2(from, H5_INDEX_NAME, H5_ITER_NATIVE, &at, copy, &to) >= 0, "attributes");
  }

  void make_images(const std::string& path, hid_t old) {
    const Handle type(H5Dget_type(old));
    const auto extent = files::extent_of(old);
    const hsize_t none[] = {0, extent[1], extent[2]},
                  endless[] = {H5S_UNLIMITED, extent[1], extent[2]},
                  chunk[] = {1, extent[1], extent[2]};
    const Handle space(H5Screate_simple(3, none, endless)), plan(H5Pcreate(H5P_DATASET_CREATE));
    H5Pset_chunk(plan, 3, chunk);
    H5Pset_fill_time(plan, H5D_FILL_TIME_NEVER);
    const std::size_t pixel_bytes = H5Tget_size(type);
    if (storage_ == Storage::compact)
      set_compact_filter(plan, pixel_bytes,
                         pixel_bytes * static_cast<std::size_t>(extent[1] * extent[2]));
    if (storage_ == Storage::archive) {
      H5Pset_shuffle(plan);
      H5Pset_deflate(plan, kGzipLevel);
    }
    const Handle made(H5Dcreate2(to_, path.c_str(), type, space, H5P_DEFAULT, plan, H5P_DEFAULT));
    note(static_cast<bool>(made), path);
    if (failure_) return;
    copy_attributes(old, made);
    if (H5Aexists(made, "compression") > 0) H5Adelete(made, "compression");
    Hdf5Author author;
    author.text(made, "compression",
                storage_ == Storage::archive   ? "shuffle and gzip"
                : storage_ == Storage::compact ? kCompactWords
                                               : "none");
    if (!author.result()) note(false, path);
  }

  hid_t from_, to_;
  const Storage storage_;
  haddr_t images_at_ = HADDR_UNDEF;
  std::map<haddr_t, std::string> seen_;
  std::optional<Error> failure_;
};

Result<std::uint64_t> copy_images(hid_t from, hid_t to, const ImageProgress& progress) {
  const Handle old(H5Dopen2(from, kImages, H5P_DEFAULT)), made(H5Dopen2(to, kImages, H5P_DEFAULT)),
      type(H5Dget_type(old)), source(H5Dget_space(old));
  const auto extent = files::extent_of(old);
  if (H5Dset_extent(made, extent.data()) < 0) return hdf5_failure("making room for images");
  const Handle target(H5Dget_space(made));
  const hsize_t one[] = {1, extent[1], extent[2]};
  const Handle memory(H5Screate_simple(3, one, nullptr));
  std::vector<std::byte> image(H5Tget_size(type) * static_cast<std::size_t>(one[1] * one[2]));
  for (hsize_t row = 0; row < extent[0]; ++row) {
    if (!may_go_on(progress, row, extent[0]))
      return Error{ErrorCode::cancelled, "not repacked to its end"};
    const hsize_t at[] = {row, 0, 0};
    if (H5Sselect_hyperslab(source, H5S_SELECT_SET, at, nullptr, one, nullptr) < 0 ||
        H5Dread(old, type, memory, source, H5P_DEFAULT, image.data()) < 0)
      return Error{ErrorCode::data_loss,
                   fmt::format("image {} cannot be read: {}", row, files::hdf5_error())};
    if (H5Sselect_hyperslab(target, H5S_SELECT_SET, at, nullptr, one, nullptr) < 0 ||
        H5Dwrite(made, type, memory, target, H5P_DEFAULT, image.data()) < 0)
      return hdf5_failure(fmt::format("writing image {}", row));
    if (remembered_failure(to) != 0) break;  // the caller says so
  }
  return extent[0];
}

Result<std::uint64_t> write_part(const std::string& from, const std::string& part, Storage storage,
                                 const ImageProgress& progress) {
  const QuietHdf5 quiet;
  files::use_filters();
  const Handle source(H5Fopen(from.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT));
  if (!source) return Error{ErrorCode::data_loss, from + ": " + files::hdf5_error()};
  Result<Hdf5File> made = Hdf5File::create(part);
  if (!made) return made.error();
  remember_failures(made->id());
  const auto given_up = [&](Error error) {
    // What HDF5 made of it afterwards is not the reason.
    if (const int failure = remembered_failure(made->id()))
      error = {failure == EIO ? ErrorCode::unavailable : ErrorCode::resource_exhausted,
               fmt::format("writing {}: {}", part, std::strerror(failure))};
    made->abandon();
    return error;
  };
  if (auto ok = Copy(source, made->id(), storage).run(); !ok) return given_up(ok.error());
  const auto images = copy_images(source, made->id(), progress);
  if (!images) return given_up(images.error());
  if (files::exists(made->id(), std::string(kOwn) + "/profile")) {  // not in older recordings
    const Handle own(H5Gopen2(made->id(), kOwn, H5P_DEFAULT));
    const auto ok = replace_text_field(own, "profile", to_string(storage));
    if (!ok) return given_up(ok.error());
  }
  if (auto ok = made->flush(); !ok) return given_up(ok.error());
  if (remembered_failure(made->id()) != 0) return given_up({});
  if (auto ok = made->close(); !ok) return given_up(ok.error());
  return *images;
}

}  // namespace

Result<Repacked> repack(const std::string& from, const std::string& to, Storage storage,
                        const ImageProgress& progress) {
  const auto found = verify(from, progress);
  if (!found) return found.error();
  if (!found->is_complete)
    return Error{ErrorCode::failed_precondition, from + ": it is not complete"};
  if (found->damaged > 0) return Error{ErrorCode::data_loss, from + ": " + found->problems.back()};
  if (is_taken(to)) return Error{ErrorCode::failed_precondition, to + ": it is there already"};
  const std::string part = to + ".part";
  const auto failed = [&](const Error& error) {
    ::unlink(part.c_str());
    return error;
  };
  const auto images = write_part(from, part, storage, progress);
  if (!images) {
    if (images.error().code == ErrorCode::failed_precondition) return images.error();  // not ours
    return failed(images.error());
  }
  if (auto ok = sync_path(part, O_RDONLY); !ok) return failed(ok.error());
  // The checksums came along: what was written is held against what was recorded.
  const auto written = verify(part, progress);
  if (!written) return failed(written.error());
  if (written->damaged > 0 || written->images != found->images)
    return failed({ErrorCode::data_loss, part + ": " + written->problems.back()});
  if (::renameat2(AT_FDCWD, part.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) != 0)
    return failed({ErrorCode::unavailable,
                   fmt::format("renaming {} to {}: {}", part, to, std::strerror(errno))});
  return Repacked{*images, std::filesystem::file_size(from), std::filesystem::file_size(to)};
}

}  // namespace latticed::record
