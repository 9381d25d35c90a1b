// SPDX-License-Identifier: GPL-3.0-or-later
#include "server/signal/lane_fft.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numbers>
#include <utility>

namespace latticed::signal {

namespace {

using std::size_t;

// What is called from functions made for different processors must become part of them.
#define LATTICED_INLINE [[gnu::always_inline]] inline

constexpr size_t kLanes = 16;          // of the data; a register may hold fewer
constexpr size_t kPoint = 2 * kLanes;  // floats of a complex point: 16 real, 16 imaginary parts

template <int L>
struct VectorOf {
  typedef float Type __attribute__((vector_size(sizeof(float) * L), may_alias));
  typedef float Unaligned __attribute__((vector_size(sizeof(float) * L), aligned(4), may_alias));
};
template <int L>
using Vector = typename VectorOf<L>::Type;

template <class V>
struct Pair {
  V re, im;
};

template <class V>
LATTICED_INLINE void load(const float* from, V& to) {
  to = *reinterpret_cast<const V*>(from);
}
template <int L>
LATTICED_INLINE void load_unaligned(const float* from, Vector<L>& to) {
  to = *reinterpret_cast<const typename VectorOf<L>::Unaligned*>(from);
}
template <class V>
LATTICED_INLINE void store(const V& from, float* to) {
  *reinterpret_cast<V*>(to) = from;
}
template <class V>
LATTICED_INLINE void load_point(const float* from, Pair<V>& to) {
  load(from, to.re);
  load(from + kLanes, to.im);
}
template <class V>
LATTICED_INLINE void store_point(const Pair<V>& from, float* to) {
  store(from.re, to);
  store(from.im, to + kLanes);
}

template <class V>
LATTICED_INLINE void turn(Pair<V>& a, float re, float im) {
  const V turned = a.re * re - a.im * im;
  a.im = a.re * im + a.im * re;
  a.re = turned;
}

template <class V>
LATTICED_INLINE void transform_2(Pair<V>& a, Pair<V>& b) {
  const Pair<V> sum{a.re + b.re, a.im + b.im};
  b = {a.re - b.re, a.im - b.im};
  a = sum;
}

// In natural order, as transform_8.
template <class V>
LATTICED_INLINE void transform_4(Pair<V>& a, Pair<V>& b, Pair<V>& c, Pair<V>& d) {
  const Pair<V> ac{a.re + c.re, a.im + c.im}, a_c{a.re - c.re, a.im - c.im};
  const Pair<V> bd{b.re + d.re, b.im + d.im}, b_d{b.re - d.re, b.im - d.im};
  a = {ac.re + bd.re, ac.im + bd.im};
  b = {a_c.re + b_d.im, a_c.im - b_d.re};
  c = {ac.re - bd.re, ac.im - bd.im};
  d = {a_c.re - b_d.im, a_c.im + b_d.re};
}

template <class V>
LATTICED_INLINE void transform_8(Pair<V> (&a)[8]) {
  constexpr float kHalfRoot = std::numbers::sqrt2_v<float> / 2;
  transform_4(a[0], a[2], a[4], a[6]);
  transform_4(a[1], a[3], a[5], a[7]);
  const Pair<V> odd[4] = {a[1],
                          {(a[3].re + a[3].im) * kHalfRoot, (a[3].im - a[3].re) * kHalfRoot},
                          {a[5].im, -a[5].re},
                          {(a[7].im - a[7].re) * kHalfRoot, (a[7].re + a[7].im) * -kHalfRoot}};
  const Pair<V> even[4] = {a[0], a[2], a[4], a[6]};
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    a[k] = {even[k].re + odd[k].re, even[k].im + odd[k].im};
    a[k + 4] = {even[k].re - odd[k].re, even[k].im - odd[k].im};
  }
}

template <class V, int R>
LATTICED_INLINE void transform_few(Pair<V> (&a)[R]) {
  if constexpr (R == 8)
    transform_8(a);
  else if constexpr (R == 4)
    transform_4(a[0], a[1], a[2], a[3]);
  else
    transform_2(a[0], a[1]);
}

// One block of one step. `is_last`: blocks of R points, whose turns are all 1.
template <int L, int R, bool is_last>
LATTICED_INLINE void pass(const float* in, float* out, size_t length, const float* turns) {
  const size_t apart = is_last ? 1 : length / R;
  for (size_t lane = 0; lane < kLanes; lane += L)
    for (size_t j = 0; j < apart; ++j) {
      Pair<Vector<L>> a[R];
#pragma GCC unroll 8
      for (size_t r = 0; r < R; ++r) load_point(in + (j + r * apart) * kPoint + lane, a[r]);
      transform_few<Vector<L>, R>(a);
      const float* at = turns + 2 * (R - 1) * j;
#pragma GCC unroll 8
      for (size_t q = 0; q < R; ++q) {
        if (!is_last && q > 0) turn(a[q], at[2 * q - 2], at[2 * q - 1]);
        store_point(a[q], out + (j + q * apart) * kPoint + lane);
      }
    }
}

template <int L>
LATTICED_INLINE void run_step(const LaneFft::Step& step, const float* in, float* out) {
  const bool is_last = step.length == static_cast<size_t>(step.radix);
  const float* turns = step.turns.data();
  if (step.radix == 8)
    is_last ? pass<L, 8, true>(in, out, 8, turns) : pass<L, 8, false>(in, out, step.length, turns);
  else if (step.radix == 4)
    is_last ? pass<L, 4, true>(in, out, 4, turns) : pass<L, 4, false>(in, out, step.length, turns);
  else
    pass<L, 2, true>(in, out, 2, turns);
}

// The first step over everything, then its blocks one after the other through all that follow, so
// that these find them in the first-level cache.
template <int L>
LATTICED_INLINE void run_plan(const LaneFft::Plan& plan, const float* in, float* out) {
  run_step<L>(plan.steps[0], in, out);
  const size_t block = plan.points / static_cast<size_t>(plan.steps[0].radix);
  for (size_t first = 0; first < plan.points; first += block)
    for (size_t s = 1; s < plan.steps.size(); ++s)
      for (size_t at = first; at < first + block; at += plan.steps[s].length)
        run_step<L>(plan.steps[s], out + at * kPoint, out + at * kPoint);
}

template <int L, int D, bool is_low, size_t... I>
LATTICED_INLINE void mix(const Vector<L>& a, const Vector<L>& b, Vector<L>& out,
                         std::index_sequence<I...>) {
  // Lanes with bit D: low takes b's without it, high keeps b's; the others likewise of a.
  out = __builtin_shufflevector(a, b,
                                (((I & D) != 0) ? static_cast<int>(L + I) - (is_low ? D : 0)
                                                : static_cast<int>(I) + (is_low ? 0 : D))...);
}

template <int L, int D>
LATTICED_INLINE void transpose_step(Vector<L> (&v)[L]) {
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (i & D) continue;
    const Vector<L> a = v[i], b = v[i | D];
    mix<L, D, true>(a, b, v[i], std::make_index_sequence<L>{});
    mix<L, D, false>(a, b, v[i | D], std::make_index_sequence<L>{});
  }
}

template <int L>
LATTICED_INLINE void transpose(Vector<L> (&v)[L]) {
  if constexpr (L == 16) transpose_step<L, 8>(v);
  if constexpr (L >= 8) transpose_step<L, 4>(v);
  transpose_step<L, 2>(v);
  transpose_step<L, 1>(v);
}

// Real and imaginary parts side by side to complex numbers.
template <int L, size_t first, size_t... I>
LATTICED_INLINE void interleave(const Pair<Vector<L>>& a, Vector<L>& out,
                                std::index_sequence<I...>) {
  out = __builtin_shufflevector(a.re, a.im, static_cast<int>(first + I / 2 + (I % 2 ? L : 0))...);
}

template <int L>
LATTICED_INLINE void store_complex(const Pair<Vector<L>>& a, float* to) {
  Vector<L> half;
  interleave<L, 0>(a, half, std::make_index_sequence<L>{});
  store(half, to);
  interleave<L, L / 2>(a, half, std::make_index_sequence<L>{});
  store(half, to + L);
}

template <int L, size_t... I>
LATTICED_INLINE void count_up(Vector<L>& out, std::index_sequence<I...>) {
  out = Vector<L>{static_cast<float>(I)...};
}

// 16 tapered rows into lanes: cell x of all of them at out + 16 x.
template <int L>
LATTICED_INLINE void taper_into_lanes(const float* cells, const RowBlockTaper& taper, size_t width,
                                      float* out) {
  Vector<L> ramp;
  count_up<L>(ramp, std::make_index_sequence<L>{});
  for (size_t x = 0; x < width; x += L) {
    Vector<L> taper_x;
    load_unaligned<L>(taper.taper_x + x, taper_x);
    const Vector<L> sloping = (ramp + static_cast<float>(x)) * taper.slope;
    for (size_t row0 = 0; row0 < kLanes; row0 += L) {
      Vector<L> v[L];
#pragma GCC unroll 16
      for (size_t r = 0; r < L; ++r) {
        load_unaligned<L>(cells + (row0 + r) * width + x, v[r]);
        v[r] = (v[r] - taper.at_0[row0 + r] - sloping) * (taper_x * taper.taper_y[row0 + r]);
      }
      transpose<L>(v);
#pragma GCC unroll 16
      for (size_t i = 0; i < L; ++i) store(v[i], out + (x + i) * kLanes + row0);
    }
  }
}

// X of a real row from Z, the transform of its even cells plus i times its odd ones.
template <int L>
LATTICED_INLINE void split_and_store(const LaneFft::Tables& t, const float* z, float* out) {
  const size_t n = t.row.points, stride = 2 * t.grid.column_stride;
  const auto columns = static_cast<size_t>(t.grid.kx_count);
  for (size_t lane = 0; lane < kLanes; lane += L) {
    Pair<Vector<L>> a, b;
    load_point(z + lane, a);
    store_point(Pair<Vector<L>>{a.re + a.im, a.im - a.im}, out + lane);
    if (n < columns)
      store_point(Pair<Vector<L>>{a.re - a.im, a.im - a.im}, out + n * stride + lane);
    for (size_t k = 1; k <= std::min(n / 2, columns - 1); ++k) {
      load_point(z + t.row.place_of[k] * kPoint + lane, a);
      load_point(z + t.row.place_of[n - k] * kPoint + lane, b);
      const Pair<Vector<L>> even{(a.re + b.re) * 0.5f, (a.im - b.im) * 0.5f};
      Pair<Vector<L>> odd{a.im + b.im, b.re - a.re};
      turn(odd, t.row_turns[2 * k], t.row_turns[2 * k + 1]);
      store_point(Pair<Vector<L>>{even.re + odd.re, even.im + odd.im}, out + k * stride + lane);
      if (n - k < columns)
        store_point(Pair<Vector<L>>{even.re - odd.re, odd.im - even.im},
                    out + (n - k) * stride + lane);
    }
  }
}

template <int L>
LATTICED_INLINE void transform_rows_by(const LaneFft::Tables& t, const float* cells,
                                       const RowBlockTaper& taper, float* scratch, float* out) {
  taper_into_lanes<L>(cells, taper, static_cast<size_t>(t.grid.width), scratch);
  run_plan<L>(t.row, scratch, scratch);
  split_and_store<L>(t, scratch, out);
}

// exp(-2 pi i j / 16)
constexpr float kTurn16[10][2] = {{1.0f, 0.0f},
                                  {0.92387953251128674f, -0.38268343236508977f},
                                  {0.70710678118654752f, -0.70710678118654752f},
                                  {0.38268343236508977f, -0.92387953251128674f},
                                  {0.0f, -1.0f},
                                  {-0.38268343236508977f, -0.92387953251128674f},
                                  {-0.70710678118654752f, -0.70710678118654752f},
                                  {-0.92387953251128674f, -0.38268343236508977f},
                                  {-1.0f, 0.0f},
                                  {-0.92387953251128674f, 0.38268343236508977f}};

// The sixteen lanes of each of 16 points become 16 points, turned on the way.
template <int L, bool is_imaginary>
LATTICED_INLINE void turn_over(const float* const (&from)[kLanes], const float* turns,
                               float* tile) {
  for (size_t i0 = 0; i0 < kLanes; i0 += L)
    for (size_t lane = 0; lane < kLanes; lane += L) {
      Vector<L> v[L];
#pragma GCC unroll 16
      for (size_t i = 0; i < L; ++i) {
        Pair<Vector<L>> a, w;
        load_point(from[i0 + i] + lane, a);
        load_point(turns + (i0 + i) * kPoint + lane, w);
        v[i] = is_imaginary ? a.re * w.im + a.im * w.re : a.re * w.re - a.im * w.im;
      }
      transpose<L>(v);
#pragma GCC unroll 16
      for (size_t i = 0; i < L; ++i)
        store(v[i], tile + (lane + i) * kPoint + i0 + (is_imaginary ? kLanes : 0));
    }
}

template <int L>
LATTICED_INLINE void transform_16_and_store(float* tile, size_t apart, float* out) {
  for (size_t lane = 0; lane < kLanes; lane += L) {
#pragma GCC unroll 4
    for (size_t j = 0; j < 4; ++j) {
      Pair<Vector<L>> a[4];
      float* const at = tile + j * kPoint + lane;
#pragma GCC unroll 4
      for (size_t r = 0; r < 4; ++r) load_point(at + r * 4 * kPoint, a[r]);
      transform_4(a[0], a[1], a[2], a[3]);
#pragma GCC unroll 4
      for (size_t q = 0; q < 4; ++q) {
        if (j > 0 && q > 0) turn(a[q], kTurn16[j * q][0], kTurn16[j * q][1]);
        store_point(a[q], at + q * 4 * kPoint);
      }
    }
#pragma GCC unroll 4
    for (size_t k = 0; k < 4; ++k) {
      Pair<Vector<L>> a[4];
#pragma GCC unroll 4
      for (size_t j = 0; j < 4; ++j) load_point(tile + (j + 4 * k) * kPoint + lane, a[j]);
      transform_4(a[0], a[1], a[2], a[3]);
#pragma GCC unroll 4
      for (size_t q = 0; q < 4; ++q) store_complex<L>(a[q], out + 2 * ((k + 4 * q) * apart + lane));
    }
  }
}

template <int L>
LATTICED_INLINE void transform_column_by(const LaneFft::Tables& t, float* column, float* scratch) {
  run_plan<L>(t.column, column, scratch);
  alignas(64) float tile[kLanes * kPoint];
  const size_t m = t.column.points;
  for (size_t k0 = 0; k0 < m; k0 += kLanes) {
    const float* from[kLanes];
    for (size_t i = 0; i < kLanes; ++i) from[i] = scratch + t.column.place_of[k0 + i] * kPoint;
    const float* const turns = t.column_turns.data() + k0 * kPoint;
    turn_over<L, false>(from, turns, tile);
    turn_over<L, true>(from, turns, tile);
    transform_16_and_store<L>(tile, m, column + 2 * k0);
  }
}

#define LATTICED_KERNELS(lanes, made_for)                                                    \
  made_for void rows_by_##lanes(const LaneFft::Tables& t, const float* cells,                \
                                const RowBlockTaper& taper, float* scratch, float* out) {    \
    transform_rows_by<lanes>(t, cells, taper, scratch, out);                                 \
  }                                                                                          \
  made_for void column_by_##lanes(const LaneFft::Tables& t, float* column, float* scratch) { \
    transform_column_by<lanes>(t, column, scratch);                                          \
  }
LATTICED_KERNELS(4, )
#if defined(__x86_64__)
LATTICED_KERNELS(8, [[gnu::target("arch=x86-64-v3")]])
LATTICED_KERNELS(16, [[gnu::target("arch=x86-64-v4")]])
#endif
#undef LATTICED_KERNELS

bool is_power_of_two(int size) { return std::has_single_bit(static_cast<unsigned>(size)); }

std::vector<int> radices_of(size_t points) {
  std::vector<int> out;
  int twos = std::countr_zero(points);
  for (; twos > 4 || twos == 3; twos -= 3) out.push_back(8);
  for (; twos >= 2; twos -= 2) out.push_back(4);
  if (twos == 1) out.push_back(2);
  return out;
}

std::pair<float, float> unit(double turns) {
  return {static_cast<float>(std::cos(2.0 * std::numbers::pi * turns)),
          static_cast<float>(-std::sin(2.0 * std::numbers::pi * turns))};
}

LaneFft::Plan plan_of(size_t points) {
  LaneFft::Plan out{points, {}, std::vector<std::uint32_t>(points)};
  size_t length = points;
  for (int radix : radices_of(points)) {
    LaneFft::Step step{radix, length, {}};
    const size_t apart = length / static_cast<size_t>(radix);
    for (size_t j = 0; j < apart; ++j)
      for (size_t q = 1; q < static_cast<size_t>(radix); ++q) {
        const auto [re, im] = unit(static_cast<double>(j * q) / static_cast<double>(length));
        step.turns.insert(step.turns.end(), {re, im});
      }
    out.steps.push_back(std::move(step));
    length = apart;
  }
  for (size_t k = 0; k < points; ++k) {
    size_t place = 0, rest = k, block = points;
    for (const LaneFft::Step& step : out.steps) {
      const auto radix = static_cast<size_t>(step.radix);
      block /= radix;
      place += rest % radix * block;
      rest /= radix;
    }
    out.place_of[k] = static_cast<std::uint32_t>(place);
  }
  return out;
}

}  // namespace

bool LaneFft::fits(const AnalysisGrid& grid) noexcept {
  return is_power_of_two(grid.width) && is_power_of_two(grid.height) && grid.width >= 256 &&
         grid.height >= 256 && grid.width <= 16384 && grid.height <= 16384;
}

std::vector<LaneFft::Lanes> LaneFft::available() {
  std::vector<Lanes> out{Lanes::four};
#if defined(__x86_64__)
  const bool has_v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2") &&
                      __builtin_cpu_supports("fma");
  const bool has_v4 = has_v3 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (has_v3) out.push_back(Lanes::eight);
  if (has_v4) out.push_back(Lanes::sixteen);
#endif
  return out;
}

LaneFft::LaneFft(const AnalysisGrid& grid, Lanes lanes)
    : tables_{grid,
              plan_of(static_cast<size_t>(grid.width) / 2),
              plan_of(static_cast<size_t>(grid.height) / kLanes),
              {},
              AlignedBuffer<float>(2 * static_cast<size_t>(grid.height))},
      row_kernel_(&rows_by_4),
      column_kernel_(&column_by_4) {
#if defined(__x86_64__)
  if (lanes == Lanes::eight) row_kernel_ = &rows_by_8, column_kernel_ = &column_by_8;
  if (lanes == Lanes::sixteen) row_kernel_ = &rows_by_16, column_kernel_ = &column_by_16;
#endif
  for (int k = 0; k <= grid.width / 4; ++k) {
    const auto [re, im] = unit(static_cast<double>(k) / grid.width);
    tables_.row_turns.insert(tables_.row_turns.end(), {0.5f * re, 0.5f * im});
  }
  const size_t m = tables_.column.points;
  for (size_t k = 0; k < m; ++k)
    for (size_t y = 0; y < kLanes; ++y) {
      const auto [re, im] = unit(static_cast<double>(y * k) / grid.height);
      tables_.column_turns[k * kPoint + y] = re;
      tables_.column_turns[k * kPoint + kLanes + y] = im;
    }
}

size_t LaneFft::scratch_size() const noexcept {
  return std::max(static_cast<size_t>(tables_.grid.width) * kLanes, tables_.column.points * kPoint);
}

void LaneFft::transform_rows(const float* cells, const RowBlockTaper& taper, int y0, float* scratch,
                             Spectrum& out) const noexcept {
  row_kernel_(tables_, cells, taper, scratch, reinterpret_cast<float*>(out.data() + y0));
}

void LaneFft::transform_column(int kx, float* scratch, Spectrum& out) const noexcept {
  column_kernel_(tables_, reinterpret_cast<float*>(out.data() + tables_.grid.at(kx, 0)), scratch);
}

}  // namespace latticed::signal
