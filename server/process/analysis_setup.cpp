// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/process/analysis_setup.hpp"

#include <new>
#include <utility>

namespace latticed {

Result<std::unique_ptr<AnalysisSetup>> AnalysisSetup::make(const Wish& wish) {
  auto preparer = Preparer::make_sharing(wish.geometry, wish.prepare, wish.maps);
  if (!preparer) return preparer.error();
  try {
    auto out = std::make_unique<AnalysisSetup>();
    out->preparer = std::move(*preparer);
    // One being filled per worker, and as many finished ones waiting for their turn.
    out->prepared = std::make_unique<PreparedPool>(
        static_cast<std::size_t>(2 * wish.workers + 1),
        [&](Prepared& prepared) { out->preparer->reserve(prepared); });
    for (int i = 0; i <= wish.workers; ++i) out->scratch.push_back(out->preparer->make_scratch());
    if (const signal::FrameFft* fft = out->preparer->fft()) {
      out->drift = std::make_unique<DriftStage>(*fft, wish.drift);
      out->lattice = std::make_unique<LatticeStage>(*fft, wish.geometry, wish.lattice);
      if (wish.sum.is_on())
        out->sum = std::make_unique<SumStage>(
            *fft, wish.geometry, SumStage::Config{wish.sum, wish.prepare.detect, wish.lattice});
    }
    return out;
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::resource_exhausted, "no memory to analyse this region"};
  }
}

}  // namespace latticed
