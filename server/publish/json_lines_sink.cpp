// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/publish/json_lines_sink.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace latticed {

namespace {

// A number with the digits that mean something; null when it is not one.
struct Number {
  double value;
  int digits = 9;
};

}  // namespace
}  // namespace latticed

template <>
struct fmt::formatter<latticed::Number> {
  constexpr auto parse(format_parse_context& context) { return context.begin(); }
  auto format(const latticed::Number& number, format_context& context) const {
    if (!std::isfinite(number.value)) return fmt::format_to(context.out(), "null");
    return fmt::format_to(context.out(), "{:.{}g}", number.value, number.digits);
  }
};

namespace latticed {

namespace {

constexpr const char* to_json(bool value) { return value ? "true" : "false"; }

std::string id_json(std::uint32_t id) { return id ? std::to_string(id) : "null"; }

// Lengths are known in nm only when the pixel size is.
std::string spot_json(const Spot& spot, double pixel_size_nm) {
  const bool is_known = pixel_size_nm > 0.0;
  const auto nm = [&](double value) { return Number{is_known ? value : NAN}; };
  const double d_px = is_known ? spot.d_nm / pixel_size_nm : spot.d_nm;
  return fmt::format(
      "{{\"id\":{},\"g_per_nm\":[{},{}],\"d_nm\":{},\"sigma_d_nm\":{},\"sigma_d_sys_nm\":{},"
      "\"d_px\":{},\"snr\":{},\"amplitude\":{},\"phase_rad\":{},\"age_frames\":{},"
      "\"confirmed\":{},\"harmonic_order\":{},\"harmonic_of\":{},\"harmonic_ratio\":{},"
      "\"sigma_harmonic_ratio\":{},\"sigma_amplitude\":{},\"overlapped\":{},\"lattice_id\":{},"
      "\"index\":{},\"d_lattice_nm\":{},\"sigma_d_lattice_nm\":{},\"d_track_nm\":{},"
      "\"sigma_d_track_nm\":{}}}",
      spot.id, nm(spot.g_per_nm.x), nm(spot.g_per_nm.y), nm(spot.d_nm), nm(spot.sigma_d_nm),
      nm(spot.sigma_d_sys_nm), Number{d_px}, Number{spot.snr, 5}, Number{spot.amplitude, 6},
      Number{spot.phase_rad, 6}, spot.age_frames, to_json(spot.is_confirmed),
      static_cast<int>(spot.harmonic_order), id_json(spot.harmonic_of),
      Number{spot.harmonic_ratio, 6}, Number{spot.sigma_harmonic_ratio, 5},
      Number{spot.sigma_amplitude, 5}, to_json(spot.is_overlapped), id_json(spot.lattice),
      spot.lattice ? fmt::format("[{},{}]", static_cast<int>(spot.h), static_cast<int>(spot.k))
                   : "null",
      nm(spot.d_lattice_nm), nm(spot.sigma_d_lattice_nm), nm(spot.d_track_nm),
      nm(spot.sigma_d_track_nm));
}

// Null without a pixel size: a cell in unknown units is none.
std::string lattice_json(const Lattice& lattice, double pixel_size_nm) {
  if (pixel_size_nm <= 0.0) return "null";
  return fmt::format(
      "{{\"a_nm\":{},\"b_nm\":{},\"gamma_deg\":{},\"sigma_a_nm\":{},\"sigma_b_nm\":{},"
      "\"sigma_gamma_deg\":{},\"sigma_a_sys_nm\":{},\"sigma_b_sys_nm\":{},\"id\":{},"
      "\"g1_per_nm\":[{},{}],\"g2_per_nm\":[{},{}],\"spots\":{},\"age_frames\":{},"
      "\"confirmed\":{}}}",
      Number{lattice.a_nm}, Number{lattice.b_nm}, Number{lattice.gamma_deg},
      Number{lattice.sigma_a_nm, 5}, Number{lattice.sigma_b_nm, 5},
      Number{lattice.sigma_gamma_deg, 5}, Number{lattice.sigma_a_sys_nm, 5},
      Number{lattice.sigma_b_sys_nm, 5}, lattice.id, Number{lattice.g1_per_nm.x},
      Number{lattice.g1_per_nm.y}, Number{lattice.g2_per_nm.x}, Number{lattice.g2_per_nm.y},
      lattice.spots, lattice.age_frames, to_json(lattice.is_confirmed));
}

std::string superlattice_json(const SuperlatticeSpot& spot, double pixel_size_nm) {
  const double nm = pixel_size_nm > 0.0 ? 1.0 : NAN;
  return fmt::format(
      "{{\"lattice_id\":{},\"index\":[{},{}],\"g_per_nm\":[{},{}],\"snr\":{},\"amplitude\":{},"
      "\"sigma_amplitude\":{},\"false_alarm\":{}}}",
      spot.lattice, Number{spot.index.x, 6}, Number{spot.index.y, 6}, Number{spot.g_per_nm.x * nm},
      Number{spot.g_per_nm.y * nm}, Number{spot.snr, 5}, Number{spot.amplitude, 6},
      Number{spot.sigma_amplitude, 5}, Number{spot.false_alarm, 4});
}

std::string affine_json(const std::optional<ScanAffine>& affine) {
  if (!affine) return "null";
  return fmt::format("[[{},{}],[{},{}]]", Number{affine->xx}, Number{affine->xy},
                     Number{affine->yx}, Number{affine->yy});
}

std::string spots_json(const FixedVector<Spot, kMaxSpots>& spots, double pixel_size_nm) {
  std::string out = "[";
  for (const Spot& spot : spots)
    out += (out.size() > 1 ? "," : "") + spot_json(spot, pixel_size_nm);
  return out + "]";
}

std::string sum_json(const SumMeasurement& sum, double pixel_size_nm) {
  return fmt::format(
      "{{\"frames_added\":{},\"frames_left_out\":{},\"first_seq\":{},\"last_seq\":{},"
      "\"effective_seq\":{},\"effective_time_ns\":{},\"drift_px\":[{},{}],\"mean_counts\":{},"
      "\"spots\":{},\"crystallinity\":{},\"lattice\":{},\"scan_affine\":{}}}",
      sum.frames_added, sum.frames_left_out, sum.first_seq, sum.last_seq, Number{sum.effective_seq},
      sum.effective_time_ns ? std::to_string(*sum.effective_time_ns) : std::string("null"),
      Number{sum.drift_px.x}, Number{sum.drift_px.y}, Number{sum.mean_counts, 7},
      spots_json(sum.spots, pixel_size_nm), Number{sum.crystallinity.value_or(NAN), 6},
      sum.lattice ? lattice_json(*sum.lattice, pixel_size_nm) : std::string("null"),
      affine_json(sum.scan_affine));
}

std::string alert_json(const AlertEvent& alert, const RunInfo& run) {
  const AlertRule& rule = run.rules[alert.rule];
  std::string out = fmt::format(
      "{{\"rule\":\"{}\",\"state\":\"{}\",\"value\":{},\"unit\":\"{}\",\"sigma\":{},"
      "\"since_seq\":{}",
      rule.name, alert.is_raised ? "raised" : "cleared", Number{alert.value},
      unit_of(rule.quantity), Number{alert.sigma}, alert.since_seq);
  if (alert.spot_id) out += fmt::format(",\"spot_id\":{}", alert.spot_id);
  if (rule.of == RuleOf::sum) out += ",\"of\":\"sum\"";
  return out + "}";
}

[[noreturn]] void throw_write_error(const char* what) {
  throw std::runtime_error(fmt::format("writing {}: {}", what, std::strerror(errno)));
}

}  // namespace

JsonLinesSink::~JsonLinesSink() {
  if (!path_.empty() && out_) std::fclose(out_);
}

Result<void> JsonLinesSink::begin(const RunInfo& run) {
  run_ = run;
  if (path_.empty()) return {};
  out_ = std::fopen(path_.c_str(), "w");
  if (!out_)
    return Error{ErrorCode::unavailable,
                 fmt::format("creating {}: {}", path_, std::strerror(errno))};
  return {};
}

void JsonLinesSink::consume(const FrameLease& frame) {
  line_.clear();
  if (frame->has_pixels())
    write_measured(*frame);
  else
    write_lost(*frame);
  if (std::fwrite(line_.data(), 1, line_.size(), out_) != line_.size())
    throw_write_error("a measurement");
  // One flush a line: who reads along, or kills us, has every finished frame.
  if (std::fflush(out_) != 0) throw_write_error("a measurement");
  listed_ += frame->has_pixels() ? 1 : frame->header.lost_count;
}

void JsonLinesSink::write_lost(const Frame& frame) {
  for (std::uint64_t i = 0; i < frame.header.lost_count; ++i)
    fmt::format_to(std::back_inserter(line_), "{{\"seq\":{},\"lost\":\"{}\"}}\n", frame.seq + i,
                   to_string(frame.header.loss));
}

void JsonLinesSink::write_measured(const Frame& frame) {
  const Measurements& m = frame.measurements;
  auto to = std::back_inserter(line_);
  fmt::format_to(to, "{{\"seq\":{},\"time_ns\":", frame.seq);
  if (frame.header.time_ns == kUnknownTime)
    fmt::format_to(to, "null");
  else
    fmt::format_to(to, "{}", frame.header.time_ns);
  fmt::format_to(to,
                 ",\"drift_px\":[{},{}],\"sigma_drift_px\":[{},{}],\"sigma_drift_sys_px\":[{},{}],"
                 "\"drift_state\":\"{}\","
                 "\"cell_ambiguous\":{},\"drift_match\":{},\"quality\":\"{}\",\"mean_counts\":{},"
                 "\"spots\":{}",
                 Number{m.drift.drift_px.x}, Number{m.drift.drift_px.y},
                 Number{m.drift.sigma_drift_px.x, 5}, Number{m.drift.sigma_drift_px.y, 5},
                 Number{m.drift.sigma_drift_sys_px.x, 5}, Number{m.drift.sigma_drift_sys_px.y, 5},
                 to_string(m.drift.state), to_json(m.drift.is_cell_ambiguous),
                 Number{m.drift.match, 4}, to_string(m.quality), Number{m.mean_counts, 7},
                 spots_json(m.spots, run_.pixel_size_nm));
  const Lattice* const main = m.main_lattice();
  fmt::format_to(to, ",\"lattice\":{},\"lattices\":[",
                 main ? lattice_json(*main, run_.pixel_size_nm) : "null");
  for (std::size_t i = 0; i < m.lattices.size(); ++i)
    fmt::format_to(to, "{}{}", i ? "," : "", lattice_json(m.lattices[i], run_.pixel_size_nm));
  fmt::format_to(to, "],\"superlattice\":[");
  for (std::size_t i = 0; i < m.superlattice.size(); ++i)
    fmt::format_to(to, "{}{}", i ? "," : "",
                   superlattice_json(m.superlattice[i], run_.pixel_size_nm));
  fmt::format_to(to,
                 "],\"scan_affine\":{},\"phases\":[],\"strain\":null,\"crystallinity\":{},"
                 "\"sum\":{},\"alerts\":[",
                 affine_json(m.scan_affine), Number{m.crystallinity.value_or(NAN), 6},
                 m.sum ? sum_json(*m.sum, run_.pixel_size_nm) : std::string("null"));
  for (std::size_t i = 0; i < m.alerts.size(); ++i)
    fmt::format_to(to, "{}{}", i ? "," : "", alert_json(m.alerts[i], run_));
  fmt::format_to(to, "]}}\n");
}

Result<void> JsonLinesSink::finish() {
  const bool is_ours = !path_.empty();
  std::FILE* out = is_ours ? std::exchange(out_, nullptr) : out_;
  if ((is_ours ? std::fclose(out) : std::fflush(out)) != 0)
    return Error{ErrorCode::data_loss,
                 fmt::format("writing measurements: {}", std::strerror(errno))};
  return {};
}

CsvSink::~CsvSink() {
  if (out_) std::fclose(out_);
}

Result<void> CsvSink::begin(const RunInfo& run) {
  run_ = run;
  out_ = std::fopen(path_.c_str(), "w");
  if (!out_)
    return Error{ErrorCode::unavailable,
                 fmt::format("creating {}: {}", path_, std::strerror(errno))};
  fmt::print(out_,
             "seq,time_ns,lost,quality,mean_counts,drift_x_px,drift_y_px,sigma_drift_x_px,"
             "sigma_drift_y_px,drift_state,cell_ambiguous,crystallinity,spot_id,g_x_per_nm,"
             "g_y_per_nm,d_nm,sigma_d_nm,sigma_d_sys_nm,snr,amplitude,phase_rad,confirmed,"
             "sigma_amplitude,harmonic_order,harmonic_ratio,sigma_harmonic_ratio,overlapped,"
             "d_track_nm,sigma_d_track_nm,lattice_id,h,k,d_lattice_nm,sigma_d_lattice_nm,a_nm,"
             "sigma_a_nm,b_nm,sigma_b_nm,gamma_deg,sigma_gamma_deg\n");
  return {};
}

// One row per spot, so that a table program can pivot on spot_id; a frame without spots has one
// row.
void CsvSink::consume(const FrameLease& lease) {
  const Frame& frame = *lease;
  if (!frame.has_pixels()) {
    for (std::uint64_t i = 0; i < frame.header.lost_count; ++i)
      fmt::print(out_, "{},,{}{:,>37}\n", frame.seq + i, to_string(frame.header.loss), "");
    return;
  }
  const Measurements& m = frame.measurements;
  const auto cell = [](double value) {
    return std::isfinite(value) ? fmt::format("{:.9g}", value) : std::string();
  };
  const std::string head = fmt::format(
      "{},{},,{},{:.7g},{:.6f},{:.6f},{:.5g},{:.5g},{},{},{}", frame.seq,
      frame.header.time_ns == kUnknownTime ? std::string() : std::to_string(frame.header.time_ns),
      to_string(m.quality), m.mean_counts, m.drift.drift_px.x, m.drift.drift_px.y,
      m.drift.sigma_drift_px.x, m.drift.sigma_drift_px.y, to_string(m.drift.state),
      to_json(m.drift.is_cell_ambiguous), cell(m.crystallinity.value_or(NAN)));
  if (m.spots.empty()) fmt::print(out_, "{}{:,>28}\n", head, "");
  const auto nm = [&](double value) {
    return run_.pixel_size_nm > 0.0 ? cell(value) : std::string();
  };
  // The spot's own lattice, not the main one.
  const auto lattice_cells = [&](const Spot& s) {
    const Lattice* lattice = nullptr;
    for (const Lattice& one : m.lattices) lattice = one.id == s.lattice ? &one : lattice;
    if (!lattice) return fmt::format("{:,>11}", "");
    return fmt::format(",{},{},{},{},{},{},{},{},{},{},{}", lattice->id, static_cast<int>(s.h),
                       static_cast<int>(s.k), nm(s.d_lattice_nm), nm(s.sigma_d_lattice_nm),
                       nm(lattice->a_nm), nm(lattice->sigma_a_nm), nm(lattice->b_nm),
                       nm(lattice->sigma_b_nm), cell(lattice->gamma_deg),
                       cell(lattice->sigma_gamma_deg));
  };
  for (const Spot& s : m.spots)
    fmt::print(out_, "{},{},{},{},{},{},{},{:.5g},{:.6g},{:.6g},{},{:.5g},{},{},{},{},{},{}{}\n",
               head, s.id, nm(s.g_per_nm.x), nm(s.g_per_nm.y), nm(s.d_nm), nm(s.sigma_d_nm),
               nm(s.sigma_d_sys_nm), s.snr, s.amplitude, s.phase_rad, to_json(s.is_confirmed),
               s.sigma_amplitude, static_cast<int>(s.harmonic_order), cell(s.harmonic_ratio),
               cell(s.sigma_harmonic_ratio), to_json(s.is_overlapped), nm(s.d_track_nm),
               nm(s.sigma_d_track_nm), lattice_cells(s));
}

Result<void> CsvSink::finish() {
  std::FILE* out = out_;
  out_ = nullptr;
  if (std::fclose(out) != 0)
    return Error{ErrorCode::data_loss, fmt::format("writing {}: {}", path_, std::strerror(errno))};
  return {};
}

}  // namespace latticed
