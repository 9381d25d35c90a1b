// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/snapshot.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "clients/latticectl/numbers.hpp"
#include "server/figure/image_figure.hpp"
#include "server/figure/page.hpp"

namespace latticed::latticectl {

namespace {

constexpr int kSmallestSide_px = 512;  // smaller images are enlarged: captions need the room

std::string kind_word(v1::ImageKind kind) {
  switch (kind) {
    case v1::IMAGE_KIND_RAW:
      return "raw";
    case v1::IMAGE_KIND_ALIGNED:
      return "aligned";
    case v1::IMAGE_KIND_DIFFERENCE:
      return "difference from the mean";
    case v1::IMAGE_KIND_RUNNING_MEAN:
      return "aligned mean";
    case v1::IMAGE_KIND_FFT:
      return "Fourier transform";
    case v1::IMAGE_KIND_STRAIN:
      return "strain e_xx";
    default:
      return "image";
  }
}

/// In the image's unit; full grey is 255 or 65535.
std::vector<float> values_of(const v1::Image& image, bool is_16_bit) {
  const auto& bytes = image.pixels();
  const auto byte = [&](std::size_t i) {
    return static_cast<unsigned>(static_cast<unsigned char>(bytes[i]));
  };
  const std::size_t count = is_16_bit ? bytes.size() / 2 : bytes.size();
  const double step = (image.white() - image.black()) / (is_16_bit ? 65535.0 : 255.0);
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned grey = is_16_bit ? byte(2 * i) | byte(2 * i + 1) << 8 : byte(i);
    values[i] = static_cast<float>(image.black() + step * grey);
  }
  return values;
}

std::string footer(const v1::Image& image) {
  std::string out = utc(image.time_ns());
  if (image.kind() != v1::IMAGE_KIND_FFT) {
    out +=
        fmt::format(",  drift ({:+.2f}, {:+.2f}) px", image.drift_px().x(), image.drift_px().y());
  }
  if (image.effective_frames() > 1.0) {
    out += fmt::format(",  mean of {:.0f} frames", image.effective_frames());
  }
  return out;
}

}  // namespace

std::string caption(const v1::Image& image) {
  return fmt::format("{}  {}, frame {}", image.detector(), kind_word(image.kind()), image.seq());
}

Result<Picture> draw_snapshot(const v1::Image& image) {
  const bool is_16_bit = image.encoding() == v1::ENCODING_GRAY16;
  if (!is_16_bit && image.encoding() != v1::ENCODING_GRAY8) {
    return Error{ErrorCode::data_loss, "snapshot: encoding " + v1::Encoding_Name(image.encoding()) +
                                           " is not what was asked for"};
  }
  const std::size_t pixels = std::size_t{image.width()} * image.height();
  if (pixels == 0 || image.pixels().size() != pixels * (is_16_bit ? 2 : 1)) {
    return Error{ErrorCode::data_loss,
                 fmt::format("snapshot: {} bytes are no image of {} x {} px", image.pixels().size(),
                             image.width(), image.height())};
  }
  ImageFigure figure;
  figure.title = caption(image);
  figure.width = static_cast<int>(image.width());
  figure.height = static_cast<int>(image.height());
  figure.pixels = values_of(image, is_16_bit);
  figure.scale = image.pixel_unit() == "px" ? 0.0 : image.pixel_size();
  figure.scale_unit = image.pixel_unit();
  figure.contrast = {image.black(), image.white()};
  figure.bar_label = image.unit();
  figure.badge = image.stamp().rehearsal() ? "REHEARSAL" : "";
  figure.long_side = std::max({figure.width, figure.height, kSmallestSide_px});
  const bool is_signed =
      image.kind() == v1::IMAGE_KIND_DIFFERENCE || image.kind() == v1::IMAGE_KIND_STRAIN;
  if (is_signed) {
    const double reach = std::max(std::abs(image.black()), std::abs(image.white()));
    figure.colours = ColourMap::diverging;
    figure.contrast = {-reach, reach};
  }
  Page page;
  page.rows = {{figure.draw()}};
  page.footer = footer(image);
  page.has_letters = false;
  return page.draw();
}

}  // namespace latticed::latticectl
