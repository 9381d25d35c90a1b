// SPDX-License-Identifier: GPL-3.0-or-later
// Everything of a line that depends on which part of the frame is analysed: the preparer with its
// slots and scratch, and the stages that remember the field. Made off the frame path, used by one
// line, replaced as a whole.
#pragma once

#include <memory>
#include <vector>

#include "server/process/drift_stage.hpp"
#include "server/process/lattice_stage.hpp"
#include "server/process/preparer.hpp"
#include "server/process/sum_stage.hpp"

namespace latticed {

struct AnalysisSetup {
  struct Wish {
    FrameGeometry geometry;
    PrepareConfig prepare;
    signal::DriftConfig drift;
    LatticeConfig lattice;
    SumConfig sum;
    std::shared_ptr<const signal::CorrectionMaps> maps;
    int workers = 1;
  };
  /// Plans transforms, which may take seconds for a new size. Error invalid_argument as
  /// Preparer::make; resource_exhausted: no memory.
  static Result<std::unique_ptr<AnalysisSetup>> make(const Wish& wish);

  std::unique_ptr<Preparer> preparer;
  std::unique_ptr<PreparedPool> prepared;
  std::vector<Preparer::Scratch> scratch;  // one a worker; the last is the track thread's
  std::unique_ptr<DriftStage> drift;       // null: too small to measure
  std::unique_ptr<LatticeStage> lattice;   // likewise
  std::unique_ptr<SumStage> sum;           // null: likewise, or switched off
};

}  // namespace latticed
