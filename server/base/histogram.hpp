// SPDX-License-Identifier: GPL-3.0-or-later
// Durations in buckets that grow by an eighth of a power of two (at most 12.5 % wide), from 1 ns
// to 18 minutes. One thread writes, any thread reads: the counts are relaxed atomics, so a
// reading is never torn and at most a few records old.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>

namespace latticed {

struct DurationSummary {
  std::uint64_t count = 0;
  double mean_ms = 0.0, p50_ms = 0.0, p99_ms = 0.0, max_ms = 0.0;
};

class DurationHistogram {
 public:
  /// One writer thread. Does not allocate.
  void record(std::chrono::nanoseconds duration) noexcept {
    const auto ns = static_cast<std::uint64_t>(duration.count() < 0 ? 0 : duration.count());
    add(buckets_[bucket_of(ns)], 1);
    add(count_, 1);
    add(sum_ns_, ns);
    if (ns > max_ns_.load(std::memory_order_relaxed)) max_ns_.store(ns, std::memory_order_relaxed);
  }

  /// How often each duration has come so far.
  struct Counts {
    static constexpr std::size_t kBuckets = 304;
    std::array<std::uint64_t, kBuckets> buckets{};
    std::uint64_t count = 0, sum_ns = 0, max_ns = 0;
  };
  [[nodiscard]] Counts counts() const noexcept;

  [[nodiscard]] DurationSummary summary() const noexcept { return summary_since({}); }
  /// Of what was recorded after `before`. Its maximum is exact if nothing before was longer, and
  /// otherwise the upper edge of its bucket.
  [[nodiscard]] DurationSummary summary_since(const Counts& before) const noexcept;

 private:
  static constexpr unsigned kSub = 8;  // buckets a power of two

  static void add(std::atomic<std::uint64_t>& counter, std::uint64_t n) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  static std::size_t bucket_of(std::uint64_t ns) noexcept {
    if (ns < kSub) return static_cast<std::size_t>(ns);
    const auto power = static_cast<unsigned>(std::bit_width(ns)) - 4;  // ns >> power is 8..15
    const auto index = static_cast<std::size_t>(power * kSub + (ns >> power));
    return index < kBuckets ? index : kBuckets - 1;
  }
  struct Edges {
    double low_ns, high_ns;
  };
  static Edges edges_of(std::size_t bucket) noexcept;

  static constexpr std::size_t kBuckets = Counts::kBuckets;
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_{};
  std::atomic<std::uint64_t> count_{0}, sum_ns_{0}, max_ns_{0};
};

}  // namespace latticed
