// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/view_sink.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace latticed {

using namespace std::chrono_literals;

namespace {

constexpr auto kBetweenTables = 100ms;
constexpr auto kBetweenLines = 5s;
constexpr std::size_t kSpotsShown = 4;

std::string drift_text(const DriftMeasurement& drift) {
  return fmt::format("({:+.3f} ± {:.3f}, {:+.3f} ± {:.3f}) px {}{}", drift.drift_px.x,
                     drift.sigma_drift_px.x, drift.drift_px.y, drift.sigma_drift_px.y,
                     to_string(drift.state), drift.is_cell_ambiguous ? ", cell ambiguous" : "");
}

std::vector<Spot> strongest(const Measurements& m, std::size_t count) {
  std::vector<Spot> spots(m.spots.begin(), m.spots.end());
  std::sort(spots.begin(), spots.end(), [](const Spot& a, const Spot& b) { return a.snr > b.snr; });
  spots.resize(std::min(spots.size(), count));
  return spots;
}

std::string spots_text(const Measurements& m, const char* unit, std::size_t count) {
  std::string out;
  for (const Spot& spot : strongest(m, count))
    out += fmt::format("{}#{} {:.5f} ± {:.5f} {}", out.empty() ? "" : "  ", spot.id, spot.d_nm,
                       spot.sigma_d_nm, unit);
  return out.empty() ? "no spots" : out;
}

std::string edge_text(std::string_view name, const EdgeCounters& c) {
  return fmt::format("{} {} (max {}{})", name, c.level(), c.level_max.load(),
                     c.dropped() ? fmt::format(", dropped {}", c.dropped()) : "");
}

}  // namespace

Result<void> ViewSink::begin(const RunInfo& run) {
  run_ = run;
  next_at_ = rated_at_ = Clock::now();
  return {};
}

void ViewSink::update_rate(Clock::time_point now) {
  const std::chrono::duration<double> passed = now - rated_at_;
  if (passed < 1s) return;
  const std::uint64_t measured = line_->measured();
  frames_per_s_ = static_cast<double>(measured - rated_frames_) / passed.count();
  rated_frames_ = measured;
  rated_at_ = now;
}

void ViewSink::consume(const FrameLease& frame) {
  const auto now = Clock::now();
  if (now < next_at_ || !frame->has_pixels()) return;
  next_at_ = now + (screen_.is_terminal() ? Clock::duration(kBetweenTables)
                                          : Clock::duration(kBetweenLines));
  update_rate(now);
  if (screen_.is_terminal())
    screen_.show(detector_, table(*frame));
  else
    spdlog::info("{}", one_line(*frame));
}

std::string ViewSink::one_line(const Frame& frame) const {
  const Measurements& m = frame.measurements;
  return fmt::format("{} frame {}, {:.1f} frames/s: drift {}; {}; {} alerts raised, {} frames lost",
                     detector_, frame.seq, frames_per_s_, drift_text(m.drift),
                     spots_text(m, run_.pixel_size_nm > 0.0 ? "nm" : "px", 1),
                     alerts_->raised().size(), line_->source().counters().lost_total());
}

std::string ViewSink::table(const Frame& frame) const {
  const Measurements& m = frame.measurements;
  const EdgeCounters& source = line_->source().counters();
  std::string out =
      fmt::format("{}  frame {}  {:.1f} frames/s  measured {}  lost {}  {}\n", detector_, frame.seq,
                  frames_per_s_, line_->measured(), source.lost_total(), to_string(m.quality));
  out += fmt::format("  drift   {}\n", drift_text(m.drift));
  out += fmt::format("  d       {}\n",
                     spots_text(m, run_.pixel_size_nm > 0.0 ? "nm" : "px", kSpotsShown));
  const auto raised = alerts_->raised();
  out += fmt::format("  alerts  {}", raised.empty() ? "none" : describe(raised.back(), run_.rules));
  if (raised.size() > 1) out += fmt::format("  and {} more", raised.size() - 1);
  out += "\n  waiting " + edge_text("ring", line_->ring().counters());
  for (const auto& sink : line_->sinks())
    out += "  " + edge_text(sink->sink().name(), sink->counters());
  return out;
}

Result<void> ViewSink::finish() {
  screen_.show(detector_, "");
  return {};
}

}  // namespace latticed
