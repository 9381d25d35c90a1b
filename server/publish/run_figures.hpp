// SPDX-License-Identifier: GPL-3.0-or-later
// A run as figures a microscopist recognises: the aligned mean, its diffractogram with the spots,
// drift and spacings over time.
#pragma once

#include <vector>

#include "server/figure/image_figure.hpp"
#include "server/figure/line_plot.hpp"
#include "server/figure/page.hpp"
#include "server/publish/aligned_mean.hpp"
#include "server/publish/run_history.hpp"

namespace latticed {

[[nodiscard]] ImageFigure aligned_mean_figure(const AlignedMean& mean, const RunHistory& history);
[[nodiscard]] ImageFigure diffractogram_figure(const AlignedMean& mean, const RunHistory& history);
[[nodiscard]] LinePlot drift_figure(const RunHistory& history);
/// One a spot, the strongest first; harmonics are left to their fundamentals.
[[nodiscard]] std::vector<LinePlot> spacing_figures(const RunHistory& history, std::size_t most);
/// All of them, smaller. `mean` is null when no frame could be aligned.
[[nodiscard]] Page run_page(const AlignedMean* mean, const RunHistory& history);

}  // namespace latticed
