// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/hdf5_nexus.hpp"

#include <cmath>
#include <cstdio>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "drivers/files/hdf5_handle.hpp"
#include "drivers/files/units.hpp"

namespace latticed::files {
namespace {

constexpr std::size_t kMaxAxis = 10'000'000;
constexpr std::size_t kMaxObjects = 20000;

bool has_class(hid_t object, const char* wanted) {
  return text_attribute(object, "NX_class").value_or("") == wanted;
}

/// The dataset that an NXdata group calls its signal, if it holds images.
std::optional<std::string> image_signal(hid_t group) {
  const auto name = text_attribute(group, "signal");
  if (!name || name->empty() || !exists(group, *name)) return std::nullopt;
  const Handle dataset(H5Dopen2(group, name->c_str(), H5P_DEFAULT));
  if (!dataset || extent_of(dataset).size() < 2) return std::nullopt;
  return name;
}

/// From the root by `default` from group to group; empty if that does not end at images.
std::string by_default(hid_t file) {
  std::string path = "/";
  for (int depth = 0; depth < 8; ++depth) {
    const Handle group(H5Gopen2(file, path.c_str(), H5P_DEFAULT));
    if (!group) return {};
    if (has_class(group, "NXdata") && image_signal(group)) return path;
    const auto next = text_attribute(group, "default");
    if (!next || next->empty()) return {};
    path = next->front() == '/' ? *next : (path == "/" ? "/" : path + "/") + *next;
    if (!exists(file, path)) return {};
  }
  return {};
}

struct Search {
  std::string path;
  hsize_t pixels = 0;
  std::size_t visited = 0;
};

herr_t keep_largest_signal(hid_t root, const char* name, const H5O_info_t* info, void* out) {
  auto& best = *static_cast<Search*>(out);
  if (++best.visited > kMaxObjects) return 1;
  if (info->type != H5O_TYPE_GROUP) return 0;
  const Handle group(H5Gopen2(root, name, H5P_DEFAULT));
  if (!group || !has_class(group, "NXdata")) return 0;
  const auto signal = image_signal(group);
  if (!signal) return 0;
  const Handle dataset(H5Dopen2(group, signal->c_str(), H5P_DEFAULT));
  const Handle space(H5Dget_space(dataset));
  const hssize_t pixels = H5Sget_simple_extent_npoints(space);
  if (pixels > 0 && static_cast<hsize_t>(pixels) > best.pixels) {
    best.path = std::string("/") + name;
    best.pixels = static_cast<hsize_t>(pixels);
  }
  return 0;
}

struct Axis {
  double step = 0.0;
  std::string units;
};

/// A linear axis of `count` values (or count + 1 edges).
Axis read_axis(hid_t group, const std::string& name, hsize_t count) {
  Axis axis;
  const auto values = name == "." ? std::nullopt : read_numbers(group, name, kMaxAxis);
  if (!values || values->size() < 2 || values->size() < count || values->size() > count + 1) {
    return axis;
  }
  const Handle dataset(H5Dopen2(group, name.c_str(), H5P_DEFAULT));
  axis.units = text_attribute(dataset, "units").value_or("");
  axis.step = std::abs(values->back() - values->front()) / static_cast<double>(values->size() - 1);
  return axis;
}

/// "2026-03-01T12:00:00.25Z" or with an offset, as ns since the Unix epoch.
std::optional<std::int64_t> parse_iso8601(const std::string& text) {
  std::tm utc{};
  double seconds = 0.0;
  int used = 0;
  if (std::sscanf(text.c_str(), "%d-%d-%dT%d:%d:%lf%n", &utc.tm_year, &utc.tm_mon, &utc.tm_mday,
                  &utc.tm_hour, &utc.tm_min, &seconds, &used) != 6) {
    return std::nullopt;
  }
  utc.tm_year -= 1900;
  utc.tm_mon -= 1;
  char sign = 'Z';
  int hours = 0;
  int minutes = 0;
  std::sscanf(text.c_str() + used, "%c%d:%d", &sign, &hours, &minutes);
  const std::int64_t offset_s =
      sign == 'Z' ? 0 : (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  const std::int64_t whole_s = static_cast<std::int64_t>(timegm(&utc)) - offset_s;
  if (!(seconds >= 0.0 && seconds < 62.0) || std::llabs(whole_s) > 9'000'000'000) {
    return std::nullopt;
  }
  return whole_s * 1'000'000'000 + std::llround(seconds * 1e9);
}

/// Our own recordings keep times and exposures of the frames in `frame_info` beside the image
/// group.
void read_frame_info(hid_t file, const std::string& group_path, hsize_t frames,
                     Hdf5Layout& layout) {
  const std::size_t image = group_path.rfind('/');
  const std::size_t event = image == 0 ? std::string::npos : group_path.rfind('/', image - 1);
  if (event == std::string::npos || event == 0) return;
  const std::string info = group_path.substr(0, event) + "/frame_info";
  if (const auto exposure_s = read_numbers(file, info + "/exposure", kMaxAxis)) {
    layout.exposure_s = exposure_s->front();
  }
  const auto times_s = read_numbers(file, info + "/time", kMaxAxis);
  if (!times_s || times_s->size() != frames) return;
  const Handle dataset(H5Dopen2(file, (info + "/time").c_str(), H5P_DEFAULT));
  const auto start_ns = parse_iso8601(text_attribute(dataset, "start").value_or(""));
  if (times_s->size() > 1) {
    layout.frame_period_s =
        (times_s->back() - times_s->front()) / static_cast<double>(times_s->size() - 1);
  }
  for (const double time_s : *times_s) {
    if (!start_ns || !(std::abs(time_s) < 1e9)) return layout.time_ns.clear();
    layout.time_ns.push_back(*start_ns + std::llround(time_s * 1e9));
  }
}

/// What our own recordings say of the detector, so that a replay measures with the same scale and
/// the same doubt of it; other writers leave these out.
void read_detector(hid_t file, Hdf5Layout& layout) {
  const std::string detector = "/entry/measurement/instrument/detector1/";
  if (const auto line_s = read_number(file, detector + "scan_line_time"); line_s && *line_s > 0.0)
    layout.scan_line_time_s = *line_s;
  const auto pixel_nm = read_number(file, detector + "pixel_size_at_specimen");
  // The axes are the same size, but for rounding.
  if (!pixel_nm || !(std::abs(*pixel_nm - layout.pixel_size_nm) <= 1e-6 * layout.pixel_size_nm))
    return;
  layout.pixel_size_nm = *pixel_nm;
  const auto sigma = read_number(file, detector + "pixel_size_sigma_ratio");
  if (sigma && *sigma > 0.0 && *sigma <= 0.5) layout.pixel_size_sigma_ratio = *sigma;
  layout.pixel_size_source = read_text(file, detector + "pixel_size_source").value_or("");
}

}  // namespace

std::optional<Hdf5Layout> find_nexus(hid_t file) {
  std::string path = by_default(file);
  if (path.empty()) {
    Search search;
    H5Ovisit2(file, H5_INDEX_NAME, H5_ITER_INC, keep_largest_signal, &search, H5O_INFO_BASIC);
    path = search.path;
  }
  if (path.empty()) return std::nullopt;
  const Handle group(H5Gopen2(file, path.c_str(), H5P_DEFAULT));
  const std::string signal = image_signal(group).value_or("");
  const Handle dataset(H5Dopen2(group, signal.c_str(), H5P_DEFAULT));
  const auto extent = extent_of(dataset);
  if (extent.size() < 2) return std::nullopt;
  Hdf5Layout layout;
  layout.format = "nexus";
  layout.dataset = path + "/" + signal;
  const auto names = text_list_attribute(group, "axes");
  if (names.size() == extent.size()) {
    const std::size_t rank = extent.size();
    const Axis x = read_axis(group, names[rank - 1], extent[rank - 1]);
    const Axis y = read_axis(group, names[rank - 2], extent[rank - 2]);
    layout.pixel_size_nm =
        square_pixel_nm(x.step * length_in_nm(x.units), y.step * length_in_nm(y.units));
    if (rank == 3) {
      const Axis time = read_axis(group, names[0], extent[0]);
      layout.frame_period_s = time.step * time_in_s(time.units);
    }
  }
  read_detector(file, layout);
  // Through the link of our own recordings, /entry/frames, to where frame_info lies beside.
  if (extent.size() == 3) {
    read_frame_info(file, path, extent[0], layout);
    if (layout.time_ns.empty() && exists(file, "/entry/measurement/event1/frame_info")) {
      read_frame_info(file, "/entry/measurement/event1/image1/stack_2d", extent[0], layout);
    }
  }
  return layout;
}

}  // namespace latticed::files
