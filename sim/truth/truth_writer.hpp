// SPDX-License-Identifier: GPL-3.0-or-later
// The truth of a run as JSON lines: a header, one line for each frame, one for each event. It goes
// to a file and nowhere else; nothing on the link carries it.
#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "drivers/kit/frame_header.hpp"
#include "drivers/kit/result.hpp"
#include "sim/bound/bounds.hpp"
#include "sim/specimen/specimen.hpp"

namespace latticed::sim {

class TruthWriter {
 public:
  /// Replaces what is in the file: the truth is that of the last run.
  static Result<std::unique_ptr<TruthWriter>> create(const std::string& path,
                                                     const Scenario& scenario,
                                                     const DetectorModel& detector);

  /// From now on every `every`th frame's line also has its bounds. `renderer` is used by write(),
  /// must outlive this, and must not render meanwhile.
  void add_bounds(std::uint64_t every, Renderer& renderer);

  /// In frame order. `lost`: the frame was not delivered, and why.
  void write(const SpecimenState& state, LossReason lost);

 private:
  TruthWriter(std::ofstream out, const Scenario& scenario, const DetectorModel& detector);
  void write_header();
  void event(std::uint64_t frame, const std::string& kind, const std::string& detail);
  void add_scan(nlohmann::ordered_json& line, const SpecimenState& state) const;
  void note_changes(const SpecimenState& state, double product_fraction);
  [[nodiscard]] double area_fraction(const SpecimenState& state, const Domain& domain) const;

  std::ofstream out_;
  const Scenario& scenario_;
  const DetectorModel detector_;
  std::uint64_t bounds_every_ = 0;
  std::unique_ptr<Bounds> bounds_;
  Vector first_shift_nm_;
  double first_d_nm_ = 0.0;
  bool transition_told_ = false;
  bool spacing_told_ = false;
};

}  // namespace latticed::sim
