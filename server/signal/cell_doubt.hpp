// SPDX-License-Identifier: GPL-3.0-or-later
// Which unit cell is it? Places where the specimen may be, and what speaks for each: how likely the
// step there was before the frame was seen, and what the aperiodic content (film, edge) of this and
// the following frames says. Evidence is gathered until one place leads (a sequential probability
// ratio test; Wald 1945); until then frames are `cell_ambiguous`.
//
// What is told in nats is a log-likelihood up to a constant common to all places.
// Used by the drift tracker only. No threads, no allocation.
#pragma once

#include <cstddef>
#include <span>

#include "server/base/fixed_vector.hpp"
#include "server/frame/measurements.hpp"

namespace latticed::signal {

/// How likely a step of this length was, nats, 0 or less: steps are as long as usual, but for rare
/// ones that go anywhere (a Student distribution of two degrees of freedom, cut at -14 nats).
[[nodiscard]] double step_nats(double step_cells, double usual_step_cells) noexcept;

/// What aperiodic content says for a place: J found there, J expected if all of it were there. How
/// strong it is in this frame is not known exactly (focus, damage: a sigma of 0.15), so the
/// likelihood is that of the best amplitude with its own cost.
[[nodiscard]] double presence_nats(double j, double expected_j) noexcept;

class CellDoubt {
 public:
  static constexpr std::size_t kMostPlaces = 19;
  static constexpr double kSure_nats = 10.0;  // wrong once in 22 000

  struct Place {
    Vector2 offset_cells;  // from where the tracker goes on
    double prior_nats = 0.0;
    double sum_nats = 0.0;  // of all frames, by shot noise alone
  };

  void open() noexcept;
  void close() noexcept { is_open_ = false; }
  [[nodiscard]] bool is_open() const noexcept { return is_open_; }
  /// Refused when full or when a place within `apart_cells` is there already.
  bool add(Vector2 offset_cells, double prior_nats, double apart_cells) noexcept;
  [[nodiscard]] std::span<const Place> places() const noexcept {
    return {places_.begin(), places_.size()};
  }

  /// One frame. nats[i]: for place i; offsets[i]: where it was found. misfit, 1 or more: variance
  /// of the frame's residual over that of shot noise, which `nats` are tempered by already. What is
  /// above 1 is the same in every frame (content that is in no template), so it does not average
  /// out. may_be_elsewhere: where nothing of the aperiodic content is shared; once said, it holds.
  void weigh(std::span<const double> nats, std::span<const Vector2> offsets, double misfit,
             bool may_be_elsewhere) noexcept;

  /// Index of the place that leads.
  [[nodiscard]] std::size_t leader() const noexcept;
  /// By how much the leader leads, nats; negative when the specimen is rather elsewhere.
  [[nodiscard]] double lead_nats() const noexcept;
  /// From now on offsets count from the leader's; those that are out of the question are dropped.
  void go_on_from_leader() noexcept;
  /// How far the places that are not excluded lie from the leader; `far_cells` stands for
  /// elsewhere.
  [[nodiscard]] Vector2 spread(Vector2 far_cells) const noexcept;

 private:
  [[nodiscard]] double evidence(const Place& place) const noexcept;
  [[nodiscard]] double elsewhere_evidence() const noexcept;

  FixedVector<Place, kMostPlaces> places_;
  int frames_ = 0, frames_elsewhere_ = 0;
  double misfit_sum_ = 0.0;
  bool is_open_ = false;
};

}  // namespace latticed::signal
