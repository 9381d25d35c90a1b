// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/hdf5_layout.hpp"

#include <optional>
#include <utility>

#include "drivers/files/hdf5_handle.hpp"
#include "drivers/files/hdf5_nexus.hpp"
#include "drivers/files/limits.hpp"
#include "drivers/files/units.hpp"

namespace latticed::files {
namespace {

constexpr std::size_t kMaxLinks = 1000;     // of a group that is searched
constexpr std::size_t kMaxObjects = 20000;  // of a file without a layout that is searched

hsize_t element_count(const std::vector<hsize_t>& extent) {
  hsize_t count = extent.empty() ? 0 : 1;
  for (const hsize_t side : extent) {
    if (side != 0 && count > ~hsize_t{0} / side) return ~hsize_t{0};
    count *= side;
  }
  return count;
}

struct HspyAxis {
  double scale = 0.0;
  std::string units;
  bool is_navigation = false;
};

std::optional<HspyAxis> hspy_axis(hid_t signal, std::size_t index) {
  const std::string name = "axis-" + std::to_string(index);
  if (!exists(signal, name)) return std::nullopt;
  const Handle group(H5Gopen2(signal, name.c_str(), H5P_DEFAULT));
  if (!group) return std::nullopt;
  HspyAxis axis;
  axis.scale = number_attribute(group, "scale").value_or(0.0);
  axis.units = text_attribute(group, "units").value_or("");
  axis.is_navigation = number_attribute(group, "navigate").value_or(0.0) != 0.0;
  return axis;
}

/// Scales from axis-0.. of one signal; nothing if it holds spectra.
std::optional<Hdf5Layout> hspy_signal(hid_t signal, std::size_t rank) {
  std::vector<HspyAxis> axes;
  std::size_t signal_axes = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    axes.push_back(hspy_axis(signal, i).value_or(HspyAxis{}));
    signal_axes += axes.back().is_navigation ? 0 : 1;
  }
  if (signal_axes == 1) return std::nullopt;
  Hdf5Layout layout;
  layout.format = "hspy";
  const auto size_nm = [](const HspyAxis& axis) { return axis.scale * length_in_nm(axis.units); };
  layout.pixel_size_nm = square_pixel_nm(size_nm(axes[rank - 1]), size_nm(axes[rank - 2]));
  if (rank == 3) layout.frame_period_s = axes[0].scale * time_in_s(axes[0].units);
  return layout;
}

std::optional<Hdf5Layout> find_hspy(hid_t file) {
  std::optional<Hdf5Layout> best;
  hsize_t best_count = 0;
  if (!exists(file, "/Experiments")) return best;
  const Handle experiments(H5Gopen2(file, "/Experiments", H5P_DEFAULT));
  for (const std::string& name : link_names(experiments, kMaxLinks)) {
    if (!exists(experiments, name + "/data")) continue;
    const Handle signal(H5Gopen2(experiments, name.c_str(), H5P_DEFAULT));
    const Handle data(H5Dopen2(signal, "data", H5P_DEFAULT));
    const auto extent = extent_of(data);
    if (!data || extent.size() < 2 || element_count(extent) <= best_count) continue;
    if (auto layout = hspy_signal(signal, extent.size())) {
      best = std::move(layout);
      best->dataset = "/Experiments/" + name + "/data";
      best_count = element_count(extent);
    }
  }
  return best;
}

struct LargestStack {
  std::string path;
  std::size_t rank = 0;
  hsize_t count = 0;
  std::size_t visited = 0;
};

herr_t keep_largest(hid_t root, const char* name, const H5O_info_t* info, void* out) {
  auto& best = *static_cast<LargestStack*>(out);
  if (++best.visited > kMaxObjects) return 1;
  if (info->type != H5O_TYPE_DATASET) return 0;
  const Handle dataset(H5Dopen2(root, name, H5P_DEFAULT));
  if (!dataset) return 0;
  const Handle type(H5Dget_type(dataset));
  const H5T_class_t kind = H5Tget_class(type);
  const auto extent = extent_of(dataset);
  if (extent.size() < 2 || (kind != H5T_INTEGER && kind != H5T_FLOAT)) return 0;
  const bool is_stack = extent.size() >= 3;
  const bool is_best_stack = best.rank >= 3;
  if (is_stack == is_best_stack ? element_count(extent) > best.count : is_stack) {
    best = {name, extent.size(), element_count(extent), best.visited};
  }
  return 0;
}

/// Velox: /Data/Image/<id>/Data of (y, x, frame).
bool is_velox(const std::string& dataset) {
  return dataset.starts_with("/Data/Image/") && dataset.ends_with("/Data");
}

}  // namespace

Result<Hdf5Layout> find_movie(hid_t file, const std::string& path) {
  // A file with both is one of our recordings; its NeXus part says more, the frames' times first.
  const bool is_nexus = text_attribute(file, "NX_class") == "NXroot";
  for (const bool wants_nexus : {is_nexus, !is_nexus})
    if (auto layout = wants_nexus ? find_nexus(file) : find_hspy(file)) return std::move(*layout);
  LargestStack largest;
  H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, keep_largest, &largest, H5O_INFO_BASIC);
  if (largest.path.empty()) {
    return open_error(ErrorCode::invalid_argument, path,
                      "no images in this hdf5 file, expected a numeric dataset of 2 or more "
                      "dimensions, images last");
  }
  Hdf5Layout layout;
  layout.format = "hdf5";
  layout.dataset = "/" + largest.path;
  layout.is_frame_axis_last = largest.rank == 3 && is_velox(layout.dataset);
  return layout;
}

}  // namespace latticed::files
