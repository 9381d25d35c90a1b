// SPDX-License-Identifier: GPL-3.0-or-later
#include "drivers/files/tiff_description.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "drivers/files/units.hpp"

namespace latticed::files {
namespace {

/// No electron microscope has larger pixels; 72 dpi is 353 000 nm.
constexpr double kMaxPixelNm = 1000.0;

double to_number(std::string_view text) {
  double value = 0.0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return std::isfinite(value) ? value : 0.0;
}

/// Value of the line "key=value"; empty if there is none.
std::string_view line_value(std::string_view text, std::string_view key) {
  for (std::size_t at = text.find(key); at != text.npos; at = text.find(key, at + 1)) {
    const bool is_at_line_start = at == 0 || text[at - 1] == '\n';
    const std::size_t value = at + key.size();
    if (!is_at_line_start || value >= text.size() || text[value] != '=') continue;
    return text.substr(value + 1, text.find_first_of("\r\n", value) - value - 1);
  }
  return {};
}

/// Value of the XML attribute key="value" in the first <Pixels ...> element.
std::string_view pixels_attribute(std::string_view text, std::string_view key) {
  const std::size_t begin = text.find("<Pixels");
  const std::size_t end = begin == text.npos ? text.npos : text.find('>', begin);
  if (end == text.npos) return {};
  const std::string_view element = text.substr(begin, end - begin);
  const std::string wanted = " " + std::string(key) + "=\"";
  const std::size_t at = element.find(wanted);
  if (at == element.npos) return {};
  const std::size_t value = at + wanted.size();
  return element.substr(value, element.find('"', value) - value);
}

double ome_size_nm(std::string_view text, const char* key, const char* unit_key) {
  const std::string_view unit = pixels_attribute(text, unit_key);
  const double factor = unit.empty() || unit == "&#181;m" || unit == "&#xB5;m" ? 1e3
                        : unit == "&#197;" || unit == "&#xC5;"                 ? 0.1
                                                                               : length_in_nm(unit);
  return to_number(pixels_attribute(text, key)) * factor;
}

void read_ome(std::string_view text, TiffCalibration& calibration) {
  calibration.pixel_size_nm =
      square_pixel_nm(ome_size_nm(text, "PhysicalSizeX", "PhysicalSizeXUnit"),
                      ome_size_nm(text, "PhysicalSizeY", "PhysicalSizeYUnit"));
  const std::string_view unit = pixels_attribute(text, "TimeIncrementUnit");
  calibration.frame_period_s =
      to_number(pixels_attribute(text, "TimeIncrement")) * (unit.empty() ? 1.0 : time_in_s(unit));
}

double size_nm(double pixels_per_unit, double unit_nm) {
  return pixels_per_unit > 0.0 ? unit_nm / pixels_per_unit : 0.0;
}

void read_imagej(std::string_view text, const TiffResolution& resolution,
                 TiffCalibration& calibration) {
  const double images = to_number(line_value(text, "images"));
  calibration.stack_images = static_cast<std::int64_t>(std::clamp(images, 1.0, 1e12));
  const double unit_nm = length_in_nm(line_value(text, "unit"));
  calibration.pixel_size_nm =
      square_pixel_nm(size_nm(resolution.x, unit_nm), size_nm(resolution.y, unit_nm));
  const double interval = to_number(line_value(text, "finterval"));
  const std::string_view time_unit = line_value(text, "tunit");
  calibration.frame_period_s = interval * (time_unit.empty() ? 1.0 : time_in_s(time_unit));
}

/// tifffile: {"shape": [frames, rows, columns], ...}; all sides but the last two are frames.
std::int64_t tifffile_images(std::string_view text) {
  const std::size_t begin = text.find('[');
  const std::size_t end = text.find(']');
  if (begin == text.npos || end == text.npos || end < begin) return 0;
  std::vector<double> sides;
  for (std::size_t at = begin; at < end; at = std::min(text.find(',', at + 1), end)) {
    const std::size_t digit = text.find_first_not_of(' ', at + 1);
    sides.push_back(to_number(text.substr(std::min(digit, end), end - std::min(digit, end))));
  }
  if (sides.size() < 3) return 0;
  double images = 1.0;
  for (std::size_t i = 0; i + 2 < sides.size(); ++i) images *= sides[i];
  return images >= 1.0 && images <= 1e12 ? static_cast<std::int64_t>(images) : 0;
}

}  // namespace

TiffCalibration read_calibration(std::string_view description, const TiffResolution& resolution) {
  TiffCalibration calibration;
  if (description.starts_with("ImageJ=")) {
    read_imagej(description, resolution, calibration);
  } else if (description.find("<OME") != description.npos) {
    read_ome(description, calibration);
  } else {
    if (description.starts_with("{\"shape\":")) {
      calibration.stack_images = tifffile_images(description);
    }
    const double unit_nm = resolution.unit == 3 ? 1e7 : resolution.unit == 2 ? 2.54e7 : 0.0;
    const double pixel_nm =
        square_pixel_nm(size_nm(resolution.x, unit_nm), size_nm(resolution.y, unit_nm));
    calibration.pixel_size_nm = pixel_nm < kMaxPixelNm ? pixel_nm : 0.0;
  }
  if (calibration.frame_period_s < 0.0) calibration.frame_period_s = 0.0;
  return calibration;
}

}  // namespace latticed::files
