// SPDX-License-Identifier: GPL-3.0-or-later
#include "clients/latticectl/live_view.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "clients/latticectl/numbers.hpp"
#include "clients/latticectl/render.hpp"

namespace latticed::latticectl {

namespace {

constexpr std::size_t kSpotsInTable = 6;
constexpr std::size_t kSpotsInLine = 2;
constexpr std::chrono::duration<double> kRateSpan{1.0};

template <class Measured>  // a frame or a sum of frames
std::vector<v1::Spot> strongest(const Measured& m, std::size_t count) {
  std::vector<v1::Spot> spots(m.spots().begin(), m.spots().end());
  std::sort(spots.begin(), spots.end(),
            [](const v1::Spot& a, const v1::Spot& b) { return a.snr() > b.snr(); });
  spots.resize(std::min(spots.size(), count));
  return spots;
}

std::string drift_text(const v1::Measurement& m) {
  const auto& at = m.drift_px();
  const auto& sigma = m.sigma_drift_px();
  return fmt::format("({}, {}) px {}{}", signed_plus_minus(at.x(), sigma.x()),
                     signed_plus_minus(at.y(), sigma.y()), word(m.drift_state()),
                     m.cell_ambiguous() ? ", cell ambiguous" : "");
}

std::string spot_text(const v1::Spot& spot, const std::string& unit) {
  return fmt::format("#{} {} {}{}", spot.id(), plus_minus(spot.d_nm(), spot.sigma_d_nm()), unit,
                     spot.confirmed() ? "" : " (new)");
}

std::string cell_text(const v1::Lattice& lattice, const std::string& unit) {
  return fmt::format("a {}, b {} {}, {} deg", plus_minus(lattice.a_nm(), lattice.sigma_a_nm()),
                     plus_minus(lattice.b_nm(), lattice.sigma_b_nm()), unit,
                     plus_minus(lattice.gamma_deg(), lattice.sigma_gamma_deg()));
}

std::string sum_text(const v1::SumMeasurement& sum) {
  return fmt::format("sum of {} frames to {}", sum.frames_added(), sum.last_seq());
}

std::string crystallinity_text(const v1::Measurement& m) {
  return m.has_crystallinity() ? fmt::format("{:.1f} %", m.crystallinity() * 100.0) : "unknown";
}

std::string begin_text(const v1::RunBegins& run) {
  std::string out =
      fmt::format("run begins: {} x {} px, bin {}", run.width(), run.height(), run.bin());
  if (run.pixel_size_nm() > 0.0) out += fmt::format(", {:.4g} nm/px", run.pixel_size_nm());
  if (run.frame_period_s() > 0.0)
    out += ", a frame every " + with_prefix(run.frame_period_s(), "s");
  return out;
}

std::string holders_text(const v1::Measurement& m) {
  std::string out;
  for (const auto& holder : m.holders()) {
    out += fmt::format("{}{} {}", out.empty() ? "" : "; ", holder.holder(), to_text(holder));
  }
  return out;
}

}  // namespace

std::string LiveView::take(const v1::MeasurementEvent& event, Clock::time_point now) {
  Detector& d = detectors_[event.detector()];
  const std::string begin = mark(event.stamp()) + event.detector() + "  ";
  std::string out;
  if (event.skipped() > d.skipped) {
    out += fmt::format("{}{} events missed: this terminal was too slow\n", begin,
                       event.skipped() - d.skipped);
  }
  d.skipped = event.skipped();
  if (event.has_run_begins() || event.stamp().epoch() != d.stamp.epoch()) {
    const std::uint64_t skipped = d.skipped;
    const std::string unit = d.spacing_unit;
    d = Detector{};
    d.skipped = skipped;
    d.spacing_unit = unit;
  }
  d.stamp = event.stamp();
  if (event.has_run_begins()) {
    d.spacing_unit = event.run_begins().pixel_size_nm() > 0.0 ? "nm" : "px";
    out += begin + begin_text(event.run_begins()) + "\n";
  }
  if (event.has_lost()) {
    const auto& lost = event.lost();
    d.lost += lost.count();
    out += fmt::format("{}frame {}{} LOST: {}\n", begin, lost.seq(),
                       lost.count() > 1 ? fmt::format(" and {} more", lost.count() - 1) : "",
                       lost.reason());
  }
  if (event.has_measurement()) {
    const std::string said = take_measurement(d, event.measurement(), now);
    for (std::size_t at = 0; at < said.size();) {
      const std::size_t end = said.find('\n', at);
      out += begin + said.substr(at, end + 1 - at);
      at = end + 1;
    }
  }
  if (event.has_run_ends()) {
    const auto& run = event.run_ends();
    d.ended = run.ended();
    out += fmt::format("{}run {}: {} frames measured, {} lost\n", begin, run.ended(),
                       run.measured(), run.lost());
  }
  return out;
}

std::string LiveView::take_measurement(Detector& d, const v1::Measurement& m,
                                       Clock::time_point now) {
  d.last = m;
  if (m.has_sum())
    d.sum = m.sum();
  else if (m.seq() > d.sum.last_seq() + 4ull * d.sum.frames_added())
    d.sum.Clear();  // no newer one came
  ++d.measured;
  if (!d.rated_at) {
    d.rated_at = now;
    d.rated_frames = d.measured;
  } else if (now - *d.rated_at >= kRateSpan) {
    const std::chrono::duration<double> passed = now - *d.rated_at;
    d.frames_per_s = static_cast<double>(d.measured - d.rated_frames) / passed.count();
    d.rated_at = now;
    d.rated_frames = d.measured;
  }
  std::string out;
  for (const auto& change : m.alerts()) {
    if (change.raised()) {
      d.standing[change.id()] = to_line(change);
    } else {
      d.standing.erase(change.id());
    }
    out += fmt::format("frame {}  {}\n", m.seq(), to_line(change));
  }
  for (const auto& change : m.changes()) out += fmt::format("frame {}  {}\n", m.seq(), change);
  return out;
}

std::string LiveView::frame_line(const v1::MeasurementEvent& event) const {
  if (!event.has_measurement() || event.measurement().seq() % every_ != 0) return "";
  const v1::Measurement& m = event.measurement();
  const auto known = detectors_.find(event.detector());
  const std::string unit = known == detectors_.end() ? "nm" : known->second.spacing_unit;
  std::string out = fmt::format("{}{}  frame {}  drift {}", mark(event.stamp()), event.detector(),
                                m.seq(), drift_text(m));
  if (m.quality() != "good") out += "  " + m.quality();
  for (const auto& spot : strongest(m, kSpotsInLine)) out += "  " + spot_text(spot, unit);
  if (m.spots().empty() && m.has_sum()) {
    out += "  [" + sum_text(m.sum());
    for (const auto& spot : strongest(m.sum(), kSpotsInLine)) out += "  " + spot_text(spot, unit);
    out += "]";
  }
  out += "  crystallinity " + crystallinity_text(m);
  if (const std::string holders = holders_text(m); !holders.empty()) out += "  " + holders;
  if (known != detectors_.end() && !known->second.standing.empty()) {
    out += fmt::format("  {} alerts stand", known->second.standing.size());
  }
  return out + "\n";
}

std::string LiveView::table() const {
  std::string out;
  for (const auto& [name, detector] : detectors_) out += table_of(name, detector);
  return out;
}

std::string LiveView::table_of(const std::string& name, const Detector& d) const {
  const v1::Measurement& m = d.last;
  std::string out = fmt::format("{}{}  run {}  frame {}  {:.1f} frames/s", mark(d.stamp), name,
                                d.stamp.epoch(), m.seq(), d.frames_per_s);
  if (d.lost > 0) out += fmt::format("  {} LOST", d.lost);
  if (!d.ended.empty()) out += "  " + d.ended;
  out += m.has_time_ns() ? "  " + utc(m.time_ns()) + "\n" : "\n";
  if (d.measured == 0) return out + "  no frame yet\n";
  out += "  drift          " + drift_text(m);
  out += m.quality() == "good" ? "\n" : "  (" + m.quality() + ")\n";
  const auto spots = strongest(m, kSpotsInTable);
  for (const auto& spot : spots) {
    out += fmt::format("  {}{}, snr {:.0f}\n",
                       &spot == &spots.front() ? "spots          " : "               ",
                       spot_text(spot, d.spacing_unit), spot.snr());
  }
  if (spots.empty()) out += "  spots          none\n";
  for (const auto& lattice : m.lattices()) {
    out += fmt::format("  lattice {}      {}\n", lattice.id(), cell_text(lattice, d.spacing_unit));
  }
  if (spots.empty() && d.sum.frames_added() > 0) {
    out += "  " + sum_text(d.sum) + ":\n";
    for (const auto& spot : strongest(d.sum, kSpotsInTable))
      out += fmt::format("                 {}, snr {:.0f}\n", spot_text(spot, d.spacing_unit),
                         spot.snr());
  }
  out += "  crystallinity  " + crystallinity_text(m) + "\n";
  for (const auto& holder : m.holders()) {
    out += fmt::format("  holder         {} {}\n", holder.holder(), to_text(holder));
  }
  for (const auto& [id, line] : d.standing) out += "  " + line + "\n";
  return out;
}

}  // namespace latticed::latticectl
