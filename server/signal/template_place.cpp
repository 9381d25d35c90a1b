// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/template_place.hpp"

#include <algorithm>
#include <cmath>

namespace latticed::signal {

namespace {

constexpr double kLeastShare = 0.25;  // of the field: less, and the home is here from now on

}  // namespace

void TemplatePlace::begin(Vector2 drift, Vector2 sigma) noexcept {
  *this = {};
  origin_ = drift;
  origin_sigma_ = sigma;
}

void TemplatePlace::doubt_origin(Vector2 sigma) noexcept {
  origin_sigma_ = {std::hypot(origin_sigma_.x, sigma.x), std::hypot(origin_sigma_.y, sigma.y)};
}

void TemplatePlace::rest_at(Vector2 shift) noexcept {
  if (!has_jumped_) home_ = shift;
}

void TemplatePlace::land(Vector2 shift, Vector2 variance) noexcept {
  home_ = shift;
  home_variance_ = variance_ = variance;
  all_new_ = {};
  has_jumped_ = true;
}

void TemplatePlace::doubt(Vector2 shift, double share, Vector2 all_new) noexcept {
  const double is_new = 1.0 - share;
  all_new_ = {std::max(all_new_.x, all_new.x), std::max(all_new_.y, all_new.y)};
  variance_ = {home_variance_.x + is_new * all_new_.x, home_variance_.y + is_new * all_new_.y};
  has_jumped_ = true;
  if (share >= kLeastShare) return;
  home_ = shift;
  home_variance_ = variance_;
  all_new_ = {};
}

Vector2 TemplatePlace::sigma(Vector2 shift, double field) const noexcept {
  const double way = std::hypot(shift.x, shift.y), ways = way * std::min(way, field);
  return {std::sqrt(origin_sigma_.x * origin_sigma_.x + variance_.x + ways * scale_variance_.x),
          std::sqrt(origin_sigma_.y * origin_sigma_.y + variance_.y + ways * scale_variance_.y)};
}

}  // namespace latticed::signal
