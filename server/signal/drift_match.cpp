// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/drift_match.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "server/base/hot.hpp"

namespace latticed::signal {

namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;
constexpr std::size_t kMostCoreBins = 64;
constexpr double kCarriersTell = 0.95;  // of all the information, along every axis

struct LaneSums {
  float j[kBlock], ji[kBlock], gx[kBlock], gy[kBlock], hxx[kBlock], hxy[kBlock], hyy[kBlock];
};

LATTICED_HOT void sum_blocks(const MatchBlock* blocks, std::size_t count, const float* c_re,
                             const float* c_im, const float* ky_of_row, const Complex* ramp_x,
                             const Complex* ramp_y, LaneSums& out) {
  LaneSums s{};
  for (std::size_t b = 0; b < count; ++b) {
    const float* ex = reinterpret_cast<const float*>(ramp_x + blocks[b].kx);
    const float ex_re = ex[0], ex_im = ex[1];
    const auto kx = static_cast<float>(blocks[b].kx);
    const float* ey = reinterpret_cast<const float*>(ramp_y + blocks[b].row);
    const float* ky = ky_of_row + blocks[b].row;
    const float* re = c_re + b * kBlock;
    const float* im = c_im + b * kBlock;
    for (int i = 0; i < kBlock; ++i) {
      const float pr = re[i] * ey[2 * i] - im[i] * ey[2 * i + 1];
      const float pi = re[i] * ey[2 * i + 1] + im[i] * ey[2 * i];
      const float qr = pr * ex_re - pi * ex_im;
      const float qi = pr * ex_im + pi * ex_re;
      s.j[i] += qr;
      s.ji[i] += qi;
      s.gx[i] += kx * qi;
      s.gy[i] += ky[i] * qi;
      s.hxx[i] += kx * kx * qr;
      s.hxy[i] += kx * ky[i] * qr;
      s.hyy[i] += ky[i] * ky[i] * qr;
    }
  }
  out = s;
}

struct LanePhases {
  float j[kBlock], ji[kBlock];
};

LATTICED_HOT void sum_phases(const MatchBlock* blocks, std::size_t count, const float* c_re,
                             const float* c_im, const Complex* ramp_x, const Complex* ramp_y,
                             LanePhases& out) {
  LanePhases s{};
  for (std::size_t b = 0; b < count; ++b) {
    const float* ex = reinterpret_cast<const float*>(ramp_x + blocks[b].kx);
    const float ex_re = ex[0], ex_im = ex[1];
    const float* ey = reinterpret_cast<const float*>(ramp_y + blocks[b].row);
    const float* re = c_re + b * kBlock;
    const float* im = c_im + b * kBlock;
    for (int i = 0; i < kBlock; ++i) {
      const float pr = re[i] * ey[2 * i] - im[i] * ey[2 * i + 1];
      const float pi = re[i] * ey[2 * i + 1] + im[i] * ey[2 * i];
      s.j[i] += pr * ex_re - pi * ex_im;
      s.ji[i] += pr * ex_im + pi * ex_re;
    }
  }
  out = s;
}

double total(const float (&lane)[kBlock]) {
  double sum = 0.0;
  for (float value : lane) sum += static_cast<double>(value);
  return sum;
}

// Of J = Re(z) whose bins all turn by g, rad per cell.
MatchSums sums_of_carrier(std::complex<double> z, Vector2 g) {
  return {z.real(),
          z.imag(),
          -g.x * z.imag(),
          -g.y * z.imag(),
          -g.x * g.x * z.real(),
          -g.x * g.y * z.real(),
          -g.y * g.y * z.real()};
}

// Whether a part of the information leaves out next to nothing, along no axis.
bool is_nearly_all(const Expectation& part, const Expectation& all) {
  const double xx = part.gxx - kCarriersTell * all.gxx, yy = part.gyy - kCarriersTell * all.gyy;
  const double xy = part.gxy - kCarriersTell * all.gxy;
  return xx > 0.0 && yy > 0.0 && xx * yy > xy * xy;
}

LATTICED_HOT float load_blocks(const MatchBlock* blocks, std::size_t count, const Complex* frame,
                               std::size_t column_stride, const float* t_re, const float* t_im,
                               const float* weight, float factor, float* c_re, float* c_im) {
  float power[kBlock] = {};
  for (std::size_t b = 0; b < count; ++b) {
    const float* f = reinterpret_cast<const float*>(
        frame + static_cast<std::size_t>(blocks[b].kx) * column_stride +
        static_cast<std::size_t>(blocks[b].row));
    const float w = weight[b], scaled = w * factor;
    for (int i = 0; i < kBlock; ++i) {
      const std::size_t at = b * kBlock + static_cast<std::size_t>(i);
      const float fr = f[2 * i], fi = f[2 * i + 1];
      c_re[at] = scaled * (fr * t_re[at] + fi * t_im[at]);
      c_im[at] = scaled * (fi * t_re[at] - fr * t_im[at]);
      power[i] += w * (fr * fr + fi * fi);
    }
  }
  float sum = 0.0f;
  for (float p : power) sum += p;
  return sum;
}

LATTICED_HOT void update_blocks(const MatchBlock* blocks, std::size_t count, const Complex* frame,
                                std::size_t column_stride, const Complex* ramp_x,
                                const Complex* ramp_y, float blend, float* t_re, float* t_im) {
  for (std::size_t b = 0; b < count; ++b) {
    const float* ex = reinterpret_cast<const float*>(ramp_x + blocks[b].kx);
    const float ex_re = ex[0], ex_im = ex[1];
    const float* ey = reinterpret_cast<const float*>(ramp_y + blocks[b].row);
    const float* f = reinterpret_cast<const float*>(
        frame + static_cast<std::size_t>(blocks[b].kx) * column_stride +
        static_cast<std::size_t>(blocks[b].row));
    for (int i = 0; i < kBlock; ++i) {
      const std::size_t at = b * kBlock + static_cast<std::size_t>(i);
      const float er = ey[2 * i] * ex_re - ey[2 * i + 1] * ex_im;
      const float ei = ey[2 * i] * ex_im + ey[2 * i + 1] * ex_re;
      const float fr = f[2 * i] * er - f[2 * i + 1] * ei;
      const float fi = f[2 * i] * ei + f[2 * i + 1] * er;
      t_re[at] += blend * (fr - t_re[at]);
      t_im[at] += blend * (fi - t_im[at]);
    }
  }
}

// The same where all bins turn alike.
LATTICED_HOT void update_block(const MatchBlock& block, const Complex* frame,
                               std::size_t column_stride, Complex turn, float blend, float* t_re,
                               float* t_im) {
  const float* f =
      reinterpret_cast<const float*>(frame + static_cast<std::size_t>(block.kx) * column_stride +
                                     static_cast<std::size_t>(block.row));
  const float er = turn.real(), ei = turn.imag();
  for (int i = 0; i < kBlock; ++i) {
    t_re[i] += blend * (f[2 * i] * er - f[2 * i + 1] * ei - t_re[i]);
    t_im[i] += blend * (f[2 * i] * ei + f[2 * i + 1] * er - t_im[i]);
  }
}

struct BlockPower {
  double p0 = 0.0, p1 = 0.0, p2 = 0.0;  // sums of |T|^2, ky |T|^2, ky^2 |T|^2
};

BlockPower block_power(const float* t_re, const float* t_im, const float* ky) {
  float p0 = 0.0f, p1 = 0.0f, p2 = 0.0f;
  for (int i = 0; i < kBlock; ++i) {
    const float p = t_re[i] * t_re[i] + t_im[i] * t_im[i];
    p0 += p;
    p1 += p * ky[i];
    p2 += p * ky[i] * ky[i];
  }
  return {static_cast<double>(p0), static_cast<double>(p1), static_cast<double>(p2)};
}

}  // namespace

PhaseRamps::PhaseRamps(const AnalysisGrid& grid)
    : height_(grid.height),
      per_x_(kTwoPi / grid.width),
      per_y_(kTwoPi / grid.height),
      x_(static_cast<std::size_t>(grid.kx_count)),
      // Room for a whole block at the last, partial one.
      y_(static_cast<std::size_t>(grid.height + kBlock)) {}

void PhaseRamps::set(Vector2 shift) noexcept {
  shift_ = shift;
  // Recurrence in double: exact to 1e-12 over a thousand steps, far below the float it becomes.
  const auto fill = [](Complex* out, int count, double step, bool backwards) {
    const std::complex<double> turn = std::polar(1.0, backwards ? -step : step);
    std::complex<double> value = backwards ? turn : std::complex<double>(1.0);
    for (int i = 0; i < count; ++i) {
      out[backwards ? -i : i] = Complex(value);
      value = {value.real() * turn.real() - value.imag() * turn.imag(),
               value.real() * turn.imag() + value.imag() * turn.real()};
    }
  };
  fill(x_.data(), static_cast<int>(x_.size()), per_x_ * shift.x, false);
  fill(y_.data(), height_ / 2 + 1, per_y_ * shift.y, false);
  fill(y_.data() + height_ - 1, (height_ - 1) / 2, per_y_ * shift.y, true);
}

MatchList::MatchList(const AnalysisGrid& grid, std::size_t max_blocks)
    : grid_(grid),
      blocks_(max_blocks),
      template_re_(max_blocks * kBlock),
      template_im_(max_blocks * kBlock),
      weight_(max_blocks),
      c_re_(max_blocks * kBlock),
      c_im_(max_blocks * kBlock),
      ky_of_row_(static_cast<std::size_t>(grid.height + kBlock)) {
  core_.reserve(kLabels * kMostCoreBins);
  for (int row = 0; row < grid.height; ++row)
    ky_of_row_[static_cast<std::size_t>(row)] = static_cast<float>(grid.signed_ky(row));
}

// 1: the block's bins turn by +g; -1: they are of the mirror image and turn by -g.
double MatchList::side_of(MatchBlock block, Vector2 g) const noexcept {
  const int middle = grid_.signed_ky(std::min(block.row + kBlock / 2, grid_.height - 1));
  return block.kx * g.x / grid_.width + middle * g.y / grid_.height < 0.0 ? -1.0 : 1.0;
}

// exp(2 pi i (k - g).shift) of this bin: the window's way, without the lattice's.
Complex MatchList::window_turn(MatchBlock block, int row, std::size_t label,
                               Vector2 shift) const noexcept {
  const Vector2 g = filling_[label].g;
  const double side = side_of(block, g);
  const double cycles =
      (static_cast<double>(block.kx) / grid_.width - side * g.x) * shift.x +
      (static_cast<double>(grid_.signed_ky(row)) / grid_.height - side * g.y) * shift.y;
  return Complex(std::polar(1.0, kTwoPi * cycles));
}

void MatchList::choose(std::span<const MatchBlock> blocks,
                       const std::array<std::uint32_t, kLabels + 1>& begin, const Spectrum& full,
                       const std::array<FillingReflection, kLabels>& filling, Vector2 full_shift) {
  begin_ = begin;
  filling_ = filling;
  take_blocks(blocks, full);
  core_.clear();
  for (std::size_t label = 0; label < kLabels; ++label) {
    core_begin_[label] = static_cast<std::uint32_t>(core_.size());
    for (std::size_t b = begin_[label]; b < begin_[label + 1]; ++b)
      for (int i = 0; i < kBlock; ++i) {
        const std::size_t at = b * kBlock + static_cast<std::size_t>(i);
        const int row = blocks_[b].row + i;
        Complex value = row < grid_.height ? full[grid_.at(blocks_[b].kx, row)] : Complex{};
        if (is_filling(label) && row < grid_.height) {
          value *= window_turn(blocks_[b], row, label, {-full_shift.x, -full_shift.y});
          add_core_bin(b, i, label);
        }
        template_re_[at] = value.real();
        template_im_[at] = value.imag();
      }
  }
  core_begin_[kLabels] = static_cast<std::uint32_t>(core_.size());
}

// A reflection near kx = 0 has bins of its mirror image among its own.
void MatchList::take_blocks(std::span<const MatchBlock> blocks, const Spectrum& full) {
  count_ = std::min(blocks.size(), blocks_.size());
  std::copy_n(blocks.begin(), count_, blocks_.begin());
  for (std::size_t label = 0; label < kLabels; ++label) {
    mirror_begin_[label] = begin_[label + 1];
    if (!is_reflection(label) || is_filling(label)) continue;
    const auto own = blocks.subspan(begin_[label], begin_[label + 1] - begin_[label]);
    Vector2 strongest;
    float highest = 0.0f;
    for (const MatchBlock& block : own)
      for (int row = block.row; row < std::min(block.row + kBlock, grid_.height); ++row) {
        const float power = std::norm(full[grid_.at(block.kx, row)]);
        if (power <= highest) continue;
        highest = power;
        strongest = {static_cast<double>(block.kx) / grid_.width,
                     static_cast<double>(grid_.signed_ky(row)) / grid_.height};
      }
    std::uint32_t at = begin_[label];
    for (const double side : {1.0, -1.0}) {
      if (side < 0.0) mirror_begin_[label] = at;
      for (const MatchBlock& block : own)
        if (side_of(block, strongest) == side) blocks_[at++] = block;
    }
  }
}

void MatchList::add_core_bin(std::size_t b, int i, std::size_t label) {
  const Vector2 g = filling_[label].g;
  const double side = side_of(blocks_[b], g);
  const int row = blocks_[b].row + i;
  const double away = std::max(std::abs(blocks_[b].kx - side * g.x * grid_.width),
                               std::abs(grid_.signed_ky(row) - side * g.y * grid_.height));
  if (away > kCore_bins || core_.size() == core_.capacity()) return;
  core_.push_back({static_cast<std::uint32_t>(b * kBlock + static_cast<std::size_t>(i)),
                   static_cast<std::uint32_t>(grid_.at(blocks_[b].kx, row)),
                   static_cast<float>(side)});
}

void MatchList::weigh(TemplateNoise noise, const std::array<double, kLabels>& frame_noise) {
  const double template_noise = noise.others;
  const double px = kTwoPi / grid_.width, py = kTwoPi / grid_.height;
  std::array<Expectation, kLabels> by_carriers;
  Expectation all, all_by_carriers;
  for (std::size_t label = 0; label < kLabels; ++label) {
    noise_[label] = std::max(frame_noise[label], 1e-30);
    if (is_filling(label)) {
      weigh_filling(label, noise.filling);
      by_carriers[label] = expected_[label];
      all += expected_[label], all_by_carriers += expected_[label];
      continue;
    }
    Expectation sum;
    double power = 0.0;
    Vector2 moment;  // sum of k |T|^2, of the mirror image -k
    const auto power_of = [&](std::size_t b) {
      return block_power(template_re_.data() + b * kBlock, template_im_.data() + b * kBlock,
                         ky_of_row_.data() + blocks_[b].row);
    };
    const auto wiener = [&](double of, double bins) {
      return std::max(of - bins * template_noise, 0.0) / std::max(of, 1e-30);
    };
    // One factor for a whole reflection: unequal ones would shift its frequency.
    double label_weight = 0.0;
    if (label > 0) {
      for (std::size_t b = begin_[label]; b < begin_[label + 1]; ++b) power += power_of(b).p0;
      label_weight = wiener(power, static_cast<double>(begin_[label + 1] - begin_[label]) * kBlock);
    }
    for (std::size_t b = begin_[label]; b < begin_[label + 1]; ++b) {
      // One factor a block: single bins of a young template are too noisy to weigh alone.
      const BlockPower p = power_of(b);
      const double w = label > 0 ? label_weight : wiener(p.p0, kBlock);
      const double signal = label > 0 ? p.p0 - kBlock * template_noise
                                      : std::max(p.p0 - kBlock * template_noise, 0.0);
      weight_[b] = static_cast<float>(w);
      const auto kx = static_cast<double>(blocks_[b].kx);
      sum.power += w * signal;
      sum.weight += w * kBlock;
      sum.gxx += w * w * kx * kx * p.p0;
      sum.gxy += w * w * kx * p.p1;
      sum.gyy += w * w * p.p2;
      const double side = b < mirror_begin_[label] ? 1.0 : -1.0;
      moment.x += side * kx * p.p0, moment.y += side * p.p1;
    }
    const double per_v = 2.0 / noise_[label];
    sum.j = sum.power * per_v;
    sum.gxx *= per_v * px * px;
    sum.gxy *= per_v * px * py;
    sum.gyy *= per_v * py * py;
    expected_[label] = by_carriers[label] = sum;
    if (is_reflection(label) && power > 0.0) {
      const Vector2 g{px * moment.x / power, py * moment.y / power};
      const double gradient = per_v * label_weight * label_weight * power;
      carrier_[label] = g;
      by_carriers[label].gxx = gradient * g.x * g.x;
      by_carriers[label].gxy = gradient * g.x * g.y;
      by_carriers[label].gyy = gradient * g.y * g.y;
    }
    all += sum, all_by_carriers += by_carriers[label];
  }
  by_carriers_ = is_nearly_all(all_by_carriers, all);
  if (by_carriers_) expected_ = by_carriers;
}

// As weigh(), where all bins turn by g.
void MatchList::weigh_filling(std::size_t label, double template_noise) {
  double power = 0.0;
  const auto core = core_of(label);
  for (const CoreBin& bin : core) {
    const double re = static_cast<double>(template_re_[bin.at]),
                 im = static_cast<double>(template_im_[bin.at]);
    power += re * re + im * im;
  }
  const double noise = static_cast<double>(core.size()) * template_noise;
  const double w = std::max(power - noise, 0.0) / std::max(power, 1e-30);
  core_weight_[label] = w;
  const Vector2 g{kTwoPi * filling_[label].g.x, kTwoPi * filling_[label].g.y};
  const double per_v = 2.0 / noise_[label], gradient = per_v * w * w * power;
  expected_[label] = {per_v * w * (power - noise), gradient * g.x * g.x,
                      gradient * g.x * g.y,        gradient * g.y * g.y,
                      w * (power - noise),         w * static_cast<double>(core.size())};
}

void MatchList::load(const Spectrum& frame) {
  frame_power_.fill(0.0);
  loaded_labels_ = 0;
  frame_ = &frame;
}

void MatchList::load_label(std::size_t label) {
  if (loaded_labels_ >> label & 1u) return;
  loaded_labels_ |= 1u << label;
  const std::size_t first = begin_[label], count = begin_[label + 1] - first;
  if (count == 0) return;
  if (is_filling(label)) {
    load_filling(label);
    return;
  }
  const std::size_t at = first * kBlock;
  frame_power_[label] = static_cast<double>(
      load_blocks(blocks_.data() + first, count, frame_->data(), grid_.column_stride,
                  template_re_.data() + at, template_im_.data() + at, weight_.data() + first,
                  static_cast<float>(2.0 / noise_[label]), c_re_.data() + at, c_im_.data() + at));
}

void MatchList::load_filling(std::size_t label) {
  std::complex<double> sum;
  double power = 0.0;
  for (const CoreBin& bin : core_of(label)) {
    const float fr = (*frame_)[bin.in_frame].real(), fi = (*frame_)[bin.in_frame].imag();
    const float tr = template_re_[bin.at], ti = template_im_[bin.at];
    sum += std::complex<double>(static_cast<double>(fr * tr + fi * ti),
                                static_cast<double>(bin.sign * (fi * tr - fr * ti)));
    power += static_cast<double>(fr * fr + fi * fi);
  }
  filling_c_[label] = core_weight_[label] * 2.0 / noise_[label] * sum;
  frame_power_[label] = core_weight_[label] * power;
}

MatchSums MatchList::sum_filling(std::size_t label, Vector2 shift) const noexcept {
  const Vector2 g{kTwoPi * filling_[label].g.x, kTwoPi * filling_[label].g.y};
  return sums_of_carrier(filling_c_[label] * std::polar(1.0, g.x * shift.x + g.y * shift.y), g);
}

// Its own bins' sum, and the mirror image's turned back.
MatchSums MatchList::sum_carrier(std::size_t label, const PhaseRamps& ramps) const noexcept {
  const std::size_t own = begin_[label], mirror = mirror_begin_[label], end = begin_[label + 1];
  std::complex<double> z;
  const auto add = [&](std::size_t first, std::size_t last, double side) {
    LanePhases lanes;
    sum_phases(blocks_.data() + first, last - first, c_re_.data() + first * kBlock,
               c_im_.data() + first * kBlock, ramps.x(), ramps.y(), lanes);
    z += std::complex<double>(total(lanes.j), side * total(lanes.ji));
  };
  add(own, mirror, 1.0);
  if (mirror < end) add(mirror, end, -1.0);
  return sums_of_carrier(z, carrier_[label]);
}

double MatchList::misfit(std::size_t label, const MatchSums& sums, double template_noise,
                         double white) const noexcept {
  const Expectation& expected = expected_[label];
  if (expected.weight < 4.0) return 1.0;
  const double cross = sums.j * noise_[label] / 2.0;
  const double power = expected.power + expected.weight * template_noise;
  // A lattice that fades or brightens as a whole is where it was: its amplitude is free, within
  // two.
  const double amplitude =
      is_filling(label) ? std::clamp(cross / std::max(power, 1e-30), 0.5, 2.0) : 1.0;
  const double residual = frame_power_[label] + amplitude * (amplitude * power - 2.0 * cross);
  return std::clamp(residual / (expected.weight * (white + template_noise)), 1.0, 1e5);
}

MatchSums MatchList::sum(std::size_t label, const PhaseRamps& ramps) {
  MatchSums out;
  load_label(label);
  const std::size_t first = begin_[label], count = begin_[label + 1] - first;
  if (count == 0) return out;
  if (is_filling(label)) return sum_filling(label, ramps.shift_cells());
  if (has_no_outline(label)) return sum_carrier(label, ramps);
  LaneSums lanes;
  sum_blocks(blocks_.data() + first, count, c_re_.data() + first * kBlock,
             c_im_.data() + first * kBlock, ky_of_row_.data(), ramps.x(), ramps.y(), lanes);
  const double px = kTwoPi / grid_.width, py = kTwoPi / grid_.height;
  out.j = total(lanes.j);
  out.j_imag = total(lanes.ji);
  out.gx = -px * total(lanes.gx);
  out.gy = -py * total(lanes.gy);
  out.hxx = -px * px * total(lanes.hxx);
  out.hxy = -px * py * total(lanes.hxy);
  out.hyy = -py * py * total(lanes.hyy);
  return out;
}

void MatchList::collapse(std::size_t label, const PhaseRamps& ramps,
                         std::span<std::complex<double>> columns) {
  load_label(label);
  for (std::size_t b = begin_[label]; b < begin_[label + 1]; ++b) {
    const Complex* ey = ramps.y() + blocks_[b].row;
    float re = 0.0f, im = 0.0f;
    for (int i = 0; i < kBlock; ++i) {
      const std::size_t at = b * kBlock + static_cast<std::size_t>(i);
      re += c_re_[at] * ey[i].real() - c_im_[at] * ey[i].imag();
      im += c_re_[at] * ey[i].imag() + c_im_[at] * ey[i].real();
    }
    columns[static_cast<std::size_t>(blocks_[b].kx)] +=
        std::complex<double>(static_cast<double>(re), static_cast<double>(im));
  }
}

GridSearch::GridSearch(const AnalysisGrid& grid)
    : column_(static_cast<std::size_t>(grid.kx_count)) {}

Vector2 GridSearch::best(MatchList& list, std::uint32_t used, Vector2 centre, double step_cells,
                         PhaseRamps& ramps) {
  Vector2 at = centre;
  double highest = -1e300;
  for (int iy = -kReach; iy <= kReach; ++iy) {
    const double sy = centre.y + iy * step_cells;
    ramps.set({0.0, sy});
    std::fill(column_.begin(), column_.end(), std::complex<double>{});
    for (std::size_t label = 0; label < kLabels; ++label)
      if (used >> label & 1u && !list.is_filling(label)) list.collapse(label, ramps, column_);
    for (int ix = -kReach; ix <= kReach; ++ix) {
      const double sx = centre.x + ix * step_cells;
      ramps.set({sx, sy});
      double j = 0.0;
      for (std::size_t kx = 0; kx < column_.size(); ++kx)
        j += column_[kx].real() * static_cast<double>(ramps.x()[kx].real()) -
             column_[kx].imag() * static_cast<double>(ramps.x()[kx].imag());
      for (std::size_t label = 0; label < kLabels; ++label)
        if (used >> label & 1u && list.is_filling(label)) j += list.sum(label, ramps).j;
      if (j > highest) {
        highest = j;
        at = {sx, sy};
      }
    }
  }
  return at;
}

void MatchList::update(const Spectrum& frame, const PhaseRamps& ramps, float blend,
                       float filling_blend) {
  const Vector2 shift = ramps.shift_cells();
  for (std::size_t label = 0; label < kLabels; ++label) {
    const std::size_t first = begin_[label], count = begin_[label + 1] - first;
    if (count == 0) continue;
    if (!is_filling(label)) {
      update_blocks(blocks_.data() + first, count, frame.data(), grid_.column_stride, ramps.x(),
                    ramps.y(), blend, template_re_.data() + first * kBlock,
                    template_im_.data() + first * kBlock);
      continue;
    }
    const Vector2 g = filling_[label].g;
    const Complex turn(std::polar(1.0, kTwoPi * (g.x * shift.x + g.y * shift.y)));
    for (std::size_t b = first; b < first + count; ++b)
      update_block(blocks_[b], frame.data(), grid_.column_stride,
                   side_of(blocks_[b], g) > 0.0 ? turn : std::conj(turn), filling_blend,
                   template_re_.data() + b * kBlock, template_im_.data() + b * kBlock);
  }
}

void MatchList::write_back(Spectrum& full, Vector2 full_shift) const {
  for (std::size_t label = 0; label < kLabels; ++label)
    for (std::size_t b = begin_[label]; b < begin_[label + 1]; ++b)
      for (int i = 0; i < kBlock && blocks_[b].row + i < grid_.height; ++i) {
        const std::size_t at = b * kBlock + static_cast<std::size_t>(i);
        const int row = blocks_[b].row + i;
        Complex value{template_re_[at], template_im_[at]};
        if (is_filling(label)) value *= window_turn(blocks_[b], row, label, full_shift);
        full[grid_.at(blocks_[b].kx, row)] = value;
      }
}

namespace {

constexpr double kLeastOverlap = 0.05;

}  // namespace

WindowOverlap::Axis WindowOverlap::axis_of(const std::vector<float>& taper) {
  const std::size_t n = taper.size();
  std::vector<double> overlap(n + 2, 0.0);
  for (std::size_t shift = 0; shift < n; ++shift)
    for (std::size_t i = 0; i + shift < n; ++i)
      overlap[shift] += static_cast<double>(taper[i]) * static_cast<double>(taper[i + shift]);
  Axis out{std::vector<float>(n + 1, 1.0f), std::vector<float>(n + 1, 0.0f)};
  for (std::size_t shift = 1; shift <= n; ++shift) {
    out.share[shift] = static_cast<float>(overlap[shift] / std::max(overlap[0], 1e-30));
    // Where the last of the windows' tails overlap the slope says nothing any more.
    out.log_slope[shift] =
        overlap[shift] <= kLeastOverlap * overlap[0]
            ? out.log_slope[shift - 1]
            : static_cast<float>(0.5 * (overlap[shift + 1] - overlap[shift - 1]) / overlap[shift]);
  }
  return out;
}

WindowOverlap::WindowOverlap(const std::vector<float>& taper_x, const std::vector<float>& taper_y)
    : x_(axis_of(taper_x)), y_(axis_of(taper_y)) {}

namespace {

// Between whole cells; the last value beyond.
double interpolated(const std::vector<float>& values, double shift) {
  const double a = std::min(std::abs(shift), static_cast<double>(values.size()) - 1.001);
  const auto i = static_cast<std::size_t>(a);
  const double part = a - static_cast<double>(i);
  return (1.0 - part) * static_cast<double>(values[i]) + part * static_cast<double>(values[i + 1]);
}

}  // namespace

Vector2 WindowOverlap::log_slope(Vector2 relative) const noexcept {
  return {std::copysign(1.0, relative.x) * interpolated(x_.log_slope, relative.x),
          std::copysign(1.0, relative.y) * interpolated(y_.log_slope, relative.y)};
}

double WindowOverlap::share(Vector2 relative) const noexcept {
  return interpolated(x_.share, relative.x) * interpolated(y_.share, relative.y);
}

namespace {

// The labels that carry nearly everything the used ones say, texture left out when it adds little:
// it is most of the bins. 0: there is no such part.
std::uint32_t leading_labels(const MatchList& list, std::uint32_t used, const Expectation& all) {
  const std::uint32_t leading = used & ~1u;
  if (leading == used || list.label_begin()[1] < list.blocks() / 4) return 0;
  const Expectation& texture = list.expected(0);
  const bool is_led = texture.gxx < 0.5 * all.gxx && texture.gyy < 0.5 * all.gyy;
  return is_led ? leading : 0;
}

struct NewtonStep {
  double dx = 0.0, dy = 0.0;
  double ixx = 0.0, ixy = 0.0, iyy = 0.0;  // minus the inverse Hessian
  bool is_concave = false;
  bool is_ridge = false;
};

// Of the steepest curvature: flatter is level. The doubt along a ridge is a thousand times that
// across it.
constexpr double kLevel = 1e-6;
constexpr double kFlattest = 0.1;  // of the steepest curvature, on the way up from a saddle
constexpr double kTurnBack = 0.3;  // of the longest step, after one that was too long

struct Curvatures {
  double mean = 0.0, spread = 0.0;  // mean + spread and mean - spread
  Vector2 axis;                     // of the former
};
Curvatures principal(const MatchSums& s) {
  const double half = 0.5 * (s.hxx - s.hyy), angle = 0.5 * std::atan2(s.hxy, half);
  return {0.5 * (s.hxx + s.hyy), std::hypot(half, s.hxy), {std::cos(angle), std::sin(angle)}};
}

// On a saddle: each principal curvature with the sign of a top's (Nocedal and Wright, Numerical
// Optimization, section 3.4), none much flatter than the other.
Vector2 uphill(const MatchSums& s) {
  const Curvatures c = principal(s);
  const double steepest = std::abs(c.mean) + c.spread;
  if (steepest <= 0.0) return {};
  Vector2 step;
  for (const double sign : {1.0, -1.0}) {
    const double curvature = std::max(std::abs(c.mean + sign * c.spread), kFlattest * steepest);
    const Vector2 axis = sign > 0.0 ? c.axis : Vector2{-c.axis.y, c.axis.x};
    const double along = (s.gx * axis.x + s.gy * axis.y) / curvature;
    step.x += along * axis.x, step.y += along * axis.y;
  }
  return step;
}

// Across a ridge, whose curvature is negative: along it next to nothing is known, and a gradient
// that is not quite across it would lead far away.
Vector2 across(const MatchSums& s) {
  const Curvatures c = principal(s);
  const Vector2 axis{-c.axis.y, c.axis.x};
  const double along = (s.gx * axis.x + s.gy * axis.y) / (c.spread - c.mean);
  return {along * axis.x, along * axis.y};
}

NewtonStep newton_step(MatchSums s) {
  NewtonStep out;
  // One row of a lattice that fills the field: its ridge is level along the planes.
  const double trace = s.hxx + s.hyy;
  out.is_ridge = trace < 0.0 && std::abs(s.hxx * s.hyy - s.hxy * s.hxy) < kLevel * trace * trace;
  if (out.is_ridge) s.hxx += kLevel * trace, s.hyy += kLevel * trace;
  const double det = s.hxx * s.hyy - s.hxy * s.hxy;
  out.is_concave = s.hxx < 0.0 && det > 0.0;
  if (!out.is_concave) {
    const Vector2 step = uphill(s);
    out.dx = step.x, out.dy = step.y;
    return out;
  }
  out.ixx = -s.hyy / det, out.ixy = s.hxy / det, out.iyy = -s.hxx / det;
  const Vector2 step =
      out.is_ridge ? across(s)
                   : Vector2{out.ixx * s.gx + out.ixy * s.gy, out.ixy * s.gx + out.iyy * s.gy};
  out.dx = step.x, out.dy = step.y;
  return out;
}

}  // namespace

MatchResult maximise(MatchList& list, std::uint32_t used, Vector2 start, double max_step_cells,
                     const WindowOverlap& window, Vector2 template_shift, PhaseRamps& ramps) {
  MatchResult out;
  out.shift_cells = start;
  if (used == 0) return out;
  Expectation expected;
  for (std::size_t label = 0; label < kLabels; ++label)
    if (used >> label & 1u) expected += list.expected(label);
  // The few bins that say most bring the start near enough for one pass over all.
  std::uint32_t leading = leading_labels(list, used, expected);
  // Where noise has flattened the top Newton's step leads beyond it, to and fro for ever.
  double reach = max_step_cells;
  Vector2 last;
  for (int step = 0; step < 16; ++step) {
    ramps.set(out.shift_cells);
    out.sums = {};
    for (std::size_t label = 0; label < kLabels; ++label) {
      if (leading != 0 && !(leading >> label & 1u)) continue;
      out.labels[label] = list.sum(label, ramps);
      if (used >> label & 1u) out.sums += out.labels[label];
    }
    const Vector2 pull = window.log_slope(
        {out.shift_cells.x - template_shift.x, out.shift_cells.y - template_shift.y});
    // What has no outline is not cut by the window.
    double cut_j = out.sums.j;
    for (std::size_t label = 0; label < kLabels; ++label)
      if (used >> label & 1u && list.has_no_outline(label) &&
          (leading == 0 || leading >> label & 1u))
        cut_j -= out.labels[label].j;
    MatchSums s = out.sums;
    s.gx -= cut_j * pull.x;
    s.gy -= cut_j * pull.y;
    const NewtonStep newton = newton_step(s);
    const double length = std::hypot(newton.dx, newton.dy);
    if (newton.dx * last.x + newton.dy * last.y < 0.0 && length > 0.5 * std::hypot(last.x, last.y))
      reach *= kTurnBack;
    const double held = length > reach ? reach / length : 1.0;
    last = {held * newton.dx, held * newton.dy};
    // Newton's error squares: a step this small ends closer than a ten-thousandth of a cell.
    const bool is_there = newton.is_concave && length < 0.01;
    out.shift_cells.x += last.x;
    out.shift_cells.y += last.y;
    if (is_there && leading == 0) {
      // Variance of a maximum: inverse curvature, gradient noise, inverse curvature.
      const double pxx = newton.ixx * expected.gxx + newton.ixy * expected.gxy;
      const double pxy = newton.ixx * expected.gxy + newton.ixy * expected.gyy;
      const double qxx = newton.ixy * expected.gxx + newton.iyy * expected.gxy;
      const double qxy = newton.ixy * expected.gxy + newton.iyy * expected.gyy;
      out.covariance = {pxx * newton.ixx + pxy * newton.ixy, pxx * newton.ixy + pxy * newton.iyy,
                        qxx * newton.ixy + qxy * newton.iyy};
      if (newton.is_ridge) out.covariance = {newton.ixx, newton.ixy, newton.iyy};
      out.is_peak = true;
      return out;
    }
    if (leading != 0 && (is_there || step >= 6)) {
      leading = 0;
      reach = max_step_cells;
      last = {};
    }
  }
  return out;
}

}  // namespace latticed::signal
