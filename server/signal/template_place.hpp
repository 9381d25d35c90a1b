// SPDX-License-Identifier: GPL-3.0-or-later
// Where the field that is shown lies, and how well that is known: from the shift against a template
// to the drift since the first frame. Arithmetic only.
//
// What a jump leaves of doubt depends on two places, the home and where the field is now, not on
// the way between them: going back undoes it. A frame that was held to a field that is known makes
// its own the home, with the doubt of that landing.
#pragma once

#include "server/frame/measurements.hpp"

namespace latticed::signal {

class TemplatePlace {
 public:
  /// A new template, its first frame at this drift (cells), known to this sigma.
  void begin(Vector2 drift, Vector2 sigma) noexcept;
  /// Nobody has seen where the specimen went: part of all that follows.
  void doubt_origin(Vector2 sigma) noexcept;

  /// Before anything has jumped: the template lies here.
  void rest_at(Vector2 shift) noexcept;
  /// Held to a known field, which leaves this variance, cells^2.
  void land(Vector2 shift, Vector2 variance) noexcept;
  /// Learnt where the match said. share: of this field with that of the home, 0 to 1; all_new: the
  /// variance if nothing of it were the home's, cells^2. What was said of an earlier frame stays: a
  /// template that has learnt the new field fits well, and lies where the first frames put it.
  void doubt(Vector2 shift, double share, Vector2 all_new) noexcept;

  /// Of the way over a lattice that fills the field, per way^2.
  void set_scale_variance(Vector2 variance) noexcept { scale_variance_ = variance; }

  /// The place that doubts are counted from, as a shift.
  [[nodiscard]] Vector2 home() const noexcept { return home_; }
  /// Of the place of the template, as jumps have left it, cells^2.
  [[nodiscard]] Vector2 variance() const noexcept { return variance_; }
  [[nodiscard]] Vector2 drift_of(Vector2 shift, Vector2 leak) const noexcept {
    return {origin_.x + shift.x - leak.x, origin_.y + shift.y - leak.y};
  }
  /// How well the template's own place is known for a frame at this shift. Film moves the
  /// frequencies a lattice is followed by, in every field (cells) anew: an error of scale within
  /// one field, a random walk from field to field.
  [[nodiscard]] Vector2 sigma(Vector2 shift, double field) const noexcept;

 private:
  Vector2 origin_, origin_sigma_;  // of the template's zero, from the first frame
  Vector2 home_, home_variance_;
  Vector2 variance_, scale_variance_;
  Vector2 all_new_;  // the largest since the home was set
  bool has_jumped_ = false;
};

}  // namespace latticed::signal
